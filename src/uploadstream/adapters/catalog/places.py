"""Where a catalog is, and how one there is opened, looked at and migrated: a file is SQLite, a DSN is PostgreSQL.

What PostgreSQL needs is imported when a catalog is there: it takes 0.1 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from uploadstream.adapters.catalog import sqlite
from uploadstream.adapters.catalog.catalog import SqlCatalog
from uploadstream.adapters.catalog.schema import Seen
from uploadstream.adapters.catalog.sqlite_desks import open_sqlite
from uploadstream.adapters.leases_disk import DiskLeases
from uploadstream.core.dsns import Dsn
from uploadstream.ports import Leases

Place = Path | Dsn
Fence = Callable[[str, Callable[[], None]], Awaitable[None]]


async def open_catalog(place: Place, *, durable: bool, connections: int) -> SqlCatalog[Any]:
    """The catalog there: on SQLite made or migrated if need be, on PostgreSQL as it is, over so many connections.

    Durable: an answer to a write is on the disk. Otherwise it outlives the process, but perhaps not the machine.
    CatalogUnavailable, SchemaTooOld, SchemaTooNew.
    """
    if isinstance(place, Path):
        return await open_sqlite(place, durable=durable)
    from uploadstream.adapters.catalog import postgres_schema  # noqa: PLC0415 - as said above

    return await postgres_schema.open_postgres(place, connections=connections, durable=durable)


@asynccontextmanager
async def open_leases(place: Place, catalog: SqlCatalog[Any], root: Path, fence: Fence) -> AsyncIterator[Leases]:
    """The leases of all who have this catalog: in it, if that is PostgreSQL; else among the processes of this machine.

    `root`: where those are kept. `fence`: keeps out of what is under a key who had its lease before, since it was taken
    by force. CatalogUnavailable, StorageUnavailable.
    """
    if isinstance(place, Path):
        on_disk = DiskLeases(root)
        try:
            yield on_disk.listen()
        finally:
            on_disk.close()
        return
    from uploadstream.adapters.catalog.leases import PostgresLeases  # noqa: PLC0415 - as said above

    shared = PostgresLeases(catalog.database, fence)
    try:
        await shared.open()
        catalog.claim_of = shared.claim_of
        yield shared
    finally:
        await shared.close()


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
