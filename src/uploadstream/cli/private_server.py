"""A server for one demonstration: on free ports, in a folder of its own, and killed when it is over.

Invariant: the context leaves no process behind.
"""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from uploadstream.client.errors import UNREACHABLE, UploadError

HOST: Final = "127.0.0.1"
READY_SECONDS_MAX: Final = 20.0

_POLL_SECONDS: Final = 0.05
# Below the ports that the kernel lends to clients: one of those could be taken while the server is down.
_PORTS: Final = range(20_000, 30_000)


class PrivateServer:
    """`uploadstream serve`, started, killed and started again on the same ports and the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "server.log"
        self.http_port, self.grpc_port = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process; 0 if none was started."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the server, and wait until it is ready."""
        command = [
            *(sys.executable, "-m", "uploadstream", "serve"),
            *("--host", HOST, "--http-port", str(self.http_port), "--grpc-port", str(self.grpc_port)),
            *("--data-dir", str(self._folder / "data")),
        ]
        # Settings that are meant for another server are not for this one.
        inherited = os.environ.items()  # noqa: TID251 - nothing is read, all the rest is handed on
        environment = {name: value for name, value in inherited if not name.startswith("UPLOADSTREAM")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready(self._process)

    def kill(self) -> None:
        """`kill -9`, with whatever the server has started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace").strip().splitlines()
                reason = said[-1] if said else "it said nothing"
                message = f"The demonstration's server did not start: {reason}"
                raise UploadError(UNREACHABLE, message)
            time.sleep(_POLL_SECONDS)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=READY_SECONDS_MAX)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _free_ports() -> tuple[int, int]:
    ports: list[int] = []
    while len(ports) < 2:  # noqa: PLR2004 - one for HTTP, one for gRPC
        port = secrets.choice(_PORTS)
        if port not in ports and is_free(HOST, port):
            ports.append(port)
    return ports[0], ports[1]


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now; connections that are still closing do not count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
