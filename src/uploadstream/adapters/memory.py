"""Blobs and leases in dicts, for tests and first looks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from uploadstream.core.errors import Busy, OffsetMismatch, StorageUnavailable
from uploadstream.core.parts import Span
from uploadstream.ports import Blob, Bytes, Clock, Lease, Sink


class MemoryBlobs:
    """Every blob is a bytearray."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.content: dict[str, bytearray] = {}
        self._touched: dict[str, datetime] = {}
        self._notes: dict[str, tuple[int, bytes]] = {}
        self._store_id: str | None = None

    async def append(
        self, key: str, *, at: int, staged: bool = False, check: Callable[[], None] = lambda: None
    ) -> Sink:
        """See ports.BlobStore."""
        check()
        end = len(self.content.get(key, b""))
        if end != at:
            raise OffsetMismatch(expected=end, given=at)
        content = self.content.setdefault(key, bytearray())
        self._touched.setdefault(key, self._clock.now())
        return MemorySink(self, key, content, staged=staged)

    async def stat(self, key: str) -> Blob | None:
        """See ports.BlobStore."""
        if key not in self.content:
            return None
        return Blob(key, len(self.content[key]), self._touched[key])

    async def read(self, key: str, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        """See ports.BlobStore."""
        content = self.content.get(key, bytearray())
        for begin in range(start, stop, piece_size):
            wanted = min(piece_size, stop - begin)
            piece = bytes(content[begin : begin + wanted])
            if len(piece) < wanted:
                raise StorageUnavailable
            yield piece
            await asyncio.sleep(0)

    async def copy(self, span: Span, *, key: str, at: int) -> None:
        """See ports.BlobStore."""
        content = bytes(self.content.get(span.key, b"")[span.start : span.stop])
        if len(content) < span.stop - span.start:
            raise StorageUnavailable
        sink = await self.append(key, at=at)
        sink.write([content], len(content))

    async def sync(self, key: str) -> None:
        """See ports.BlobStore."""

    async def remove(self, key: str) -> None:
        """See ports.BlobStore."""
        self.content.pop(key, None)
        self._touched.pop(key, None)
        self._notes.pop(key, None)

    async def fence(self, key: str, *, check: Callable[[], None] = lambda: None) -> None:
        """See ports.BlobStore."""
        check()
        if key in self.content:
            self._notes.pop(key, None)
            self.content[key] = bytearray(self.content[key])

    async def set_note(self, key: str, note: bytes, *, of: int | None = None) -> None:
        """See ports.BlobStore."""
        self._notes[key] = (self._blob_id(key) if of is None else of, note)

    async def note(self, key: str) -> bytes | None:
        """See ports.BlobStore."""
        of, note = self._notes.get(key, (0, None))
        return note if of == self._blob_id(key) else None

    def _blob_id(self, key: str) -> int:
        return id(self.content[key]) if key in self.content else 0

    async def drop_note(self, key: str) -> None:
        """See ports.BlobStore."""
        self._notes.pop(key, None)

    async def blobs(self) -> AsyncIterator[Blob]:
        """See ports.BlobStore."""
        for key in list(self.content):
            blob = await self.stat(key)
            if blob is not None:
                yield blob

    async def notes(self) -> AsyncIterator[str]:
        """See ports.BlobStore."""
        for key in list(self._notes):
            yield key

    async def remove_leftovers(self, *, before: datetime) -> int:  # noqa: ARG002 - nothing is ever left over
        """See ports.BlobStore."""
        return 0

    async def free(self) -> int | None:
        """See ports.BlobStore."""
        return None

    async def store_id(self) -> str | None:
        """See ports.BlobStore."""
        return self._store_id

    async def set_store_id(self, store_id: str) -> str:
        """See ports.BlobStore."""
        self._store_id = self._store_id or store_id
        return self._store_id

    async def check(self) -> None:
        """See ports.BlobStore."""

    def add(self, key: str, blob: bytearray, content: Bytes) -> None:
        """A blob has got bytes; it may not be the key's any more."""
        blob += content
        if self.content.get(key) is blob:
            self._touched[key] = self._clock.now()


class MemorySink:
    """The end of a bytearray."""

    def __init__(self, store: MemoryBlobs, key: str, blob: bytearray, *, staged: bool) -> None:
        self._store, self._key, self._blob = store, key, blob
        self._staged = bytearray() if staged else None

    def write(self, views: Sequence[Bytes], count: int) -> None:
        """See ports.Sink."""
        content = b"".join(views)
        if len(content) != count:
            message = f"told {count} bytes"
            raise ValueError(message)
        if self._staged is None:
            self._store.add(self._key, self._blob, content)
        else:
            self._staged += content

    @property
    def blob_id(self) -> int:
        """See ports.Sink."""
        return id(self._blob)

    async def close(self, *, complete: bool, keep: bool = True) -> bool:  # noqa: ARG002 - nothing here is durable
        """See ports.Sink."""
        if self._staged is not None and keep:
            self._store.add(self._key, self._blob, self._staged)
        return False


class MemoryLease:
    """Held until it is given back: a process that stands still keeps all of its requests from going on."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def check(self) -> None:
        """See ports.Lease."""

    async def give_back(self) -> None:
        """See ports.Lease."""
        self._end()


class MemoryLeases:
    """Leases within one process."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, Callable[[], None] | None]] = {}
        self._arrivals = itertools.count()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def hold(
        self,
        key: str,
        *,
        let_go: Callable[[], None] | None = None,
        patience_seconds: float = 0,
        new: bool = False,  # noqa: ARG002 - it costs nothing to look
    ) -> AsyncIterator[Lease]:
        """See ports.Leases."""
        arrived = next(self._arrivals)
        if key in self._held:
            await self._wait(key, patience_seconds, arrived)
        self._held[key] = holder = (arrived, let_go)
        try:
            yield MemoryLease(lambda: self._free(key, holder))
        finally:
            self._free(key, holder)

    def _free(self, key: str, holder: tuple[int, Callable[[], None] | None]) -> None:
        if self._held.get(key) is holder:
            del self._held[key]
            self._freed.set()

    async def _wait(self, key: str, patience_seconds: float, arrived: int) -> None:
        if not patience_seconds:
            raise Busy(upload_id=key)
        try:
            async with asyncio.timeout(patience_seconds):
                while key in self._held:
                    since, let_go = self._held[key]
                    if let_go is not None and arrived > since:
                        let_go()
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise Busy(upload_id=key) from None
