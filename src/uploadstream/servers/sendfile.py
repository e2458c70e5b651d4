"""Bytes of a file into a socket, by the kernel (sendfile(2)), as fast as its client reads and no faster.

The event loop's own `sendfile` is not used: it tells nobody how far it is, so that a client that reads nothing could
not be told from one that reads slowly; it waits for ever on a connection that is aborted meanwhile; it waits for the
disk on the loop; and it moves the file's position. Here the socket is watched through a descriptor of its own, and the
transport knows nothing of it.

Invariant: what the transport was given to write is in the socket before this begins, and it gets nothing to write
before this ends. Neither descriptor is closed while a thread uses it.
"""

from __future__ import annotations

import asyncio
import errno
import os
from time import perf_counter
from typing import Final

PIECE_SIZE: Final = 1024 * 1024  # on the loop at once: a third of a millisecond
SLOW_SECONDS: Final = 0.010
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
        self._writable: asyncio.Future[None] | None = None
        self._is_lost = False
        self._is_slow = False  # the disk, once: the rest is read in threads

    async def run(self) -> int:
        """How many bytes went, less than `count` if the file has no more. ConnectionError; OSError of the file's."""
        target = os.dup(self._target)
        try:
            while self.sent < self._count:
                count = await self._send_piece(target)
                if count == 0:
                    break
                self.sent += count or 0
                if self.sent < self._count:
                    await self._wait(target)
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
        self._wake()

    async def _send_piece(self, target: int) -> int | None:
        """How many bytes the socket took, None if it has no room; 0: the file has no more."""
        if self._is_lost:
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        at, count = self._at + self.sent, min(self._count - self.sent, PIECE_SIZE)
        try:
            if self._is_slow or _would_wait(self._source, at, count):
                return await self._send_in_thread(target, at, count)
            start = perf_counter()
            sent = os.sendfile(target, self._source, at, count)
            self._is_slow = perf_counter() - start > SLOW_SECONDS
        except BlockingIOError:
            return None
        return sent

    async def _send_in_thread(self, target: int, at: int, count: int) -> int:
        sending = self._loop.run_in_executor(None, os.sendfile, target, self._source, at, count)
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait([sending])
            raise

    async def _wait(self, target: int) -> None:
        """Until the socket has room, or the connection is no more; everybody else has a turn in any case."""
        self._writable = self._loop.create_future()
        if self._is_lost:
            return
        self._loop.add_writer(target, self._wake)
        try:
            await self._writable
        finally:
            self._loop.remove_writer(target)

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)


def _would_wait(source: int, at: int, count: int) -> bool:
    """Whether a piece of a file is not in memory, as far as its ends and its filesystem can tell (preadv2(2))."""
    try:
        for place in (at, at + count - 1):
            os.preadv(source, [bytearray(1)], place, os.RWF_NOWAIT)
    except BlockingIOError:
        return True
    except OSError:  # it cannot tell
        return False
    return False
