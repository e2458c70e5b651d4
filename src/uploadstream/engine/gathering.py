"""Moves the bytes of joined files, which are in several blobs, into one blob of each file's own.

A file is gathered when no open upload has any of its parts: until then they stay, and a copy would be there beside
them. The copy is under the file's own id. It is compared with the file's checksum and made durable; then one
transaction gives the file this blob for its parts, and those that nothing needs any more go. It is done in pieces, with
as long a rest after each as it took, and ends when a request wants the file for itself.

Invariant: whenever this stops, the file's bytes are all in its parts or all in its own blob. What was copied in vain is
an orphan, as is a part that nothing needs: it goes now, or with the sweeper.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from uploadstream.core.digests import Digest, check_computed, crc32c
from uploadstream.core.errors import Busy, ChecksumMismatch, StorageFull, StorageUnavailable, Unavailable
from uploadstream.core.files import File
from uploadstream.core.parts import may_be_copied, pieces
from uploadstream.core.sizes import MIB
from uploadstream.engine.cancels import uncancelled
from uploadstream.engine.pairing import is_pair
from uploadstream.ports import Ports

# One process at a time: a lease on a key that no upload can have.
LEASE: Final = "gatherer"
BATCH: Final = 100
# What is copied at once, in a thread that nothing stops: a few hundredths of a second of a disk.
PIECE_SIZE: Final = 8 * MIB

Done = Counter[str]


class Gatherer:
    """Gathers the joined files of one service."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._blobs = ports.blobs
        self._catalog = ports.catalog
        self._wrong: set[str] = set()  # files with another checksum than theirs: copying them again is no use

    async def gather(self) -> Done:
        """One round, unless another process is at it: what was done, counted."""
        done, after = Done(), None
        with suppress(Busy):
            async with self._ports.leases.hold(LEASE):
                if not await is_pair(self._catalog, self._blobs):
                    raise StorageUnavailable
                while files := await self._catalog.joined(after=after, limit=BATCH):
                    for file in files:
                        if file.is_scattered and file.id not in self._wrong:
                            done[await self._try(file)] += 1
                    after = files[-1].id
        return done

    async def _try(self, file: File) -> str:
        """What became of one file, in a word: what keeps one keeps no other."""
        wanted = asyncio.Event()
        try:
            async with self._ports.leases.hold(file.id, let_go=wanted.set):
                return "gathered" if await self._gather(file, wanted.is_set) else "not gathered: gone"
        except Busy:
            return "not gathered: in use"
        except ChecksumMismatch:
            self._wrong.add(file.id)
            return "not gathered: wrong digest"
        except StorageUnavailable as error:
            return f"not gathered: {error.reason}"

    async def _gather(self, file: File, is_wanted: Callable[[], bool]) -> bool:
        """Give a file a blob of its own; False if there is nothing to be done any more."""
        if await self._catalog.file(file.id) != file:
            return False
        await self._drop(file.id)  # the beginning of a copy that a crash has cut
        try:
            await self._copy(file, is_wanted)
            await self._blobs.sync(file.id)
            return await uncancelled(self._catalog.gather(file.id))
        finally:
            with suppress(Unavailable):
                await uncancelled(self._drop(file.id, *(part.key for part in file.parts)))

    async def _drop(self, *keys: str) -> None:
        """Remove those of these blobs that nothing needs: the copy, or the parts, as the catalog says."""
        for key in set(keys) - await self._catalog.known(keys):
            await self._blobs.remove(key)

    async def _copy(self, file: File, is_wanted: Callable[[], bool]) -> None:
        """All of its bytes, one after another. Busy, StorageFull, ChecksumMismatch."""
        loop, at, crc = asyncio.get_running_loop(), 0, 0
        for piece in pieces(file.parts, size_max=PIECE_SIZE):
            free = await self._blobs.free()
            if not may_be_copied(file.size - at, free=free):
                raise StorageFull(free=free or 0)
            if is_wanted():
                raise Busy(upload_id=file.id)
            begun = loop.time()
            await uncancelled(self._blobs.copy(piece, key=file.id, at=at))
            stop = at + piece.stop - piece.start
            async for data in self._blobs.read(file.id, start=at, stop=stop, piece_size=MIB):
                crc = await asyncio.to_thread(crc32c, data, crc)
            at = stop
            await asyncio.sleep(loop.time() - begun)
        check_computed(crc.to_bytes(4, "big"), Digest("crc32c", file.crc32c.to_bytes(4, "big")), at=0)
