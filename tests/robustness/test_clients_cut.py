"""Clients that vanish in the middle of a body: the next one goes on at once, and nothing is lost."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.prepared_server import PreparedServer
from tests.robustness.raw_tus import RawTus, reset
from tests.robustness.uploading import content_of
from tests.running_server import RunningServer

CUTS = int(os.environ.get("CUTS", "100"))
SEED = int(os.environ.get("SEED", "20261121"))
SIZE = 3 << 20
BLOCKED_SECONDS_MAX = 3.0

SENDER = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
connection.sendall(sys.stdin.buffer.read())
print("sent", flush=True)
sys.stdin.close()
connection.recv(1)
"""


@pytest.fixture(scope="module", params=[1, 3], ids=["one process", "three workers"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    options = ["--workers", str(request.param), "--fsync", "never"]
    with RunningServer(tmp_path_factory.mktemp("data"), options=options) as running:
        yield running


def cut_by_reset(tus: RawTus, path: str, part: bytes, rest: int) -> Callable[[], None]:
    connection = tus.begin_patch(path, offset=0, length=len(part) + rest)
    connection.sendall(part)
    reset(connection)
    return lambda: None


def cut_by_end(tus: RawTus, path: str, part: bytes, rest: int) -> Callable[[], None]:
    connection = tus.begin_patch(path, offset=0, length=len(part) + rest)
    connection.sendall(part)
    connection.shutdown(socket.SHUT_WR)
    return connection.close


def cut_by_silence(tus: RawTus, path: str, part: bytes, rest: int) -> Callable[[], None]:
    """As when the network is gone: the connection stays, and nothing comes any more."""
    connection = tus.begin_patch(path, offset=0, length=len(part) + rest)
    connection.sendall(part)
    return connection.close


def cut_by_kill(tus: RawTus, path: str, part: bytes, rest: int) -> Callable[[], None]:
    connection = tus.connect()
    host, port = connection.getpeername()[:2]
    connection.close()
    head = tus.head_of(
        "PATCH",
        path,
        {
            "Upload-Offset": "0",
            "Content-Length": str(len(part) + rest),
            "Content-Type": "application/offset+octet-stream",
        },
    )
    process = subprocess.Popen([sys.executable, "-c", SENDER, host, str(port)], stdin=-1, stdout=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(head + part)
    process.stdin.close()
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    return lambda: None


CUT = (cut_by_reset, cut_by_end, cut_by_silence, cut_by_kill)


@pytest.mark.timeout(600)
def test_t10_a_client_cut_anywhere_is_continued_at_once(
    server: RunningServer, tus: RawTus, tell: Callable[[str], None]
) -> None:
    rng = random.Random(SEED)
    waits: Counter[str] = Counter()
    lost = 0
    for number in range(CUTS):
        cut = CUT[number % len(CUT)]
        content = content_of(rng, SIZE)
        at = rng.choice((0, 1, 511, 512, rng.randrange(SIZE), rng.randrange(SIZE), SIZE - 1))
        path = tus.create(SIZE)
        release = cut(tus, path, content[:at], SIZE - at)

        begun = time.monotonic()
        offset = tus.offset(path)
        answer = tus.patch(path, offset=offset, body=content[offset:])
        if answer.status == 409:  # the dead one's last bytes arrived in between
            offset = int(tus.offset(path))
            answer = tus.patch(path, offset=offset, body=content[offset:])
        took = time.monotonic() - begun
        release()

        assert answer.status == 204, answer
        assert took < BLOCKED_SECONDS_MAX
        waits[cut.__name__] = max(waits[cut.__name__], int(took * 1000))
        got = httpx.get(f"{server.http_url}/api/v1/files/{path.rpartition('/')[2]}/content").content
        lost += hashlib.sha256(got).digest() != hashlib.sha256(content).digest()
    assert lost == 0
    tell(f"seed {SEED}: {CUTS} cuts, longest wait in ms {dict(waits)}, {lost} lost")


def test_two_hundred_idle_and_trickling_clients_do_not_slow_an_upload(server: RunningServer, tus: RawTus) -> None:
    content = content_of(random.Random(1), 8 << 20)
    alone = timed_upload(tus, content)

    idle = [tus.connect() for _ in range(100)]
    trickling = [tus.begin_patch(tus.create(1000), offset=0, length=1000) for _ in range(100)]
    for connection in trickling:
        connection.sendall(b"x")
    beside = min(timed_upload(tus, content) for _ in range(3))
    for connection in trickling:
        connection.sendall(b"x")
    for connection in [*idle, *trickling]:
        connection.close()

    assert beside < max(1.0, 5 * alone)  # not a benchmark: only that nobody waits for them


def timed_upload(tus: RawTus, content: bytes) -> float:
    begun = time.monotonic()
    assert tus.patch(tus.create(len(content)), offset=0, body=content).status == 204
    return time.monotonic() - begun


def test_t10_a_silent_body_ends_with_408_and_keeps_its_bytes(tmp_path: Path) -> None:
    with PreparedServer(tmp_path, environment={"UPLOADSTREAM_READ_TIMEOUT": "1s"}) as server:
        tus = RawTus("127.0.0.1", server.http_port)
        path = tus.create(1000)
        with tus.begin_patch(path, offset=0, length=1000) as connection:
            connection.sendall(b"x" * 300)
            assert b" 408 " in connection.recv(65536).partition(b"\r\n")[0]

        assert tus.offset(path) == 300
