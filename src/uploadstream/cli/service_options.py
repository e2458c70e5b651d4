"""The options of every setting, for commands that are told where and how to serve: one table, one help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from uploadstream.cli import screen
from uploadstream.settings import BadSettings, Settings, load, option_of, spelled, variable_of

USAGE_ERROR: Final = 2

# By what they are about: the fields, each with what its option is followed by.
PANELS: Final = {
    "Where it listens": {
        "host": "ADDRESS",
        "http_port": "PORT",
        "grpc_port": "PORT",
        "tls_cert": "FILE",
        "tls_key": "FILE",
        "tls_client_ca": "FILE",
        "auth": "MODE",
        "cors_origins": "LIST",
    },
    "Whose tokens it takes": {
        "jwt_key": "KEY",
        "jwt_jwks": "URL",
        "jwt_issuer": "NAME",
        "jwt_audience": "NAME",
        "jwt_user_claim": "NAME",
    },
    "Where it keeps files": {
        "data_dir": "DIR",
        "database": "DSN",
        "storage": "URL",
        "fsync": "POLICY",
        "audit_downloads": "true|false",
    },
    "What it takes": {
        "max_file_size": "SIZE",
        "max_chunk_size": "SIZE",
        "allowed_types": "LIST",
        "fetch_hosts": "LIST",
    },
    "What each user may": {
        "rate_uploads": "RATE",
        "rate_bytes": "RATE",
        "max_active_uploads": "N",
        "quota_bytes": "SIZE",
    },
    "How long": {"read_timeout": "TIME", "drain_timeout": "TIME", "upload_ttl": "TIME", "trash_ttl": "TIME"},
    "Processes": {"workers": "N", "pool_size": "N", "processing": ""},
}
# Of settings whose default is no value of theirs; DIR is the data directory, as in its line.
_DEFAULTS: Final = {
    "auth": "open on loopback",
    "database": "DIR/catalog.sqlite",
    "storage": "DIR/blobs",
    "fetch_hosts": "off",
    "rate_uploads": "off",
    "rate_bytes": "off",
    "max_active_uploads": "off",
    "quota_bytes": "off",
    "tls_cert": "no TLS",
    "tls_client_ca": "no certificates",
    "jwt_key": "no tokens",
}
_NO_PROCESSING: Final = "no_processing"


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with an option for every setting in the place of its `**options`; those not given are None."""
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    kinds: dict[str, Any] = {}
    for panel, fields in PANELS.items():
        for field, metavar in fields.items():
            option = _option(field, metavar, panel)
            if field == "processing":  # said in the negative: nobody needs to ask for the default
                kinds[_NO_PROCESSING] = Annotated[bool, option]
            else:
                kinds[field] = Annotated[str | None, option]
    settings = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False if name == _NO_PROCESSING else None, annotation=kind
        )
        for name, kind in kinds.items()
    ]
    command.__signature__ = signature.replace(parameters=[*settings, *own])  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in [*settings, *own]}
    return command


def settings_of(options: dict[str, Any]) -> Settings:
    """The settings with these options; bad ones are a usage error, a line each."""
    try:
        return load(**with_processing(options))
    except BadSettings as error:
        for line in error.lines:
            screen.fail(line)
        raise typer.Exit(USAGE_ERROR) from None


def with_processing(options: dict[str, Any]) -> dict[str, Any]:
    """The options by the names of their settings."""
    others = {name: value for name, value in options.items() if name != _NO_PROCESSING}
    return {**others, "processing": False if options.get(_NO_PROCESSING) else None}


def _option(field: str, metavar: str, panel: str) -> Any:
    known = Settings.model_fields[field]
    says = known.description or ""
    default = _DEFAULTS.get(field) or ("" if known.default is None else spelled(known.default))
    if field == "processing":
        says = f"do not {says}"
    return typer.Option(
        option_of(field),
        metavar=metavar,
        show_default=False,
        rich_help_panel=panel,
        help=f"{says[:1].upper()}{says[1:]}.\n\n{variable_of(field)}{f' (default: {default})' if default else ''}",
    )
