"""The catalog that engines are tried on: in memory, or on SQLite or PostgreSQL by `pytest --catalog=...`."""

import asyncio
import functools
import itertools
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from tests import postgres as clusters
from uploadstream.adapters.catalog import postgres, sqlite, sqlite_desks
from uploadstream.adapters.catalog.catalog import SqlCatalog
from uploadstream.adapters.catalog.postgres import PostgresDatabase
from uploadstream.adapters.catalog.sqlite_desks import SqliteDesks
from uploadstream.adapters.catalog.tables import METADATA
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.dsns import Dsn
from uploadstream.ports import Catalog

KINDS = ("memory", "sqlite", "postgres")
CONNECTIONS = 5
# Rows one by one: where there are few, that takes a tenth of the time that TRUNCATE does.
_EMPTY = text(f"DO $$ BEGIN {' '.join(f'{table.delete()};' for table in reversed(METADATA.sorted_tables))} END $$")

_chosen = "memory"
_numbers = itertools.count()
_free_files: list[Path] = []
_free_databases: list[Dsn] = []
# An engine compiles each statement once. It serves one test after the other, in one event loop after the other.
_sqlite_engine = functools.cache(sqlite.open_engine)
_postgres_engine = functools.cache(postgres.open_engine)


def choose(kind: str) -> None:
    """What `new_catalog` makes from now on."""
    global _chosen  # noqa: PLW0603 - it is chosen once, when a run begins
    _chosen = kind


def new_catalog() -> Catalog:
    """An empty catalog, which is closed with its event loop."""
    return MemoryCatalog() if _chosen == "memory" else cast("Catalog", _Lazy(_chosen))


class _Lazy:
    """A catalog that is opened when it is asked first: many tests ask nothing."""

    def __init__(self, kind: str) -> None:
        self._life = on_sqlite() if kind == "sqlite" else on_postgres()
        self._opening: asyncio.Task[Catalog] | None = None

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
            catalog = await asyncio.shield(self._opening)  # who asks first may be cancelled
            return await getattr(catalog, name)(*arguments, **options)

        return call

    async def _open(self) -> Catalog:
        return await anext(self._life)


async def on_sqlite() -> AsyncGenerator[Catalog]:
    """An empty catalog in a file; what an event loop has not closed when it ends, it closes then."""
    path = _free_files.pop() if _free_files else _folder() / f"{next(_numbers)}.db"
    for each in _folder().glob(f"{path.name}*"):
        each.unlink()
    shutil.copy(_template(), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_desks, "open_engine", _sqlite_engine)
        catalog = SqlCatalog(SqliteDesks(path, durable=False))
    try:
        yield catalog
    finally:
        await catalog.close()
        _free_files.append(path)


async def on_postgres() -> AsyncGenerator[Catalog]:
    """The same in a database."""
    dsn = _free_databases.pop() if _free_databases else Dsn(await clusters.new_catalog(f"c{next(_numbers)}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "open_engine", _postgres_engine)
        database = PostgresDatabase(dsn, connections=CONNECTIONS, durable=False)
    await database.transaction(lambda connection: connection.execute(_EMPTY))
    catalog = SqlCatalog(database)
    try:
        yield catalog
    finally:
        await catalog.close()
        _free_databases.append(dsn)


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="catalogs-"))


@functools.cache
def _template() -> Path:
    path = _folder() / "template"
    sqlite.migrate(path)
    return path
