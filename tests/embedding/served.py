"""A program that serves an ASGI application on a free port, in a process group of its own, until a test has done."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.running_server import HOST, POLL_SECONDS, free_ports, server_environment

ROOT = Path(__file__).parents[2]
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Served:
    """Where it is, and what it has printed."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        """Ask it to end (SIGTERM), and wait for that."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS_MAX)


@contextmanager
def served(command: Sequence[str], folder: Path, *, ready: str, cwd: Path = ROOT) -> Iterator[Served]:
    """Run `python -m COMMAND` with `{host}` and `{port}` filled in; it is ready when it has the path `ready`."""
    [port] = free_ports(1)
    log = folder / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *(word.format(host=HOST, port=port) for word in command)],
            cwd=cwd,
            env=server_environment({"DATA_DIR": str(folder / "data")}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Served(f"http://{HOST}:{port}", process, log)
    try:
        _wait(running, ready)
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(running: Served, path: str) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(running.url + path).is_success:
                return
        assert running.process.poll() is None, running.output()
        assert time.monotonic() < deadline, running.output()
        time.sleep(POLL_SECONDS)
