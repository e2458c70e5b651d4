"""A buffer passes few of our functions on its way from the socket to the disk, and memory stays flat."""

import asyncio
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

import uploadstream
from tests.engine.world import ANN, Bring, World, body, declared, disk_world, received
from uploadstream.adapters.blobs_disk import DiskBlobs
from uploadstream.adapters.disk_io import SLOW_SECONDS
from uploadstream.core.sizes import KIB, MIB
from uploadstream.engine.buffers import BUFFER_SIZE
from uploadstream.engine.intake import Intake
from uploadstream.engine.watch import Incoming

SOURCE = str(Path(uploadstream.__file__).parent)
BUFFERS = 50
LONG = 3600.0


@pytest.fixture
async def disk(tmp_path: Path) -> World:
    return disk_world(tmp_path)


async def calls_while(world: World, pour: Bring, *chunks: bytes) -> Counter[str]:
    """How often each of our functions ran while a file of these chunks was stored."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, what: str, _: object) -> None:
        if what == "call" and frame.f_code.co_filename.startswith(SOURCE):
            calls[frame.f_code.co_qualname] += 1

    sys.setprofile(count)
    try:
        await world.engine.uploads.store_whole(declared(sum(map(len, chunks))), ANN, pour(*chunks))
    finally:
        sys.setprofile(None)
    return calls


def for_each(calls: Counter[str], times: int) -> dict[str, int]:
    return {name: round(number / times) for name, number in calls.items() if number >= times * 0.9}


async def test_few_of_our_functions_run_for_each_buffer_from_a_socket(disk: World) -> None:
    chunk = bytes(BUFFER_SIZE)

    calls = for_each(await calls_while(disk, received, *[chunk] * BUFFERS), BUFFERS)

    # More than eight, each for a reason: three lend and return memory that all connections share, two translate the
    # system's errors, two measure the disk, one counts its room. For a buffer of 1 MiB all of them cost a hundredth of
    # its write.
    assert sum(calls.values()) <= 16, calls
    disk.close()


async def test_few_of_our_functions_run_for_each_message(disk: World) -> None:
    """64 KiB messages, sixteen of them a write."""
    chunk = bytes(64 * KIB)

    calls = for_each(await calls_while(disk, body, *[chunk] * BUFFERS * 16), BUFFERS * 16)

    assert sum(calls.values()) <= 4, calls
    disk.close()


async def test_few_of_our_functions_run_for_each_buffer_while_the_disk_is_slow(disk: World) -> None:
    chunk = bytes(BUFFER_SIZE)
    assert isinstance(disk.blobs, DiskBlobs)

    async def slowly(intake: Intake) -> None:
        assert isinstance(disk.blobs, DiskBlobs)
        for _ in range(BUFFERS):
            disk.blobs.pace.timed(time.sleep, SLOW_SECONDS)
            await received(chunk)(intake)

    calls = for_each(await calls_while(disk, lambda *_: slowly, *[chunk] * BUFFERS), BUFFERS)

    assert sum(calls.values()) <= 24, calls
    disk.close()


@pytest.mark.parametrize("bring", [received, body])
async def test_memory_stays_flat_however_long_the_file_is(disk: World, bring: Bring) -> None:
    chunk = bytes(MIB)
    upload_id = (await disk.engine.uploads.create(declared(200 * MIB), ANN)).session.id
    await disk.engine.uploads.append(upload_id, ANN, Incoming(bring(chunk)))

    tracemalloc.start()
    try:
        await disk.engine.uploads.append(upload_id, ANN, Incoming(bring(*[chunk] * 199)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * MIB
    disk.close()


async def test_a_download_holds_a_piece_or_two(disk: World) -> None:
    file = await disk.engine.uploads.store_whole(declared(64 * MIB), ANN, body(*[bytes(MIB)] * 64))

    tracemalloc.start()
    try:
        async for _ in disk.engine.downloads.read(file, start=0, stop=file.size, piece_size=256 * KIB):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2 * MIB
    disk.close()


async def test_a_thousand_slow_uploads_hold_a_little_each(disk: World) -> None:
    """Each brings a few hundred bytes now and then, and is in the middle of its body."""
    ids = [(await disk.engine.uploads.create(declared(MIB), ANN)).session.id for _ in range(1000)]
    waiting = 0

    async def trickle(intake: Intake) -> None:
        nonlocal waiting
        for _ in range(3):
            await received(bytes(300))(intake)
            await asyncio.sleep(0)
        waiting += 1
        await asyncio.sleep(LONG)

    tracemalloc.start()
    try:
        tasks = [
            asyncio.create_task(disk.engine.uploads.append(upload_id, ANN, Incoming(trickle))) for upload_id in ids
        ]
        while waiting < len(ids):  # noqa: ASYNC110 - all of them
            await asyncio.sleep(0.01)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert disk.engine.buffers.out == 0
    assert held < 1000 * 40 * KIB
    disk.close()
