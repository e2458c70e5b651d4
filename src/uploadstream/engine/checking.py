"""A body whose sender gives its checksum: it is staged, and kept if the checksum is right.

Invariant: of a body that is cut, or has another checksum than was given, no byte is ever seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from uploadstream.core.digests import ALGORITHMS, Digest, Sums
from uploadstream.core.sizes import KIB
from uploadstream.ports import Bytes, Sink

# What is given for a body: a checksum, or what is to be asked for it when the body has ended (None: there is none).
Given = Digest | Callable[[], Digest | None]

# SHA-1 of so much takes 0.04 ms. More goes to a thread, which leaves the loop its time, and works beside it.
AT_ONCE_MAX: Final = 64 * KIB


class CheckedSink:
    """A sink that computes the checksums of what goes through it."""

    def __init__(self, sink: Sink, given: Given, *, at: int) -> None:
        self._sink = sink
        self._given = given
        self._at = at
        # Until it is said which of them is needed, all are.
        self._sums = Sums({given.algorithm} if isinstance(given, Digest) else ALGORITHMS)

    def write(self, views: Sequence[Bytes], count: int) -> Awaitable[None] | None:
        """See ports.Sink."""
        if count > AT_ONCE_MAX:
            return self._write_and_sum(views, count)
        self._sum(views)
        return self._sink.write(views, count)

    async def _write_and_sum(self, views: Sequence[Bytes], count: int) -> None:
        summing = asyncio.get_running_loop().run_in_executor(None, self._sum, views)
        try:
            going_on = self._sink.write(views, count)
            if going_on is not None:
                await going_on
        finally:
            await summing  # whatever became of the writing, its memory is used until then

    def _sum(self, views: Sequence[Bytes]) -> None:
        for view in views:
            self._sums.update(view)

    def check(self) -> None:
        """Raise unless all that was written has the checksum that was given. ChecksumMismatch, BadField."""
        digest = self._given if isinstance(self._given, Digest) else self._given()
        if digest is not None:
            self._sums.check(digest, at=self._at)

    @property
    def blob_id(self) -> int:
        """See ports.Sink."""
        return self._sink.blob_id

    async def close(self, *, complete: bool, keep: bool = True) -> bool:
        """See ports.Sink."""
        return await self._sink.close(complete=complete, keep=keep)
