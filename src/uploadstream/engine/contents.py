"""The bytes of finished files, wherever the store has them now.

Those of a joined file are moved into one blob some day (gathering.py), after which its parts are gone. Whoever looked
the file up before, and misses a part now, looks it up again: the bytes are the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from io import FileIO

from uploadstream.core.errors import NotFound, StorageUnavailable
from uploadstream.core.files import File
from uploadstream.core.parts import spans
from uploadstream.engine.joining import read_parts
from uploadstream.ports import BlobStore, Catalog, OpensFiles, Ports


@dataclass(frozen=True, slots=True)
class Opened:
    """The bytes from `start` up to `stop` of a file of the operating system, which is open while they are needed."""

    file: FileIO
    start: int
    stop: int


class Contents:
    """Reads files out of a store."""

    def __init__(self, ports: Ports) -> None:
        self._blobs: BlobStore = ports.blobs
        self._catalog: Catalog = ports.catalog

    def read(self, file: File, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        """The bytes of a file from `start` up to `stop`, in pieces."""
        if file.parts:
            return self._read_parts(file, start=start, stop=stop, piece_size=piece_size)
        return self._blobs.read(file.id, start=start, stop=stop, piece_size=piece_size)

    def opened(self, file: File, *, start: int, stop: int) -> AsyncIterator[Opened] | None:
        """Where the operating system has the same bytes, in order; None where they can only be read."""
        return self._opened(self._blobs, file, start, stop) if isinstance(self._blobs, OpensFiles) else None

    async def stored_size(self, file: File) -> int | None:
        """How many bytes of a file the store has; None if it has no blob of it."""
        while True:
            found = [await self._blobs.stat(part.key) for part in file.blobs]
            sizes = [blob.size for blob in found if blob is not None]
            moved = None if file.is_whole(sum(sizes)) else await self._moved(file)
            if moved is None:
                return sum(sizes) if sizes else None
            file = moved

    async def _read_parts(self, file: File, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        while True:
            try:
                reading = read_parts(self._blobs, file.blobs, start=start, stop=stop, piece_size=piece_size)
                async with aclosing(reading) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        start += len(piece)
                        yield piece
            except StorageUnavailable:
                moved = await self._moved(file)
                if moved is None:
                    await self._check_kept(file)
                    raise
                file = moved
            else:
                return

    async def _opened(self, blobs: OpensFiles, file: File, start: int, stop: int) -> AsyncIterator[Opened]:
        while True:
            try:
                for span in spans(file.blobs, start=start, stop=stop):
                    with blobs.open_file(span.key) as opened:
                        yield Opened(opened, span.start, span.stop)
                    start += span.stop - span.start
            except StorageUnavailable:
                moved = await self._moved(file)
                if moved is None:
                    await self._check_kept(file)
                    raise
                file = moved
            else:
                return

    async def _check_kept(self, file: File) -> None:
        """NotFound, if it is not the store that fails us, but the file that has been purged since it was looked up."""
        if await self._catalog.file(file.id) is None:
            raise NotFound(kind="file", id=file.id)

    async def _moved(self, file: File) -> File | None:
        """The file as it is now, if its bytes are elsewhere since it was looked up."""
        now = await self._catalog.file(file.id) if file.parts else None
        return now if now is not None and now.parts != file.parts else None
