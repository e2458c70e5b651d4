"""The short commands: list, describe, delete, restore, and what happened."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from uploadstream.cli import interrupt, screen
from uploadstream.cli.options import DEFAULT_SERVER, ApiKey, FileId, Json, Server, User, client_of
from uploadstream.core.sizes import iec

if TYPE_CHECKING:
    from uploadstream.client.asynchronous import AsyncClient
    from uploadstream.client.values import AuditEntry, FileInfo, UploadInfo

Result = TypeVar("Result")
Row = TypeVar("Row")


def ls(
    *,
    deleted: Annotated[bool, typer.Option("--deleted", help="List the trash instead.")] = False,
    server: Server = DEFAULT_SERVER,
    user: User = "",
    api_key: ApiKey = "",
    as_json: Json = False,
) -> None:
    """List your files, or your trash."""
    files = _ask(client_of(server, user, api_key), lambda client: _all(client.list_files(deleted=deleted)))
    if as_json:
        screen.print_json(files)
        return
    columns = ("ID", "Name~", "Size>", "Type~?", "Uploaded", "Processing?")
    nothing = "The trash is empty." if deleted else "No files yet. Send one: uploadstream put FILE"
    screen.print_table(columns, [_row_of_file(file) for file in files], nothing=nothing)


def show(
    file_id: FileId, *, server: Server = DEFAULT_SERVER, user: User = "", api_key: ApiKey = "", as_json: Json = False
) -> None:
    """Describe a file."""
    file = _ask(client_of(server, user, api_key), lambda client: client.describe(file_id))
    if as_json:
        screen.print_json(file)
    else:
        screen.print_pairs(_pairs_of_file(file))


def rm(
    file_id: FileId, *, server: Server = DEFAULT_SERVER, user: User = "", api_key: ApiKey = "", as_json: Json = False
) -> None:
    """Move a file to the trash."""
    _ask(client_of(server, user, api_key), lambda client: client.delete(file_id))
    if as_json:
        screen.print_json({"file_id": file_id, "deleted": True})
    else:
        typer.echo(f"{file_id} is in the trash; back with: uploadstream restore {file_id}")


def restore(
    file_id: FileId, *, server: Server = DEFAULT_SERVER, user: User = "", api_key: ApiKey = "", as_json: Json = False
) -> None:
    """Take a file out of the trash."""

    async def restored(client: AsyncClient) -> FileInfo:
        await client.restore(file_id)
        return await client.describe(file_id)

    file = _ask(client_of(server, user, api_key), restored)
    if as_json:
        screen.print_json(file)
    else:
        typer.echo(f"{file_id} is back: {file.filename}")


def uploads(
    *,
    abort: Annotated[
        str | None,
        typer.Option("--abort", metavar="ID", show_default=False, help="End this upload and remove its bytes."),
    ] = None,
    server: Server = DEFAULT_SERVER,
    user: User = "",
    api_key: ApiKey = "",
    as_json: Json = False,
) -> None:
    """List your unfinished uploads, or end one."""
    if abort is not None:
        _ask(client_of(server, user, api_key), lambda client: client.abort(abort))
        if as_json:
            screen.print_json({"upload_id": abort, "aborted": True})
        else:
            typer.echo(f"{abort} is ended, and its bytes are removed.")
        return
    found = _ask(client_of(server, user, api_key), lambda client: _all(client.uploads()))
    if as_json:
        screen.print_json(found)
        return
    columns = ("ID", "Name~", "Received>", "Size>", "Over?", "Begun?", "Expires")
    screen.print_table(columns, [_row_of_upload(upload) for upload in found], nothing="No unfinished uploads.")


def audit(
    file_id: FileId, *, server: Server = DEFAULT_SERVER, user: User = "", api_key: ApiKey = "", as_json: Json = False
) -> None:
    """List what happened to a file."""
    entries = _ask(client_of(server, user, api_key), lambda client: _all(client.audit(file_id)))
    if as_json:
        screen.print_json(entries)
        return
    columns = ("When", "What", "User", "Over", "From", "Details~?")
    screen.print_table(columns, [_row_of_audit(entry) for entry in entries], nothing="Nothing happened to it.")


def stats(*, server: Server = DEFAULT_SERVER, user: User = "", api_key: ApiKey = "", as_json: Json = False) -> None:
    """Show what is deleted and what comes back."""
    found = _ask(client_of(server, user, api_key), lambda client: client.stats())
    if as_json:
        screen.print_json(found)
        return
    pairs = [
        ("Deleted", f"{found.deleted}"),
        ("Restored", f"{found.restored} ({100 * found.restored_share:.0f} %)"),
        ("Purged", f"{found.purged} ({iec(found.purged_bytes)})"),
        ("Mean age", _days(found.age_seconds_mean)),
        ("Greatest age", _days(found.age_seconds_max)),
        *((f"Aged {age}", str(count)) for age, count in found.by_age.items()),
        *((f"On {day}", str(count)) for day, count in found.by_day.items()),
        *((f"Of {kind}", str(count)) for kind, count in found.by_type.items()),
    ]
    screen.print_pairs(pairs)


def _ask(client: AsyncClient, question: Callable[[AsyncClient], Coroutine[Any, Any, Result]]) -> Result:
    """The answer of a client that is closed afterwards."""

    async def ask() -> Result:
        async with client:
            return await question(client)

    return interrupt.run(ask())


async def _all(rows: AsyncGenerator[Row]) -> list[Row]:
    return [row async for row in rows]


def _row_of_file(file: FileInfo) -> list[str]:
    return [
        file.file_id,
        file.filename,
        iec(file.size),
        file.content_type,
        screen.local_time(file.uploaded_at),
        file.processing_status.lower(),
    ]


def _row_of_upload(upload: UploadInfo) -> list[str]:
    return [
        upload.upload_id,
        upload.filename or "",
        iec(upload.offset),
        iec(upload.size) if upload.size is not None else "unknown",
        upload.protocol or "",
        screen.local_time(upload.created_at),
        screen.local_time(upload.expires_at),
    ]


def _row_of_audit(entry: AuditEntry) -> list[str]:
    details = ", ".join(f"{name}: {value}" for name, value in entry.details.items())
    at = screen.local_time(entry.at, to="seconds")
    return [at, entry.action, entry.user_id, entry.protocol, entry.address, details]


def _pairs_of_file(file: FileInfo) -> list[tuple[str, str]]:
    return [
        ("ID", file.file_id),
        ("Name", file.filename),
        ("Size", f"{iec(file.size)} ({file.size} bytes)"),
        ("Type", file.content_type),
        ("User", file.user_id or ""),
        ("Uploaded", screen.local_time(file.uploaded_at)),
        ("Deleted", screen.local_time(file.deleted_at)),
        ("Processing", file.processing_status.lower()),
        ("crc32c", file.crc32c or ""),
        ("sha256", file.sha256 or ""),
        *((f"  {name}", str(value)) for name, value in (file.processing_result or {}).items()),
    ]


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days"
