"""`uploadstream serve`: the service, until it is told to stop."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer

from uploadstream import app, settings
from uploadstream.cli import screen
from uploadstream.cli.catalogs import cause_of
from uploadstream.cli.no_port import why_no_port
from uploadstream.cli.service_options import settings_of, takes_settings
from uploadstream.core.errors import CatalogUnavailable, Refusal, StorageUnavailable

DEFAULT_GRPC_PORT: Final = 50051


@takes_settings
def serve(**options: Any) -> None:
    """Serve uploads and downloads over gRPC and HTTP, until Ctrl-C.

    Each option may also be given by the variable that stands below it; an option wins over its variable.
    """
    chosen = settings_of(options)
    try:
        status = app.serve(chosen, ready=lambda where: _say(chosen, where))
    except (OSError, Refusal, app.BadCertificate, app.BadKey, app.WrongSchema, app.WrongStore) as error:
        screen.fail(_why_not(chosen, error))
        raise typer.Exit(1) from None
    raise typer.Exit(status)


def _why_not(chosen: settings.Settings, error: Exception) -> str:
    """What keeps the service from starting, and what to do about it."""
    match error:
        case app.CannotListen(field=field):
            return "; ".join(why_no_port(error, host=chosen.host, port=getattr(chosen, field), field=field))
        case OSError(filename=str(path), strerror=reason):
            why = "it is no folder" if isinstance(error, FileExistsError) else reason
            return f"Cannot use {path}: {why}; make it usable, or choose another place with --data-dir"
        case CatalogUnavailable():
            return f"Cannot open the catalog {chosen.catalog_name}: {cause_of(error)}; uploadstream doctor says more"
        case StorageUnavailable() if error.__cause__:
            where = chosen.blobs_path.absolute()
            return f"Cannot use the storage {where}: {error.__cause__}; make it usable, or choose another"
        case Refusal() | OSError():
            return f"{error}; uploadstream doctor says more"
    return str(error)


def _say(chosen: settings.Settings, where: app.Listening) -> None:
    """Where everything is, and what to try next."""
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    http, grpc = ("https", "grpcs") if chosen.tls else ("http", "grpc")
    page, rpc = f"{http}://{host}:{where.http_port}", f"{grpc}://{host}:{where.grpc_port}"
    server = "" if where.grpc_port == DEFAULT_GRPC_PORT else f" --server {rpc}"
    lines = (
        "UploadStream is ready.",
        f"  Page      {page}/",
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
