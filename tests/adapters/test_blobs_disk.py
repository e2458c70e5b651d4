"""Blobs as plain files: the port's promises, and those of a disk that is full, slow, broken or not ours alone."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.adapters.small_disks import SmallDisk, small_disk
from tests.contracts.blobs import BlobStoreContract, a_key, content, listed, pieces, store_bytes, write
from uploadstream.adapters import blobs_disk, disk_files, disk_io
from uploadstream.adapters.blobs_disk import RESERVE, WRITEBACK_EVERY, DiskBlobs
from uploadstream.adapters.disk_io import QUICK_IN_A_ROW, SLOW_SECONDS, write_all
from uploadstream.core.errors import BytesLost, OffsetMismatch, StorageFull, StorageUnavailable
from uploadstream.core.sizes import KIB, MIB
from uploadstream.ports import BlobStore, Bytes, Fsync

MEMORY_DISK = Path("/dev/shm")
PATIENCE_SECONDS = 10
KEY = "5f0c1a2b-0000-4000-8000-00000000000a"


def in_use(store: DiskBlobs) -> Iterator[DiskBlobs]:
    yield store
    store.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskBlobs]:
    yield from in_use(DiskBlobs(tmp_path / "blobs"))


class TestDiskBlobs(BlobStoreContract):
    @pytest.fixture(params=list(Fsync))
    def store(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[BlobStore]:
        yield from in_use(DiskBlobs(tmp_path / "blobs", fsync=request.param))


class TestDiskBlobsWhereNobodyKnowsWhatIsCached(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobStore]:
        def cannot_tell(*_: object) -> int:
            raise OSError(errno.EOPNOTSUPP, "as tmpfs says")

        monkeypatch.setattr(blobs_disk, "read_now", cannot_tell)
        yield from in_use(DiskBlobs(tmp_path / "blobs", fsync=Fsync.NEVER))


class TestDiskBlobsWhereNothingIsCached(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobStore]:
        monkeypatch.setattr(blobs_disk, "read_now", lambda *_: None)
        yield from in_use(DiskBlobs(tmp_path / "blobs", fsync=Fsync.NEVER))


class TestDiskBlobsOnASlowDisk(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[BlobStore]:
        store = DiskBlobs(tmp_path / "blobs", fsync=Fsync.NEVER)
        store.pace.timed(time.sleep, SLOW_SECONDS)
        yield from in_use(store)


async def test_an_open_file_outlives_its_blob(disk: DiskBlobs) -> None:
    await store_bytes(disk, KEY, b"abc")

    with disk.open_file(KEY) as opened:
        await disk.remove(KEY)
        assert os.pread(opened.fileno(), 10, 0) == b"abc"
    with pytest.raises(StorageUnavailable):
        disk.open_file(KEY)


# Paths


NO_KEYS = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "5f0c1a2b-0000-4000-8000-00000000000A",
    "5f0c1a2b-0000-4000-8000-00000000000a.note",
    "5f0c1a2b-0000-4000-8000-00000000000a\n",
    "5f0c1a2b-0000-4000-8000-00000000000a/..",
    "5f0c1a2b00004000800000000000000a",
    "5f0c1a2b-0000-4000-8000-0000000000\x000a",
    "sweeper",
]


def tree(root: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


@pytest.mark.parametrize("key", NO_KEYS)
async def test_what_is_no_key_becomes_no_path(disk: DiskBlobs, tmp_path: Path, key: str) -> None:
    before = tree(tmp_path)

    for act in (
        lambda: disk.append(key, at=0),
        lambda: disk.stat(key),
        lambda: pieces(disk, key, 0, 1),
        lambda: disk.sync(key),
        lambda: disk.remove(key),
        lambda: disk.set_note(key, b"note"),
        lambda: disk.note(key),
        lambda: disk.drop_note(key),
    ):
        with pytest.raises(ValueError, match=r"^not a key"):
            await act()

    assert tree(tmp_path) == before


async def test_a_blob_is_one_plain_file_named_by_its_key(disk: DiskBlobs, tmp_path: Path) -> None:
    key = a_key()

    await store_bytes(disk, key, b"abc", complete=True)

    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert files == [tmp_path / "blobs" / key[:2] / key]
    assert files[0].read_bytes() == b"abc"


async def test_nobody_but_us_and_our_group_can_read_a_blob(disk: DiskBlobs) -> None:
    key = a_key()

    await store_bytes(disk, key, b"abc")

    assert disk.path(key).stat().st_mode & 0o007 == 0


async def test_what_is_not_ours_is_not_listed(disk: DiskBlobs, tmp_path: Path) -> None:
    key, folder = a_key(), a_key()
    shard = tmp_path / "blobs" / "00"
    await store_bytes(disk, key, b"abc")

    (shard / "lost+found").mkdir()
    (shard / folder).mkdir()
    (shard / "README").write_text("hello")
    (shard / f"{a_key()}.note.123").write_bytes(b"cut short")
    (shard / a_key()).symlink_to("/etc/passwd")

    assert set(await listed(disk)) == {key}


async def test_the_same_store_is_opened_again_with_everything_in_it(disk: DiskBlobs, tmp_path: Path) -> None:
    key = a_key()
    await store_bytes(disk, key, b"abc")
    await disk.set_note(key, b"note")

    again = DiskBlobs(tmp_path / "blobs")

    assert await content(again, key) == b"abc"
    assert await again.note(key) == b"note"
    again.close()


async def test_a_check_leaves_nothing_behind(disk: DiskBlobs, tmp_path: Path) -> None:
    before = tree(tmp_path)

    await disk.check()

    assert tree(tmp_path) == before


async def test_many_checks_at_once_do_not_mind_each_other(disk: DiskBlobs, tmp_path: Path) -> None:
    before = tree(tmp_path)

    await asyncio.gather(*(disk.check() for _ in range(200)))

    assert tree(tmp_path) == before


async def test_a_check_notices_an_empty_mount_point(disk: DiskBlobs, tmp_path: Path) -> None:
    (tmp_path / "blobs").rename(tmp_path / "away")
    (tmp_path / "blobs").mkdir()

    with pytest.raises(StorageUnavailable):
        await disk.check()


async def test_of_an_empty_mount_point_no_store_is_made_unless_it_is_to_be_new(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()

    store = DiskBlobs(tmp_path / "blobs", new=False)

    assert await store.store_id() is None
    assert list((tmp_path / "blobs").iterdir()) == []
    store.close()


async def test_temporary_files_of_work_that_was_killed_are_removed_when_they_are_old(
    disk: DiskBlobs, tmp_path: Path
) -> None:
    root, key = tmp_path / "blobs", a_key()
    shard = root / key[:2]
    left = [shard / f"{key}.note.0123456789abcdef", root / "00" / "check.77", root / "check.77", root / "store-id.7f"]
    foreign = [shard / "README.txt", root / "00" / "checkers", shard / f"{key}.note.", root / "lost+found"]
    for path in (*left, *foreign):
        path.write_bytes(b"x")

    early = await disk.remove_leftovers(before=datetime.now(UTC) - timedelta(minutes=1))
    late = await disk.remove_leftovers(before=datetime.now(UTC) + timedelta(minutes=1))

    assert (early, late) == (0, len(left))
    assert [path for path in (*left, *foreign) if path.exists()] == foreign


async def test_a_temporary_file_has_a_name_that_is_known_for_a_leftover(
    disk: DiskBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    def kept(self: Path, *, missing_ok: bool = False) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "unlink", kept)
        with pytest.raises(KeyboardInterrupt):
            disk_files.replace(disk.path(KEY).with_name(f"{KEY}.note"), b"note")
        await disk.check()
    await disk.set_store_id(KEY)

    assert await disk.remove_leftovers(before=datetime.now(UTC) + timedelta(minutes=1)) == 2
    assert [path for path in tree(tmp_path / "blobs") if path.is_file()] == [tmp_path / "blobs" / "store-id"]


async def test_some_of_the_free_space_is_kept_for_the_catalog(disk: DiskBlobs, tmp_path: Path) -> None:
    room = os.statvfs(tmp_path)

    free = await disk.free()

    assert free is not None
    assert abs(room.f_bavail * room.f_frsize - RESERVE - free) < 512 * MIB  # others write to it too


# A broken disk


async def broken(tmp_path: Path) -> DiskBlobs:
    """A store whose directories are not there any more."""
    store = DiskBlobs(tmp_path / "blobs")
    (tmp_path / "blobs").rename(tmp_path / "away")
    return store


async def test_a_store_that_is_away_is_unavailable_and_says_no_more(tmp_path: Path) -> None:
    store, key = await broken(tmp_path), a_key()

    for act in (
        lambda: store.append(key, at=0),
        lambda: pieces(store, key, 0, 1),
        lambda: store.set_note(key, b"note"),
        lambda: listed(store),
        store.free,
        store.check,
    ):
        with pytest.raises(StorageUnavailable) as caught:
            await act()
        assert str(caught.value) == "Storage is not reachable; nothing was lost, retry"
        assert isinstance(caught.value.__cause__, OSError)
    store.close()


async def test_a_store_that_comes_back_works_again(tmp_path: Path) -> None:
    store, key = await broken(tmp_path), a_key()
    with pytest.raises(StorageUnavailable):
        await store_bytes(store, key, b"abc")

    (tmp_path / "away").rename(tmp_path / "blobs")
    await store_bytes(store, key, b"abc")

    assert await content(store, key) == b"abc"
    store.close()


def test_a_store_cannot_be_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")

    with pytest.raises(StorageUnavailable):
        DiskBlobs(tmp_path / "blobs")


@pytest.mark.parametrize("slow", [False, True])
async def test_a_write_that_fails_is_unavailable_storage(
    disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is on fire")

    sink = await disk.append(a_key(), at=0)
    monkeypatch.setattr(blobs_disk, "write_all", fails)
    if slow:
        disk.pace.timed(time.sleep, SLOW_SECONDS)

    with pytest.raises(StorageUnavailable):
        await write(sink, [b"abc"])

    await sink.close(complete=False)


@pytest.mark.parametrize("knows_cache", [False, True])
async def test_a_read_that_fails_is_unavailable_storage(
    disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch, knows_cache: bool
) -> None:
    def fails(*_: object) -> int:
        raise OSError(errno.EIO, "the disk is on fire")

    key = a_key()
    await store_bytes(disk, key, b"abc")
    monkeypatch.setattr(disk, "_knows_cache", knows_cache)
    monkeypatch.setattr(os, "preadv", fails)

    with pytest.raises(StorageUnavailable):
        await pieces(disk, key, 0, 3)


async def test_a_sync_that_fails_is_never_a_success(disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "the disk is on fire")

    key = a_key()
    sink = await disk.append(key, at=0)
    await write(sink, [b"abc"])
    monkeypatch.setattr(os, "fsync", fails)

    with pytest.raises(StorageUnavailable):
        await sink.close(complete=True)
    with pytest.raises(StorageUnavailable):
        await disk.sync(key)


@pytest.fixture
def failing_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the next call of a function of `os` fail, as Linux does: it says once that pages could not be written."""

    def fail(name: str) -> None:
        works = getattr(os, name)

        def fails(_: int) -> None:
            monkeypatch.setattr(os, name, works)
            raise OSError(errno.EIO, "the disk is on fire")

        monkeypatch.setattr(os, name, fails)

    return fail


