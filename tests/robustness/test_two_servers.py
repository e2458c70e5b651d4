"""Two servers with one catalog and one storage, as on two hosts: uploads go on with either, frozen or not.

The servers are on one machine here, and each has a data directory of its own; what they share is in PostgreSQL and in
the storage.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest

from tests import postgres
from tests.prepared_server import PreparedServer
from tests.robustness.raw_tus import patch_fields
from tests.robustness.uploading import content_of
from tests.running_server import HOST, RunningServer
from uploadstream.core.digests import crc32c

SEED = 20261122
UPLOADS = 1000
AT_ONCE = 16
SIZES = (0, 1, 700, 5_000, 60_000)
# Nobody waits for longer for an upload that somebody else has, or seems to have.
BUSY_SECONDS_MAX = 20.0
FROZEN = 12
KNOWN, MORE, OTHER = 2_000, 3_000, 6_000


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    fields: dict[str, str]

    @property
    def offset(self) -> int:
        return int(self.fields["upload-offset"])


@dataclass
class Pair:
    """Two servers that share all that outlives them."""

    one: RunningServer
    other: RunningServer
    storage: Path
    busy: int = 0
    longest_busy: float = 0.0
    cuts: int = 0
    finished: dict[str, bytes] = field(default_factory=dict)

    def either(self, rng: random.Random) -> RunningServer:
        return rng.choice((self.one, self.other))

    def stored(self, upload_id: str) -> bytes:
        """The bytes in the storage."""
        path = self.storage / upload_id[:2] / upload_id
        return path.read_bytes() if path.exists() else b""


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    storage = tmp_path / "storage"
    settings = {"UPLOADSTREAM": await postgres.empty_catalog(), "UPLOADSTREAM_STORAGE": f"file:///{storage}"}
    settings["UPLOADSTREAM_FSYNC"] = "never"
    with (
        PreparedServer(tmp_path / "one", environment=settings) as one,
        PreparedServer(tmp_path / "other", environment=settings) as other,
    ):
        yield Pair(one, other, storage)


@asynccontextmanager
async def request(
    server: RunningServer, method: str, path: str, fields: dict[str, str]
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request whose head is sent, on a connection of its own."""
    reader, writer = await asyncio.open_connection(HOST, server.http_port)
    try:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Tus-Resumable: 1.0.0"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Answer(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs})


async def ask(server: RunningServer, method: str, path: str, fields: dict[str, str], body: bytes = b"") -> Answer:
    async with request(server, method, path, fields) as (reader, writer):
        writer.write(body)
        return await answer(reader)


async def insist(pair: Pair, ask_once: Callable[[], asyncio.Future[Answer]]) -> Answer:
    """Ask again while the upload is another's."""
    begun = time.monotonic()
    while (said := await ask_once()).status in {HTTPStatus.LOCKED, HTTPStatus.SERVICE_UNAVAILABLE}:
        pair.busy += 1
        waited = time.monotonic() - begun
        pair.longest_busy = max(pair.longest_busy, waited)
        assert waited < BUSY_SECONDS_MAX, said
        await asyncio.sleep(0.1)
    return said


async def create(server: RunningServer, size: int) -> str:
    created = await ask(server, "POST", "/files", {"Upload-Length": str(size), "Content-Length": "0"})
    assert created.status == HTTPStatus.CREATED, created
    return created.fields["location"]


async def where(pair: Pair, choose: Callable[[], RunningServer], path: str) -> int:
    """How many bytes of an upload are there."""
    said = await insist(pair, lambda: asyncio.ensure_future(ask(choose(), "HEAD", path, {})))
    assert said.status == HTTPStatus.OK, said
    return said.offset


async def cut(server: RunningServer, path: str, *, offset: int, body: bytes, count: int) -> None:
    """Begin to send a body, and be gone after some of it."""
    async with request(server, "PATCH", path, patch_fields(offset, len(body))) as (_, writer):
        writer.write(body[:count])
        with suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(0.005)


