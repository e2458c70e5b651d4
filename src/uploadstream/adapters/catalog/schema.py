"""Bringing a database's schema up to date, from code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Select, Text, column, inspect, select, table

from uploadstream.adapters.catalog.queries import store_id

HEAD: Final = "0013"  # the newest of migrations/versions
_VERSIONS: Final = "alembic_version"
_VERSION: Final[Select[str]] = select(column("version_num", Text)).select_from(table(_VERSIONS))
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a catalog says of itself: its schema (None: it has none yet), and its store (None: none yet)."""

    schema: str | None
    store_id: str | None


class WrongSchema(Exception):
    """The catalog has another schema than this program works with."""


class SchemaTooNew(WrongSchema):
    """The catalog was made by a newer version of this program."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The catalog has schema {found}, this program knows schemas up to {HEAD}: "
            "start the newer version again, or restore the catalog from a copy made before it was migrated"
        )


class SchemaTooOld(WrongSchema):
    """The catalog is not what this version works with, and is not changed without being told to."""

    def __init__(self, found: str | None) -> None:
        has = f"has schema {found}" if found else "has no schema yet"
        super().__init__(f"The catalog {has}, this program works with {HEAD}: run uploadstream migrate")


def look(connection: Connection) -> Seen:
    """What is in the catalog. SchemaTooNew."""
    schema = version(connection)
    if schema is not None and schema > HEAD:
        raise SchemaTooNew(schema)
    return Seen(schema, store_id(connection) if schema == HEAD else None)


def check_schema(connection: Connection) -> None:
    """SchemaTooOld, SchemaTooNew."""
    found = version(connection)
    if found is None or found < HEAD:
        raise SchemaTooOld(found)
    if found > HEAD:
        raise SchemaTooNew(found)


def bring_up(connection: Connection) -> None:
    """Make the schema the newest one, while the caller keeps other processes from doing the same.

    On SQLite that is all in the caller's transaction. On PostgreSQL each step is a transaction of its own.
    SchemaTooNew.
    """
    found = version(connection)
    if found == HEAD:
        return
    # Alembic takes 0.1 s and 8 MB, which a catalog that is up to date does not need.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaTooNew(found)
    command.upgrade(config, HEAD)


def version(connection: Connection) -> str | None:
    """The schema that the database has; None if it has none."""
    if not inspect(connection).has_table(_VERSIONS):
        return None
    return connection.execute(_VERSION).scalar()
