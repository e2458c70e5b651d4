"""`uploadstream migrate`: the catalog's schema, brought up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from uploadstream import upkeep
from uploadstream.cli import screen
from uploadstream.cli.catalogs import cause_of
from uploadstream.cli.service_options import settings_of
from uploadstream.core.errors import CatalogUnavailable


def migrate(
    *,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="The data directory (UPLOADSTREAM_DATA_DIR).")
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="DSN", show_default=False, help="The catalog (UPLOADSTREAM).")
    ] = None,
) -> None:
    """Bring the catalog's schema up to date. On PostgreSQL the service may be running.

    A service on SQLite does it by itself when it starts. Copy the catalog before: versions that are older than the
    schema cannot work with it.
    """
    chosen = settings_of({"data_dir": data_dir, "database": database})
    try:
        before, now = asyncio.run(upkeep.migrate(chosen))
    except CatalogUnavailable as error:
        screen.fail(f"Cannot migrate the catalog {chosen.catalog_name}: {cause_of(error)}")
        raise typer.Exit(1) from None
    except upkeep.WrongSchema as error:
        screen.fail(str(error))
        raise typer.Exit(1) from None
    if before == now:
        typer.echo(f"{chosen.catalog_name} has the newest schema, {now}")
    else:
        typer.echo(f"{chosen.catalog_name} is at schema {now} now; it {f'was at {before}' if before else 'had none'}")
