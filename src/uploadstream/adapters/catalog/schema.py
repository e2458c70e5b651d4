"""Bringing a database's schema up to date, from code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Select, Text, column, inspect, select, table

HEAD: Final = "0009"  # the newest of migrations/versions
_VERSIONS: Final = "alembic_version"
_VERSION: Final[Select[str]] = select(column("version_num", Text)).select_from(table(_VERSIONS))
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class SchemaTooNew(Exception):
    """The catalog was made by a newer version of this program."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The catalog has schema {found}, this program knows schemas up to {HEAD}: "
            "start the newer version again, or restore the catalog from a copy made before it was migrated"
        )


def bring_up(connection: Connection) -> None:
    """Make the schema the newest one, inside a transaction that keeps other processes from doing the same.

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
