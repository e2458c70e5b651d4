"""The commands and what happens when one fails.

Only the module of the command that is wanted is imported: `--help`, and every client command, starts without the
server's libraries.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Annotated, Final

import typer

from uploadstream.cli import interrupt, screen
from uploadstream.cli.advice import advised
from uploadstream.client.errors import UploadError

FAILED: Final = 1

_SERVER: Final = "The server"
_FILES: Final = "Files"
_CHECKS: Final = "Looking after it"


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is, and what it says of itself in the list of all."""

    module: str
    function: str
    summary: str
    panel: str


COMMANDS: Final = {
    "serve": Command("serve", "serve", "Serve uploads and downloads over gRPC and HTTP.", _SERVER),
    "migrate": Command("migrate", "migrate", "Bring the catalog's schema up to date.", _SERVER),
    "limits": Command("limits", "limits", "Show what a user may and has, or say what it may.", _SERVER),
    "put": Command("put", "put", "Send files; what was cut before is continued.", _FILES),
    "get": Command("get", "get", "Fetch a file; what was cut before is continued.", _FILES),
    "ls": Command("listings", "ls", "List your files, or your trash.", _FILES),
    "show": Command("listings", "show", "Describe a file.", _FILES),
    "rm": Command("listings", "rm", "Move a file to the trash.", _FILES),
    "restore": Command("listings", "restore", "Take a file out of the trash.", _FILES),
    "uploads": Command("listings", "uploads", "List your unfinished uploads, or end one.", _FILES),
    "audit": Command("listings", "audit", "List what happened to a file.", _FILES),
    "stats": Command("listings", "stats", "Show what is deleted and what comes back.", _FILES),
    "key": Command("keys", "key", "Make, list and revoke API keys.", _SERVER),
    "demo": Command("demo", "demo", "Tell the story of an upload that is killed and resumed, in 20 seconds.", _CHECKS),
    "purge": Command("purge", "purge", "Empty the trash of what has been in it for its time.", _CHECKS),
    "fsck": Command("fsck", "fsck", "Verify the digest of every stored file.", _CHECKS),
    "doctor": Command("doctor", "doctor", "Check the configuration, and say what is wrong.", _CHECKS),
}


def program(wanted: str | None) -> typer.Typer:
    """All commands; all but the wanted one know nothing but their summary."""
    app = typer.Typer(
        name="uploadstream",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_program)
    for name, command in COMMANDS.items():
        function: Callable[..., None] | typer.Typer
        if name == wanted:
            function = getattr(import_module(f"uploadstream.cli.{command.module}"), command.function)
        else:
            function = _absent
        if isinstance(function, typer.Typer):  # a command of several
            app.add_typer(function, name=name, short_help=command.summary, rich_help_panel=command.panel)
            continue
        about = _unwrapped(inspect.getdoc(function) or "")
        app.command(name, help=about, short_help=command.summary, rich_help_panel=command.panel)(function)
    return app


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; the exit status."""
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    if wanted != "serve":
        # What becomes of a connection is said in our words, not in grpc's as well. It reads this when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # noqa: TID251 - nothing is read
    try:
        status = program(wanted)(args=list(arguments), standalone_mode=True)
    except SystemExit as ended:
        status = ended.code
    except UploadError as error:
        screen.fail(advised(error))
        return FAILED
    except KeyboardInterrupt:
        return interrupt.INTERRUPTED
    return status if isinstance(status, int) else 0


def _unwrapped(text: str) -> str:
    """Paragraphs of one line each: a terminal has its own width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _absent() -> None:
    """Stand in for a command that is not the wanted one."""


def _show_version(*, is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"uploadstream {metadata.version('uploadstream')}")
        raise typer.Exit


def _program(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _show_version(is_wanted=value),
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Files of any size up and down, resumable, over gRPC and HTTP."""
