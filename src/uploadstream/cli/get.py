"""Fetch a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uploadstream.cli import interrupt, screen
from uploadstream.cli.board import Board, board
from uploadstream.cli.options import DEFAULT_SERVER, ApiKey, FileId, Json, Patience, Server, User, client_of

if TYPE_CHECKING:
    from uploadstream.client.asynchronous import AsyncClient
    from uploadstream.client.values import FileInfo


def get(  # noqa: PLR0913 - an argument for each option
    file_id: FileId,
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Where it is to be: a file, which is replaced, or a folder. By default here, under its own name.",
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    user: User = "",
    api_key: ApiKey = "",
    patience: Patience = None,
    as_json: Json = False,
) -> None:
    """Fetch a file; what was cut before is continued. Prints where it is.

    The bytes arrive in ID.part; once all are there and their digest is right, the file gets its name.
    """
    client = client_of(server, user, api_key, patience_seconds=patience)
    try:
        with board(is_quiet=as_json) as shown:
            info, path = interrupt.run(_fetch(client, file_id, to, shown))
    except KeyboardInterrupt:
        screen.fail("Interrupted. The same command continues where it was.")
        raise typer.Exit(interrupt.INTERRUPTED) from None
    if as_json:
        screen.print_json({**screen.as_json(info), "path": str(path)})
    else:
        typer.echo(str(path))


async def _fetch(client: AsyncClient, file_id: str, to: Path | None, shown: Board) -> tuple[FileInfo, Path]:
    async with client:
        info = await client.describe(file_id)
        path = await client.download(file_id, to, progress=shown.transfer(info.filename))
        return info, path