@pytest.mark.parametrize("staged", [False, True])
async def test_what_could_not_be_synced_is_not_there_so_that_a_later_sync_cannot_vouch_for_it(
    disk: DiskBlobs, failing_once: Callable[[str], None], staged: bool
) -> None:
    key = a_key()
    await store_bytes(disk, key, b"abc", complete=False)
    await disk.set_note(key, b"of abc")
    sink = await disk.append(key, at=3, staged=staged)
    await write(sink, [b"def"])

    failing_once("fsync")
    with pytest.raises(BytesLost) as lost:
        await sink.close(complete=True)

    assert lost.value.kept == 0
    assert await content(disk, key) == b""
    assert await disk.note(key) is None
    await store_bytes(disk, key, b"xyz")
    assert await content(disk, key) == b"xyz"


async def test_a_blob_that_could_not_be_synced_after_a_crash_is_empty(
    disk: DiskBlobs, failing_once: Callable[[str], None]
) -> None:
    key = a_key()
    await store_bytes(disk, key, b"abc", complete=False)

    failing_once("fsync")
    with pytest.raises(BytesLost):
        await disk.sync(key)

    await disk.sync(key)
    assert await content(disk, key) == b""


async def test_chunks_that_were_synced_outlive_one_that_cannot_be(
    tmp_path: Path, failing_once: Callable[[str], None]
) -> None:
    store, key = DiskBlobs(tmp_path / "blobs", fsync=Fsync.CHUNK), a_key()
    await store_bytes(store, key, b"abc", complete=False)
    sink = await store.append(key, at=3)
    await write(sink, [b"def"])

    failing_once("fdatasync")
    with pytest.raises(BytesLost) as lost:
        await write(sink, [b"ghi"])
    await sink.close(complete=False)

    assert lost.value.kept == 6
    assert await content(store, key) == b"abcdef"
    store.close()


