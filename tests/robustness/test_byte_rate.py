"""One user's bytes a second, on several connections to several processes: real servers, real sockets."""

import time
from pathlib import Path

import httpx
import pytest

from tests.robustness.test_fairness import sending, stored
from tests.running_server import RunningServer
from uploadstream.core.sizes import MIB

RATE = 4 * MIB
SECONDS = 2.5


def test_four_connections_to_two_processes_have_one_rate(tmp_path: Path) -> None:
    """The kernel gives connections to both processes, but for one time in eight."""
    environment = {
        "UPLOADSTREAM_FSYNC": "never",
        "UPLOADSTREAM_MAX_FILE_SIZE": "1GiB",
        "UPLOADSTREAM_RATE_BYTES": f"{RATE}B/s burst 512KiB",
    }
    with (
        RunningServer(tmp_path, options=["--no-processing", "--workers", "2"], environment=environment) as server,
        sending(server, "ann", 4),
        httpx.Client(base_url=server.http_url) as client,
    ):
        time.sleep(0.5)
        before, start = stored(client)["ann"], time.monotonic()
        time.sleep(SECONDS)
        count, seconds = stored(client)["ann"] - before, time.monotonic() - start

    assert count / seconds == pytest.approx(RATE, rel=0.1)
