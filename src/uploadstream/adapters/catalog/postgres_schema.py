"""The schema of a catalog in PostgreSQL: looked at when a service starts, changed by `migrate` alone.

Migrating disturbs nobody: it waits for locks for so short a time that those behind it hardly wait, and tries again.
"""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from uploadstream.adapters.catalog import schema
from uploadstream.adapters.catalog.catalog import SqlCatalog
from uploadstream.adapters.catalog.postgres import PostgresDatabase, open_engine, sqlstate, translated
from uploadstream.core.dsns import Dsn

_STATEMENT_SECONDS_MAX: Final = 24 * 3600.0
_LOCK_SECONDS_MAX: Final = 0.2
_TRIES: Final = 300
_TRY_EVERY_SECONDS: Final = 1.0
_LOCK_NOT_AVAILABLE: Final = "55P03"

# Asked for and never waited for: whoever waits in a statement has a snapshot, for whose end CREATE INDEX CONCURRENTLY
# in the process that has the lock would wait.
_ONE_AT_A_TIME: Final = text("SELECT pg_try_advisory_lock(x'5550'::int, -1)")

PostgresCatalog = SqlCatalog[PostgresDatabase]


async def open_postgres(dsn: Dsn, *, connections: int, durable: bool) -> PostgresCatalog:
    """The catalog there, if it has the schema of this version. CatalogUnavailable, SchemaTooOld, SchemaTooNew."""
    database = PostgresDatabase(dsn, connections=connections, durable=durable)
    try:
        await database.look_up(schema.check_schema)
    except BaseException:
        await database.close()
        raise
    return SqlCatalog(database)


async def look(dsn: Dsn) -> schema.Seen:
    """What is in the catalog, which is not changed. CatalogUnavailable, SchemaTooNew."""
    database = PostgresDatabase(dsn, connections=1, durable=True)
    try:
        return await database.look_up(schema.look)
    finally:
        await database.close()


async def migrate(dsn: Dsn) -> str | None:
    """Bring the schema up to date, while the service goes on; the schema that it was.

    Processes that do so at once wait for each other. CatalogUnavailable, SchemaTooNew.
    """
    engine = open_engine(dsn, connections=2, durable=True, statement_seconds=_STATEMENT_SECONDS_MAX)
    try:
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as guard:
            await _wait_for_others(guard)
            async with engine.connect() as connection:
                return await _insist(connection)
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise translated(error) from error
    finally:
        await engine.dispose()


async def _wait_for_others(guard: AsyncConnection) -> None:
    """Until this process is the one that migrates; it is for as long as the connection is open."""
    while True:
        if (await guard.execute(_ONE_AT_A_TIME)).scalar():
            return
        await asyncio.sleep(_TRY_EVERY_SECONDS)


async def _insist(connection: AsyncConnection) -> str | None:
    """Until every lock that is needed was had for a moment. What was done before stays done."""
    await connection.exec_driver_sql(f"SET lock_timeout = {_LOCK_SECONDS_MAX * 1000:.0f}")
    await connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
    found = await connection.run_sync(schema.version)
    await connection.commit()
    for turn in range(_TRIES):
        try:
            await connection.run_sync(schema.bring_up)
            await connection.commit()
        except DBAPIError as error:
            await connection.rollback()
            if sqlstate(error) != _LOCK_NOT_AVAILABLE or turn == _TRIES - 1:
                raise
            await asyncio.sleep(_TRY_EVERY_SECONDS)
        else:
            break
    return found
