"""Leases among the processes that share a data directory on one machine.

Each key is one byte of the file `leases`, at a place computed from the key, locked by fcntl's open-file-description
locks: the kernel frees it when its holder dies, and nothing is left behind. To ask a holder to let go, its key is
written to the pipes of all processes (`leases.d/PID-….pipe`), with the time at which the asking one came; the one that
holds it listens, and lets go for those that came later.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from uploadstream.core.errors import Busy, StorageUnavailable
from uploadstream.ports import Lease

# Whoever writes the same blobs must see the same leases, whatever its data directory: they are kept among the blobs.
AMONG_BLOBS: Final = ".leases"
# struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid
_FLOCK: Final = struct.Struct("hhqqi4x")
_RETRY_SECONDS: Final = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who has a lease, and since when it wanted it, in nanoseconds."""

    let_go: Callable[[], None] | None
    arrived: int

    def asked(self, arrived: int) -> None:
        """Let go for one that came later; one that came before has been overtaken."""
        if self.let_go is not None and arrived > self.arrived:
            self.let_go()


class DiskLease:
    """Held until it is given back: the kernel takes it from nobody who lives, standing still or not."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def check(self) -> None:
        """See ports.Lease."""

    async def give_back(self) -> None:
        """See ports.Lease."""
        self._end()


class DiskLeases:
    """The leases of one process. Opened once a process; keep it until the process ends."""

    def __init__(self, root: Path) -> None:
        self._pipes = root / "leases.d"
        self._held: dict[str, _Holder] = {}
        try:
            self._pipes.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(root / "leases", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StorageUnavailable from error
        self._pipe = self._pipes / f"{os.getpid()}-{secrets.token_hex(4)}.pipe"
        self._inbox = -1

    def listen(self) -> Self:
        """Hear other processes ask for what this one holds; needs the running loop."""
        new = self._pipe.with_suffix(".new")
        try:
            os.mkfifo(new, 0o640)
            # also open for writing, so that the pipe never comes to its end
            self._inbox = os.open(new, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            # a pipe that nobody reads is a dead process's, and is removed: it gets its name once it is read
            new.rename(self._pipe)
        except OSError as error:
            raise StorageUnavailable from error
        asyncio.get_running_loop().add_reader(self._inbox, self._hear)
        return self

    def close(self) -> None:
        """Stop listening, and let everything go."""
        if self._inbox >= 0:
            asyncio.get_running_loop().remove_reader(self._inbox)
            os.close(self._inbox)
            self._pipe.unlink(missing_ok=True)
            self._inbox = -1
        os.close(self._fd)

    @asynccontextmanager
    async def hold(
        self,
        key: str,
        *,
        let_go: Callable[[], None] | None = None,
        patience_seconds: float = 0,
        new: bool = False,  # noqa: ARG002 - it costs next to nothing to look
    ) -> AsyncIterator[Lease]:
        """See ports.Leases."""
        arrived = time.monotonic_ns()  # the same clock for all processes of a machine
        if not self._take(key):
            await self._wait(key, patience_seconds, arrived)
        self._held[key] = holder = _Holder(let_go, arrived)
        try:
            yield DiskLease(lambda: self._free(key, holder))
        finally:
            self._free(key, holder)

    def _free(self, key: str, holder: _Holder) -> None:
        if self._held.get(key) is holder:
            del self._held[key]
            self._lock(key, fcntl.F_UNLCK)

    def _take(self, key: str) -> bool:
        # the kernel knows the process, not its tasks
        return key not in self._held and self._lock(key, fcntl.F_WRLCK)

    async def _wait(self, key: str, patience_seconds: float, arrived: int) -> None:
        """Ask the holder again and again, in case it had not listened yet, until the key is free."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_seconds
        tries = 0
        while loop.time() < deadline:
            self._ask(key, arrived)
            await asyncio.sleep(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)])
            tries += 1
            if self._take(key):
                return
        raise Busy(upload_id=key)

    def _lock(self, key: str, kind: int) -> bool:
        place = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 2
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                return False
            raise StorageUnavailable from error
        return True

    def _ask(self, key: str, arrived: int) -> None:
        if key in self._held:
            self._held[key].asked(arrived)
            return
        for pipe in self._pipes.glob("*.pipe"):
            try:
                fd = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno == errno.ENXIO:  # its process is dead
                    pipe.unlink(missing_ok=True)
                continue
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(fd, f"{key} {arrived}\n".encode())
            os.close(fd)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            for line in os.read(self._inbox, 1 << 16).decode(errors="replace").splitlines():
                key, _, arrived = line.partition(" ")
                if key in self._held and arrived.isdecimal():
                    self._held[key].asked(int(arrived))
