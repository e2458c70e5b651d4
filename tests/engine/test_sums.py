"""The running checksum of an upload is right whatever became of its note."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from tests.contracts.blobs import a_key, store_bytes
from tests.engine.fake_disk import FakeDisk
from uploadstream.adapters.memory import MemoryBlobs
from uploadstream.adapters.system import SystemClock
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import LengthMismatch, StorageUnavailable
from uploadstream.engine import sums as sums_module
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.intake import Intake, Received, Terms
from uploadstream.engine.sums import NoteKeeper, crc_so_far, summed, write_note

STORED = bytes(range(200)) * 100


class CountingBlobs(MemoryBlobs):
    """Knows from where on it was read."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.starts: list[int] = []

    def read(self, key: str, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        self.starts.append(start)
        return super().read(key, start=start, stop=stop, piece_size=piece_size)


@pytest.fixture
async def key() -> str:
    return a_key()


@pytest.fixture
async def blobs(key: str) -> CountingBlobs:
    store = CountingBlobs()
    await store_bytes(store, key, STORED)
    return store


async def test_without_a_note_everything_is_read(blobs: CountingBlobs, key: str) -> None:
    assert await crc_so_far(blobs, key, len(STORED)) == crc32c(STORED)
    assert blobs.starts == [0]


@pytest.mark.parametrize("size", [1, 511, len(STORED) - 1, len(STORED)])
async def test_only_what_came_after_the_note_is_read(blobs: CountingBlobs, key: str, size: int) -> None:
    await write_note(blobs, key, size=size, crc=crc32c(STORED[:size]))

    assert await crc_so_far(blobs, key, len(STORED)) == crc32c(STORED)
    assert blobs.starts == ([size] if size < len(STORED) else [])


async def test_a_note_about_more_than_is_there_is_not_believed(blobs: CountingBlobs, key: str) -> None:
    await write_note(blobs, key, size=len(STORED) + 1, crc=7)

    assert await crc_so_far(blobs, key, len(STORED)) == crc32c(STORED)
    assert blobs.starts == [0]


@pytest.mark.parametrize("note", [b"", b"short", struct.pack(">QI", 1, 7), struct.pack(">QI", 1, 7) + b"x"])
async def test_a_note_that_is_none_is_not_believed(blobs: CountingBlobs, key: str, note: bytes) -> None:
    await blobs.set_note(key, note)

    assert await crc_so_far(blobs, key, len(STORED)) == crc32c(STORED)


@pytest.mark.parametrize("durable", [False, True])
async def test_what_is_surely_on_the_disk_is_known_as_long_as_nothing_is_added(
    blobs: CountingBlobs, key: str, durable: bool
) -> None:
    await write_note(blobs, key, size=len(STORED), crc=crc32c(STORED), durable=durable)
    assert (await summed(blobs, key, len(STORED))).durable is durable

    await store_bytes(blobs, key, STORED, at=len(STORED))
    both = await summed(blobs, key, 2 * len(STORED))

    assert (both.crc, both.durable) == (crc32c(STORED + STORED), False)


async def test_nothing_has_the_checksum_of_nothing(blobs: CountingBlobs) -> None:
    assert await crc_so_far(blobs, a_key(), 0) == 0
    assert blobs.starts == []


async def test_a_note_that_cannot_be_kept_is_no_failure(key: str) -> None:
    class Away(MemoryBlobs):
        async def set_note(self, key: str, note: bytes, *, of: int | None = None) -> None:
            raise StorageUnavailable

    away = Away(SystemClock())

    await write_note(away, key, size=1, crc=7)

    assert await away.note(key) is None


async def test_while_a_note_is_being_written_no_other_is_and_none_is_when_the_keeper_has_stopped(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(MemoryBlobs):
        writing = 0
        written = 0

        async def set_note(self, key: str, note: bytes, *, of: int | None = None) -> None:
            self.writing += 1
            assert self.writing == 1
            await asyncio.sleep(0.05)
            self.writing -= 1
            self.written += 1

    monkeypatch.setattr(sums_module, "NOTE_SECONDS", 0.01)
    slow = Slow(SystemClock())
    terms = Terms(9, lambda count: LengthMismatch(received=count, declared=9), lambda _: None)
    keeper = NoteKeeper(slow, key, Intake(FakeDisk(), Buffers(64), Received.nothing(), terms))

    await asyncio.sleep(0.08)
    await keeper.stop()
    written = slow.written
    await asyncio.sleep(0.1)

    assert slow.writing == 0
    assert slow.written == written >= 1
