"""Where the bytes of one request go: counted, checked, sniffed, summed, and written, in one pass.

This is the hot path: `received` and `feed` run for every piece that comes from a socket. While the store takes bytes
at once, one buffer is filled and written over and over. When a write is going on elsewhere (a thread), the next
buffer fills meanwhile; when that is full too, the caller is given a future and stops reading until it is done. There
is no other queue.

Invariant: ``offset` is where the next byte belongs. Every byte before it was handed to the sink, in order, or is in the
batch that `close` hands to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from uploadstream.core.digests import crc32c
from uploadstream.core.errors import Refusal, StorageUnavailable
from uploadstream.core.media import SNIFF_BYTES
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.throttle import ALONE, Lane
from uploadstream.ports import Bytes, Sink

# A piece smaller than this is written at once, so that a slow connection owns no buffer; a larger one waits for more.
SMALL_PIECE: Final = 64 * 1024
# Pieces that come by reference are written in batches of this size: four times as much saves no CPU, and with two
# batches a request it was most of what 16 gRPC uploads at once held.
BATCH_SIZE: Final = 256 * 1024
# With more buffers than this in use, none waits for more bytes than it has.
PLENTY_OUT: Final = 64
VIEWS_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Received:
    """What the store has of an upload: how many bytes, their checksum, and the first of them (at most SNIFF_BYTES)."""

    size: int
    crc: int
    head: bytes

    @classmethod
    def nothing(cls) -> Self:
        """An upload without bytes."""
        return cls(0, 0, b"")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is taken: so many bytes more, else the error of so many; and a head that passes the check."""

    room: int
    overrun: Callable[[int], Refusal]
    check_head: Callable[[bytes], object]


