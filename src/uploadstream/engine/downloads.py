"""Bytes out of the store: whole files, ranges, and uploads that are still being written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from uploadstream.core.access import Caller, Scope
from uploadstream.core.errors import StorageUnavailable
from uploadstream.core.files import Action, File, audit_of
from uploadstream.core.session import Session
from uploadstream.core.sizes import MIB
from uploadstream.engine.contents import Contents, Opened
from uploadstream.engine.files import Files
from uploadstream.engine.sums import sum_of
from uploadstream.engine.uploads import Uploaded, Uploads
from uploadstream.ports import BlobStore, Catalog, Clock, Ports

FOLLOW_SECONDS: Final = 0.1


class Downloads:
    """Every protocol's way to read."""

    def __init__(self, ports: Ports, files: Files, uploads: Uploads, *, audited: bool = False) -> None:
        self._blobs: BlobStore = ports.blobs
        self._contents = Contents(ports)
        self._catalog: Catalog = ports.catalog
        self._clock: Clock = ports.clock
        self._files = files
        self._uploads = uploads
        self._audited = audited

    async def open(self, file_id: str, caller: Caller) -> File:
        """The file to be read. NotFound, Gone."""
        return await self._files.open(file_id, caller)

    async def begin(self, found: File | Session, caller: Caller, *, start: int, count: int | None) -> None:
        """To be called before the first byte is sent: if downloads are to be in the trail, this one is.

        `count`: how many bytes were asked for, from `start` on; None: all that will come.
        """
        if self._audited:
            owner = found.user_id if isinstance(found, File) else found.declared.user_id
            asked = {"start": str(start)} | ({} if count is None else {"bytes": str(count)})
            audit = audit_of(found.id, Action.DOWNLOAD, caller, at=self._clock.now(), **asked)
            await self._catalog.record(audit, owner=owner)

    def read(self, file: File, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        """Its bytes from `start` up to `stop`, in pieces."""
        return self._contents.read(file, start=start, stop=stop, piece_size=piece_size)

    def opened(self, file: File, *, start: int, stop: int) -> AsyncIterator[Opened] | None:
        """The same bytes as the operating system has them, in order; None where they can only be read."""
        return self._contents.opened(file, start=start, stop=stop)

    async def digest(self, file: File, algorithm: str) -> bytes:
        """The checksum of all its bytes, which are read for that."""
        pieces = self.read(file, start=0, stop=file.size, piece_size=MIB) if file.size else None
        return await sum_of(pieces, algorithm)

    async def open_or_follow(self, file_id: str, caller: Caller) -> Uploaded:
        """The file, or the open upload that may become it. NotFound, Gone."""
        caller.check_may(Scope.READ)
        return await self._uploads.status(file_id, caller)

    async def follow(
        self, upload_id: str, caller: Caller, *, start: int, stop: int | None, piece_size: int
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` on as they arrive, until `stop` or the file's end. Gone if there will be no file.

        The last byte of all comes when the file is there: an upload that has all bytes may yet be refused, and who
        counts them is not to take it for a file.
        """
        while True:
            found = await self._uploads.status(upload_id, caller)
            end = _sure_end(found) if stop is None else min(stop, _sure_end(found))
            if start < end:
                try:
                    async for piece in self._read(found, start=start, stop=end, piece_size=piece_size):
                        start += len(piece)
                        yield piece
                except StorageUnavailable:
                    await self._uploads.status(upload_id, caller)  # it may have ended meanwhile, with its bytes
                    raise
            elif found.file is not None or (stop is not None and start >= stop):
                return
            else:
                await asyncio.sleep(FOLLOW_SECONDS)

    def _read(self, found: Uploaded, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        if found.file is None:
            return self._blobs.read(found.session.id, start=start, stop=stop, piece_size=piece_size)
        return self.read(found.file, start=start, stop=stop, piece_size=piece_size)


def _sure_end(found: Uploaded) -> int:
    """How far an upload may be read."""
    session = found.session
    return session.offset - 1 if session.is_full and session.offset and found.file is None else session.offset
