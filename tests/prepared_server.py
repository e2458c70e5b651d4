"""A real server that starts in no time: forked from a process that has imported the program, and has done nothing else.

What is killed a hundred times spends most of its life importing. Forked, it takes its arguments and environment as the
command does, and is a process group of its own; only its parent is another.

As a program, this is the process that forks. Its standard input is a socket; a request has arguments and environment,
and brings two descriptors: for what the server prints, and for what becomes of it: its pid, then its exit status.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

from tests.running_server import Process, RunningServer

ROOT = Path(__file__).parent.parent
REQUEST_SIZE_MAX = 1 << 20


class PreparedServer(RunningServer):
    """RunningServer, if the program is one process."""

    def _spawn(self) -> Process:
        reading, writing = os.pipe()
        request = {"arguments": self._command()[3:], "environment": self._environment}
        try:
            socket.send_fds(_forking(), [json.dumps(request).encode()], [self._log.fileno(), writing])
        finally:
            os.close(writing)
        return _Forked(reading)


class _Forked:
    """A process that another one started, and watches."""

    def __init__(self, said: int) -> None:
        self.returncode: int | None = None
        self._ended = threading.Event()
        self._said = os.fdopen(said)
        self.pid = int(self._said.readline())
        threading.Thread(target=self._watch, daemon=True).start()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("serve", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def _watch(self) -> None:
        with self._said:
            self.returncode = int(self._said.readline())
        self._ended.set()


@cache
def _forking() -> socket.socket:
    """The way to the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.prepared_server"]
    with theirs:
        process = subprocess.Popen(
            command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, cwd=ROOT, start_new_session=True
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# In the process that forks


def _fork_on_request(requests: socket.socket) -> None:
    """One server a request, until nobody can ask any more."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, REQUEST_SIZE_MAX, 2)
        if not request:
            return
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            _start_and_watch(json.loads(request), *descriptors)


def _start_and_watch(request: dict[str, Any], prints: int, told: int) -> None:
    """A process for one server, which says what becomes of it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.write(told, f"{pid}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(told, f"{status}\n".encode())
        os._exit(0)
    os.setsid()
    os.close(told)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (prints, 1), (prints, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    main()


if __name__ == "__main__":
    from uploadstream import app  # noqa: F401 - so that it is there
    from uploadstream.cli import main, serve  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what became of those that watch
    _fork_on_request(socket.socket(fileno=os.dup(0)))