class Intake:
    """One request's way into a blob. `room`: how many more bytes may come."""

    def __init__(self, sink: Sink, buffers: Buffers, before: Received, terms: Terms, lane: Lane = ALONE) -> None:
        self.offset = before.size
        self.room = terms.room
        self.crc = before.crc
        self.stirred = True  # a byte came since the last look (Watch clears it)
        self.failure: BaseException | None = None
        self.lane: Final = lane
        self.turn: asyncio.Future[None] | None = None  # done when this body may go on
        self._refusal: Refusal | None = None
        self._sink = sink
        self._buffers = buffers
        self._start = before.size
        self._terms = terms
        self._head = bytearray(before.head)
        self._sniffing = len(before.head) < SNIFF_BYTES
        self._piece_max = lane.piece_max
        self._own: memoryview | None = None
        self._filled = 0  # bytes in it
        self._batch: list[Bytes] = []
        self._batch_size = 0  # bytes in it and in the own buffer
        self._batch_size_max = min(BATCH_SIZE, buffers.size)
        self._stored = (before.size, before.crc)
        self._writing: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def head(self) -> bytes:
        """The first bytes of the content, at most SNIFF_BYTES, as far as this request saw them."""
        return bytes(self._head)

    @property
    def taken(self) -> int:
        """How many bytes this request brought."""
        return self.offset - self._start

    @property
    def stored(self) -> tuple[int, int]:
        """How many bytes of the upload the store has for sure, and their checksum."""
        return self._stored

    @property
    def is_waiting(self) -> bool:
        """The sender was told to wait: for the store, or because it is another user's turn."""
        return self._waiter is not None or not (self.turn is None or self.turn.done())

    # From the transports

    def get_buffer(self, limit: int) -> memoryview:
        """Memory for at most `limit` bytes, to be filled and reported by `received` before anything else runs."""
        limit = min(limit, self._piece_max)
        if self._own is None:
            return self._buffers.scratch[:limit]
        return self._own[self._filled : self._filled + limit]

    def received(self, count: int) -> asyncio.Future[None] | None:
        """Take `count` bytes that are in the last buffer given.

        None: go on. A future: both buffers are busy, come back when it is done; its error is the store's.
        """
        if self._own is None:
            piece = self._buffers.scratch[:count]
            self._admit(piece, count)
            self._batch_size += count
            if count < SMALL_PIECE:
                # a copy of few bytes costs less than a buffer that stays with a slow connection
                self._batch.append(bytes(piece))
                busy = self._flush() if self._writing is None or self._is_ripe else None
                return self._in_turn(count, busy) if self.lane.counts else busy
            self._own, self._filled = self._buffers.take_scratch(), count
        else:
            self._admit(self._own[self._filled : self._filled + count], count)
            self._batch_size += count
            self._filled += count
        busy = self._flush() if self._is_ripe else None
        return self._in_turn(count, busy) if self.lane.counts else busy

    def feed(self, data: Bytes) -> asyncio.Future[None] | None:
        """Take `data` by reference: its memory must never change. Answers as `received` does."""
        count = len(data)
        if not count:
            return None
        self._admit(data, count)
        self._batch.append(data)
        self._batch_size += count
        busy = self._flush() if self._is_ripe else None
        return self._in_turn(count, busy) if self.lane.counts else busy

    def _in_turn(self, count: int, busy: asyncio.Future[None] | None) -> asyncio.Future[None] | None:
        """`busy`, or what is to be waited for because it is another user's turn to send."""
        turn = self.lane.took(count, busy)
        if turn is not busy:
            self.turn = turn
            self.flush()  # who waits owns no buffer
        return turn

    @property
    def _is_ripe(self) -> bool:
        """There is enough for a write, or no more room to wait in."""
        return (
            self._batch_size >= (self._batch_size_max if self._own is None else self._buffers.size)
            or self._filled == self._buffers.size
            or len(self._batch) == VIEWS_MAX
            or self._buffers.out > PLENTY_OUT
        )

    def _admit(self, piece: Bytes, count: int) -> None:
        """Count `piece`, or refuse it, and all that follows, before any of it is written."""
        no = self.failure or self._refusal
        if no is not None:
            raise no
        if count > self.room:
            self._refusal = self._terms.overrun(count + self.taken)
            raise self._refusal
        if self._sniffing:
            self._sniff(piece)
        self.stirred = True
        self.offset += count
        self.room -= count

    def _sniff(self, piece: Bytes) -> None:
        self._head += piece[: SNIFF_BYTES - len(self._head)]
        if len(self._head) == SNIFF_BYTES:
            self._sniffing = False
            try:
                self._terms.check_head(bytes(self._head))
            except Refusal as error:
                self._refusal = error
                raise

    # To the store

    def flush(self) -> None:
        """Hand what is there to the store, if it is free to take it."""
        if self._writing is None and self._batch_size:
            self._flush()

    def _flush(self) -> asyncio.Future[None] | None:
        """Write the batch, or, while a write is going on, give the future of its turn."""
        if self._writing is not None:
            if self._waiter is None:
                self._waiter = asyncio.get_running_loop().create_future()
            return self._waiter
        own, views, size = self._own, self._batch, self._batch_size
        if own is not None:
            views.append(own[: self._filled])
        self._own, self._filled, self._batch, self._batch_size = None, 0, [], 0
        for view in views:
            self.crc = crc32c(view, self.crc)
        stored = (self.offset, self.crc)
        try:
            going_on = self._sink.write(views, size)
        except BaseException as error:
            self.failure = error
            self._give_back(own)
            raise
        if going_on is None:
            self._stored = stored
            self._give_back(own)
            return None
        self._writing = writing = asyncio.ensure_future(going_on)
        writing.add_done_callback(lambda done: self._written(done, own, stored))
        return None

    def _written(self, done: asyncio.Future[None], own: memoryview | None, stored: tuple[int, int]) -> None:
        """A write that took its time has ended: keep its buffer for others, and let the next batch go."""
        self._writing = None
        self._give_back(own)
        if done.cancelled():
            self.failure = StorageUnavailable()
        elif self.failure is None:
            self.failure = done.exception()
            self._stored = self._stored if self.failure else stored
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        if self.failure is None:
            try:
                self._flush()
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
                self.failure = error
        if waiter.done():
            return
        if self.failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(self.failure)

    async def close(self) -> None:
        """Hand over the last bytes and wait until the store has taken them; raises the store's error.

        Whatever that error, no write is going on afterwards and every buffer is given back. A close that was
        cancelled has to be called again: the bytes are still here, and perhaps being written.
        """
        while self._writing is not None or (self._batch_size and self.failure is None):
            if self._writing is None:
                with suppress(Refusal):  # it is the failure now
                    self._flush()
            else:
                await asyncio.wait([self._writing])
        if self.failure is not None:
            self._give_back(self._own)
            self._own, self._filled, self._batch, self._batch_size = None, 0, [], 0
            raise self.failure

    def _give_back(self, buffer: memoryview | None) -> None:
        if buffer is not None:
            self._buffers.give_back(buffer)