async def test_staged_chunks_that_cannot_be_synced_when_they_are_kept_are_no_part_of_what_was_kept(
    tmp_path: Path, failing_once: Callable[[str], None]
) -> None:
    store, key = DiskBlobs(tmp_path / "blobs", fsync=Fsync.CHUNK), a_key()
    await store_bytes(store, key, b"abc", complete=False)
    sink = await store.append(key, at=3, staged=True)
    await write(sink, [b"def"])

    failing_once("fsync")
    with pytest.raises(BytesLost) as lost:
        await sink.close(complete=False)

    assert lost.value.kept == 3
    assert await content(store, key) == b"abc"
    store.close()


async def test_no_descriptor_stays_open_whatever_happens(disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "the disk is on fire")

    def open_descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one call, so that nothing is opened meanwhile

    key = a_key()
    await store_bytes(disk, key, bytes(100), complete=True)
    before = open_descriptors()

    await store_bytes(disk, key, b"more", at=100, complete=True)
    await pieces(disk, key, 0, 100)
    for at in (0, 5):
        with pytest.raises(OffsetMismatch):
            await disk.append(key, at=at)
    with pytest.raises(StorageUnavailable):
        await pieces(disk, key, 0, 1000)
    sink = await disk.append(key, at=104)
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageUnavailable):
        await sink.close(complete=True)

    assert open_descriptors() == before


