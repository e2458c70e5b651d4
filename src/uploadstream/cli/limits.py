"""`uploadstream limits`: what single users may, said in the catalog itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from uploadstream.adapters.catalog.schema import WrongSchema
from uploadstream.cli import screen
from uploadstream.cli.catalogs import cause_of, check_there, opened
from uploadstream.cli.service_options import USAGE_ERROR, settings_of
from uploadstream.core.access import check_user
from uploadstream.core.allowances import READ, Allowance, Usage
from uploadstream.core.errors import BadField, CatalogUnavailable
from uploadstream.core.sizes import iec
from uploadstream.ports import Catalog
from uploadstream.settings import Settings

# In the place of a limit: what holds for all users holds for this one too.
DEFAULT: Final = "default"
_PAGE: Final = 500

Said = Mapping[str, str]


def limits(  # noqa: PLR0913 - an option each
    user: Annotated[str | None, typer.Argument(metavar="[USER]", show_default=False, help="Whose limits.")] = None,
    *,
    rate_uploads: Annotated[
        str | None, typer.Option(metavar="RATE", show_default=False, help="Uploads that begin: 60/min burst 20.")
    ] = None,
    rate_bytes: Annotated[
        str | None, typer.Option(metavar="RATE", show_default=False, help="Bytes that are taken: 50MB/s.")
    ] = None,
    max_active_uploads: Annotated[
        str | None, typer.Option(metavar="N", show_default=False, help="Uploads at once.")
    ] = None,
    quota_bytes: Annotated[
        str | None, typer.Option(metavar="SIZE", show_default=False, help="Bytes that are stored: 50GB.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="The data directory (UPLOADSTREAM_DATA_DIR).")
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="DSN", show_default=False, help="The catalog (UPLOADSTREAM).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what a user may and has, or say what it may; without a user, list those of whom anything was said.

    A limit that is said of a user takes the place of the service's own: `off` is none, `default` takes it back. It
    holds within 5 seconds, in every process; the service may be running.
    """
    asked = dict(zip(READ, (rate_uploads, rate_bytes, max_active_uploads, quota_bytes), strict=True))
    given = {name: text.strip() for name, text in asked.items() if text is not None}
    if given and user is None:
        screen.fail("Whose limits? Name the user: uploadstream limits USER --quota-bytes 50GB")
        raise typer.Exit(USAGE_ERROR)
    chosen = settings_of({"data_dir": data_dir, "database": database})
    _check(user, given)
    check_there(chosen)
    try:
        if user is None:
            _show_users(asyncio.run(_said_of_all(chosen)), as_json=as_json)
        else:
            _show_user(user, *asyncio.run(_told(chosen, user, given)), as_json=as_json)
    except CatalogUnavailable as error:
        screen.fail(f"Cannot open the catalog {chosen.catalog_name}: {cause_of(error)}")
        raise typer.Exit(1) from None
    except WrongSchema as error:
        screen.fail(str(error))
        raise typer.Exit(1) from None


def _check(user: str | None, given: Said) -> None:
    try:
        check_user(user or "")
        Allowance().overridden({name: text for name, text in given.items() if text != DEFAULT})
    except BadField as error:
        screen.fail(f"--{error.field.replace('_', '-')}: {error.problem}" if error.field in READ else str(error))
        raise typer.Exit(USAGE_ERROR) from None


async def _told(chosen: Settings, user: str, given: Said) -> tuple[Allowance, Said, Usage]:
    """What the user may, what of that is said of it alone, and what it has; once what is given was said."""
    async with opened(chosen) as catalog:
        said = dict(await catalog.overrides(user))
        if given:
            said = {name: text for name, text in (said | dict(given)).items() if text != DEFAULT}
            await catalog.set_overrides(user, said)
        return chosen.allowance.overridden(said), said, await catalog.usage(user)


async def _said_of_all(chosen: Settings) -> Sequence[tuple[str, Said]]:
    async with opened(chosen) as catalog:
        return await _all(catalog)


async def _all(catalog: Catalog) -> Sequence[tuple[str, Said]]:
    found: list[tuple[str, Said]] = []
    while rows := await catalog.overridden(after=found[-1][0] if found else None, limit=_PAGE):
        found += rows
    return found


def _show_users(rows: Sequence[tuple[str, Said]], *, as_json: bool) -> None:
    if as_json:
        screen.print_json([{"user_id": user, **said} for user, said in rows])
    else:
        nothing = "Nothing is said of any user: all have the limits of the service"
        screen.print_table(["USER", *map(_title, READ)], [_row(user, said) for user, said in rows], nothing=nothing)


def _show_user(user: str, allowance: Allowance, said: Said, usage: Usage, *, as_json: bool) -> None:
    has = {
        "stored_bytes": usage.stored_bytes,
        "declared_bytes": usage.declared_bytes,
        "open_uploads": usage.open_uploads,
    }
    may = allowance.spelled()
    if as_json:
        screen.print_json({"user_id": user, **may, "said": list(said), **has})
        return
    for name, text in may.items():
        typer.echo(f"{_title(name).lower():20}{text}{' (of this user)' if name in said else ''}")
    stored, declared = iec(usage.stored_bytes), iec(usage.declared_bytes)
    typer.echo(f"{'has':20}{stored} stored, {declared} more in {usage.open_uploads} open uploads")


def _title(name: str) -> str:
    return name.replace("_", " ").upper()


def _row(user: str, said: Said) -> list[str]:
    return [user, *(said.get(name, "") for name in READ)]
