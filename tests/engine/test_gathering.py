"""A joined file is moved into a blob of its own some day: nobody who reads it notices, and no crash harms it."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contracts.leases import is_free
from tests.engine.faults import Faults
from tests.engine.world import ANN, World, blob_keys, body, content, declared, disk_world, memory_world
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import CatalogUnavailable, StorageUnavailable
from uploadstream.core.files import File
from uploadstream.core.parts import Span
from uploadstream.engine import gathering
from uploadstream.engine.gathering import Done
from uploadstream.engine.sweeper import GRACE
from uploadstream.engine.verify import Finding, verify
from uploadstream.engine.watch import Incoming

PIECES = (b"first " * 40, b"second ", b"third" * 300)
WHOLE = b"".join(PIECES)
PIECE_SIZE = 700
PATIENCE_SECONDS = 20


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "PIECE_SIZE", PIECE_SIZE)


@pytest.fixture(params=["memory", "disk"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:  # type: ignore[misc]
    world = memory_world() if request.param == "memory" else disk_world(tmp_path)
    yield world
    world.close()


async def partials(world: World) -> list[str]:
    ids = []
    for piece in PIECES:
        said = replace(declared(len(piece)), is_partial=True)
        ids.append((await world.engine.uploads.create(said, ANN)).session.id)
        await world.engine.uploads.append(ids[-1], ANN, Incoming(body(piece), at=0))
    return ids


async def joined(world: World, ids: Sequence[str]) -> File:
    file = (await world.engine.uploads.join(replace(declared(None), joins="final"), ANN, ids)).file
    assert file is not None
    return file


async def end(world: World, ids: Sequence[str]) -> None:
    for upload_id in ids:
        await world.engine.uploads.abort(upload_id, ANN)


async def joined_for_good(world: World) -> File:
    """A joined file whose uploads have ended."""
    ids = await partials(world)
    file = await joined(world, ids)
    await end(world, ids)
    return file


async def gathered(world: World) -> Done:
    return await world.engine.gatherer.gather()


async def test_a_file_whose_uploads_have_ended_gets_a_blob_of_its_own(world: World) -> None:
    file = await joined_for_good(world)

    assert await gathered(world) == {"gathered": 1}

    now = await world.engine.downloads.open(file.id, ANN)
    assert now == replace(file, parts=())
    assert await content(world.engine, now) == WHOLE
    assert await blob_keys(world) == {file.id}
    assert await is_free(world.engine.ports.leases, file.id)
    assert [verdict.finding async for verdict in verify(world.engine.ports)] == [Finding.WHOLE]
    assert await gathered(world) == {}
    assert (await world.engine.uploads.status(file.id, ANN)).session.declared.joins == "final"


async def test_while_an_upload_may_still_be_joined_its_bytes_stay_where_they_are(world: World) -> None:
    ids = await partials(world)
    file = await joined(world, ids)
    await end(world, ids[1:])

    assert await gathered(world) == {}
    assert (await world.engine.downloads.open(file.id, ANN)).parts == file.parts

    world.clock.ahead = world.engine.limits.upload_ttl + timedelta(minutes=1)
    await world.engine.sweeper.sweep()
    assert await gathered(world) == {"gathered": 1}


async def test_parts_that_another_file_needs_stay_until_it_is_gathered_too(world: World) -> None:
    ids = await partials(world)
    files = [await joined(world, some) for some in (ids, ids[:2], [ids[0]])]
    await end(world, ids)
    await world.engine.files.delete(files[1].id, ANN)

    assert await gathered(world) == {"gathered": 1}
    assert await blob_keys(world) == {files[0].id, *ids[:2]}

    restored = await world.engine.files.restore(files[1].id, ANN)
    assert await content(world.engine, restored) == PIECES[0] + PIECES[1]
    assert await gathered(world) == {"gathered": 1}
    assert await blob_keys(world) == {files[0].id, files[1].id, ids[0]}
    assert await content(world.engine, files[2]) == PIECES[0]  # in one blob as it is


@pytest.mark.parametrize("read_before", [0, 1, len(PIECES[0]) + 1, len(WHOLE) - 1])
async def test_who_is_reading_the_parts_gets_all_bytes(world: World, read_before: int) -> None:
    file = await joined_for_good(world)
    reading = world.engine.downloads.read(file, start=0, stop=file.size, piece_size=100)
    got = b""
    while len(got) < read_before:
        got += await anext(reading)

    await gathered(world)

    assert got + b"".join([piece async for piece in reading]) == WHOLE


async def test_so_does_who_lets_the_kernel_send_them(tmp_path: Path) -> None:
    world = disk_world(tmp_path)
    file = await joined_for_good(world)
    opened = world.engine.downloads.opened(file, start=5, stop=file.size)
    assert opened is not None
    first = await anext(opened)

    await gathered(world)

    first.file.seek(first.start)
    got = first.file.read(first.stop - first.start)
    async for one in opened:
        one.file.seek(one.start)
        got += one.file.read(one.stop - one.start)
    assert got == WHOLE[5:]
    world.close()


async def test_who_looked_a_file_up_before_neither_loses_nor_hides_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await joined_for_good(world)
    looked_up = world.catalog.files, world.catalog.file

    async def files_before(*args: object, **kwargs: object) -> object:
        found = await looked_up[0](*args, **kwargs)  # type: ignore[arg-type]
        await gathered(world)
        return found

    monkeypatch.setattr(world.catalog, "files", files_before)

    await world.engine.sweeper.sweep()

    assert (await world.engine.files.list(ANN)).rows == [replace(file, parts=())]


async def test_a_part_with_other_bytes_than_it_had_is_not_copied_again_and_again(tmp_path: Path) -> None:
    world = disk_world(tmp_path)
    file = await joined_for_good(world)
    world.blobs.path(file.parts[1].key).write_bytes(b"SECOND ")  # type: ignore[attr-defined]

    assert await gathered(world) == {"not gathered: wrong digest": 1}
    assert await gathered(world) == {}

    assert (await world.engine.downloads.open(file.id, ANN)).parts == file.parts
    assert await blob_keys(world) == {part.key for part in file.parts}
    world.close()


async def test_a_file_whose_part_is_lost_stays_as_it_is(world: World) -> None:
    file, other = await joined_for_good(world), await joined_for_good(world)
    await world.blobs.remove(file.parts[1].key)

    done = await gathered(world)

    assert done == {"not gathered: STORAGE_UNAVAILABLE": 1, "gathered": 1}
    assert file.id not in await blob_keys(world)
    assert await content(world.engine, await world.engine.downloads.open(other.id, ANN)) == WHOLE


@pytest.mark.parametrize(("free", "is_gathered"), [(2 * len(WHOLE), True), (2 * len(WHOLE) - 1, False)])
async def test_uploads_are_left_as_much_room_as_is_taken(
    world: World, monkeypatch: pytest.MonkeyPatch, free: int, is_gathered: bool
) -> None:
    file = await joined_for_good(world)

    async def left() -> int:
        return free

    monkeypatch.setattr(world.blobs, "free", left)

    assert await gathered(world) == {"gathered" if is_gathered else "not gathered: STORAGE_FULL": 1}
    assert (file.id in await blob_keys(world)) is is_gathered


async def test_a_request_that_wants_the_file_for_itself_gets_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await joined_for_good(world)
    copy, copied = world.blobs.copy, asyncio.Event()

    async def noted(*args: object, **kwargs: object) -> None:
        copied.set()
        await copy(*args, **kwargs)  # type: ignore[arg-type]
        await asyncio.sleep(0.05)

    monkeypatch.setattr(world.blobs, "copy", noted)
    gathering_it = asyncio.create_task(gathered(world))
    await copied.wait()

    await world.engine.uploads.abort(file.id, ANN)

    assert await gathering_it == {"not gathered: in use": 1}
    assert await blob_keys(world) == {part.key for part in file.parts}
    restored = await world.engine.files.restore(file.id, ANN)
    assert await content(world.engine, restored) == WHOLE


async def test_two_processes_do_not_gather_at_once(world: World) -> None:
    await joined_for_good(world)

    async with world.engine.ports.leases.hold(gathering.LEASE):
        assert await gathered(world) == {}


async def test_nothing_is_done_on_another_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await joined_for_good(world)
    before = await blob_keys(world)

    async def other() -> str:
        return "another"

    monkeypatch.setattr(world.blobs, "store_id", other)

    with pytest.raises(StorageUnavailable):
        await gathered(world)
    assert await blob_keys(world) == before


async def test_the_sweeper_gathers_now_and_then(world: World) -> None:
    file = await joined_for_good(world)
    done = asyncio.Event()

    def swept(sweep: Done) -> None:
        if sweep["gathered"]:
            done.set()

    sweeping = asyncio.create_task(world.engine.sweeper.run(every_seconds=60, swept=swept))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await done.wait()
    sweeping.cancel()

    await asyncio.wait([sweeping])
    assert sweeping.cancelled()
    assert await blob_keys(world) == {file.id}


# Cut anywhere


class Crash(Faults):
    """From one place on nothing works any more, as in a process that is killed."""

    def come_by(self, place: str) -> None:
        self.places.append(place)
        if len(self.places) - 1 >= self._at >= 0:
            self._strike()


async def assert_whole(world: World, files: Sequence[File], where: str) -> None:
    """Whatever happened, each file is all there, and gathered in the end, with nothing left over."""
    for file in files:
        now = await world.engine.downloads.open(file.id, ANN)
        assert await content(world.engine, now) == WHOLE, where
        assert await content(world.engine, file) == WHOLE, where  # for who has looked it up long ago
        assert now.parts in {(), file.parts}, where
        assert now.crc32c == crc32c(WHOLE), where
    before = await blob_keys(world)
    world.clock.ahead += 2 * GRACE
    await world.engine.sweeper.sweep()
    needed: set[str] = set()
    for file in files:
        now = await world.engine.downloads.open(file.id, ANN)
        assert await content(world.engine, now) == WHOLE, where
        needed |= {part.key for part in now.blobs}
    assert await blob_keys(world) == needed <= before, where
    await gathered(world)
    assert await blob_keys(world) == {file.id for file in files}, where
    for file in files:
        assert await content(world.engine, await world.engine.downloads.open(file.id, ANN)) == WHOLE, where


async def two_files(world: World) -> list[File]:
    """Two joined from the same uploads, which have ended."""
    ids = await partials(world)
    files = [await joined(world, ids) for _ in range(2)]
    await end(world, ids)
    return files


ERRORS = [
    pytest.param(None, id="cancelled"),
    pytest.param(StorageUnavailable(), id="no storage"),
    pytest.param(CatalogUnavailable(), id="no catalog"),
    pytest.param(ZeroDivisionError(), id="a bug"),
]


async def count_places() -> int:
    world = memory_world()
    await two_files(world)
    faults = Faults()
    await faults.engine(world).gatherer.gather()
    return len(faults.places)


async def cut(world: World, kind: type[Faults], *, at: int, error: Exception | None) -> str:
    """Gather, and strike at a place, whose name this is."""

    def strike() -> None:
        if error is not None:
            raise error
        task.cancel()

    faults = kind(at=at, strike=strike)
    task = asyncio.ensure_future(faults.engine(world).gatherer.gather())
    await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    assert task.done()
    assert task.cancelled() or task.exception() is None or task.exception() is error
    return faults.places[at]


@pytest.mark.parametrize("faults_kind", [Faults, Crash])
@pytest.mark.parametrize("error", ERRORS)
async def test_wherever_gathering_is_cut_the_file_is_whole(error: Exception | None, faults_kind: type[Faults]) -> None:
    count = await count_places()
    assert count > 40

    for at in range(count):
        world = memory_world()
        files = await two_files(world)
        place = await cut(world, faults_kind, at=at, error=error)
        world.start()
        await assert_whole(world, files, f"{error!r} {place} (place {at})")


async def test_a_copy_that_a_crash_cut_is_no_part_of_the_next(world: World) -> None:
    file = await joined_for_good(world)
    await world.blobs.copy(Span(file.parts[0].key, 0, 100), key=file.id, at=0)

    assert await content(world.engine, await world.engine.downloads.open(file.id, ANN)) == WHOLE
    assert await gathered(world) == {"gathered": 1}
    assert await content(world.engine, await world.engine.downloads.open(file.id, ANN)) == WHOLE