# A full disk


@dataclass
class FakeStatvfs:
    """A disk with so many bytes free."""

    f_bavail: int
    f_frsize: int = 1


@pytest.fixture
def full(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small", room=MIB) as disk:
        yield disk


@pytest.mark.parametrize("slow", [False, True])
async def test_a_disk_that_gets_full_keeps_a_prefix_and_works_again_when_there_is_room(
    full: SmallDisk, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    store, key = DiskBlobs(full.root / "blobs", fsync=Fsync.NEVER), a_key()
    monkeypatch.setattr(store.room, "free", lambda: 10**12)  # as where a quota says no, and the disk has room
    sent = os.urandom(2 * MIB)
    sink = await store.append(key, at=0)
    await write(sink, [sent[: 512 * KIB]])
    if slow:
        store.pace.timed(time.sleep, SLOW_SECONDS)

    with pytest.raises(StorageFull, match=r"^Storage is full, 0 B left; nothing was lost, retry when there is room$"):
        await write(sink, [sent[512 * KIB : 1024 * KIB], sent[1024 * KIB :]])
    await sink.close(complete=False)
    kept = await content(store, key)
    full.make_room()
    assert kept is not None
    await store_bytes(store, key, sent[len(kept) :], at=len(kept))

    assert 512 * KIB <= len(kept) <= full.room
    assert sent.startswith(kept)
    assert await content(store, key) == sent
    store.close()


@pytest.mark.parametrize("slow", [False, True])
async def test_uploads_leave_the_catalog_its_room_on_a_disk_that_gets_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    size = 40 * MIB
    blobs = tmp_path / "blobs"

    def small(_: Path) -> FakeStatvfs:
        return FakeStatvfs(size - sum(path.stat().st_size for path in blobs.rglob("*") if path.is_file()))

    store, key = DiskBlobs(blobs, fsync=Fsync.NEVER), a_key()
    monkeypatch.setattr(os, "statvfs", small)
    sink = await store.append(key, at=0)

    async def write_on_and_on() -> None:
        for _ in range(200):
            if slow:
                store.pace.timed(time.sleep, SLOW_SECONDS)
            await write(sink, [bytes(300 * KIB)])

    with pytest.raises(StorageFull) as caught:
        await write_on_and_on()
    await sink.close(complete=False)
    blob = await store.stat(key)

    assert blob is not None
    assert size - RESERVE - 300 * KIB < blob.size <= size - RESERVE
    assert caught.value.free == await store.free() == size - RESERVE - blob.size
    store.close()


async def test_a_full_disk_has_no_room(full: SmallDisk) -> None:
    store = DiskBlobs(full.root / "blobs")

    free = await store.free()

    room = os.statvfs(full.root)
    assert free == max(0, room.f_bavail * room.f_frsize - RESERVE)
    store.close()


async def test_a_store_without_room_for_a_check_is_unavailable(
    disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(StorageFull):
        await disk.check()


# A slow disk


class Stuck:
    """A `write_all` that waits until the loop lets it go on: on the loop's own thread it never would."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []

    def __call__(self, fd: int, views: Sequence[Bytes], at: int) -> None:
        self.threads.append(threading.current_thread())
        assert self.go_on.wait(PATIENCE_SECONDS), "the loop did not turn"
        write_all(fd, views, at)


class Noting:
    """A `write_all` that says where it ran and takes as long as it is told, and no longer on a busy machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on_loop: list[bool] = []
        self.seconds = 0.0
        self._now = 0.0
        monkeypatch.setattr(blobs_disk, "write_all", self)
        monkeypatch.setattr(disk_io, "perf_counter", lambda: self._now)

    def __call__(self, fd: int, views: Sequence[Bytes], at: int) -> None:
        self.on_loop.append(threading.current_thread() is threading.main_thread())
        self._now += self.seconds
        write_all(fd, views, at)


async def test_a_stalled_disk_does_not_stall_the_loop(disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    key, stuck = a_key(), Stuck()
    disk.pace.timed(time.sleep, SLOW_SECONDS)
    sink = await disk.append(key, at=0)
    monkeypatch.setattr(blobs_disk, "write_all", stuck)

    going_on = sink.write([b"abc"], 3)
    assert going_on is not None
    asyncio.get_running_loop().call_later(0.02, stuck.go_on.set)
    await going_on
    await sink.close(complete=False)

    assert threading.main_thread() not in stuck.threads
    assert await content(disk, key) == b"abc"


async def test_after_one_slow_write_all_are_done_in_threads_until_a_row_was_quick(
    disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, noting = a_key(), Noting(monkeypatch)
    sink = await disk.append(key, at=0)

    await write(sink, [b"a"])
    noting.seconds = SLOW_SECONDS * 1.2
    await write(sink, [b"b"])
    await write(sink, [b"c"])
    noting.seconds = 0
    for _ in range(QUICK_IN_A_ROW):
        await write(sink, [b"d"])
    await write(sink, [b"e"])
    await sink.close(complete=False)

    assert noting.on_loop == [True, True, *[False] * (1 + QUICK_IN_A_ROW), True]
    assert await content(disk, key) == b"abc" + b"d" * QUICK_IN_A_ROW + b"e"


async def test_a_read_that_has_to_wait_for_the_disk_is_done_in_a_thread(
    disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = a_key()
    threads = []
    await store_bytes(disk, key, b"abc")
    preadv = os.preadv

    def noting(fd: int, buffers: list[memoryview], at: int, flags: int = 0) -> int:
        if flags:
            raise BlockingIOError
        threads.append(threading.current_thread())
        return preadv(fd, buffers, at)

    monkeypatch.setattr(os, "preadv", noting)

    assert await pieces(disk, key, 0, 3) == [b"abc"]
    assert threads
    assert threading.main_thread() not in threads


async def test_where_the_cache_is_unknown_reads_leave_the_loop_when_one_was_slow(
    disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = a_key()
    on_loop: list[bool] = []
    await store_bytes(disk, key, b"abc")
    preadv = os.preadv

    def slow(fd: int, buffers: list[memoryview], at: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, "as tmpfs says")
        on_loop.append(threading.current_thread() is threading.main_thread())
        time.sleep(SLOW_SECONDS * 1.2)
        return preadv(fd, buffers, at)

    monkeypatch.setattr(os, "preadv", slow)

    assert await pieces(disk, key, 0, 3, piece_size=1) == [b"a", b"b", b"c"]
    assert on_loop == [True, False, False]


@pytest.mark.skipif(not MEMORY_DISK.is_dir(), reason="this system has no /dev/shm")
async def test_a_real_tmpfs_is_read() -> None:
    root, key = MEMORY_DISK / f"uploadstream-{a_key()}", a_key()
    store = DiskBlobs(root, fsync=Fsync.NEVER)
    try:
        await store_bytes(store, key, bytes(range(250)))

        assert await pieces(store, key, 1, 250, piece_size=100) == [
            bytes(range(1, 101)),
            bytes(range(101, 201)),
            bytes(range(201, 250)),
        ]
    finally:
        await store.remove(key)
        store.close()
        for shard in root.iterdir():
            shard.rmdir()
        root.rmdir()


# Durability


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is synced, as it is."""
    names: list[str] = []
    fsync = os.fsync

    def noting(fd: int) -> None:
        names.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    def noting_data(fd: int) -> None:
        names.append(f"data of {Path(f'/proc/self/fd/{fd}').readlink().name}")
        fdatasync(fd)

    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(os, "fdatasync", noting_data)
    return names


@pytest.mark.parametrize(
    ("policy", "part", "whole"),
    [(Fsync.NEVER, False, False), (Fsync.COMPLETE, False, True), (Fsync.CHUNK, True, True)],
)
async def test_what_is_synced_is_what_the_policy_says(
    tmp_path: Path, synced: list[str], policy: Fsync, part: bool, whole: bool
) -> None:
    store, key = DiskBlobs(tmp_path / "blobs", fsync=policy), a_key()
    file_and_name = [key, key[:2]]
    synced.clear()

    await store_bytes(store, key, b"abc", complete=False)
    after_part = synced.copy()
    synced.clear()
    await store_bytes(store, key, b"def", at=3, complete=True)
    after_whole = synced.copy()
    synced.clear()
    await store.sync(key)

    data = [f"data of {key}"] if policy is Fsync.CHUNK else []
    assert after_part == ([*data, key[:2], *file_and_name] if part else [])
    assert after_whole == ([*data, *file_and_name] if whole else [])
    assert synced == (file_and_name if whole else [])
    store.close()


async def test_where_every_chunk_is_to_be_durable_a_write_is_done_when_it_is_synced(
    tmp_path: Path, synced: list[str]
) -> None:
    store, key = DiskBlobs(tmp_path / "blobs", fsync=Fsync.CHUNK), a_key()
    sink = await store.append(key, at=0)
    synced.clear()

    for number in range(3):
        before = len(synced)
        going_on = sink.write([b"abc"], 3)
        assert going_on is not None
        await going_on
        assert synced[before:] == [f"data of {key}", key[:2]][: 1 if number else 2]

    await sink.close(complete=False)
    assert await content(store, key) == b"abcabcabc"
    store.close()


async def test_a_chunk_that_cannot_be_synced_was_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "the disk is on fire")

    store = DiskBlobs(tmp_path / "blobs", fsync=Fsync.CHUNK)
    sink = await store.append(a_key(), at=0)
    monkeypatch.setattr(os, "fdatasync", fails)

    with pytest.raises(StorageUnavailable):
        await write(sink, [b"abc"])
    await sink.close(complete=False)
    store.close()


@pytest.mark.parametrize("policy", list(Fsync))
def test_the_directories_of_a_new_store_are_durable_before_anything_is_put_there(
    tmp_path: Path, synced: list[str], policy: Fsync
) -> None:
    root = tmp_path / "new" / "blobs"

    DiskBlobs(root, fsync=policy).close()
    at_first = synced.copy()
    synced.clear()
    DiskBlobs(root, fsync=policy).close()
    with_all_there = synced.copy()
    (root / "7f").rmdir()
    DiskBlobs(root, fsync=policy).close()

    if policy is Fsync.NEVER:
        assert at_first == synced == []
    else:
        assert at_first == [tmp_path.name, "new", "blobs"]
        assert synced == ["blobs"]
    assert with_all_there == []


async def test_syncing_never_holds_up_the_loop(disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    key, go_on = a_key(), threading.Event()

    def stuck(_: int) -> None:
        assert go_on.wait(PATIENCE_SECONDS), "the loop did not turn"

    monkeypatch.setattr(os, "fsync", stuck)
    asyncio.get_running_loop().call_later(0.02, go_on.set)

    await store_bytes(disk, key, b"abc", complete=True)

    assert go_on.is_set()


@pytest.mark.parametrize("policy", [Fsync.COMPLETE, Fsync.CHUNK, Fsync.NEVER])
async def test_writing_back_begins_early_so_that_the_sync_at_the_end_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Fsync
) -> None:
    ranges: list[tuple[int, int]] = []
    monkeypatch.setattr(blobs_disk, "start_writeback", lambda fd, start, count: ranges.append((start, count)))
    store, key = DiskBlobs(tmp_path / "blobs", fsync=policy), a_key()
    sink = await store.append(key, at=0)

    for _ in range(40):
        await write(sink, [bytes(MIB)])
        await asyncio.sleep(0.001)  # as a socket would
    await sink.close(complete=False)

    if policy is not Fsync.COMPLETE:  # nothing is synced, or everything at once
        assert ranges == []
    else:
        assert ranges[0][0] == 0
        ends = [start + count for start, count in ranges]
        assert [start for start, _ in ranges[1:]] == ends[:-1]
        assert all(count >= WRITEBACK_EVERY - MIB for _, count in ranges)
        assert 40 * MIB - 2 * WRITEBACK_EVERY < ends[-1] <= 40 * MIB
    store.close()


async def test_a_cut_while_a_blob_is_let_go_still_closes_it(disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    key, go_on = a_key(), threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: go_on.wait(PATIENCE_SECONDS))
    sink = await disk.append(key, at=0)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one call, so that nothing is opened meanwhile

    closing = asyncio.ensure_future(sink.close(complete=True))
    await asyncio.sleep(0.02)
    closing.cancel()
    with suppress(asyncio.CancelledError):
        await closing
    go_on.set()
    disk.close()

    assert len(os.listdir("/proc/self/fd")) < before + 1  # noqa: PTH208


def test_the_policies_are_spelled_as_the_setting() -> None:
    assert [policy.value for policy in Fsync] == ["never", "complete", "chunk"]