async def upload(pair: Pair, rng: random.Random) -> None:
    """One upload, each of whose requests goes to either server; some are cut."""
    content = content_of(rng, rng.choice(SIZES))
    path = await create(pair.either(rng), len(content))
    offset = 0
    while offset < len(content):
        piece = content[offset : offset + rng.choice((len(content), 1 + len(content) // 2))]
        if rng.random() < 0.4:
            pair.cuts += 1
            await cut(pair.either(rng), path, offset=offset, body=piece, count=rng.randrange(len(piece)))
            known, offset = offset, await where(pair, lambda: pair.either(rng), path)
            assert known <= offset  # what was sent by a request before that was cut may come so late
            continue
        said = await insist(
            pair,
            lambda: asyncio.ensure_future(
                ask(pair.either(rng), "PATCH", path, patch_fields(offset, len(piece)), piece)  # noqa: B023
            ),
        )
        if said.status == HTTPStatus.CONFLICT:  # what was not confirmed may be there
            offset = await where(pair, lambda: pair.either(rng), path)
            continue
        assert said.status == HTTPStatus.NO_CONTENT, said
        assert said.offset == offset + len(piece)
        offset = said.offset
    pair.finished[path.rpartition("/")[2]] = content


async def check_all(pair: Pair) -> None:
    """Every finished upload is a file, in the catalog with the right checksum, and in the storage as it was sent."""
    for upload_id, content in pair.finished.items():
        assert pair.stored(upload_id) == content
    rows = postgres.cluster().sql("SELECT id, crc32c, size FROM files", database=postgres.CATALOG)
    known = {file_id: (int(crc), int(size)) for file_id, crc, size in rows}
    assert known == {key: (crc32c(content), len(content)) for key, content in pair.finished.items()}


async def no_lease_is_left() -> None:
    leases = "SELECT key FROM leases WHERE length(key) > 30"  # without those of the janitors
    await until(lambda: not postgres.cluster().sql(leases, database=postgres.CATALOG))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(BUSY_SECONDS_MAX):
        while not is_so():  # noqa: ASYNC110 - it is so in another process
            await asyncio.sleep(0.05)


@pytest.mark.timeout(300)
async def test_a_thousand_uploads_whose_requests_alternate_between_two_servers_with_cuts(
    pair: Pair, tell: Callable[[str], None]
) -> None:
    left = iter(range(UPLOADS))

    async def one_after_the_other() -> None:
        for number in left:
            await upload(pair, random.Random(f"{SEED} {number}"))

    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(one_after_the_other())
    seconds = time.monotonic() - begun

    assert len(pair.finished) == UPLOADS
    await check_all(pair)
    await no_lease_is_left()
    busy = f"{pair.busy} answers that it is busy, {pair.longest_busy:.1f} s at most"
    tell(f"two servers: {UPLOADS} uploads, {pair.cuts} cuts, {busy}; 0 corrupt; {seconds:.1f} s")


@dataclass
class Interrupted:
    """An upload that the frozen server has in its hands, with a body whose rest it reads when it wakes up."""

    path: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    content: bytes

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]


@asynccontextmanager
async def frozen(server: RunningServer) -> AsyncIterator[Callable[[], None]]:
    """Stands still until it is told to go on."""
    os.kill(server.pid, signal.SIGSTOP)

    def wake() -> None:
        os.kill(server.pid, signal.SIGCONT)

    try:
        yield wake
    finally:
        wake()


@pytest.mark.timeout(300)
async def test_a_server_that_was_frozen_writes_nothing_into_what_the_other_went_on_with(
    pair: Pair, tell: Callable[[str], None]
) -> None:
    rng = random.Random(SEED)
    held = [await begin_on(pair.one, content_of(rng, OTHER), completes=number % 2 == 0) for number in range(FROZEN)]
    await until(lambda: all(len(pair.stored(one.id)) == KNOWN for one in held))

    async with frozen(pair.one) as wake:
        for one in held:
            one.writer.write(
                b"\0" * (OTHER - KNOWN)
            )  # what it finds when it wakes up; the client begins anew elsewhere
            await one.writer.drain()
        async with asyncio.TaskGroup() as tasks:
            for one in held:
                tasks.create_task(go_on(pair, one))
        finished, begun = held[: FROZEN // 3], held[FROZEN // 3 :]
        for one in finished:
            await finish(pair, one)
        wake()
        said = [await asyncio.wait_for(answer(one.reader), BUSY_SECONDS_MAX) for one in held]
    for one in held:
        one.writer.close()
        with suppress(ConnectionError):
            await one.writer.wait_closed()
    for one in begun:
        await finish(pair, one)

    assert [one.status for one in said if one.status < HTTPStatus.BAD_REQUEST] == []
    await check_all(pair)
    await no_lease_is_left()
    statuses = sorted({one.status for one in said})
    waited = f"after {pair.longest_busy:.1f} s at most"
    tell(f"one of two servers frozen: {FROZEN} went on {waited}, 0 corrupt; when it woke up, it said {statuses}")


async def begin_on(server: RunningServer, content: bytes, *, completes: bool) -> Interrupted:
    """An upload whose first bytes are sent; `completes`: its request would bring the last ones too."""
    path = await create(server, OTHER)
    reader, writer = await asyncio.open_connection(HOST, server.http_port)
    fields = {**patch_fields(0, OTHER if completes else OTHER - 1), "Tus-Resumable": "1.0.0", "Host": "localhost"}
    lines = [f"PATCH {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + content[:KNOWN])
    await writer.drain()
    return Interrupted(path, reader, writer, content)


async def go_on(pair: Pair, one: Interrupted) -> None:
    """Send some more to the server that is awake, once it has the upload."""
    assert await where(pair, lambda: pair.other, one.path) == KNOWN
    await patch(pair, one, KNOWN, MORE)


async def finish(pair: Pair, one: Interrupted) -> None:
    """Send the rest, too."""
    await patch(pair, one, MORE, OTHER)
    pair.finished[one.id] = one.content


async def patch(pair: Pair, one: Interrupted, start: int, stop: int) -> None:
    fields, body = patch_fields(start, stop - start), one.content[start:stop]
    said = await insist(pair, lambda: asyncio.ensure_future(ask(pair.other, "PATCH", one.path, fields, body)))
    assert said.status == HTTPStatus.NO_CONTENT, said
    assert said.offset == stop
