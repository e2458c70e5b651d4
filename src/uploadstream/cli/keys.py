"""`uploadstream key create|list|revoke`: API keys, in the catalog itself, by whoever runs the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from uploadstream.adapters.catalog.places import open_catalog
from uploadstream.adapters.catalog.schema import WrongSchema
from uploadstream.adapters.disk_files import make_directories
from uploadstream.adapters.system import SystemClock
from uploadstream.cli import screen
from uploadstream.cli.catalogs import cause_of
from uploadstream.cli.service_options import settings_of
from uploadstream.core.access import Scope
from uploadstream.core.errors import BadField, CatalogUnavailable, Refusal
from uploadstream.core.keys import Key, read_scopes
from uploadstream.engine.keys import Keys
from uploadstream.setting_values import read_duration
from uploadstream.settings import Settings

Result = TypeVar("Result")
NEVER: Final = "never"

DataDir = Annotated[
    Path | None, typer.Option(metavar="DIR", show_default=False, help="The data directory (UPLOADSTREAM_DATA_DIR).")
]
Database = Annotated[str | None, typer.Option(metavar="DSN", show_default=False, help="The catalog (UPLOADSTREAM).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

key = typer.Typer(
    help="Make, list and revoke API keys, in the catalog itself: no server has to run.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@key.command("create")
def create(  # noqa: PLR0913 - an argument for each option
    *,
    user: Annotated[str, typer.Option(metavar="NAME", show_default=False, help="Whose key it is.")],
    name: Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="What it is for, for your lists.")] = "",
    scopes: Annotated[
        str, typer.Option(metavar="LIST", help="What it is good for: read, write, admin (everything of everybody).")
    ] = "read,write",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="How long it is good, such as 90d; never: until it is revoked.")
    ] = NEVER,
    data_dir: DataDir = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a key, and print it: it is not shown again."""
    asked, life = _scopes(scopes), _life(expires)
    chosen = settings_of({"data_dir": data_dir, "database": database})
    made, text = _run(chosen, lambda keys: keys.create(user, name=name, scopes=asked, expires_in=life))
    if as_json:
        screen.print_json({**_shown(made), "key": text})
    else:
        typer.echo(text)
        typer.echo(f"Key {made.id} of {made.user_id}; keep it now, it is not shown again", err=True)


@key.command("list")
def list_keys(
    *,
    user: Annotated[str | None, typer.Option(metavar="NAME", show_default=False, help="Those of one user.")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """List keys, the newest first, also those that are good no more."""
    chosen = settings_of({"data_dir": data_dir, "database": database})

    async def rows(keys: Keys) -> list[Key]:
        return [one async for one in keys.all(user)]

    found = _run(chosen, rows)
    if as_json:
        screen.print_json([_shown(one) for one in found])
        return
    columns = ("ID", "User", "Name~", "Scopes", "State", "Made?", "Expires?", "Last used?")
    screen.print_table(columns, [_row_of(one) for one in found], nothing="No keys.")


@key.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", show_default=False, help="As `key list` shows it.")],
    *,
    data_dir: DataDir = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Let a key be good no more: within 5 seconds, in every server."""
    chosen = settings_of({"data_dir": data_dir, "database": database})
    revoked = _run(chosen, lambda keys: keys.revoke(key_id))
    if as_json:
        screen.print_json(_shown(revoked))
    else:
        typer.echo(f"Key {revoked.id} of {revoked.user_id} is revoked")


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return read_scopes(text)
    except BadField as error:
        raise typer.BadParameter(error.problem, param_hint="--scopes") from None


def _life(text: str) -> timedelta | None:
    try:
        life = None if text == NEVER else read_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from None
    return life if isinstance(life, timedelta) else None


def _run(chosen: Settings, act: Callable[[Keys], Awaitable[Result]]) -> Result:
    """What the act gives, on the catalog of these settings; what keeps it from that is a line."""
    try:
        return asyncio.run(_act(chosen, act))
    except CatalogUnavailable as error:
        screen.fail(f"Cannot use the catalog {chosen.catalog_name}: {cause_of(error)}; uploadstream doctor says more")
    except OSError as error:
        screen.fail(f"Cannot use {error.filename}: {error.strerror}; name another with --data-dir")
    except (Refusal, WrongSchema) as error:
        screen.fail(str(error))
    raise typer.Exit(1)


async def _act(chosen: Settings, act: Callable[[Keys], Awaitable[Result]]) -> Result:
    make_directories([chosen.data_dir], durable=True)  # the first key may be made before the first start
    catalog = await open_catalog(chosen.catalog, durable=True, connections=1)
    try:
        return await act(Keys(catalog, SystemClock()))
    finally:
        await catalog.close()


def _row_of(one: Key) -> list[str]:
    state = "good" if one.is_good(SystemClock().now()) else "revoked" if one.revoked_at else "expired"
    times = (one.created_at, one.expires_at, one.last_used_at)
    return [one.id, one.user_id, one.name, ",".join(sorted(one.scopes)), state, *map(screen.local_time, times)]


def _shown(one: Key) -> dict[str, Any]:
    """A key as a document, without what it is made of."""
    return {
        "key_id": one.id,
        "user_id": one.user_id,
        "name": one.name,
        "scopes": sorted(one.scopes),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "last_used_at": one.last_used_at,
        "revoked_at": one.revoked_at,
    }
