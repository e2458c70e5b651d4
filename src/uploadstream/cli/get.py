"""Fetch a file."""

from __future__ import annotations

import sys
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from uploadstream.cli import interrupt, screen
from uploadstream.cli.board import Board, board
from uploadstream.cli.course import Report
from uploadstream.cli.options import DEFAULT_SERVER, ApiKey, FileId, Json, Patience, Server, User, client_of
from uploadstream.client.errors import FILE_UNWRITABLE, UploadError

if TYPE_CHECKING:
    from uploadstream.client.asynchronous import AsyncClient
    from uploadstream.client.values import FileInfo

STDOUT: Final = "-"
FAILED: Final = 1


def get(  # noqa: PLR0913 - an argument for each option
    file_id: FileId,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Where it is to be: a file, which is replaced, a folder, or - for stdout. By default here, "
            "under its own name.",
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    user: User = "",
    api_key: ApiKey = "",
    patience: Patience = None,
    as_json: Json = False,
) -> None:
    """Fetch a file; what was cut before is continued. Prints where it is.

    The bytes arrive in ID.part; once all are there and their digest is right, the file gets its name. Bytes on stdout
    are good only if the exit status is 0, and a later run begins at the first.
    """
    if to == STDOUT and as_json:
        message = "does not go with -o -, which prints the file"
        raise typer.BadParameter(message, param_hint="--json")
    client = client_of(server, user, api_key, patience_seconds=patience)
    try:
        with board(is_quiet=as_json) as shown:
            info, path = interrupt.run(_fetch(client, file_id, to, shown))
    except KeyboardInterrupt:
        screen.fail("Interrupted." if to == STDOUT else "Interrupted. The same command continues where it was.")
        raise typer.Exit(interrupt.INTERRUPTED) from None
    except BrokenPipeError:  # whoever reads has enough, and knows it
        raise typer.Exit(FAILED) from None
    if path is None:
        return
    if as_json:
        screen.print_json({**screen.as_json(info), "path": str(path)})
    else:
        typer.echo(str(path))


async def _fetch(client: AsyncClient, file_id: str, to: str | None, shown: Board) -> tuple[FileInfo, Path | None]:
    async with client:
        info = await client.describe(file_id)
        report = shown.transfer(info.filename)
        if to != STDOUT:
            return info, await client.download(file_id, to, progress=report)
        await _print(client, file_id, report)
        return info, None


async def _print(client: AsyncClient, file_id: str, report: Report) -> None:
    if sys.stdout is None:  # nothing was there at the start, and what has its number now is something else
        raise UploadError(FILE_UNWRITABLE, "Cannot write to stdout: it is closed")
    try:
        with FileIO(sys.stdout.fileno(), "w", closefd=False) as file:
            await client.download_into(file_id, file, progress=report)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UploadError(FILE_UNWRITABLE, f"Cannot write to stdout: {error.strerror or error}") from error
