"""The service as app.py puts it together: what it shares, and what it leaves behind when it cannot start."""

import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from uploadstream import app
from uploadstream.core.errors import Busy, StorageUnavailable
from uploadstream.settings import Settings, load


def settings_of(
    root: Path, *, data: str = "data", storage: str = "store", database: str = "catalog.sqlite"
) -> Settings:
    """Settings whose three places are under `root`, each by its own name."""
    return load(
        data_dir=root / data,
        storage=f"file:///{root / storage}",
        database=f"sqlite:///{root / database}",
        fsync="never",
    )


async def test_who_shares_the_blobs_shares_the_leases(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(app.service(settings_of(tmp_path, data="a")))
        other = await stack.enter_async_context(app.service(settings_of(tmp_path, data="b")))

        async with one.ports.leases.hold("a key", let_go=lambda: None):
            with pytest.raises(Busy):
                await stack.enter_async_context(other.ports.leases.hold("a key", let_go=lambda: None))


async def test_the_leases_are_no_blobs(tmp_path: Path) -> None:
    async with app.service(settings_of(tmp_path)) as running:
        async with running.ports.leases.hold("a key", let_go=lambda: None):
            assert [blob async for blob in running.ports.blobs.blobs()] == []


async def test_a_service_that_cannot_start_keeps_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLeases:
        def __init__(self, _: Path) -> None:
            raise StorageUnavailable

    before = {thread.name for thread in threading.enumerate()}
    monkeypatch.setattr(app, "DiskLeases", NoLeases)

    with pytest.raises(StorageUnavailable):
        async with app.service(settings_of(tmp_path)):
            pytest.fail("it started")

    left = {thread.name for thread in threading.enumerate()} - before
    assert [name for name in left if not name.startswith("asyncio")] == []
