"""A catalog in SQLite: a thread that writes, three that read, nothing on the event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from uploadstream.adapters.catalog import writes
from uploadstream.adapters.catalog.catalog import Read, SqlCatalog
from uploadstream.adapters.catalog.commits import Commits, Write
from uploadstream.adapters.catalog.desk import Desk
from uploadstream.adapters.catalog.sqlite import begin_writing, connect_for_writing, migrate, open_engine

GROUP_MAX: Final = 500
LOOKUPS_MAX: Final = 64
LISTERS: Final = 2


class SqliteDesks:
    """The threads in front of one file, which several processes may share."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        engine = open_engine(path, durable=durable)
        self.writer: Final[Desk[Write]] = Desk(
            "catalog-writer",
            threads=1,
            batch_max=GROUP_MAX,
            connect=functools.partial(connect_for_writing, engine),
            serve=Commits(lambda connection, _: begin_writing(connection), writes.IN_ORDER).commit,
        )
        # What reads one row goes in groups too, as changing threads costs more than the reading. What reads many has
        # threads of its own, so that no row waits for a listing.
        self.lookups: Final[Desk[Read]] = Desk(
            "catalog-lookup", threads=1, batch_max=LOOKUPS_MAX, connect=engine.connect, serve=_read
        )
        self.listings: Final[Desk[Read]] = Desk(
            "catalog-listing", threads=LISTERS, batch_max=1, connect=engine.connect, serve=_read
        )

    def write(self, write: Write) -> asyncio.Future[Any]:
        """Carry out an act, and commit it."""
        return self.writer.ask(write)

    def look_up(self, read: Read) -> asyncio.Future[Any]:
        """Run a query for a row."""
        return self.lookups.ask(read)

    def list(self, read: Read) -> asyncio.Future[Any]:
        """Run a query for many rows."""
        return self.listings.ask(read)

    async def close(self) -> None:
        """Do what was asked for, then let go of the file."""
        for desk in (self.writer, self.lookups, self.listings):
            await desk.close()


SqliteCatalog = SqlCatalog[SqliteDesks]


async def open_sqlite(path: Path, *, durable: bool) -> SqliteCatalog:
    """The catalog at `path`, made or migrated if need be. CatalogUnavailable, SchemaTooNew.

    Durable: an answer to a write is on the disk. Otherwise it outlives the process, but perhaps not the machine.
    """
    await asyncio.to_thread(migrate, path)
    return SqlCatalog(SqliteDesks(path, durable=durable))


def _read(connection: Connection, reads: Sequence[Read]) -> Sequence[Any]:
    outcomes = [read(connection) for read in reads]
    connection.rollback()  # there is nothing to commit, but an end to the reading
    return outcomes
