"""Several processes that serve the same ports, and one that looks after them.

The supervisor starts the workers, starts another in the place of one that died, and stops them together. Each worker
has a link to it, a socket: over it comes what the worker is to do, and it says that it is ready, or why it is not. The
link's end is the supervisor's end: a worker whose supervisor was killed stops by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

STARTS_MAX: Final = 5  # in a row that came to nothing, before the supervisor gives up
WAIT_SECONDS_MIN: Final = 0.1
WAIT_SECONDS_MAX: Final = 10.0
SETTLED_SECONDS: Final = 10.0  # who lives so long is started again at once
KILLED_BY_USER: Final = 128 + signal.SIGINT
REASON_SIZE_MAX: Final = 2000

# What a worker does: serve until SIGTERM, and call the function it is given when it is ready, from when on it may get
# SIGHUP as well. It has to be picklable.
Work = Callable[[Callable[[], None]], None]

log = logging.getLogger(__name__)


def supervise(prepare: Callable[[], Work], *, count: int, stop_seconds: float, ready: Callable[[], None]) -> int:
    """Keep `count` processes at work until SIGTERM or SIGINT; the exit status.

    `prepare` gives the work: it is called for each process that is started, and whenever SIGHUP says that something has
    changed, which the processes are told as well. They get SIGTERM at the end, and SIGKILL when they have not ended
    after `stop_seconds`, or at a second SIGINT. `ready` is called once, when all of them are. 0: all ended as they
    should. 1: some did not, or none could be started.
    """
    return asyncio.run(_Supervisor(prepare, stop_seconds=stop_seconds).run(count, ready))


@dataclass(frozen=True, slots=True)
class _Job:
    """What goes over the link to a worker."""

    work: Work
    stop_seconds: float


class _Worker:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, link: asyncio.StreamWriter) -> None:
        self.pid = process.pid
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.reason = ""
        self._process = process
        self._link = link

    @classmethod
    async def start(cls, job: _Job) -> tuple[Self, asyncio.Task[int]]:
        """A new process at its job, and the task that ends with it and gives its exit status."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__),
                stdin=theirs.fileno(),
                process_group=0,  # Ctrl-C in a terminal is the supervisor's to hear
            )
        one = cls(process, writer)
        text = pickle.dumps(job)
        writer.write(struct.pack("!Q", len(text)) + text)
        return one, asyncio.create_task(one._until_end(reader))

    async def _until_end(self, reader: asyncio.StreamReader) -> int:
        try:
            if await reader.readline() == b"ready\n":
                self.ready.set_result(True)
            self.reason = (await reader.read(REASON_SIZE_MAX)).decode(errors="replace").strip()
        except ConnectionError:
            pass  # it died with something unread; its exit status says the rest
        finally:
            if not self.ready.done():
                self.ready.set_result(False)
            status = await self._process.wait()
            self._link.close()
        return status

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still lives."""
        if self._process.returncode is None:
            self._process.send_signal(number)


class _Supervisor:
    """Keeps places filled until it is told to stop."""

    def __init__(self, prepare: Callable[[], Work], *, stop_seconds: float) -> None:
        self._prepare = prepare
        self._stop_seconds = stop_seconds
        self._workers: set[_Worker] = set()
        self._stopping = asyncio.Event()
        self._failed_starts = 0
        self._status = 0
        self._hangups = 0

    async def run(self, count: int, ready: Callable[[], None]) -> int:
        """Start the first alone, which finds out whether it can be done and makes ready what all share."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on_hangup)
        try:
            async with asyncio.TaskGroup() as places:
                for _ in range(count):
                    is_ready = asyncio.Event()
                    place = places.create_task(self._keep(is_ready))
                    await asyncio.wait(
                        [place, waiting := asyncio.create_task(is_ready.wait())], return_when=asyncio.FIRST_COMPLETED
                    )
                    waiting.cancel()
                    if self._stopping.is_set():
                        break
                else:
                    ready()
        finally:
            self._kill()
        return self._status

    async def _keep(self, is_ready: asyncio.Event) -> None:
        """Keep one place filled."""
        wait_seconds = WAIT_SECONDS_MIN
        while not self._stopping.is_set():
            began, hangups = time.monotonic(), self._hangups
            worker, end = await _Worker.start(_Job(self._prepare(), self._stop_seconds))
            self._workers.add(worker)
            if self._stopping.is_set():
                worker.send(signal.SIGTERM)
            if was_ready := await worker.ready:
                self._failed_starts = 0
                is_ready.set()
                if hangups != self._hangups:  # what it read when it began may be old
                    worker.send(signal.SIGHUP)
            status = await end
            self._workers.discard(worker)
            if self._stopping.is_set():
                self._note_end(worker, status)
                return
            self._note_death(worker, status, was_ready=was_ready)
            if time.monotonic() - began > SETTLED_SECONDS:
                wait_seconds = WAIT_SECONDS_MIN
            await self._pause(wait_seconds)
            wait_seconds = min(2 * wait_seconds, WAIT_SECONDS_MAX)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _note_end(self, worker: _Worker, status: int) -> None:
        """A worker that was told to has ended."""
        if status not in {0, -signal.SIGTERM}:
            log.error("worker %d did not end well: %s", worker.pid, _spelled(status, worker.reason))
            self._status = self._status or 1

    def _note_death(self, worker: _Worker, status: int, *, was_ready: bool) -> None:
        """A worker has ended by itself; after too many that never were ready there is no sense in another."""
        log.error("worker %d died: %s", worker.pid, _spelled(status, worker.reason))
        if was_ready or status == -signal.SIGKILL:  # it is somebody else who ended it
            return
        self._failed_starts += 1
        if self._failed_starts >= STARTS_MAX:
            log.error("giving up: no worker could be started %d times in a row", self._failed_starts)
            self._status = 1
            self._stop()

    def _stop(self) -> None:
        """Let every worker finish what it does, for a time."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        asyncio.get_running_loop().call_later(self._stop_seconds, self._kill)

    def _pass_on_hangup(self) -> None:
        """Let every worker read again what may have changed; who is not ready yet would die of the signal."""
        self._hangups += 1
        self._prepare()
        for worker in self._workers:
            if worker.ready.done() and worker.ready.result():
                worker.send(signal.SIGHUP)

    def _interrupt(self) -> None:
        """Ctrl-C: stop; once more: at once."""
        if self._stopping.is_set():
            self._status = KILLED_BY_USER
            self._kill()
        self._stop()

    def _kill(self) -> None:
        for worker in self._workers:
            worker.send(signal.SIGKILL)


def _spelled(status: int, reason: str) -> str:
    """How a process ended, for people."""
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"{how} ({reason})" if reason else how


# In the worker's process


def main() -> int:
    """Do what comes over the link, which is the standard input; the exit status."""
    link = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    with link.makefile("rb") as text:
        (size,) = struct.unpack("!Q", text.read(8))
        job: _Job = pickle.loads(text.read(size))  # noqa: S301 - from the process that started this one
    threading.Thread(target=_stop_with, args=(link, job.stop_seconds), daemon=True).start()
    try:
        job.work(lambda: link.sendall(b"ready\n"))
    except Exception as error:
        link.sendall(f"\n{type(error).__name__}: {error}"[:REASON_SIZE_MAX].encode())
        if not isinstance(error, OSError):  # which says enough by itself
            log.exception("worker failed")
        return 1
    return 0


def _stop_with(link: socket.socket, stop_seconds: float) -> None:
    """Wait for the supervisor's end, and stop then as if told by it."""
    try:
        link.recv(1)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(stop_seconds)
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
