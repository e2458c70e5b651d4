"""Where a catalog is, and how one there is opened, looked at and migrated: a file is SQLite, a DSN is PostgreSQL.

What PostgreSQL needs is imported when a catalog is there: it takes 0.1 s.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from uploadstream.adapters.catalog import sqlite
from uploadstream.adapters.catalog.catalog import SqlCatalog
from uploadstream.adapters.catalog.schema import Seen
from uploadstream.adapters.catalog.sqlite_desks import open_sqlite
from uploadstream.core.dsns import Dsn

Place = Path | Dsn


async def open_catalog(place: Place, *, durable: bool, connections: int) -> SqlCatalog[Any]:
    """The catalog there: on SQLite made or migrated if need be, on PostgreSQL as it is, over so many connections.

    Durable: an answer to a write is on the disk. Otherwise it outlives the process, but perhaps not the machine.
    CatalogUnavailable, SchemaTooOld, SchemaTooNew.
    """
    if isinstance(place, Path):
        return await open_sqlite(place, durable=durable)
    from uploadstream.adapters.catalog import postgres_schema  # noqa: PLC0415 - as said above

    return await postgres_schema.open_postgres(place, connections=connections, durable=durable)


async def look(place: Place) -> Seen:
    """What is in the catalog there, which is neither made nor changed. CatalogUnavailable, SchemaTooNew."""
    if isinstance(place, Path):
        return await asyncio.to_thread(sqlite.look, place)
    from uploadstream.adapters.catalog import postgres_schema  # noqa: PLC0415 - as said above

    return await postgres_schema.look(place)


async def migrate(place: Place) -> str | None:
    """Bring the schema of the catalog there up to date; what it was. CatalogUnavailable, SchemaTooNew."""
    if isinstance(place, Path):
        return await asyncio.to_thread(sqlite.migrate, place)
    from uploadstream.adapters.catalog import postgres_schema  # noqa: PLC0415 - as said above

    return await postgres_schema.migrate(place)
