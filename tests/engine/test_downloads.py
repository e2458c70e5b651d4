"""Bytes come out as they went in: whole, in ranges, and while they are still arriving."""

import asyncio
import os

import pytest

from tests.engine.world import ANN, BOB, Engine, World, body, declared
from uploadstream.adapters.memory import MemoryBlobs
from uploadstream.core.access import Caller
from uploadstream.core.errors import CatalogUnavailable, Gone, NotFound, StorageUnavailable
from uploadstream.core.files import Action, Audit, File
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.watch import Incoming

SENT = bytes(range(256)) * 20
PATIENCE_SECONDS = 10


@pytest.fixture
def engine(world: World) -> Engine:
    return world.engine


@pytest.fixture
async def file(engine: Engine) -> File:
    return await engine.uploads.store_whole(declared(len(SENT)), ANN, body(SENT))


async def read(engine: Engine, file: File, start: int, stop: int, *, piece_size: int = 1000) -> list[bytes]:
    return [piece async for piece in engine.downloads.read(file, start=start, stop=stop, piece_size=piece_size)]


async def follow(engine: Engine, upload_id: str, start: int = 0, stop: int | None = None) -> bytes:
    pieces = engine.downloads.follow(upload_id, ANN, start=start, stop=stop, piece_size=700)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return b"".join([piece async for piece in pieces])


async def test_a_file_is_read_as_it_was_sent(engine: Engine, file: File) -> None:
    opened = await engine.downloads.open(file.id, ANN)

    pieces = await read(engine, opened, 0, opened.size)

    assert b"".join(pieces) == SENT
    assert max(map(len, pieces)) <= 1000


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (1, 2), (999, 3001), (5119, 5120), (17, 17), (5120, 5120)])
async def test_any_range_is_read(engine: Engine, file: File, start: int, stop: int) -> None:
    assert b"".join(await read(engine, file, start, stop)) == SENT[start:stop]


async def test_a_file_deleted_while_it_is_read_is_read_to_its_end(engine: Engine, file: File) -> None:
    reading = aiter(engine.downloads.read(file, start=0, stop=file.size, piece_size=1000))
    first = await anext(reading)

    await engine.files.delete(file.id, ANN)

    assert first + b"".join([piece async for piece in reading]) == SENT


async def test_a_file_whose_bytes_are_gone_is_not_made_up(engine: Engine, world: World, file: File) -> None:
    await world.blobs.remove(file.id)

    with pytest.raises(StorageUnavailable):
        await read(engine, file, 0, file.size)


async def test_a_file_or_the_upload_that_may_become_it_is_opened(engine: Engine, file: File) -> None:
    open_upload = (await engine.uploads.create(declared(10), ANN)).session

    assert (await engine.downloads.open_or_follow(file.id, Caller())).file == file
    found = await engine.downloads.open_or_follow(open_upload.id, ANN)
    assert (found.file, found.session.id) == (None, open_upload.id)
    with pytest.raises(NotFound):
        await engine.downloads.open(open_upload.id, ANN)
    with pytest.raises(NotFound):
        await engine.downloads.open_or_follow(open_upload.id, BOB)


async def test_a_finished_file_is_followed_to_its_end(engine: Engine, file: File) -> None:
    assert await follow(engine, file.id) == SENT
    assert await follow(engine, file.id, 100, 900) == SENT[100:900]
    assert await follow(engine, file.id, 5000) == SENT[5000:]
    assert await follow(engine, file.id, 5120) == b""


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, len(SENT)), (100, 4000), (4000, None)])
async def test_an_upload_is_followed_while_it_arrives(engine: Engine, start: int, stop: int | None) -> None:
    upload_id = (await engine.uploads.create(declared(len(SENT)), ANN)).session.id
    following = asyncio.create_task(follow(engine, upload_id, start, stop))

    for at in range(0, len(SENT), 1280):
        await asyncio.sleep(0.03)
        await engine.uploads.append(upload_id, ANN, Incoming(body(SENT[at : at + 1280]), at=at))

    assert await following == SENT[start:stop]


async def test_what_is_there_already_is_given_without_waiting_for_more(engine: Engine) -> None:
    upload_id = (await engine.uploads.create(declared(None), ANN)).session.id
    await engine.uploads.append(upload_id, ANN, Incoming(body(SENT)))

    assert await follow(engine, upload_id, 0, len(SENT)) == SENT
    assert await follow(engine, upload_id, 10, 10) == b""
    assert await follow(engine, upload_id, 10, 5) == b""


