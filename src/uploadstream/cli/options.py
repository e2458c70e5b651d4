"""The options that client commands share, and the client that they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uploadstream.client.endpoint import DEFAULT_SERVER

if TYPE_CHECKING:
    from uploadstream.client.asynchronous import AsyncClient

Server = Annotated[
    str,
    typer.Option(
        envvar="UPLOADSTREAM_SERVER",
        metavar="URL",
        help="Where the server is: grpc://host:port, or http://host:port for tus; over TLS grpcs:// and https://.",
    ),
]
User = Annotated[
    str, typer.Option(envvar="UPLOADSTREAM_USER", metavar="NAME", help="Whose files; nobody is named if empty.")
]
ApiKey = Annotated[
    str,
    typer.Option(
        envvar="UPLOADSTREAM_API_KEY", metavar="KEY", help="Sent as a bearer token; better given by the variable."
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        envvar="UPLOADSTREAM_STATE_DIR",
        metavar="DIR",
        show_default=False,
        help="Where unfinished uploads are remembered; by default the user's state directory.",
    ),
]
Patience = Annotated[
    float | None,
    typer.Option(show_default="300", min=0, metavar="SECONDS", help="How long to go on trying without any progress."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
FileId = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The file's id, as put printed it.")]

__all__ = ["DEFAULT_SERVER", "ApiKey", "FileId", "Json", "Patience", "Server", "StateDir", "User", "client_of"]


def client_of(
    server: str, user: str, api_key: str, *, state_dir: Path | None = None, patience_seconds: float | None = None
) -> AsyncClient:
    """The client for what the options say; a wrong address is a usage error."""
    from uploadstream.client import asynchronous  # noqa: PLC0415 - help is shown without it

    patience = asynchronous.PATIENCE_SECONDS if patience_seconds is None else patience_seconds
    try:
        return asynchronous.AsyncClient(
            server, user=user, api_key=api_key, patience_seconds=patience, state_dir=state_dir
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None
