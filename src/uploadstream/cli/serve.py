"""`uploadstream serve`: the service, until it is told to stop."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer

from uploadstream import app, settings
from uploadstream.cli import screen
from uploadstream.cli.service_options import settings_of, takes_settings
from uploadstream.core.errors import Refusal

DEFAULT_GRPC_PORT: Final = 50051


@takes_settings
def serve(**options: Any) -> None:
    """Serve uploads and downloads over gRPC and HTTP, until Ctrl-C.

    Each option may also be given by the variable that stands below it; an option wins over its variable.
    """
    chosen = settings_of(options)
    try:
        status = app.serve(chosen, ready=lambda where: _say(chosen, where))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        screen.fail(f"{what}; choose another port or directory, see serve --help")
        raise typer.Exit(1) from None
    except app.WrongStore as error:
        screen.fail(str(error))
        raise typer.Exit(1) from None
    except (Refusal, app.SchemaTooNew) as error:
        screen.fail(f"{error}; see {chosen.data_dir.resolve()}")
        raise typer.Exit(1) from None
    raise typer.Exit(status)


def _say(chosen: settings.Settings, where: app.Listening) -> None:
    """Where everything is, and what to try next."""
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    http, grpc = ("https", "grpcs") if chosen.tls else ("http", "grpc")
    page, rpc = f"{http}://{host}:{where.http_port}", f"{grpc}://{host}:{where.grpc_port}"
    server = "" if where.grpc_port == DEFAULT_GRPC_PORT else f" --server {rpc}"
    lines = (
        "UploadStream is ready.",
        f"  API docs  {page}/docs",
        f"  HTTP      {page}/files (tus), {page}/api/v1/files (REST)",
        f"  gRPC      {rpc} (fileservice.v1.FileService)",
        f"  Data      {chosen.data_dir.resolve()}",
        "Try, in another terminal:",
        f"  {sys.argv[0]} put FILE{server}",
        f"  {sys.argv[0]} demo",
        "Ctrl-C stops it.",
    )
    typer.echo("\n".join(lines), err=True)
