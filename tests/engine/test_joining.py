"""Uploads joined to one file: their blobs are its parts, and live as long as it does."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.engine.world import ANN, BOB, World, blob_keys, body, content, declared, disk_world, memory_world
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import BadField, Gone, NotFound, Refusal, TooLarge, TypeMismatch, UploadJoined
from uploadstream.core.files import File
from uploadstream.core.session import Limits, State
from uploadstream.core.sizes import MIB
from uploadstream.engine.sweeper import GRACE
from uploadstream.engine.verify import Finding, verify
from uploadstream.engine.watch import Incoming
from uploadstream.ports import Fsync

PIECES = (b"first ", b"", b"second ", b"third" * 300)
WHOLE = b"".join(PIECES)


@pytest.fixture(params=["memory", "disk"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:  # type: ignore[misc]
    world = memory_world() if request.param == "memory" else disk_world(tmp_path)
    yield world
    world.close()


async def partial(world: World, data: bytes, *, length: int | None = None) -> str:
    """A partial upload with these bytes, and so finished unless another length is said."""
    said = replace(declared(len(data) if length is None else length), is_partial=True)
    upload_id = (await world.engine.uploads.create(said, ANN)).session.id
    await world.engine.uploads.append(upload_id, ANN, Incoming(body(data), at=0))
    return upload_id


async def partials(world: World) -> list[str]:
    return [await partial(world, piece) for piece in PIECES]


async def joined(world: World, upload_ids: Sequence[str], **said: str) -> File:
    uploaded = await world.engine.uploads.join(replace(declared(None, **said), joins="final"), ANN, upload_ids)
    assert uploaded.file is not None
    return uploaded.file


async def ranges(world: World, file: File) -> None:
    """Every range around the joints is read as of one blob."""
    for start in range(0, 20, 3):
        for stop in range(start, 30, 4):
            pieces = world.engine.downloads.read(file, start=start, stop=stop, piece_size=5)
            assert b"".join([piece async for piece in pieces]) == WHOLE[start:stop]


async def test_t27_a_file_is_joined_from_uploads_in_the_order_that_is_said(world: World) -> None:
    file = await joined(world, await partials(world), name="whole.txt")

    assert (file.size, file.crc32c, file.filename) == (len(WHOLE), crc32c(WHOLE), "whole.txt")
    assert await content(world.engine, file) == WHOLE
    await ranges(world, file)
    assert (await world.engine.files.list(ANN)).rows == [file]
    assert [verdict.finding async for verdict in verify(world.engine.ports)] == [Finding.WHOLE]


async def test_t27_a_joined_file_is_followed_as_any_other(world: World) -> None:
    file = await joined(world, await partials(world))

    pieces = world.engine.downloads.follow(file.id, ANN, start=3, stop=None, piece_size=7)

    assert b"".join([piece async for piece in pieces]) == WHOLE[3:]


async def test_t28_one_upload_may_be_in_a_file_several_times_and_in_several_files(world: World) -> None:
    one, two = await partial(world, b"one "), await partial(world, b"two ")

    files = [await joined(world, ids) for ids in ([one, two, one, one], [two], [two, one])]

    assert [await content(world.engine, file) for file in files] == [b"one two one one ", b"two ", b"two one "]
    assert [file.crc32c for file in files] == [crc32c(data) for data in (b"one two one one ", b"two ", b"two one ")]


@pytest.mark.parametrize("how", ["aborted", "expired"])
async def test_t28_a_file_outlives_the_uploads_it_was_joined_from(world: World, how: str) -> None:
    ids, unused = await partials(world), await partial(world, b"unused")
    file = await joined(world, ids)

    if how == "aborted":
        for upload_id in (*ids, unused):
            await world.engine.uploads.abort(upload_id, ANN)
    else:
        world.clock.ahead = world.engine.limits.upload_ttl + timedelta(minutes=1)
    for _ in range(2):
        await world.engine.sweeper.sweep()
        world.clock.ahead += 2 * GRACE

    for upload_id in (*ids, unused):
        with pytest.raises(Gone):
            await world.engine.uploads.status(upload_id, ANN)
    assert await blob_keys(world) == {part.key for part in file.parts}
    assert await content(world.engine, await world.engine.downloads.open(file.id, ANN)) == WHOLE
    with pytest.raises(Gone):
        await joined(world, ids)


async def test_t26_a_partial_upload_is_no_file_and_is_listed_nowhere(world: World) -> None:
    upload_id = await partial(world, b"abc")
    await world.engine.sweeper.sweep()

    found = await world.engine.uploads.status(upload_id, ANN)

    assert (found.session.offset, found.session.state, found.file) == (3, State.OPEN, None)
    assert (await world.engine.uploads.list(ANN)).rows == []
    assert (await world.engine.files.list(ANN)).rows == []


async def test_t26_bytes_from_the_middle_of_a_file_may_look_like_anything(world: World) -> None:
    world.start(limits=Limits(allowed_types=("image/*",)))
    head, rest = b"\x89PNG\r\n\x1a\n" + bytes(600), b"function hello() {}\n" * 50

    file = await joined(world, [await partial(world, head), await partial(world, rest)], content_type="image/png")

    assert file.detected_type == "image/png"


async def test_t27_the_type_is_that_of_the_whole(world: World) -> None:
    ids = [await partial(world, b"function hello() "), await partial(world, b"{}\n" * 300)]

    with pytest.raises(TypeMismatch):
        await joined(world, ids, content_type="image/png")

    assert (await world.engine.files.list(ANN)).rows == []
    assert (await joined(world, ids)).size == 917


async def test_a_finished_partial_upload_takes_no_more_bytes_and_no_harm(world: World) -> None:
    upload_id = await partial(world, b"abc")

    again = await world.engine.uploads.append(upload_id, ANN, Incoming(body(), at=3))
    with pytest.raises(Refusal):
        await world.engine.uploads.append(upload_id, ANN, Incoming(body(b"d"), at=3))

    assert again.session.state is State.OPEN
    assert await content(world.engine, await joined(world, [upload_id])) == b"abc"


async def test_t30_a_joined_file_takes_no_bytes(world: World) -> None:
    file = await joined(world, await partials(world))

    for data in (b"", b"x"):
        with pytest.raises(UploadJoined):
            await world.engine.uploads.append(file.id, ANN, Incoming(body(data), at=file.size))

    assert await content(world.engine, file) == WHOLE


async def test_t32_an_unfinished_upload_is_not_joined(world: World) -> None:
    done, half = await partial(world, b"abc"), await partial(world, b"abc", length=6)

    with pytest.raises(BadField, match=f"^parts: {half} is not finished: 3 of 6 bytes are there$"):
        await joined(world, [done, half])

    await world.engine.uploads.append(half, ANN, Incoming(body(b"def"), at=3))
    assert await content(world.engine, await joined(world, [done, half])) == b"abcabcdef"


async def test_what_is_no_partial_upload_is_not_joined(world: World) -> None:
    whole = await world.engine.uploads.store_whole(declared(3), ANN, body(b"abc"))
    final = await joined(world, [await partial(world, b"abc")])

    for upload_id in (whole.id, final.id):
        with pytest.raises(BadField, match="is no partial upload"):
            await joined(world, [upload_id])


async def test_anothers_partial_upload_is_as_unknown(world: World) -> None:
    upload_id = await partial(world, b"abc")

    with pytest.raises(NotFound):
        await world.engine.uploads.join(declared(None), BOB, [upload_id])


async def test_t27_the_sum_of_the_parts_is_under_the_limit(world: World) -> None:
    world.start(limits=Limits(file_size_max=8))
    upload_id = await partial(world, b"abc")

    with pytest.raises(TooLarge):
        await joined(world, [upload_id] * 3)

    assert (await joined(world, [upload_id] * 2)).size == 6


async def test_a_file_joined_from_nothing_but_empty_uploads_is_empty(world: World) -> None:
    file = await joined(world, [await partial(world, b"")] * 2)

    assert (file.size, file.crc32c, file.parts) == (0, 0, ())
    assert await content(world.engine, await world.engine.downloads.open(file.id, ANN)) == b""


async def test_a_joined_file_whose_part_is_lost_is_hidden_and_not_restored(world: World) -> None:
    ids = await partials(world)
    file = await joined(world, ids)
    await world.blobs.remove(ids[2])

    assert [verdict.finding async for verdict in verify(world.engine.ports)] == [Finding.WRONG_SIZE]
    await world.engine.sweeper.sweep()

    with pytest.raises(Gone):
        await world.engine.downloads.open(file.id, ANN)
    with pytest.raises(Gone):
        await world.engine.files.restore(file.id, ANN)


async def test_a_joined_file_is_deleted_and_restored(world: World) -> None:
    file = await joined(world, await partials(world))

    await world.engine.uploads.abort(file.id, ANN)
    world.clock.ahead = 2 * GRACE
    await world.engine.sweeper.sweep()
    restored = await world.engine.files.restore(file.id, ANN)

    assert await content(world.engine, restored) == WHOLE


async def test_an_upload_that_is_ended_while_it_is_joined_is_in_a_whole_file_or_in_none(world: World) -> None:
    for _ in range(20):
        ids = [await partial(world, b"abc"), await partial(world, b"def")]

        _, outcome = await asyncio.gather(
            world.engine.uploads.abort(ids[1], ANN), joined(world, ids), return_exceptions=True
        )

        if isinstance(outcome, File):
            assert await content(world.engine, outcome) == b"abcdef"
        else:
            assert isinstance(outcome, NotFound | Gone)


@pytest.mark.parametrize("restarted_as", [Fsync.NEVER, Fsync.COMPLETE])
@pytest.mark.parametrize("begun_as", [Fsync.NEVER, Fsync.COMPLETE, Fsync.CHUNK])
async def test_what_is_joined_is_synced_unless_it_was_when_it_came(
    tmp_path: Path, begun_as: Fsync, restarted_as: Fsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = disk_world(tmp_path, fsync=begun_as)
    ids = [await partial(before, piece) for piece in (b"one", b"two")]
    world = disk_world(tmp_path, fsync=restarted_as)
    world.catalog = before.catalog
    world.start()
    synced, fsync = [], os.fsync

    def noting(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noting)

    assert await content(world.engine, await joined(world, ids)) == b"onetwo"

    is_late = (begun_as, restarted_as) == (Fsync.NEVER, Fsync.COMPLETE)
    assert sorted(set(ids) & set(synced)) == (sorted(ids) if is_late else [])
    before.close()
    world.close()


async def test_joining_reads_none_of_the_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, asked = [await partial(world, bytes([number]) * MIB) for number in range(8)], 0
    reading = world.blobs.read

    def counting(key: str, *, start: int, stop: int, piece_size: int) -> object:
        nonlocal asked
        asked += stop - start
        return reading(key, start=start, stop=stop, piece_size=piece_size)

    monkeypatch.setattr(world.blobs, "read", counting)

    assert (await joined(world, ids)).size == 8 * MIB
    assert asked <= 512
