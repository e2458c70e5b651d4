"""A body with a checksum: it is there when it was found right, and nothing of it before or otherwise."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.fake_disk import Answer, FakeDisk
from tests.engine.world import ANN, Bring, World, blob_keys, body, content, declared, disk_world, memory_world, received
from uploadstream.core.digests import Digest, crc32c
from uploadstream.core.errors import BadField, ChecksumMismatch, Gone, StorageFull, TakenOver, TooLarge, TypeMismatch
from uploadstream.core.session import Limits, State
from uploadstream.core.sizes import KIB, MIB
from uploadstream.engine.checking import AT_ONCE_MAX, CheckedSink
from uploadstream.engine.intake import Intake
from uploadstream.engine.watch import Incoming

LARGE = bytes(range(256)) * 12 * KIB
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(params=["memory", "disk"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:  # type: ignore[misc]
    world = memory_world() if request.param == "memory" else disk_world(tmp_path)
    yield world
    world.close()


@pytest.fixture(params=[body, received])
def bring(request: pytest.FixtureRequest) -> Bring:
    found: Bring = request.param
    return found


def sha1(data: bytes) -> Digest:
    return Digest("sha1", hashlib.sha1(data, usedforsecurity=False).digest())


async def begun(world: World, length: int | None = 10, **said: str) -> str:
    return (await world.engine.uploads.create(declared(length, **said), ANN)).session.id


async def offset(world: World, upload_id: str) -> int:
    return (await world.engine.uploads.status(upload_id, ANN)).session.offset


async def test_t22_a_body_with_the_right_checksum_is_kept(world: World, bring: Bring) -> None:
    upload_id = await begun(world, len(LARGE))
    uploads, half = world.engine.uploads, len(LARGE) // 2

    first = await uploads.append(upload_id, ANN, Incoming(bring(LARGE[:half]), digest=sha1(LARGE[:half])))
    last = await uploads.append(upload_id, ANN, Incoming(bring(LARGE[half:]), at=half, digest=sha1(LARGE[half:])))

    assert first.session.offset == half
    assert last.file is not None
    assert last.file.crc32c == crc32c(LARGE)
    assert await content(world.engine, last.file) == LARGE


async def test_t22_a_body_with_another_checksum_is_dropped_whole(world: World, bring: Bring) -> None:
    upload_id = await begun(world, len(LARGE) + 3)
    uploads = world.engine.uploads
    await uploads.append(upload_id, ANN, Incoming(bring(b"abc")))

    with pytest.raises(ChecksumMismatch, match=r"^Chunk at 3: sha1 is "):
        await uploads.append(upload_id, ANN, Incoming(bring(LARGE), at=3, digest=sha1(b"other")))

    assert await offset(world, upload_id) == 3
    done = await uploads.append(upload_id, ANN, Incoming(bring(LARGE), at=3))
    assert done.file is not None
    assert await content(world.engine, done.file) == b"abc" + LARGE


async def test_t23_a_checked_body_that_is_cut_is_dropped_whole(world: World) -> None:
    upload_id = await begun(world, len(LARGE))

    with pytest.raises(ConnectionError):
        await world.engine.uploads.append(
            upload_id, ANN, Incoming(body(LARGE[:-1], then=ConnectionError()), digest=sha1(LARGE))
        )

    assert await offset(world, upload_id) == 0


async def test_t23_until_it_is_checked_nobody_sees_a_byte_of_a_body(world: World) -> None:
    upload_id, seen = await begun(world, len(LARGE)), []

    async def pour(intake: Intake) -> None:
        for at in range(0, len(LARGE), MIB):
            busy = intake.feed(LARGE[at : at + MIB])
            if busy is not None:
                await busy
            seen.append(await offset(world, upload_id))

    uploaded = await world.engine.uploads.append(upload_id, ANN, Incoming(pour, digest=sha1(LARGE)))

    assert seen == [0] * 3
    assert uploaded.session.state is State.COMPLETE


async def test_t23_a_checked_body_is_taken_over_and_leaves_nothing(world: World) -> None:
    upload_id, begin = await begun(world), asyncio.Event()

    async def stalls(intake: Intake) -> None:
        intake.feed(b"abc")
        begin.set()
        await asyncio.sleep(3600)

    uploads = world.engine.uploads
    older = asyncio.create_task(uploads.append(upload_id, ANN, Incoming(stalls, digest=sha1(b"abc"))))
    await begin.wait()

    newer = await uploads.append(upload_id, ANN, Incoming(body(b"0123456789"), at=0))

    with pytest.raises(TakenOver):
        await older
    assert newer.session.state is State.COMPLETE


async def test_t24_a_checksum_may_be_given_when_the_body_has_ended(world: World, bring: Bring) -> None:
    upload_id, uploads = await begun(world, None), world.engine.uploads

    await uploads.append(upload_id, ANN, Incoming(bring(b"abc"), digest=lambda: sha1(b"abc")))
    with pytest.raises(ChecksumMismatch):
        await uploads.append(upload_id, ANN, Incoming(bring(b"def"), digest=lambda: sha1(b"abc")))
    await uploads.append(upload_id, ANN, Incoming(bring(b"ghi"), digest=lambda: None))

    assert await offset(world, upload_id) == 6


async def test_t24_a_checksum_that_cannot_be_is_refused_with_its_body(world: World) -> None:
    def none() -> Digest:
        raise BadField("Upload-Checksum", "is nonsense")

    upload_id = await begun(world)

    with pytest.raises(BadField, match="nonsense"):
        await world.engine.uploads.append(upload_id, ANN, Incoming(body(b"abc"), digest=none))

    assert await offset(world, upload_id) == 0


async def test_a_checked_body_counts_against_the_limit(world: World) -> None:
    world.start(limits=Limits(file_size_max=5))
    upload_id = await begun(world, None)

    with pytest.raises(TooLarge):
        await world.engine.uploads.append(upload_id, ANN, Incoming(body(b"abc", b"def"), digest=sha1(b"abcdef")))

    assert await offset(world, upload_id) == 0


async def test_what_was_checked_and_is_of_another_type_than_declared_ends_the_upload(world: World) -> None:
    upload_id, script = await begun(world, 3000, content_type="image/png"), b"function hello() {}\n" * 50

    with pytest.raises(ChecksumMismatch):
        await world.engine.uploads.append(upload_id, ANN, Incoming(body(script), digest=sha1(PNG)))
    assert await offset(world, upload_id) == 0
    with pytest.raises(TypeMismatch):
        await world.engine.uploads.append(upload_id, ANN, Incoming(body(script), digest=sha1(script)))

    assert await world.blobs.stat(upload_id) is None


async def test_the_sum_of_a_checked_body_is_noted_when_it_is_kept(world: World) -> None:
    upload_id, uploads = await begun(world, None), world.engine.uploads
    await uploads.append(upload_id, ANN, Incoming(body(b"abc"), digest=sha1(b"abc")))
    noted = await world.blobs.note(upload_id)

    with pytest.raises(ChecksumMismatch):
        await uploads.append(upload_id, ANN, Incoming(body(b"def"), digest=sha1(b"xyz")))

    assert noted is not None
    assert await world.blobs.note(upload_id) == noted


@pytest.mark.parametrize("size", [1, AT_ONCE_MAX, AT_ONCE_MAX + 1, MIB])
@pytest.mark.parametrize("answer", [Answer.NOW, Answer.LATER])
async def test_a_sink_sums_what_it_writes(size: int, answer: Answer) -> None:
    data = LARGE[:size]
    disk = FakeDisk([answer], turns=3)
    sink = CheckedSink(disk, sha1(data), at=0)

    going_on = sink.write([data[:1], data[1:]], size)
    if going_on is not None:
        await going_on

    sink.check()
    assert disk.content == data


async def test_a_store_that_fails_is_heard_when_the_sum_is_done() -> None:
    sink = CheckedSink(FakeDisk([Answer.FAILS_NOW]), sha1(b""), at=0)
    going_on = sink.write([LARGE], len(LARGE))

    assert going_on is not None
    with pytest.raises(StorageFull):
        await going_on


@pytest.mark.parametrize("at_once", [True, False])
async def test_r37_an_upload_with_the_checksum_of_all_its_bytes_is_a_file(world: World, at_once: bool) -> None:
    upload_id = await begun(world, None)
    first = b"01234" if at_once else b"0123456789"
    await world.engine.uploads.append(upload_id, ANN, Incoming(body(first), complete=False))

    rest = Incoming(body(b"0123456789"[len(first) :]), complete=True, whole_digest=sha1(b"0123456789"))
    done = await world.engine.uploads.append(upload_id, ANN, rest)

    assert done.file is not None
    assert await content(world.engine, done.file) == b"0123456789"
    assert await world.engine.downloads.digest(done.file, "sha1") == sha1(b"0123456789").expected


@pytest.mark.parametrize("length", [None, 10])
async def test_r37_an_upload_with_another_checksum_of_all_its_bytes_ends(world: World, length: int | None) -> None:
    upload_id = await begun(world, length)
    await world.engine.uploads.append(upload_id, ANN, Incoming(body(b"01234"), complete=False))
    rest = Incoming(body(b"56789"), complete=True, whole_digest=sha1(b"other"))

    with pytest.raises(ChecksumMismatch):
        await world.engine.uploads.append(upload_id, ANN, rest)

    with pytest.raises(Gone, match="refused"):
        await world.engine.uploads.status(upload_id, ANN)
    assert await blob_keys(world) == set()


async def test_r37_a_full_upload_is_compared_too(world: World) -> None:
    upload_id = await begun(world, 5)
    await world.engine.uploads.append(upload_id, ANN, Incoming(body(b"01234"), complete=False))

    with pytest.raises(ChecksumMismatch):
        await world.engine.uploads.append(upload_id, ANN, Incoming(body(), complete=True, whole_digest=sha1(b"other")))


async def test_r37_an_empty_file_has_a_checksum(world: World) -> None:
    upload_id = await begun(world, None)

    done = await world.engine.uploads.append(upload_id, ANN, Incoming(body(), complete=True, whole_digest=sha1(b"")))

    assert done.file is not None
    assert await world.engine.downloads.digest(done.file, "sha1") == sha1(b"").expected


async def test_a_whole_file_with_another_checksum_leaves_nothing(world: World) -> None:
    with pytest.raises(ChecksumMismatch):
        await world.engine.uploads.store_whole(declared(5), ANN, body(b"01234"), digest=sha1(b"other"))

    assert await blob_keys(world) == set()
    file = await world.engine.uploads.store_whole(declared(5), ANN, body(b"01234"), digest=sha1(b"01234"))
    assert await content(world.engine, file) == b"01234"
