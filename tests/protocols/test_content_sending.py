"""Content as messages of ASGI: sent by the server itself where it can, cut where it has no right end."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine.world import ANN, World, body, declared, disk_world, memory_world
from uploadstream.core.errors import StorageUnavailable
from uploadstream.engine.watch import Incoming
from uploadstream.http.zero_copy import EXTENSION as ZERO_COPY
from uploadstream.protocols.content.endpoint import Content
from uploadstream.protocols.content.sending import BODY, PIECE_SIZE

LARGE = os.urandom(3 * PIECE_SIZE)
PATIENCE_SECONDS = 10
Message = dict[str, Any]


class Exchange:
    """One request to the application, and what it sends; the client stays until it `leaves`."""

    def __init__(self, world: World, *, zero_copy: bool = False) -> None:
        self.sent: list[Message] = []
        self.content = b""
        self.left = asyncio.Event()
        self.begun = asyncio.Event()
        self.brought = asyncio.Event()
        self._extensions: Message = {ZERO_COPY: {}} if zero_copy else {}
        self._world = world

    async def get(self, file_id: str, *, query: str = "", fields: dict[str, str] | None = None) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/api/v1/files/{file_id}/content",
            "path_params": {"file_id": file_id},
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in (fields or {}).items()],
            "extensions": self._extensions,
        }
        async with asyncio.timeout(PATIENCE_SECONDS):
            await Content(self._world.engine.downloads)(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        self.begun.set()
        if message["type"] == ZERO_COPY:
            self.content += os.pread(message["file"].fileno(), message["count"], message["offset"])
        self.content += message.get("body", b"")
        if self.content:
            self.brought.set()
        await asyncio.sleep(0)

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.sent]

    @property
    def is_whole(self) -> bool:
        return self.sent[-1]["type"] == BODY and not self.sent[-1].get("more_body", False)


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[World]:
    made = disk_world(tmp_path)
    yield made
    made.close()


async def stored(world: World, sent: bytes) -> str:
    return (await world.engine.uploads.store_whole(declared(len(sent)), ANN, body(sent))).id


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of this process


# By the server itself


async def test_a_large_file_is_left_to_the_server_to_send(disk: World) -> None:
    file_id = await stored(disk, LARGE)
    exchange = Exchange(disk, zero_copy=True)
    before = open_files()

    await exchange.get(file_id)

    assert exchange.kinds == ["http.response.start", ZERO_COPY, BODY]
    assert exchange.content == LARGE
    assert exchange.is_whole
    assert exchange.sent[1]["file"].closed
    assert open_files() == before


async def test_a_joined_file_is_left_to_it_part_by_part(disk: World) -> None:
    part_size = PIECE_SIZE // 2
    ids = []
    for at in range(0, len(LARGE), part_size):
        said = replace(declared(part_size), is_partial=True)
        ids.append((await disk.engine.uploads.create(said, ANN)).session.id)
        await disk.engine.uploads.append(ids[-1], ANN, Incoming(body(LARGE[at : at + part_size])))
    joined = await disk.engine.uploads.join(replace(declared(None), joins="final"), ANN, ids)
    whole, some = Exchange(disk, zero_copy=True), Exchange(disk, zero_copy=True)
    before = open_files()

    await whole.get(joined.session.id)
    await some.get(joined.session.id, fields={"Range": f"bytes=10-{2 * PIECE_SIZE}"})

    assert whole.kinds == ["http.response.start", *[ZERO_COPY] * 6, BODY]
    assert whole.content == LARGE
    assert some.kinds == ["http.response.start", *[ZERO_COPY] * 5, BODY]
    assert some.content == LARGE[10 : 2 * PIECE_SIZE + 1]
    assert open_files() == before


async def test_so_are_large_ranges_of_it(disk: World) -> None:
    file_id = await stored(disk, LARGE)
    one, several = Exchange(disk, zero_copy=True), Exchange(disk, zero_copy=True)

    await one.get(file_id, fields={"Range": "bytes=10-"})
    await several.get(file_id, fields={"Range": f"bytes=0-9,1000-{PIECE_SIZE + 1000}"})

    assert one.content == LARGE[10:]
    assert several.kinds == ["http.response.start", BODY, ZERO_COPY, BODY, ZERO_COPY, BODY, BODY]
    assert LARGE[1000 : PIECE_SIZE + 1001] in several.content
    length = dict(several.sent[0]["headers"])[b"content-length"]
    assert int(length) == len(several.content)


async def test_a_small_file_is_read_at_once(disk: World) -> None:
    exchange = Exchange(disk, zero_copy=True)

    await exchange.get(await stored(disk, LARGE[:PIECE_SIZE]))

    assert exchange.kinds == ["http.response.start", BODY, BODY]
    assert exchange.content == LARGE[:PIECE_SIZE]


@pytest.mark.parametrize("zero_copy", [True, False])
async def test_where_the_store_or_the_server_cannot_the_bytes_are_read(
    world: World, disk: World, zero_copy: bool
) -> None:
    where = world if zero_copy else disk
    exchange = Exchange(where, zero_copy=zero_copy)

    await exchange.get(await stored(where, LARGE))

    assert ZERO_COPY not in exchange.kinds
    assert exchange.content == LARGE
    assert exchange.is_whole


@pytest.mark.parametrize("zero_copy", [True, False])
async def test_a_file_removed_while_it_is_sent_is_sent_to_its_end(disk: World, zero_copy: bool) -> None:
    file_id = await stored(disk, LARGE)
    exchange = Exchange(disk, zero_copy=zero_copy)
    sending = asyncio.create_task(exchange.get(file_id))
    await exchange.begun.wait()

    await disk.blobs.remove(file_id)

    await sending
    assert exchange.content == LARGE


# Cut


async def test_a_client_that_leaves_ends_the_sending(disk: World) -> None:
    upload_id = (await disk.engine.uploads.create(declared(10), ANN)).session.id
    exchange = Exchange(disk)
    following = asyncio.create_task(exchange.get(upload_id, query="follow=true"))
    await exchange.begun.wait()

    exchange.left.set()

    await following
    assert exchange.kinds == ["http.response.start"]


@pytest.mark.parametrize("length", [None, 10])
async def test_an_upload_that_ends_as_no_file_is_never_sent_whole(world: World, length: int | None) -> None:
    uploads = world.engine.uploads
    upload_id = (await uploads.create(declared(length), ANN)).session.id
    await uploads.append(upload_id, ANN, Incoming(body(b"abc")))
    exchange = Exchange(world)
    following = asyncio.create_task(exchange.get(upload_id, query="follow=true"))
    await exchange.brought.wait()

    await uploads.abort(upload_id, ANN)

    await following
    assert exchange.content == b"abc"
    assert not exchange.is_whole


async def test_an_upload_with_all_bytes_and_no_file_yet_is_not_sent_whole(world: World) -> None:
    uploads = world.engine.uploads
    upload_id = (await uploads.create(declared(10), ANN)).session.id
    await uploads.append(upload_id, ANN, Incoming(body(b"0123456789"), complete=False))
    exchange = Exchange(world)
    following = asyncio.create_task(exchange.get(upload_id, query="follow=true"))
    await exchange.brought.wait()
    so_far = exchange.content

    await uploads.append(upload_id, ANN, Incoming(body(), complete=True))

    await following
    assert so_far == b"012345678"
    assert exchange.content == b"0123456789"
    assert exchange.is_whole


async def test_a_fault_in_the_middle_cuts_what_was_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = await stored(world, LARGE)

    async def breaks_off(*_: object, **__: object) -> AsyncIterator[bytes]:
        yield LARGE[:1000]
        raise StorageUnavailable

    monkeypatch.setattr(world.blobs, "read", breaks_off)
    exchange = Exchange(world)

    with pytest.raises(StorageUnavailable):
        await exchange.get(file_id)

    assert exchange.content == LARGE[:1000]
    assert not exchange.is_whole


async def test_a_server_that_stops_stops_the_sending(world: World) -> None:
    upload_id = (await world.engine.uploads.create(declared(10), ANN)).session.id
    exchange = Exchange(world)
    following = asyncio.create_task(exchange.get(upload_id, query="follow=true"))
    await exchange.begun.wait()
    tasks = asyncio.all_tasks()

    following.cancel()

    with pytest.raises(asyncio.CancelledError):
        await following
    assert all(task.done() for task in tasks - {asyncio.current_task()})
