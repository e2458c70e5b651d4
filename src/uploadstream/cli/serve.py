"""`uploadstream serve`: the service, until it is told to stop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from uploadstream import app, settings
from uploadstream.cli import screen
from uploadstream.core.errors import Refusal

USAGE_ERROR: Final = 2
DEFAULT_GRPC_PORT: Final = 50051


def _option(field: str, *names: str, metavar: str | None = None) -> Any:
    """The option of a setting: its help and default are the setting's own."""
    known = settings.Settings.model_fields[field]
    variable = f"UPLOADSTREAM_{field.upper()}"
    default = "" if known.default is None or known.default == "" else f"; default {settings.spelled(known.default)}"
    return typer.Option(
        *names,
        metavar=metavar,
        show_default=False,
        help=f"{(known.description or '')[:1].upper()}{(known.description or '')[1:]} ({variable}{default}).",
    )


def serve(  # noqa: PLR0913 - one argument an option
    *,
    host: Annotated[str | None, _option("host", "--host")] = None,
    http_port: Annotated[int | None, _option("http_port", "--http-port", metavar="PORT")] = None,
    grpc_port: Annotated[int | None, _option("grpc_port", "--grpc-port", metavar="PORT")] = None,
    data_dir: Annotated[Path | None, _option("data_dir", "--data-dir", metavar="DIR")] = None,
    workers: Annotated[int | None, _option("workers", "--workers", metavar="N")] = None,
    processing: Annotated[bool | None, _option("processing", "--processing/--no-processing")] = None,
    tls_cert: Annotated[Path | None, _option("tls_cert", "--tls-cert", metavar="FILE")] = None,
    tls_key: Annotated[Path | None, _option("tls_key", "--tls-key", metavar="FILE")] = None,
    max_file_size: Annotated[str | None, _option("max_file_size", "--max-file-size", metavar="SIZE")] = None,
    max_chunk_size: Annotated[str | None, _option("max_chunk_size", "--max-chunk-size", metavar="SIZE")] = None,
    read_timeout: Annotated[str | None, _option("read_timeout", "--read-timeout", metavar="TIME")] = None,
    drain_timeout: Annotated[str | None, _option("drain_timeout", "--drain-timeout", metavar="TIME")] = None,
    upload_ttl: Annotated[str | None, _option("upload_ttl", "--upload-ttl", metavar="TIME")] = None,
    trash_ttl: Annotated[str | None, _option("trash_ttl", "--trash-ttl", metavar="TIME")] = None,
    allowed_types: Annotated[str | None, _option("allowed_types", "--allowed-types", metavar="PATTERNS")] = None,
    fsync: Annotated[str | None, _option("fsync", "--fsync", metavar="POLICY")] = None,
    auth: Annotated[str | None, _option("auth", "--auth", metavar="MODE")] = None,
) -> None:
    """Serve uploads and downloads over gRPC and HTTP, until Ctrl-C."""
    options = {name: value for name, value in locals().items() if value is not None}
    try:
        chosen = settings.load(**options)
    except settings.BadSettings as error:
        screen.fail(str(error))
        raise typer.Exit(USAGE_ERROR) from None
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
