"""Bytes of a file into a socket, by the kernel (sendfile(2)), as fast as its client reads and no faster.

The event loop's own `sendfile` is not used: it tells nobody how far it is, so that a client that reads nothing could
not be told from one that reads slowly; it waits for ever on a connection that is aborted meanwhile; it waits for the
disk on the loop; and it moves the file's position. Here the socket is watched through a descriptor of its own, and the
transport knows nothing of it.

While the file is in memory its bytes are sent by the loop's own callback, in turns: until the socket is full, or
others are to have theirs. What has to come from the disk first is sent in a thread; the kernel reads ahead by itself,
and being told what comes next costs it twice the time.

Invariant: what the transport was given to write is in the socket before this begins, and it gets nothing to write
before this ends. Neither descriptor is closed while a thread uses it.
"""

from __future__ import annotations

import asyncio
import errno
import os
from functools import partial
from time import perf_counter
from typing import Final

PIECE_SIZE: Final = 1024 * 1024  # with one system call: a tenth to a third of a millisecond
TURN_SIZE: Final = 4 * PIECE_SIZE  # before others have their turn
SLOW_SECONDS: Final = 0.010
QUICK_IN_A_ROW: Final = 16
# How a connection ends besides by the errors that Python calls ConnectionError.
_GONE: Final = {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOTCONN}


class FileSending:
    """`count` bytes of the file `source` from `at` on, into the socket `target`."""

    def __init__(self, target: int, source: int, *, at: int, count: int) -> None:
        self.sent = 0
        self._target = target
        self._source = source
        self._at = at
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._on_loop: asyncio.Future[None] | None = None  # done when the loop can send no more of it
        self._is_lost = False
        self._is_through = not count  # all is sent, or the file has no more
        self._memory = _Memory(source)

    async def run(self) -> int:
        """How many bytes went, less than `count` if the file has no more. ConnectionError; OSError of the file's."""
        target = os.dup(self._target)
        try:
            while not self._is_through:
                await self._send_on_loop(target)
                if not self._is_through:
                    await self._send_in_thread(target)
        except OSError as error:
            if error.errno in _GONE:
                raise ConnectionAbortedError(error.errno, error.strerror) from error
            raise
        finally:
            os.close(target)
        return self.sent

    def lose(self) -> None:
        """The connection is no more."""
        self._is_lost = True
        self._leave_loop(_lost())

    async def _send_on_loop(self, target: int) -> None:
        """Whenever there is room, until all is sent or what comes next is on the disk."""
        if self._is_lost:
            raise _lost()
        self._on_loop = self._loop.create_future()
        self._loop.add_writer(target, self._take_turn, target)
        try:
            await self._on_loop
        finally:
            self._loop.remove_writer(target)

    def _take_turn(self, target: int) -> None:
        """The socket has room."""
        try:
            may_go_on = self._send(target, may_wait=False)
        except OSError as error:
            self._leave_loop(error)
        else:
            if self._is_through or not may_go_on:
                self._leave_loop()

    def _leave_loop(self, error: OSError | None = None) -> None:
        if self._on_loop is None or self._on_loop.done():
            return
        if error is None:
            self._on_loop.set_result(None)
        else:
            self._on_loop.set_exception(error)

    async def _send_in_thread(self, target: int) -> None:
        sending = self._loop.run_in_executor(None, partial(self._send, target, may_wait=True))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait([sending])
            raise

    def _send(self, target: int, *, may_wait: bool) -> bool:
        """One turn, as far as the socket has room; False: to go on means to wait for the disk."""
        stop = min(self._count, self.sent + TURN_SIZE)
        while self.sent < stop:
            at, count = self._at + self.sent, min(PIECE_SIZE, stop - self.sent)
            if not (may_wait or self._memory.has(at, count)):
                return False
            start = perf_counter()
            try:
                sent = os.sendfile(target, self._source, at, count)
            except BlockingIOError:
                break
            self._memory.learn(perf_counter() - start)
            self.sent += sent
            self._is_through = not sent or self.sent == self._count
            if sent < count:
                break
        return True


class _Memory:
    """Whether pieces of a file can be sent without waiting, as its filesystem tells and as the time they took does."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._byte = [bytearray(1)]
        self._can_tell = True
        self._quick_needed = 0

    def has(self, at: int, count: int) -> bool:
        """Whether a piece is in memory, judged by its ends (preadv2(2)), or else by those before it."""
        if self._quick_needed:
            return False
        if self._can_tell:
            try:
                for place in (at, at + count - 1):
                    os.preadv(self._source, self._byte, place, os.RWF_NOWAIT)
            except BlockingIOError:
                return False
            except OSError:
                self._can_tell = False
        return True

    def learn(self, seconds: float) -> None:
        """A piece was sent in this time."""
        if seconds > SLOW_SECONDS:
            self._quick_needed = QUICK_IN_A_ROW
        elif self._quick_needed:
            self._quick_needed -= 1


def _lost() -> ConnectionAbortedError:
    return ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
