"""`uploadstream migrate`, and what the service and the doctor say of a catalog in PostgreSQL that needs it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests import postgres
from tests.running_server import free_ports
from uploadstream import app
from uploadstream.adapters.catalog.schema import HEAD, SchemaTooNew, SchemaTooOld
from uploadstream.cli.findings import Level
from uploadstream.cli.migrate import migrate
from uploadstream.cli.service_checks import check_catalog
from uploadstream.settings import Settings, load

NAME = "migrated"


@pytest.fixture
def dsn(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database without a schema; its server asks nobody for a password."""
    monkeypatch.delenv("UPLOADSTREAM", raising=False)
    yield postgres.cluster().make(NAME).replace("postgres@", "postgres:secret@")
    postgres.cluster().drop(NAME)


def run(*options: str) -> Result:
    program = typer.Typer()
    program.command()(migrate)
    done = CliRunner().invoke(program, options)
    assert "secret" not in done.output
    return done


async def serve(settings: Settings) -> None:
    async with app.service(settings):
        pass


def test_a_catalog_is_migrated_once_and_served_from_then_on(dsn: str, tmp_path: Path) -> None:
    settings = load(database=dsn, data_dir=tmp_path)
    shown = settings.catalog_name
    with pytest.raises(SchemaTooOld, match=r"has no schema yet, .* run uploadstream migrate"):
        asyncio.run(serve(settings))
    finding, _ = check_catalog(settings)
    assert (finding.level, finding.found) == (Level.FAIL, f"{shown} has no schema yet")
    assert finding.advice == "run uploadstream migrate"

    first, second = run("--database", dsn), run("--database", dsn)

    assert first.output == f"{shown} is at schema {HEAD} now; it had none\n"
    assert second.output == f"{shown} has the newest schema, {HEAD}\n"
    asyncio.run(serve(settings))
    finding, seen = check_catalog(settings)
    assert (finding.level, finding.found) == (Level.OK, f"{shown} has the newest schema, {HEAD}")
    assert seen is not None
    assert seen.store_id


@pytest.mark.parametrize(("version", "error"), [("0001", SchemaTooOld), ("9999", SchemaTooNew)])
def test_a_schema_of_another_version_is_refused_and_left_alone(
    dsn: str, tmp_path: Path, version: str, error: type[Exception]
) -> None:
    run("--database", dsn)
    postgres.cluster().sql(f"UPDATE alembic_version SET version_num = '{version}'", database=NAME)  # noqa: S608 - a test

    with pytest.raises(error):
        asyncio.run(serve(load(database=dsn, data_dir=tmp_path)))

    assert postgres.cluster().sql("SELECT version_num FROM alembic_version", database=NAME) == [[version]]
    assert not (tmp_path / "blobs").exists()
    if error is SchemaTooNew:
        done = run("--database", dsn)
        assert (done.exit_code, "start the newer version again" in done.output) == (1, True)


def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    dsn = f"postgresql://ann:secret@127.0.0.1:{port}/files"

    done = run("--database", dsn)
    finding, seen = check_catalog(load(database=dsn, data_dir=tmp_path))

    assert done.exit_code == 1
    assert done.output.strip().startswith(f"Cannot migrate the catalog postgresql://ann@127.0.0.1:{port}/files: ")
    assert (finding.level, seen) == (Level.FAIL, None)
    assert f"127.0.0.1:{port}" in finding.found
    assert "secret" not in f"{finding.found} {finding.advice}"


def test_a_file_is_made_as_serve_would_make_it(tmp_path: Path) -> None:
    done = run("--data-dir", str(tmp_path / "data"))

    assert done.output == f"{tmp_path / 'data' / 'catalog.sqlite'} is at schema {HEAD} now; it had none\n"
    asyncio.run(serve(load(data_dir=tmp_path / "data")))
