"""The byte path's system calls do all they are asked to, and know when to leave the loop."""

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uploadstream.adapters import disk_io
from uploadstream.adapters.disk_io import (
    IOV_MAX,
    QUICK_IN_A_ROW,
    ROOM_STEP_MAX,
    SLOW_SECONDS,
    Pace,
    Room,
    copy_range,
    read_now,
    start_writeback,
    write_all,
)
from uploadstream.core.errors import StorageFull
from uploadstream.core.parts import Span
from uploadstream.core.sizes import KIB, MIB
from uploadstream.ports import Bytes


@pytest.fixture
def fd(tmp_path: Path) -> int:
    return os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)


class Clock:
    """The time that work takes, and no other: a busy machine is not a slow disk."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def a_slow_thing(self) -> str:
        self._now += SLOW_SECONDS * 1.2
        return "done"

    def a_quick_thing(self) -> str:
        self._now += SLOW_SECONDS * 0.8
        return "done"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(disk_io, "perf_counter", clock)
    return clock


@pytest.mark.parametrize("most", [1, 3, 100, 10**9])
@given(views=st.lists(st.binary(max_size=9), max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_byte_is_written_however_few_the_system_takes_at_once(fd: int, most: int, views: list[bytes]) -> None:
    def takes_few(fd: int, views: Sequence[Bytes], at: int) -> int:
        return os.pwrite(fd, b"".join(views)[:most], at)

    os.ftruncate(fd, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwritev", takes_few)
        write_all(fd, [b"head", *views], 5)

    assert os.pread(fd, 1000, 0) == bytes(5) + b"head" + b"".join(views)


@pytest.mark.parametrize("count", [0, 1, IOV_MAX - 1, IOV_MAX, IOV_MAX + 1, 3 * IOV_MAX + 7])
def test_any_number_of_views_is_written_in_order(fd: int, count: int) -> None:
    views = [number.to_bytes(2, "big") for number in range(count)]

    write_all(fd, views, 3)

    assert os.pread(fd, 10**6, 3) == b"".join(views)


def test_what_is_in_memory_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    buffer = bytearray(3)

    with path.open("rb") as file:
        try:
            count = read_now(file.fileno(), memoryview(buffer), 2)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # this filesystem cannot tell
                raise
            return

    assert (count, bytes(buffer)) == (3, b"cde")


@pytest.mark.parametrize("says", [None, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize(("start", "stop"), [(0, 3 * MIB), (5, MIB + 6), (7, 7)])
def test_a_range_is_copied_whether_or_not_the_filesystem_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: int | None, start: int, stop: int
) -> None:
    content = os.urandom(3 * MIB)
    (tmp_path / "source").write_bytes(content)
    (tmp_path / "target").write_bytes(b"before")

    def cannot(*_: object) -> int:
        raise OSError(says, "cannot")

    if says is not None:
        monkeypatch.setattr(os, "copy_file_range", cannot)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("rb+") as target:
        copy_range(source.fileno(), target.fileno(), Span("", start, stop), at=6)

    assert (tmp_path / "target").read_bytes() == b"before" + content[start:stop]


def test_a_copy_of_what_is_not_there_or_cannot_be_read_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").write_bytes(b"abc")
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        with pytest.raises(OSError, match="ends too early"):
            copy_range(source.fileno(), target.fileno(), Span("", 1, 4), at=0)

        def fails(*_: object) -> int:
            raise OSError(errno.EIO, "the disk is on fire")

        monkeypatch.setattr(os, "copy_file_range", fails)
        with pytest.raises(OSError, match="on fire"):
            copy_range(source.fileno(), target.fileno(), Span("", 0, 3), at=0)


def test_what_would_have_to_be_waited_for_is_not_read(monkeypatch: pytest.MonkeyPatch, fd: int) -> None:
    def would_wait(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", would_wait)

    assert read_now(fd, memoryview(bytearray(3)), 0) is None


def test_writing_back_is_a_hint_that_cannot_fail(fd: int) -> None:
    start_writeback(fd, 0, 4096)
    start_writeback(-1, 0, 4096)


def test_a_system_without_sync_file_range_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_library(*_: object, **__: object) -> object:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", no_such_library)

    assert disk_io._load_sync_file_range() is None


def test_a_disk_is_quick_until_it_was_slow_once(clock: Clock) -> None:
    pace = Pace()

    assert not pace.is_slow
    assert pace.timed(clock.a_quick_thing) == "done"
    assert not pace.is_slow
    assert pace.timed(clock.a_slow_thing) == "done"
    assert pace.is_slow


def test_a_slow_disk_is_quick_again_after_a_row_of_quick_answers(clock: Clock) -> None:
    pace = Pace()
    pace.timed(clock.a_slow_thing)

    for _ in range(QUICK_IN_A_ROW - 1):
        pace.timed(clock.a_quick_thing)
    still_slow = pace.is_slow
    pace.timed(clock.a_slow_thing)
    for _ in range(QUICK_IN_A_ROW - 1):
        pace.timed(clock.a_quick_thing)
    slow_again = pace.is_slow
    pace.timed(clock.a_quick_thing)

    assert (still_slow, slow_again, pace.is_slow) == (True, True, False)


def test_a_disk_that_fails_is_neither_quick_nor_slow() -> None:
    pace = Pace()

    with pytest.raises(ZeroDivisionError):
        pace.timed(lambda: 1 // 0)

    assert not pace.is_slow


# Room


RESERVE = 16 * MIB


class Disk:
    """Bytes free, and how often that was asked."""

    f_frsize = 1

    def __init__(self, f_bavail: int) -> None:
        self.f_bavail = f_bavail
        self.asked = 0

    def statvfs(self, _: Path) -> "Disk":
        self.asked += 1
        return self


def fill(disk: Disk, room: Room, *, count: int, total: int) -> int:
    """Write `count` bytes again and again; how many bytes there was room for."""
    written = 0
    with suppress(StorageFull):
        while written < total:
            room.take(count)
            disk.f_bavail -= count
            written += count
    return written


@pytest.mark.parametrize("count", [1000, 64 * KIB, MIB, 3 * MIB])
def test_everything_but_the_reserve_is_given(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    disk = Disk(100 * MIB)
    monkeypatch.setattr(os, "statvfs", disk.statvfs)

    written = fill(disk, Room(Path("/"), reserve=RESERVE), count=count, total=1000 * MIB)

    assert 0 <= 100 * MIB - RESERVE - written < count


def test_where_there_is_plenty_of_room_the_system_is_seldom_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(10**12)
    monkeypatch.setattr(os, "statvfs", disk.statvfs)

    fill(disk, Room(Path("/"), reserve=RESERVE), count=64 * KIB, total=1024 * MIB)

    assert disk.asked == 1024 * MIB // ROOM_STEP_MAX


def test_what_others_write_does_not_go_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(200 * MIB)
    monkeypatch.setattr(os, "statvfs", disk.statvfs)
    rooms = [Room(Path("/"), reserve=RESERVE) for _ in range(8)]

    written = 1
    while written:
        written = sum(fill(disk, room, count=64 * KIB, total=64 * KIB) for room in rooms)

    assert disk.f_bavail > RESERVE / 2


def test_a_disk_whose_room_is_used_up_says_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", Disk(RESERVE + 10).statvfs)

    with pytest.raises(StorageFull) as caught:
        Room(Path("/"), reserve=RESERVE).take(11)

    assert caught.value.free == 10
