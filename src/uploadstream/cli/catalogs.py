"""What commands that open the catalog themselves say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import typer

from uploadstream.adapters.catalog.places import open_catalog
from uploadstream.cli import screen
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.ports import Catalog
from uploadstream.settings import Settings

_CONNECTIONS: Final = 2


def cause_of(error: CatalogUnavailable) -> str:
    """Why the catalog cannot be had, in the words of its database."""
    cause: BaseException | None = error.__cause__
    while cause is not None:
        if said := str(getattr(cause, "orig", None) or cause):
            return said.splitlines()[0].removeprefix("<class ").strip()
        cause = cause.__cause__
    return str(error)


@asynccontextmanager
async def opened(chosen: Settings) -> AsyncIterator[Catalog]:
    """The catalog of a service, which may be running, for its operator. CatalogUnavailable, WrongSchema."""
    catalog = await open_catalog(chosen.catalog, durable=True, connections=_CONNECTIONS)
    try:
        yield catalog
    finally:
        await catalog.close()


def check_there(chosen: Settings) -> None:
    """End the command unless there is a catalog: one that it makes would be nobody's."""
    if isinstance(chosen.catalog, Path) and not chosen.catalog.exists():
        screen.fail(f"No catalog at {chosen.catalog}; name the data directory of the service with --data-dir")
        raise typer.Exit(1)
