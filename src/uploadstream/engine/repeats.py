"""Bytes that come a second time: compared with those in the store, and not stored again.

A client that missed an answer sends the same chunk once more, and one that was cut inside a chunk sends all of it.
What it sends must be what it sent: otherwise it goes on with another file, and would mix the two.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, cast

from uploadstream.core.digests import crc32c
from uploadstream.core.errors import BadField
from uploadstream.core.session import Session
from uploadstream.core.sizes import KIB, MIB
from uploadstream.engine.intake import Intake
from uploadstream.engine.watch import Incoming, Pour
from uploadstream.ports import BlobStore, Bytes

SCRATCH_SIZE: Final = 64 * KIB


def without_known(incoming: Incoming, blobs: BlobStore, session: Session) -> Incoming:
    """What comes, without the bytes that are stored already. OffsetMismatch if some before them are missing."""
    at = session.offset if incoming.at is None else incoming.at
    known = session.known(at=at)
    if not known or session.declared.joins:  # the bytes of what was joined are not under its own key
        return incoming
    count = max(0, incoming.count - known) if incoming.count is not None else None
    pour = _behind_known(incoming.pour, blobs, session.id, start=at, stop=session.offset)
    return replace(incoming, pour=pour, at=session.offset, count=count)


def _behind_known(pour: Pour, blobs: BlobStore, key: str, *, start: int, stop: int) -> Pour:
    """A pouring of a body that begins at `start`, into an intake that begins at `stop`. BadField."""

    async def pour_new(intake: Intake) -> None:
        known = _Known(intake, blobs, key, start=start, stop=stop)
        try:
            await pour(cast("Intake", known))  # a transport sees no more of an intake than http/pour.py names
            await known.check()
        finally:
            await known.stop()

    return pour_new


class _Known:
    """Stands before an intake: takes what the store has, compares it, and from then on passes everything on."""

    def __init__(self, intake: Intake, blobs: BlobStore, key: str, *, start: int, stop: int) -> None:
        self._intake = intake
        self._blobs, self._key = blobs, key
        self._start, self._at, self._stop = start, start, stop
        self._crc = 0
        self._scratch = memoryview(bytearray(SCRATCH_SIZE))
        self._passed = False
        self._going_on: asyncio.Future[None] | None = None

    @property
    def room(self) -> int:
        """As the intake's, and what is still to be compared."""
        return self._intake.room + self._stop - self._at

    def get_buffer(self, limit: int) -> memoryview:
        """As the intake's."""
        return self._intake.get_buffer(limit) if self._passed else self._scratch[:limit]

    def received(self, count: int) -> asyncio.Future[None] | None:
        """As the intake's."""
        return self._intake.received(count) if self._passed else self._take(self._scratch[:count])

    def feed(self, data: Bytes) -> asyncio.Future[None] | None:
        """As the intake's."""
        return self._intake.feed(data) if self._passed else self._take(data)

    async def check(self) -> None:
        """Raise BadField unless all that came again is what came before."""
        if self._passed:
            return
        crc = 0
        async for piece in self._blobs.read(self._key, start=self._start, stop=self._at, piece_size=MIB):
            crc = crc32c(piece, crc)
        if crc != self._crc:
            problem = f"bytes {self._start} to {self._at} are not those that came before; is it the same file?"
            raise BadField("body", problem)
        self._passed = True

    async def stop(self) -> None:
        """Nothing reaches the intake any more."""
        if self._going_on is not None:
            self._going_on.cancel()
            await asyncio.wait([self._going_on])

    def _take(self, data: Bytes) -> asyncio.Future[None] | None:
        known = memoryview(data)[: self._stop - self._at]
        self._crc = crc32c(known, self._crc)
        self._at += len(known)
        self._intake.stirred = True  # for whoever watches: the body is alive
        new = bytes(memoryview(data)[len(known) :])
        if not new:
            return None
        self._going_on = asyncio.ensure_future(self._go_on(new))
        return self._going_on

    async def _go_on(self, new: bytes) -> None:
        """The first bytes that the store does not have."""
        await self.check()
        busy = self._intake.feed(new)
        if busy is not None:
            await busy
