"""The service as app.py puts it together: what it shares, and what it leaves behind when it cannot start."""

import asyncio
import socket
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contracts.blobs import a_key, store_bytes
from tests.http_rig import serving
from tests.protocols.asgi import client_of
from tests.running_server import RunningServer
from uploadstream import app, upkeep
from uploadstream.adapters.catalog import places
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
    async with app.service(settings_of(tmp_path)) as one, one.ports.leases.hold("a key", let_go=lambda: None):
        assert [blob async for blob in one.ports.blobs.blobs()] == []


async def test_a_service_that_cannot_start_keeps_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLeases:
        def __init__(self, _: Path) -> None:
            raise StorageUnavailable

    before = {thread.name for thread in threading.enumerate()}
    monkeypatch.setattr(places, "DiskLeases", NoLeases)

    with pytest.raises(StorageUnavailable):
        async with app.service(settings_of(tmp_path)):
            pytest.fail("it started")

    left = {thread.name for thread in threading.enumerate()} - before
    assert [name for name in left if not name.startswith("asyncio")] == []


async def test_f11_files_are_fetched_from_hosts_that_are_named_and_from_none_by_default(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    said = []

    for hosts in ((), ("a.test", "*.b.test"), ("*",)):
        async with AsyncExitStack() as opened:
            running = await opened.enter_async_context(app.service(settings.model_copy(update={"fetch_hosts": hosts})))
            http = app.http_app(running, is_draining=lambda: False)
            client = await opened.enter_async_context(client_of(http))
            said.append((await client.get("/filepond?fetch=http://127.0.0.1:8080/")).text)

    assert said == [
        "fetch: is off on this server",
        "fetch: files of 127.0.0.1 are not fetched here",
        "fetch: 127.0.0.1 is not at a public address",
    ]


def names_in(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


async def test_a_volume_that_is_not_mounted_is_not_taken_for_an_empty_store(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with app.service(settings):
        pass
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").mkdir()

    with pytest.raises(
        app.WrongStore, match=f"^Storage at {tmp_path / 'store'} is not the one this catalog belongs to"
    ):
        async with app.service(settings):
            pytest.fail("it started")
    with pytest.raises(app.WrongStore):
        [verdict async for verdict in upkeep.fsck(settings)]

    assert names_in(tmp_path / "store") == []
    (tmp_path / "store").rmdir()
    (tmp_path / "away").rename(tmp_path / "store")
    async with app.service(settings):
        pass


async def test_a_mistyped_catalog_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    async with app.service(settings_of(tmp_path)) as running:
        await store_bytes(running.ports.blobs, a_key(), b"precious")

    with pytest.raises(app.WrongStore, match="has blobs that this new catalog knows nothing of"):
        async with app.service(settings_of(tmp_path, database="typo.sqlite")):
            pytest.fail("it started")


async def test_directories_that_a_copy_left_out_are_made_again(tmp_path: Path) -> None:
    async with app.service(settings_of(tmp_path)):
        pass
    for shard in (tmp_path / "store").glob("??"):
        shard.rmdir()

    async with app.service(settings_of(tmp_path)) as running:
        await store_bytes(running.ports.blobs, a_key(), b"abc")


async def test_a_service_says_that_it_is_ready_to_all_who_ask_at_once(tmp_path: Path) -> None:
    async with (
        app.service(settings_of(tmp_path)) as running,
        client_of(app.http_app(running, is_draining=lambda: False)) as client,
    ):
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(100)))

    assert {answer.status_code for answer in answers} == {200}


def test_who_listens_to_events_does_not_keep_a_server_from_stopping(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server, socket.create_connection(("127.0.0.1", server.http_port), 20) as listener:
        listener.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: here\r\n\r\n")
        said = listener.recv(65536)
        before = time.monotonic()

        assert server.stop() == 0

        assert time.monotonic() - before < 10
        while piece := listener.recv(65536):
            said += piece
    assert said.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("OPTIONS /files", 204),
        ("HEAD /files/5f0c1a2b-0000-4000-8000-00000000000a\r\nTus-Resumable: 1.0.0", 404),
        ("POST /files\r\nTus-Resumable: 0.0.1", 412),
        ("GET /api/v1/files?page_size=-1", 400),
        ("GET /api/v1/files", 200),
        ("GET /no/such/path", 404),
        ("GET /readyz", 200),
    ],
)
async def test_a_page_of_another_origin_may_read_every_protocol(tmp_path: Path, head: str, status: int) -> None:
    target, _, fields = head.partition("\r\n")
    page = "Host: here\r\nOrigin: https://page.example\r\nContent-Length: 0"

    async with (
        app.service(settings_of(tmp_path)) as running,
        serving(app.http_app(running, is_draining=lambda: False)) as server,
    ):
        client = await server.connect()
        await client.send("\r\n".join([f"{target} HTTP/1.1", page, *filter(None, [fields]), "", ""]).encode())
        answer = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()

    assert answer.startswith(f"http/1.1 {status} ")
    assert "access-control-allow-origin: *\r\n" in answer
    assert "upload-offset" in answer.partition("access-control-expose-headers: ")[2].partition("\r\n")[0]
