"""Server-sent events over real sockets: what is on the wire, how a client comes back, and how it ends."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.engine.world import ANN, World, body, declared, memory_world
from tests.http_rig import Client, Serving, serving
from uploadstream.core.access import Credentials, Identity, WrongCredentials
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.core.files import File
from uploadstream.engine import events as engine_events
from uploadstream.engine.watch import Incoming
from uploadstream.http.callers import Asked
from uploadstream.protocols.rest.endpoints import Rest
from uploadstream.servers.http1 import HttpLimits


@dataclass
class Stream:
    """A response of events as a browser reads it."""

    client: Client
    status: int
    fields: dict[str, str]
    last_id: str = ""
    comments: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def block(self) -> dict[str, str]:
        """The next lines up to an empty one; what a browser makes of them."""
        async with asyncio.timeout(20):
            size = int(await self.client.reader.readline(), 16)
            text = (await self.client.reader.readexactly(size)).decode()
            await self.client.reader.readline()
        assert text == "" or text.endswith("\n\n")
        lines = [line.partition(": ") for line in text.splitlines() if line]
        self.comments += sum(not name for name, _, _ in lines)
        found = {name: value for name, _, value in lines if name}
        self.last_id = found.get("id", self.last_id)
        return found

    async def event(self) -> dict[str, Any]:
        """The next one that a browser would tell a script of."""
        while "data" not in (found := await self.block()):
            pass
        said: dict[str, Any] = json.loads(found["data"])
        assert said["event"] == found["event"]
        return said


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def server(world: World) -> AsyncIterator[Serving]:
    engine = world.engine
    app = Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="t", version="0")
    async with serving(app) as running:
        yield running


async def opened(server: Serving, query: str = "?user_id=ann", *fields: str) -> Stream:
    client = await server.connect()
    await client.send("\r\n".join([f"GET /api/v1/events{query} HTTP/1.1", "Host: here", *fields, "", ""]).encode())
    head = (await client.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    said = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
    return Stream(client, int(head[0].split()[1]), said)


async def problem(stream: Stream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await stream.client.reader.readexactly(int(stream.fields["content-length"])))
    return found


async def stored(world: World, name: str = "a.bin") -> File:
    return await world.engine.uploads.store_whole(declared(3, name=name), ANN, body(b"abc"))


async def nobody_listens(world: World) -> None:
    for _ in range(2000):
        if not len(world.engine.events):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{len(world.engine.events)} listen still")


async def test_events_are_what_a_browser_reads(server: Serving, world: World) -> None:
    stream = await opened(server)
    first = await stream.block()
    session = (await world.engine.uploads.create(declared(5, name="a\nb".replace("\n", "ü")), ANN)).session
    created = await stream.event()
    created_id = stream.last_id
    await world.engine.uploads.append(session.id, ANN, Incoming(body(b"abc")))
    progress = await stream.event()
    progress_id = stream.last_id
    await world.engine.uploads.append(session.id, ANN, Incoming(body(b"de")))
    completed = await stream.event()

    assert (stream.status, stream.fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert stream.fields["cache-control"] == "no-store"
    assert first == {"id": "0", "retry": "2000"}
    assert (created["event"], created["id"], created_id) == ("created", session.id, "1")
    assert created["upload"]["filename"] == "aüb"
    assert created["file"] is None
    assert (progress["event"], progress["upload"]["offset"], progress["upload"]["size"]) == ("progress", 3, 5)
    assert progress_id == "1"
    assert (completed["event"], completed["id"], stream.last_id) == ("completed", session.id, "2")
    assert completed["upload"] is None
    assert completed["file"]["file_id"] == session.id
    assert (completed["user_id"], completed["protocol"], completed["details"]["size"]) == ("ann", "test", "5")


@pytest.mark.parametrize("by", ["field", "link", "both"])
async def test_a_client_goes_on_behind_the_last_event_that_it_had(server: Serving, world: World, by: str) -> None:
    files = [await stored(world) for _ in range(3)]
    query = {"field": "?user_id=ann", "link": "?user_id=ann&last_event_id=1", "both": "?user_id=ann&last_event_id=3"}

    stream = await opened(server, query[by], *([] if by == "link" else ["Last-Event-ID: 1"]))
    first, found = await stream.block(), [await stream.event() for _ in range(2)]

    assert first["id"] == "1"
    assert [event["id"] for event in found] == [file.id for file in files[1:]]
    assert stream.last_id == "3"


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 30, "%E2%88%9E"])
async def test_an_id_that_was_never_given_is_a_bad_field(server: Serving, text: str) -> None:
    by_link = await opened(server, f"?last_event_id={text}")
    by_field = await opened(server, "", f"Last-Event-ID: {text}")

    for stream in (by_link, by_field):
        assert stream.status == 400
        assert (await problem(stream))["field"] == "Last-Event-ID"


async def test_silence_is_filled_with_comments(server: Serving, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploadstream.protocols.rest.endpoints.IDLE_SECONDS", 0.02)
    stream = await opened(server)

    for _ in range(4):
        await stream.block()

    assert stream.comments == 3


async def test_a_client_that_goes_is_listened_to_no_more(server: Serving, world: World) -> None:
    stream = await opened(server)
    await stream.block()
    await stored(world)
    await stream.event()
    assert len(world.engine.events) == 1

    stream.client.reset()

    await nobody_listens(world)


async def test_a_client_that_goes_before_it_was_answered_leaves_nothing(server: Serving, world: World) -> None:
    for _ in range(20):
        client = await server.connect()
        await client.send(b"GET /api/v1/events HTTP/1.1\r\nHost: here\r\n\r\n")
        client.reset()

    await asyncio.sleep(0.1)
    await nobody_listens(world)


async def test_a_stream_ends_when_the_service_stops(server: Serving, world: World) -> None:
    stream = await opened(server)
    await stream.block()

    world.engine.events.stop()

    assert await stream.block() == {}
    late = await opened(server)
    assert (late.status, late.fields["retry-after"]) == (503, "2")


async def test_a_fault_ends_the_stream_so_that_the_client_comes_again(
    server: Serving, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await opened(server)
    await stream.block()

    async def fails(*_: object, **__: object) -> list[object]:
        raise CatalogUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(world.catalog, "events", fails)
        await stored(world)
        assert await stream.block() == {}
    again = await opened(server, "?user_id=ann", f"Last-Event-ID: {stream.last_id}")

    assert (await again.event())["event"] == "completed"


async def test_one_too_many_is_told_to_come_later(
    server: Serving, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_events, "LISTENERS_MAX", 1)
    first = await opened(server)
    await first.block()

    second = await opened(server)

    assert (second.status, second.fields["retry-after"]) == (503, "2")
    assert (await problem(second))["type"] == "urn:uploadstream:too-many-listeners"


async def test_a_client_that_does_not_read_is_dropped(world: World) -> None:
    engine = world.engine
    app = Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="t", version="0")
    limits = HttpLimits(send_seconds=0.2, look_seconds=0.05)
    async with serving(app, limits=limits, send_buffer_size=4096) as server:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", server.port))
            slow.sendall(b"GET /api/v1/events?user_id=ann HTTP/1.1\r\nHost: here\r\n\r\n")
            for _ in range(1000):
                await asyncio.sleep(0.01 if not len(engine.events) else 0)

            stored_count = 0
            while len(engine.events):
                await stored(world, name="n" * 250)
                stored_count += 1
                assert stored_count < 50_000, "it is told of as much as it likes"


async def test_whose_key_is_revoked_is_told_nothing_more(world: World) -> None:
    good = True

    async def identify(_: Credentials) -> Identity:
        if not good:
            raise WrongCredentials("API key is not valid")
        return Identity("ann")

    engine = world.engine
    app = Asked(Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="t", version="0"), identify)
    async with serving(app) as server:
        stream = await opened(server, "")
        await stored(world, "before.bin")
        assert (await stream.event())["event"] == "completed"

        good = False
        await stored(world, "after.bin")

        assert await stream.block() == {}
        await nobody_listens(world)
