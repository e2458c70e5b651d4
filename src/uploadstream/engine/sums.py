"""The running crc32c of an open upload, carried from one request to the next.

A note beside the blob says "the first N bytes have the checksum C", and, if that is sure, that they are all on the
disk. It is written when a request ends and every few seconds while one lasts, so that after a crash only the bytes
since then are read again.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Final

from uploadstream.core.digests import Sums, crc32c
from uploadstream.core.errors import StorageUnavailable
from uploadstream.core.sizes import MIB
from uploadstream.engine.intake import Intake
from uploadstream.ports import BlobStore

NOTE_SECONDS: Final = 2.0
_NOTE: Final = struct.Struct(">QI?3x")


@dataclass(frozen=True, slots=True)
class Summed:
    """The checksum of the first `size` bytes of a blob, and whether these are surely on the disk."""

    size: int = 0
    crc: int = 0
    durable: bool = False


async def crc_so_far(blobs: BlobStore, key: str, size: int) -> int:
    """The checksum of the `size` bytes that the store has."""
    return (await summed(blobs, key, size)).crc


async def summed(blobs: BlobStore, key: str, size: int) -> Summed:
    """The same with all that is known of them, from the note and what came after it."""
    if not size:
        return Summed()
    noted = _read_note(await blobs.note(key))
    if noted.size == size:
        return noted
    if noted.size > size:
        noted = Summed()
    crc = noted.crc
    async for piece in blobs.read(key, start=noted.size, stop=size, piece_size=MIB):
        crc = crc32c(piece, crc)
    return Summed(size, crc)


def _read_note(note: bytes | None) -> Summed:
    return Summed(*_NOTE.unpack(note)) if note is not None and len(note) == _NOTE.size else Summed()


async def write_note(
    blobs: BlobStore, key: str, *, size: int, crc: int, durable: bool = False, of: int | None = None
) -> None:
    """Remember what the first `size` bytes have for a checksum; a note that cannot be kept costs only time."""
    try:
        await blobs.set_note(key, _NOTE.pack(size, crc, durable), of=of)
    except StorageUnavailable:
        return


async def sum_of(pieces: AsyncIterable[bytes] | None, algorithm: str) -> bytes:
    """The checksum of these bytes (None: of none), computed in a thread."""
    sums = Sums({algorithm})
    if pieces is not None:
        async for piece in pieces:
            await asyncio.to_thread(sums.update, piece)
    return sums.digest(algorithm)


class NoteKeeper:
    """Writes the note of one append: at its end, and every few seconds while it lasts, unless its bytes are staged."""

    def __init__(
        self, blobs: BlobStore, key: str, intake: Intake, *, of: int | None = None, staged: bool = False
    ) -> None:
        self._blobs, self._key, self._intake, self._of = blobs, key, intake, of
        self._loop = asyncio.get_running_loop()
        self._timer = None if staged else self._loop.call_later(NOTE_SECONDS, self._write)
        self._writing: asyncio.Task[None] | None = None

    def _write(self) -> None:
        self._timer = self._loop.call_later(NOTE_SECONDS, self._write)
        if self._writing is None or self._writing.done():
            self._writing = self._loop.create_task(self.write(*self._intake.stored))

    async def write(self, size: int, crc: int, *, durable: bool = False) -> None:
        """Remember that the first `size` bytes have the checksum `crc`."""
        await write_note(self._blobs, self._key, size=size, crc=crc, durable=durable, of=self._of)

    async def stop(self) -> None:
        """No note is being written when this returns."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait([self._writing])
