"""The trash is emptied from the command line, beside a service or without one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.running import CommandLine
from tests.engine.world import ANN, body, declared
from uploadstream import app
from uploadstream.core.files import Action
from uploadstream.ports import Fsync
from uploadstream.settings import Settings

SIZE = 1000


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, "")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[app.Service]:
    async with app.service(Settings(data_dir=tmp_path / "data", fsync=Fsync.NEVER)) as running:
        yield running


async def trash(running: app.Service, count: int) -> list[str]:
    ids = []
    for _ in range(count):
        file = await running.uploads.store_whole(declared(SIZE), ANN, body(b"x" * SIZE))
        ids.append((await running.files.delete(file.id, ANN)).id)
    return ids


async def test_the_trash_is_emptied_beside_the_service(cli: CommandLine, running: app.Service) -> None:
    ids = await trash(running, 3)
    kept = await running.uploads.store_whole(declared(SIZE), ANN, body(b"y" * SIZE))

    assert cli.succeed("purge", "--data-dir", "data") == "No files purged, 0 B freed\n"
    dry = cli.succeed("purge", "--data-dir", "data", "--trash-ttl", "0", "--dry-run")
    assert dry == "3 files would be purged, 2.9 KiB at most be freed\n"
    assert len([blob async for blob in running.ports.blobs.blobs()]) == 4
    done = cli.with_variables({"UPLOADSTREAM_TRASH_TTL": "0"}).succeed("purge", "--data-dir", "data", "--json")

    assert json.loads(done) == {"files": 3, "bytes": 3 * SIZE, "left": 0, "dry_run": False}
    assert [blob.key async for blob in running.ports.blobs.blobs()] == [kept.id]
    (*_, row) = (await running.files.audit(ids[0], ANN)).rows
    assert (row.action, row.user_id, row.protocol) == (Action.PURGE, "uploadstream", "cli")


def test_where_there_is_no_catalog_none_is_made(cli: CommandLine, tmp_path: Path) -> None:
    done = cli.run("purge", "--data-dir", "nowhere")

    assert done.returncode == 1
    assert done.stderr.startswith("No catalog at nowhere/catalog.sqlite")
    assert not (tmp_path / "nowhere").exists()


async def test_the_trash_of_another_store_is_left_alone(cli: CommandLine, running: app.Service, tmp_path: Path) -> None:
    (file_id,) = await trash(running, 1)
    (tmp_path / "data" / "blobs" / "store-id").write_text("another\n")

    done = cli.run("purge", "--data-dir", "data", "--trash-ttl", "0")

    assert done.returncode == 1
    assert "is not the one this catalog belongs to" in done.stderr
    assert await running.ports.catalog.file(file_id) is not None
