"""Send files and folders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from uploadstream.cli import interrupt, screen
from uploadstream.cli.advice import advised
from uploadstream.cli.board import Board, board
from uploadstream.cli.options import (
    DEFAULT_SERVER,
    ApiKey,
    Json,
    Patience,
    Server,
    StateDir,
    User,
    client_of,
)
from uploadstream.cli.picking import pick
from uploadstream.client.errors import FILE_UNREADABLE, TIMED_OUT, UNREACHABLE, UploadError
from uploadstream.client.values import FileInfo

if TYPE_CHECKING:
    from uploadstream.client.asynchronous import AsyncClient

FAILED: Final = 1


def put(  # noqa: PLR0913 - an argument for each option
    files: Annotated[
        list[Path],
        # What cannot be read is a failure of that file, not of the usage.
        typer.Argument(metavar="FILE", show_default=False, readable=False, help="Files, or folders with -r."),
    ],
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Send the files in folders, and below.")] = False,
    at_once: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, metavar="N", help="How many at once.")] = 1,
    name: Annotated[
        str, typer.Option(metavar="NAME", show_default=False, help="What the file is to be called there.")
    ] = "",
    content_type: Annotated[
        str | None,
        typer.Option(
            "--type", metavar="TYPE", show_default=False, help="Its type; by default what the name stands for."
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    user: User = "",
    api_key: ApiKey = "",
    patience: Patience = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Send files; what was cut before is continued. Prints the id of each.

    After a cut, a restart of the server or the end of this program, the same command goes on from the last byte that
    the server holds.
    """
    picked = pick(files, is_recursive=recursive)
    if picked.folders:
        message = f"{picked.folders[0]} is a folder; add -r to send what is in it"
        raise typer.BadParameter(message, param_hint="FILE")
    paths = list(picked.sizes)
    if not (paths or picked.refused):
        raise UploadError(FILE_UNREADABLE, f"There is no file in {', '.join(map(str, files))}; nothing is sent")
    if name and (len(files), len(paths) + len(picked.refused)) != (1, 1):
        message = "goes with one file only"
        raise typer.BadParameter(message, param_hint="--name")
    client = client_of(server, user, api_key, state_dir=state_dir, patience_seconds=patience)
    with board(files=len(paths), size=sum(picked.sizes.values()), is_quiet=as_json) as shown:
        for link in picked.links:
            shown.note(f"{link} is a link to a folder, and is not followed")
        is_one = len(files) == 1 and files == [*paths, *picked.refused]
        batch = Batch(paths, shown, is_one, name or None, content_type, failed=picked.refused)
        try:
            interrupt.run(batch.send(client, at_once=at_once))
        except KeyboardInterrupt:
            batch.was_interrupted = True
    _conclude(batch, as_json=as_json)


@dataclass
class Batch:
    """Files on their way, and what became of them. `is_one`: one file was named, and its id alone is the result."""

    paths: Sequence[Path]
    board: Board
    is_one: bool
    name: str | None
    content_type: str | None
    sent: dict[Path, FileInfo] = field(default_factory=dict)
    failed: dict[Path, UploadError] = field(default_factory=dict)
    was_interrupted: bool = False

    async def send(self, client: AsyncClient, *, at_once: int) -> None:
        """Send all of them; the failure of one does not keep the others, but a server that is away does."""
        waiting = iter(self.paths)

        async def work() -> None:
            for path in waiting:
                if self._is_server_away():
                    return
                await self._send_one(client, path)

        async with client, asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(self.paths))):
                group.create_task(work())

    async def _send_one(self, client: AsyncClient, path: Path) -> None:
        report = self.board.transfer(path.name if self.is_one else str(path))
        try:
            self.sent[path] = await client.upload(
                path, filename=self.name, content_type=self.content_type, progress=report
            )
        except UploadError as error:
            self.failed[path] = error

    def _is_server_away(self) -> bool:
        return any(error.reason in {UNREACHABLE, TIMED_OUT} for error in self.failed.values())


def _conclude(batch: Batch, *, as_json: bool) -> None:
    """Print the ids, say what failed, and end with the status for it."""
    sent = [batch.sent[path] for path in batch.paths if path in batch.sent]
    if as_json:
        if sent or not batch.is_one:
            screen.print_json(sent[0] if batch.is_one else sent)
    else:
        for path in batch.paths:
            if path in batch.sent:
                file_id = batch.sent[path].file_id
                typer.echo(file_id if batch.is_one else f"{file_id}  {path}")
    for path, error in batch.failed.items():
        is_named = batch.is_one or error.message.startswith(str(path))
        screen.fail(advised(error) if is_named else f"{path}: {advised(error)}")
    if batch.was_interrupted:
        screen.fail("Interrupted. The same command continues where it was.")
        raise typer.Exit(interrupt.INTERRUPTED)
    if batch.failed:
        raise typer.Exit(FAILED)