async def test_the_last_byte_is_not_given_before_there_is_a_file(engine: Engine) -> None:
    upload_id = (await engine.uploads.create(declared(len(SENT)), ANN)).session.id
    await engine.uploads.append(upload_id, ANN, Incoming(body(SENT), complete=False))
    following = [asyncio.create_task(follow(engine, upload_id, 0, stop)) for stop in (None, len(SENT))]

    assert await follow(engine, upload_id, 0, len(SENT) - 1) == SENT[:-1]
    assert not any(one.done() for one in following)
    await engine.uploads.append(upload_id, ANN, Incoming(body(), complete=True))

    assert [await one for one in following] == [SENT, SENT]


async def test_a_file_of_a_disk_is_opened_and_one_in_memory_is_not(engine: Engine, world: World, file: File) -> None:
    empty = await engine.uploads.store_whole(declared(0), ANN, body())

    opened = engine.downloads.opened(file, start=10, stop=20)

    assert (opened is None) == isinstance(world.blobs, MemoryBlobs)
    if opened is not None:
        async for one in opened:
            assert os.pread(one.file.fileno(), one.stop - one.start, one.start) == SENT[10:20]
        assert one.file.closed
    nothing = engine.downloads.opened(empty, start=0, stop=0)
    assert nothing is None or [one async for one in nothing] == []


async def test_an_upload_that_ends_without_a_file_ends_who_follows_it(engine: Engine) -> None:
    upload_id = (await engine.uploads.create(declared(len(SENT)), ANN)).session.id
    await engine.uploads.append(upload_id, ANN, Incoming(body(SENT[:100])))
    following = asyncio.create_task(follow(engine, upload_id))
    await asyncio.sleep(0.05)

    await engine.uploads.abort(upload_id, ANN)

    with pytest.raises(Gone):
        await following


async def test_a_fault_of_the_store_ends_who_follows_with_that(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = (await engine.uploads.create(declared(len(SENT)), ANN)).session.id
    await engine.uploads.append(upload_id, ANN, Incoming(body(SENT[:100])))

    def away(*_: object, **__: object) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(world.blobs, "read", away)

    with pytest.raises(StorageUnavailable):
        await follow(engine, upload_id)


async def test_an_upload_that_ends_between_two_looks_at_it_is_gone_and_no_fault_of_the_store(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = (await engine.uploads.create(declared(len(SENT)), ANN)).session.id
    await engine.uploads.append(upload_id, ANN, Incoming(body(SENT[:100])))
    seen = await engine.uploads.status(upload_id, ANN)
    status = engine.uploads.status
    answers = iter([seen])

    async def a_moment_behind(upload_id: str, caller: Caller) -> object:
        return next(answers, None) or await status(upload_id, caller)

    await engine.uploads.abort(upload_id, ANN)
    monkeypatch.setattr(engine.uploads, "status", a_moment_behind)

    with pytest.raises(Gone):
        await follow(engine, upload_id)


async def test_a_file_whose_bytes_are_gone_is_gone_before_anything_is_promised(
    engine: Engine, world: World, file: File
) -> None:
    await world.blobs.remove(file.id)

    with pytest.raises(Gone, match="lost"):
        await engine.downloads.open(file.id, ANN)


async def downloads_of(engine: Engine, upload_id: str) -> list[Audit]:
    """The downloads in the trail."""
    rows = (await engine.files.audit(upload_id, ANN)).rows
    return [row for row in rows if row.action is Action.DOWNLOAD]


async def test_a_download_is_in_the_trail_of_its_owner_if_that_is_asked_for(world: World, file: File) -> None:
    guest = Caller("", "test", "192.0.2.9")
    upload = (await world.engine.uploads.create(declared(None), ANN)).session
    for audited in (False, True):
        downloads = Downloads(world.engine.ports, world.engine.files, world.engine.uploads, audited=audited)
        await downloads.begin(file, guest, start=5, count=7)
        await downloads.begin(upload, BOB, start=0, count=None)

    (of_file,), (of_upload,) = await downloads_of(world.engine, file.id), await downloads_of(world.engine, upload.id)

    assert (of_file.user_id, of_file.protocol, of_file.address) == ("anonymous", "test", "192.0.2.9")
    assert of_file.details == {"start": "5", "bytes": "7"}
    assert (of_upload.user_id, of_upload.details) == ("bob", {"start": "0"})
    owned = [row for _, row in await world.catalog.events("ann", after=0, limit=10)]
    assert [row.action for row in owned].count(Action.DOWNLOAD) == 2


async def test_without_a_catalog_nothing_is_downloaded_that_would_not_be_in_the_trail(
    world: World, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise CatalogUnavailable

    monkeypatch.setattr(world.catalog, "record", away)
    downloads = Downloads(world.engine.ports, world.engine.files, world.engine.uploads, audited=True)

    with pytest.raises(CatalogUnavailable):
        await downloads.begin(file, ANN, start=0, count=1)
