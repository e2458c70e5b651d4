"""A real server in a process group of its own, which a test may kill, stop and start again.

Invariant: whatever a test does, `kill` leaves no process of the group behind and its two ports free.
"""

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

HOST = "127.0.0.1"
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 40.0
POLL_SECONDS = 0.02


class Process(Protocol):
    """What is asked of a process; subprocess.Popen has more."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...


class ServerFailed(Exception):
    """The server did not do what it was told; the message ends with its output."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now; connections that are still closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Distinct free ports below the range that the kernel lends to clients.

    A port of that range could be lent to a client while the server is down, and the restart would fail.
    """
    ports: set[int] = set()
    while len(ports) < count:
        port = 10_000 + secrets.randbelow(20_000)
        if is_free(port):
            ports.add(port)
    return sorted(ports)


def server_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without the settings of whoever runs the tests, and `extra`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UPLOADSTREAM")}
    return {**inherited, **extra}


class RunningServer:
    """`uploadstream serve` on free ports of 127.0.0.1, ready when the constructor returns."""

    def __init__(
        self,
        data_dir: Path,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "uploadstream"),
    ) -> None:
        """Start the server and wait until it is ready; `options` go to `serve`, `environment` is added to ours.

        `program`: what Python is to run as the command `uploadstream`.
        """
        self.data_dir = data_dir
        self.http_port, self.grpc_port = free_ports(2)
        self._program = tuple(program)
        self._options = tuple(options)
        self._environment = server_environment(environment or {})
        # Appending (mode a) keeps the place where the server writes apart from the place where we read.
        self._log = tempfile.TemporaryFile("ab+")  # noqa: SIM115 - open as long as this object, over restarts
        self._process = self._start()

    @property
    def http_url(self) -> str:
        """Where HTTP listens, without a slash at the end."""
        return f"http://{HOST}:{self.http_port}"

    @property
    def grpc_target(self) -> str:
        """Where gRPC listens, as `host:port`."""
        return f"{HOST}:{self.grpc_port}"

    @property
    def pid(self) -> int:
        """The process that was started; its group has the same number."""
        return self._process.pid

    def workers(self) -> list[int]:
        """The processes that it has started."""
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        except OSError:
            return []
        return [int(word) for word in text.split()]

    def output(self) -> str:
        """Everything the server has printed so far, over all its restarts."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def kill(self) -> None:
        """End all its processes at once (SIGKILL), as a power cut would."""
        workers = self.workers()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self._process.wait()
        self._wait_for_free_ports()

    def stop(self) -> int:
        """Ask the server to end (SIGTERM), wait for it, and return its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise self._failure(f"did not stop within {STOP_SECONDS_MAX:g} s of SIGTERM") from error

    def restart(self) -> None:
        """Start again on the same ports and data directory; a server that still runs is killed first."""
        self.kill()
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._log.close()

    def _command(self) -> list[str]:
        return [
            *(sys.executable, *self._program, "serve"),
            *("--http-port", str(self.http_port)),
            *("--grpc-port", str(self.grpc_port)),
            *("--data-dir", str(self.data_dir)),
            *self._options,
        ]

    def _spawn(self) -> Process:
        return subprocess.Popen(
            self._command(),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _start(self) -> Process:
        process = self._process = self._spawn()
        try:
            self._wait_until_ready(process)
        except BaseException:
            self.kill()
            raise
        return process

    def _wait_until_ready(self, process: Process) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._is_ready():
            if process.poll() is not None:
                raise self._failure(f"ended with status {process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {READY_SECONDS_MAX:g} s")
            time.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=READY_SECONDS_MAX)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _wait_for_free_ports(self) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not (is_free(self.http_port) and is_free(self.grpc_port)):
            if time.monotonic() > deadline:
                raise self._failure("still holds its ports after SIGKILL")
            time.sleep(POLL_SECONDS)

    def _failure(self, what: str) -> ServerFailed:
        return ServerFailed(f"The server {what}. Its output:\n{self.output()}")
