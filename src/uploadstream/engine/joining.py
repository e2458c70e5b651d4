"""What a file that is joined from partial uploads is made of: found without reading the bytes.

The sums of the parts are known from their notes, and a sum of them all is worked out from those.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from uploadstream.core.digests import crc32c_joined
from uploadstream.core.media import SNIFF_BYTES
from uploadstream.core.parts import Part, check_count, spans
from uploadstream.core.session import Session
from uploadstream.engine.intake import Received
from uploadstream.engine.sums import summed
from uploadstream.ports import BlobStore


async def joined(blobs: BlobStore, sessions: Sequence[Session]) -> tuple[tuple[Part, ...], Received]:
    """The parts, without the empty ones, and what is known of their bytes, which are durable. BadField."""
    check_count(sessions)
    distinct = {session.id: session for session in sessions}
    for session in distinct.values():
        session.check_joinable()
    sums = {key: await summed(blobs, key, session.offset) for key, session in distinct.items()}
    await asyncio.gather(*(blobs.sync(key) for key, one in sums.items() if not one.durable))
    parts = tuple(Part(session.id, session.offset) for session in sessions if session.offset)
    size, crc = 0, 0
    for part in parts:
        size, crc = size + part.size, crc32c_joined(crc, sums[part.key].crc, size=part.size)
    head = read_parts(blobs, parts, start=0, stop=min(size, SNIFF_BYTES), piece_size=SNIFF_BYTES)
    return parts, Received(size, crc, b"".join([piece async for piece in head]))


async def read_parts(
    blobs: BlobStore, parts: Sequence[Part], *, start: int, stop: int, piece_size: int
) -> AsyncIterator[bytes]:
    """The bytes from `start` up to `stop` of what is in several blobs."""
    for span in spans(parts, start=start, stop=stop):
        reading = blobs.read(span.key, start=span.start, stop=span.stop, piece_size=piece_size)
        async with aclosing(reading) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece
