"""SQLite as several processes can share it: one engine, its pragmas, and how a write gets its turn."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from uploadstream.adapters.catalog import schema
from uploadstream.adapters.catalog.desk import translated

BUSY_SECONDS_MAX: Final = 5.0
_POLL_SECONDS: Final = 0.001
_MIGRATION_SECONDS_MAX: Final = 60.0
_JOURNAL_SIZE_MAX: Final = 64 * 1024 * 1024  # what is left of it after a long reader kept it growing


def open_engine(path: Path, *, durable: bool) -> Engine:
    """Connections to the database at `path`, each for one thread.

    Durable: a commit is on the disk. Otherwise it outlives the process, but perhaps not the machine.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path.absolute())),
        poolclass=NullPool,
        connect_args={"timeout": BUSY_SECONDS_MAX, "check_same_thread": True},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # sqlite3 is not to guess where transactions begin
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_SIZE_MAX}")

    return engine


def connect_for_writing(engine: Engine) -> Connection:
    """A connection for `begin_writing`."""
    connection = engine.connect()
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    connection.commit()
    return connection


def begin_writing(connection: Connection) -> None:
    """Begin a transaction as the only writer of all processes; raises if that takes longer than 5 seconds."""
    _insist(connection, "BEGIN IMMEDIATE")


def migrate(path: Path) -> str | None:
    """Make the catalog at `path`, or bring its schema up to date; the schema that it was.

    Processes that do so at once wait for each other.

    CatalogUnavailable, SchemaTooNew.
    """
    engine = open_engine(path, durable=True)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_MIGRATION_SECONDS_MAX * 1000:.0f}")
            _insist(connection, "PRAGMA journal_mode = WAL")  # readers read while a writer writes; the file keeps it
            connection.commit()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            found = schema.version(connection)
            schema.bring_up(connection)
            connection.commit()
            return found
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translated(error) from error
    finally:
        engine.dispose()


def look(path: Path) -> schema.Seen:
    """What is in the catalog at `path`, which is neither made nor changed. CatalogUnavailable, SchemaTooNew."""
    # Opening a database without a log would make one; said to be immutable, it is read as it is. Where there is a log,
    # nothing but its index (-shm), which every reader may make anew, is touched.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    where = f"file:{quote(str(path.absolute()))}?{how}"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(where, uri=True), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return schema.look(connection)
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translated(error) from error
    finally:
        engine.dispose()


def _insist(connection: Connection, statement: str) -> None:
    """Execute a statement that another process may be in the way of.

    SQLite itself waits in steps of up to 0.1 s, and for some statements not at all. Between two groups of a busy
    process there is 0.1 ms, so it would often wait in vain.
    """
    give_up_at = time.monotonic() + BUSY_SECONDS_MAX
    while True:
        try:
            connection.exec_driver_sql(statement)
        except OperationalError as error:
            if not _is_busy(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def _is_busy(error: OperationalError) -> bool:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
