"""Migrations lead to the declared schema, once, whoever starts them."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from uploadstream.adapters.catalog import schema
from uploadstream.adapters.catalog.sqlite import migrate, open_engine
from uploadstream.adapters.catalog.sqlite_desks import open_sqlite
from uploadstream.adapters.catalog.tables import METADATA
from uploadstream.core.errors import CatalogUnavailable

MIGRATE = (
    "import sys, pathlib; from uploadstream.adapters.catalog.sqlite import migrate; migrate(pathlib.Path(sys.argv[1]))"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "100% größe" / "catalog.db"


@pytest.fixture(autouse=True)
def _folder(path: Path) -> None:
    path.parent.mkdir()


@contextmanager
def connected(path: Path) -> Iterator[Connection]:
    engine = open_engine(path, durable=False)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def definitions(path: Path) -> set[tuple[str, str, str]]:
    """What SQLite knows of the schema: every table and index in its own words."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name <> 'alembic_version'")
        return {(kind, name, " ".join((sql or "").split())) for kind, name, sql in rows if "alembic" not in name}


def test_migrating_gives_the_declared_schema(path: Path) -> None:
    migrate(path)

    with connected(path) as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert differences == []


def test_migrating_gives_the_same_tables_and_indexes_to_the_letter(path: Path) -> None:
    declared = path.with_name("declared.db")
    with connected(declared) as connection:
        METADATA.create_all(connection)
        connection.commit()

    migrate(path)

    assert definitions(path) == definitions(declared)


def test_migrating_again_changes_nothing(path: Path) -> None:
    migrate(path)
    before = definitions(path)

    migrate(path)

    assert definitions(path) == before


def test_the_newest_schema_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def migrated_to(path: Path, revision: str) -> None:
    """The catalog as a version of this program left it that knew schemas up to this one."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with connected(path) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def test_rows_of_an_older_trail_are_counted_for_the_owners_of_what_they_are_about(path: Path) -> None:
    migrated_to(path, "0002")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO uploads VALUES ('u', 'ada', 'n', '', 1, '', 1, 'tus', 1, 1, NULL, NULL, 0)")
        connection.execute("INSERT INTO files VALUES ('f', 'bob', 'n', 1, '', '', 1, 1, 'tus', '', NULL, NULL, 1)")
        connection.executemany(
            "INSERT INTO audit VALUES (?, ?, ?, 'create', ?, 'tus', '', '{}')",
            [
                ("f", 2, "b", "sweeper"),
                ("u", 3, "c", "ada"),
                ("f", 1, "a", "bob"),
                ("f", 2, "a", "ada"),
                ("x", 1, "d", "ada"),
            ],
        )

    migrate(path)

    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT owner, number, file_id, at, id FROM audit ORDER BY owner, number").fetchall()
    assert rows == [
        ("ada", 1, "x", 1, "d"),
        ("ada", 2, "u", 3, "c"),
        ("bob", 1, "f", 1, "a"),
        ("bob", 2, "f", 2, "a"),
        ("bob", 3, "f", 2, "b"),
    ]


def test_names_that_are_there_get_their_keys(path: Path) -> None:
    migrated_to(path, "0003")
    insert = "INSERT INTO files VALUES (?, 'bob', ?, 1, '', '', 1, 1, 'tus', '', NULL, NULL, 1)"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(insert, [(f"{n:04}", f"Größe {n}") for n in range(2500)])

    migrate(path)

    with closing(sqlite3.connect(path)) as connection:
        keys = [key for (key,) in connection.execute("SELECT name_key FROM files ORDER BY id")]
    assert keys == [f"grösse {n}" for n in range(2500)]


def test_what_was_deleted_and_restored_is_added_up(path: Path) -> None:
    migrated_to(path, "0008")
    day = 86_400_000_000
    file = "INSERT INTO files VALUES (?, ?, 'n', 1, ?, 'b/b', 1, ?, 'tus', '', NULL, NULL, 1, NULL, '', '')"
    row = "INSERT INTO audit VALUES (?, ?, ?, ?, 'ada', 'tus', '', '{}', 'ada', ?)"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            file, [("f", "ada", "A/a; x=1", 0), ("g", "bob", "", day), *((f"{n}", "eve", "", 0) for n in range(2500))]
        )
        acts = [("f", day // 2, "delete"), ("f", day // 2 + 1, "restore"), ("f", 9 * day, "delete")]
        acts += [("g", day + 5_000_000, "delete"), ("g", day, "complete"), ("gone", day, "delete")]
        acts += [(f"{n}", day, "delete") for n in range(2500)]
        connection.executemany(row, [(one, at, str(n), act, n) for n, (one, at, act) in enumerate(acts)])

    migrate(path)

    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM deletions ORDER BY owner, day").fetchall()
    assert rows == [
        ("ada", "1970-01-01", "a/a", "<1d", 1, 1, 0, 0, 43_200.0, 43_200.0),
        ("ada", "1970-01-10", "a/a", "<30d", 1, 0, 0, 0, 777_600.0, 777_600.0),
        ("bob", "1970-01-02", "b/b", "<1h", 1, 0, 0, 0, 5.0, 5.0),
        ("eve", "1970-01-02", "b/b", "<7d", 2500, 0, 0, 0, 2500 * 86_400.0, 86_400.0),
    ]


def test_processes_that_migrate_at_once_wait_for_each_other(path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-W", "error", "-c", MIGRATE, str(path)]) for _ in range(6)]

    assert [process.wait() for process in processes] == [0] * 6
    with connected(path) as connection:
        assert schema.version(connection) == schema.HEAD


def test_a_migration_that_fails_leaves_nothing_behind(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE jobs (somebody TEXT)")
    before = definitions(path)

    with pytest.raises(CatalogUnavailable):
        migrate(path)

    assert definitions(path) == before


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()

    with pytest.raises(schema.SchemaTooNew, match=f"has schema 9999, this program knows schemas up to {schema.HEAD}"):
        await open_sqlite(path, durable=False)

    with connected(path) as connection_after:
        assert schema.version(connection_after) == "9999"
