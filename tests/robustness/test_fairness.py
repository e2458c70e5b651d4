"""One user with many uploads leaves another its part of what the server takes: real servers, real sockets."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.running_server import RunningServer
from uploadstream.core.sizes import MIB

BENCH = Path(__file__).parents[2] / "bench"
CROWD = 40
WARM_BYTES = 60 * MIB
BYTES = 100 * MIB
PATIENCE_SECONDS = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    environment = {"UPLOADSTREAM_FSYNC": "never", "UPLOADSTREAM_MAX_FILE_SIZE": "16GiB"}
    with RunningServer(tmp_path, options=["--no-processing"], environment=environment) as running:
        yield running


@contextmanager
def sending(server: RunningServer, user: str, count: int) -> Iterator[None]:
    """A process with connections of one user, all of which send."""
    line = [sys.executable, "-m", "rig.crowd", "--port", str(server.http_port), "--user", user]
    with subprocess.Popen(
        [*line, "--connections", str(count)], cwd=BENCH, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def stored(client: httpx.Client) -> Counter[str]:
    """How many bytes each user's uploads have."""
    sums = Counter[str]()
    for user in ("crowd", "ann"):
        listed = client.get("/api/v1/uploads", params={"user_id": user, "page_size": CROWD}).json()
        sums[user] = sum(upload["offset"] for upload in listed["uploads"])
    return sums


def stored_until(client: httpx.Client, count: int) -> Counter[str]:
    """What is stored of each user until they have brought so much more together."""
    before, deadline = stored(client), time.monotonic() + PATIENCE_SECONDS
    while True:
        now = stored(client)
        if now.total() - before.total() >= count:
            now.subtract(before)
            return now
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_over_http_a_crowd_leaves_another_user_its_part(server: RunningServer) -> None:
    """Two thirds, of a server that has the machine to itself; one without turns left a fiftieth."""
    with (
        sending(server, "crowd", CROWD),
        sending(server, "ann", 1),
        httpx.Client(base_url=server.http_url) as client,
    ):
        stored_until(client, WARM_BYTES)
        by_user = stored_until(client, BYTES)

    assert by_user["ann"] > by_user["crowd"] / 3
