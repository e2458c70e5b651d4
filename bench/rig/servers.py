"""The servers that are compared, and how each is started alone in an empty folder.

All listen on 127.0.0.1 with ports nobody else uses, and write under the same folder, so to the same file system.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rig.peers import BENCH, built

START_SECONDS = 30
STOP_SECONDS = 30
GIB = 1 << 30


@dataclass(frozen=True)
class Place:
    """Where a server listens and stores."""

    http_port: int
    grpc_port: int
    folder: Path


@dataclass(frozen=True)
class Kind:
    """A server that can be measured."""

    name: str
    protocols: frozenset[str]
    command: Callable[[Place, bool], list[str]]
    ready: Callable[[Place], bool]
    content_path: str  # where an uploaded file is downloaded, by its id
    durability: dict[bool, str]  # with and without --fsync; a way that is missing cannot be asked for
    put_in: Callable[[Place, Path, int], str] | None = None  # stores a file's first bytes where no upload does; its id


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    kind: Kind
    place: Place
    pid: int
    alive: Callable[[], bool]

    @property
    def log(self) -> str:
        """The end of what the server has written."""
        return log_path(self.place).read_text(errors="replace")[-2000:]


def log_path(place: Place) -> Path:
    """The server's standard output and error."""
    return place.folder / "server.log"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(place: Place, path: str) -> bool:
    """Whether a GET on the HTTP port succeeds."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{place.http_port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def accepts(place: Place) -> bool:
    """Whether the gRPC port takes connections."""
    try:
        socket.create_connection(("127.0.0.1", place.grpc_port), timeout=2).close()
    except OSError:
        return False
    return True


def uploadstream_command(place: Place, fsync: bool, *, workers: int | None) -> list[str]:  # noqa: FBT001 one shape for all kinds
    """The project's own server, with the limits out of the way and nothing done after the last byte."""
    return [
        "env", f"UPLOADSTREAM_FSYNC={'complete' if fsync else 'never'}", f"UPLOADSTREAM_MAX_FILE_SIZE={64 * GIB}B",
        str(BENCH.parent / ".venv/bin/uploadstream"), "serve", "--no-processing", "--host", "127.0.0.1",
        "--http-port", str(place.http_port), "--grpc-port", str(place.grpc_port),
        "--data-dir", str(place.folder / "data"), *(["--workers", str(workers)] if workers else []),
    ]  # fmt: skip


def tusd_command(place: Place, _fsync: bool) -> list[str]:  # noqa: FBT001 one shape for all kinds
    """Without a line of log for each request, which spares it some work."""
    return [
        str(built("tusd")), "-host", "127.0.0.1", "-port", str(place.http_port),
        "-upload-dir", str(place.folder / "data"), "-verbose=false", "-show-startup-logs=false",
    ]  # fmt: skip


def grpc_go_command(place: Place, fsync: bool) -> list[str]:  # noqa: FBT001 one shape for all kinds
    """The server of peers/grpc_go."""
    return [
        str(built("grpc_go_server")), "-listen", f"127.0.0.1:{place.grpc_port}",
        "-dir", str(place.folder / "data"), f"-fsync={'true' if fsync else 'false'}",
    ]  # fmt: skip


NGINX = """
daemon off;
master_process on;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/data;
    }}
}}
"""


def nginx_command(place: Place, _fsync: bool) -> list[str]:  # noqa: FBT001 one shape for all kinds
    """One worker with sendfile, no log, a configuration of its own."""
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker may not read a folder that is ours alone
    conf = place.folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=place.folder, port=place.http_port, user=user))
    (place.folder / "data" / "ready").touch()
    return ["nginx", "-e", "stderr", "-p", str(place.folder), "-c", str(conf)]


def put_in_folder(place: Place, source: Path, size: int) -> str:
    """A copy under the root of a server that only serves."""
    target = place.folder / "data" / uuid.uuid4().hex
    shutil.copyfile(source, target)
    os.truncate(target, size)
    return target.name


def kinds(*, workers: int | None = None) -> dict[str, Kind]:
    """All servers by name."""
    every = [
        Kind(
            "uploadstream", frozenset({"tus", "grpc"}), partial(uploadstream_command, workers=workers),
            partial(answers, path="/readyz"), "/api/v1/files/{}/content",
            {False: "UPLOADSTREAM_FSYNC=never", True: "UPLOADSTREAM_FSYNC=complete"},
        ),
        Kind("tusd", frozenset({"tus"}), tusd_command, partial(answers, path="/"), "/files/{}", {False: "never syncs"}),
        Kind(
            "grpc-go", frozenset({"grpc"}), grpc_go_command, accepts, "",
            {False: "no fsync", True: "fsync before the answer"},
        ),
        Kind(
            "nginx", frozenset({"tus"}), nginx_command, partial(answers, path="/ready"), "/{}",
            {False: "takes no uploads", True: "takes no uploads"}, put_in_folder,
        ),
    ]  # fmt: skip
    return {kind.name: kind for kind in every}


@contextmanager
def running(kind: Kind, folder: Path, *, fsync: bool) -> Iterator[Running]:
    """Starts the server in the empty folder, waits until it answers, and stops it in the end."""
    place = Place(http_port=free_port(), grpc_port=free_port(), folder=folder)
    (folder / "data").mkdir(parents=True)
    command = kind.command(place, fsync)
    with (
        log_path(place).open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment()) as process,
    ):
        server = Running(kind, place, process.pid, lambda: process.poll() is None)
        try:
            wait_until_ready(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def plain_environment() -> dict[str, str]:
    """Ours without settings that would change what is measured."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UPLOADSTREAM", "OTEL_", "GOMAXPROCS", "GOGC", "GODEBUG"))
    }


def wait_until_ready(server: Running) -> None:
    """Returns when the server answers; raises with its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while not server.kind.ready(server.place):
        if not server.alive() or time.monotonic() > deadline:
            raise RuntimeError(f"{server.kind.name} does not start:\n{server.log}")
        time.sleep(0.05)
