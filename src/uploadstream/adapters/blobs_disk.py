"""Blobs as plain files: `blobs/4f/4f1c….` under one directory, which are appended to and never moved.

Blocking calls run on the loop while the disk answers at once and in threads when it does not (see `Pace`); what is
known to block (fsync, walks) always runs in a thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from uploadstream.adapters import disk_ends, disk_fences, disk_names
from uploadstream.adapters.disk_files import make_directories, opened, place_first, sync, temporary, unlink
from uploadstream.adapters.disk_io import Pace, Room, copy_range, read_now, start_writeback, write_all
from uploadstream.core.errors import BytesLost, OffsetMismatch, StorageFull, StorageUnavailable
from uploadstream.core.parts import Span
from uploadstream.core.sizes import MIB
from uploadstream.ports import Blob, Bytes, Fsync, Sink

WRITEBACK_EVERY: Final = 8 * MIB
# Space that uploads never take: the catalog lives on the same disk, and has to note what is deleted to make room.
RESERVE: Final = 16 * MIB

P = ParamSpec("P")
T = TypeVar("T")


class DiskBlobs:
    """The blob store of one machine, or of several processes on it."""

    def __init__(self, root: Path, *, fsync: Fsync = Fsync.COMPLETE, threads: int = 8, new: bool = True) -> None:
        """The store at `root`. Unless `new`, nothing is made where there is none: it may be an empty mount point."""
        self.fsync: Final = fsync
        self.pace: Final = Pace()
        self.room: Final = Room(root, reserve=RESERVE)
        self._read_pace = Pace()
        self._knows_cache = True
        self._root = root
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="disk")
        with translated():
            if new or disk_names.store_id_of(root).exists():
                make_directories(disk_names.shards(root), durable=fsync is not Fsync.NEVER)

    def close(self) -> None:
        """Let running work end."""
        self._threads.shutdown(wait=True)

    def path(self, key: str) -> Path:
        """The file of a key."""
        return disk_names.path_of(self._root, key)

    def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run blocking work in one of the store's threads, its errors translated."""

        def run() -> T:
            with translated():
                return work(*args, **kwargs)

        return asyncio.get_running_loop().run_in_executor(self._threads, run)

    async def append(
        self, key: str, *, at: int, staged: bool = False, check: Callable[[], None] = lambda: None
    ) -> Sink:
        """See ports.BlobStore."""
        # Nothing here waits, as a request cut meanwhile would leave an open descriptor or a thread at work behind.
        path = self.path(key)
        with translated():
            fd = _open_end(path, at=at, staged=staged, check=check)
        return DiskSink(self, fd, path, at=at, staged=staged)

    async def stat(self, key: str) -> Blob | None:
        """See ports.BlobStore."""
        with translated():
            try:
                return disk_names.blob_of(key, *disk_ends.measured(self.path(key)))
            except FileNotFoundError:
                return None

    async def read(self, key: str, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        """See ports.BlobStore."""
        if start >= stop:  # an empty file need not be there
            return
        with translated():
            path = self.path(key)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with translated():
                end = disk_ends.marked_end(path)
            there = stop if end is None else min(stop, end)
            buffer = memoryview(bytearray(min(piece_size, stop - start)))
            while start < stop:
                count = await self._read_into(fd, buffer[: max(0, there - start)], start)
                if not count:
                    raise StorageUnavailable
                yield bytes(buffer[:count])
                start += count
                if start < stop:
                    await asyncio.sleep(0)  # what is in memory is read without waiting, and others want to run
        finally:
            os.close(fd)

    def open_file(self, key: str) -> FileIO:
        """See ports.OpensFiles."""
        with translated():
            return FileIO(self.path(key))

    async def _read_into(self, fd: int, buffer: memoryview, at: int) -> int:
        """On the loop while the bytes are in memory, or, where that is not known, while the disk is quick."""
        pace = self._read_pace
        if self._knows_cache:
            try:
                with translated():
                    count = read_now(fd, buffer, at)
            except StorageUnavailable as error:
                if getattr(error.__cause__, "errno", None) != errno.EOPNOTSUPP:
                    raise
                self._knows_cache = False
            else:
                return await self.in_thread(os.preadv, fd, [buffer], at) if count is None else count
        if pace.is_slow:
            return await self.in_thread(pace.timed, os.preadv, fd, [buffer], at)
        with translated():
            return pace.timed(os.preadv, fd, [buffer], at)

    async def copy(self, span: Span, *, key: str, at: int) -> None:
        """See ports.BlobStore."""
        await self.in_thread(self._copy, span, self.path(key), at)

    def _copy(self, span: Span, path: Path, at: int) -> None:
        with opened(self.path(span.key)) as source:
            if disk_ends.measured(self.path(span.key))[0] < span.stop:
                raise StorageUnavailable
            fd = _open_end(path, at=at, staged=False, check=lambda: None)
            try:
                self.room.take(span.stop - span.start)
                copy_range(source, fd, span, at=at)
                if self.fsync is Fsync.COMPLETE:
                    start_writeback(fd, at, span.stop - span.start)
                elif self.fsync is Fsync.CHUNK:
                    os.fdatasync(fd)
            finally:
                os.close(fd)

    async def sync(self, key: str) -> None:
        """See ports.BlobStore."""
        if self.fsync is not Fsync.NEVER:
            await self.in_thread(self._sync, self.path(key))

    def _sync(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            with opened(path, os.O_WRONLY) as fd, vouched_for(fd, path, kept=0):
                os.fsync(fd)
            sync(path.parent)  # the name too

    async def remove(self, key: str) -> None:
        """See ports.BlobStore."""
        path = self.path(key)
        await self.in_thread(unlink, path, disk_names.note_of(path), disk_ends.marker(path))

    async def fence(self, key: str, *, check: Callable[[], None] = lambda: None) -> None:
        """See ports.BlobStore."""
        durable = self.fsync is not Fsync.NEVER
        await self.in_thread(disk_fences.fence, self.path(key), self.room, durable=durable, check=check)

    async def set_note(self, key: str, note: bytes, *, of: int | None = None) -> None:
        """See ports.BlobStore."""
        await self.in_thread(disk_fences.set_note, self.path(key), note, of)

    async def note(self, key: str) -> bytes | None:
        """See ports.BlobStore."""
        with translated():
            return disk_fences.note(self.path(key))

    async def drop_note(self, key: str) -> None:
        """See ports.BlobStore."""
        with translated(), suppress(FileNotFoundError):
            disk_names.note_of(self.path(key)).unlink()

    async def blobs(self) -> AsyncIterator[Blob]:
        """See ports.BlobStore."""
        for directory in disk_names.shards(self._root):
            for blob in await self.in_thread(disk_names.scan, directory):
                yield blob

    async def notes(self) -> AsyncIterator[str]:
        """See ports.BlobStore."""
        for directory in disk_names.shards(self._root):
            for key in await self.in_thread(disk_names.scan_notes, directory):
                yield key

    async def remove_leftovers(self, *, before: datetime) -> int:
        """See ports.BlobStore."""
        counts = [
            await self.in_thread(disk_names.remove_leftovers, directory, before.timestamp())
            for directory in (self._root, *disk_names.shards(self._root))
        ]
        return sum(counts)

    async def free(self) -> int | None:
        """See ports.BlobStore."""
        with translated():
            return self.room.free()

    async def store_id(self) -> str | None:
        """See ports.BlobStore."""
        return await self.in_thread(disk_names.read_store_id, self._root)

    async def set_store_id(self, store_id: str) -> str:
        """See ports.BlobStore."""
        content = f"{store_id}\n".encode("ascii")
        kept = await self.in_thread(place_first, disk_names.store_id_of(self._root), content)
        return kept.decode("ascii", "replace").strip()

    async def check(self) -> None:
        """See ports.BlobStore."""
        # In one of the directories, which an empty mount point has not; under a name that no other check uses.
        path = temporary(disk_names.shards(self._root)[0] / disk_names.CHECK)

        def write() -> None:
            try:
                path.write_bytes(b"ok")
            finally:
                path.unlink(missing_ok=True)

        await self.in_thread(write)


class DiskSink:
    """One blob, open for appending."""

    def __init__(self, store: DiskBlobs, fd: int, path: Path, *, at: int, staged: bool) -> None:
        self._store = store
        self._fd = fd
        self._blob_id = os.fstat(fd).st_ino
        self._path = path
        self._start = at
        self._end = at
        self._staged = staged
        # Where the bytes end that are on the disk for sure.
        self._durable_end = at if store.fsync is Fsync.CHUNK else 0
        # The mark is on the disk before any byte that it is about.
        self._is_mark_durable = not staged or store.fsync is Fsync.NEVER
        self._written_back = at
        self._writing_back: asyncio.Future[None] | None = None

    def write(self, views: Sequence[Bytes], count: int) -> Awaitable[None] | None:
        """See ports.Sink."""
        at = self._end
        self._end += count
        pace, policy = self._store.pace, self._store.fsync
        if not self._is_mark_durable:
            self._is_mark_durable = True
            return self._store.in_thread(self._write_behind_mark, views, count, at)
        if policy is Fsync.CHUNK:
            return self._store.in_thread(self._write_durably, views, count, at)
        if self._end - self._written_back >= WRITEBACK_EVERY and policy is Fsync.COMPLETE:
            self._start_writeback(at)
        if pace.is_slow:
            return self._store.in_thread(pace.timed, self._write, views, count, at)
        with translated():
            self._store.room.take(count)
            pace.timed(write_all, self._fd, views, at)
        return None

    def _write(self, views: Sequence[Bytes], count: int, at: int) -> None:
        self._store.room.take(count)
        write_all(self._fd, views, at)

    def _write_behind_mark(self, views: Sequence[Bytes], count: int, at: int) -> None:
        sync(self._path.parent)
        write = self._write_durably if self._store.fsync is Fsync.CHUNK else self._write
        write(views, count, at)

    def _write_durably(self, views: Sequence[Bytes], count: int, at: int) -> None:
        self._write(views, count, at)
        with vouched_for(self._fd, self._path, kept=self._durable_end):
            os.fdatasync(self._fd)
        if not self._staged:  # whose bytes are none of the blob's yet
            self._durable_end = at + count
        if not at:
            sync(self._path.parent)  # the name too

    def _start_writeback(self, stop: int) -> None:
        """Let the kernel begin to write what is complete, so that the sync at the end is short."""
        if self._writing_back is not None and not self._writing_back.done():
            return
        start, self._written_back = self._written_back, stop
        self._writing_back = self._store.in_thread(start_writeback, self._fd, start, stop - start)

    @property
    def blob_id(self) -> int:
        """See ports.Sink."""
        return self._blob_id

    async def close(self, *, complete: bool, keep: bool = True) -> bool:
        """See ports.Sink."""
        policy = self._store.fsync
        durable = policy is Fsync.CHUNK or (complete and policy is Fsync.COMPLETE)
        try:
            if self._writing_back is not None:
                await asyncio.wait([self._writing_back])
            if self._staged and not keep:
                await self._store.in_thread(self._drop)
            elif durable:
                await self._store.in_thread(self._sync)
            elif self._staged:
                with translated():
                    self._unmark()
        finally:
            os.close(self._fd)
        return durable and (keep or not self._staged)

    def _sync(self) -> None:
        with vouched_for(self._fd, self._path, kept=self._durable_end):
            os.fsync(self._fd)
        if self._staged:
            self._unmark()
        sync(self._path.parent)  # the name too

    def _drop(self) -> None:
        os.ftruncate(self._fd, self._start)
        self._unmark()

    def _unmark(self) -> None:
        if disk_fences.is_current(self._fd, self._path):  # else it is another's mark
            disk_ends.unmark(self._path)


@contextmanager
def vouched_for(fd: int, path: Path, *, kept: int) -> Iterator[None]:
    """If a sync fails, the blob that is open ends behind what was synced before. BytesLost.

    Linux says once that pages could not be written, and takes them for written from then on (fsync(2), EIO): the next
    sync would succeed, and they would be read from memory until that is needed for something else.
    """
    try:
        yield
    except OSError as error:
        disk_names.note_of(path).unlink(missing_ok=True)
        os.ftruncate(fd, kept)
        raise BytesLost(kept=kept) from error


def _open_end(path: Path, *, at: int, staged: bool, check: Callable[[], None]) -> int:
    """The file of a blob that ends at `at`, for writing. OffsetMismatch, OSError."""
    try:
        fd = os.open(path, os.O_WRONLY | (0 if at else os.O_CREAT) | os.O_CLOEXEC, 0o640)
    except FileNotFoundError:
        if path.parent.exists():
            raise OffsetMismatch(expected=0, given=at) from None
        raise
    try:
        check()
        disk_ends.settle(fd, path, at=at, staged=staged)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def translated() -> Iterator[None]:
    """The operating system's errors as the port's."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFull(free=0) from error
        raise StorageUnavailable from error
