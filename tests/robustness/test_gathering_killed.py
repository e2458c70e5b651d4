"""`kill -9` of a server that moves the bytes of a joined file: they can be read whole whenever it is up."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import httpx

from tests.prepared_server import PreparedServer
from tests.robustness.raw_tus import RawTus
from tests.running_server import RunningServer

PARTS = [os.urandom(8 * 1024 * 1024 - number * 1000) for number in range(6)]
KILLS = 3
PATIENCE_SECONDS = 60


def partial(tus: RawTus, content: bytes) -> str:
    """The path of a partial upload with all its bytes."""
    fields = {"Upload-Length": str(len(content)), "Content-Length": "0", "Upload-Concat": "partial"}
    path = tus.ask("POST", "/files", fields).fields["location"]
    assert tus.patch(path, offset=0, body=content).status == 204
    return path


def joined(tus: RawTus, paths: list[str]) -> str:
    """The id of a file with the bytes of these uploads, which are ended."""
    fields = {"Content-Length": "0", "Upload-Concat": f"final;{' '.join(paths)}"}
    answer = tus.ask("POST", "/files", fields)
    assert answer.status == 201
    for path in paths:
        assert tus.ask("DELETE", path, {}).status == 204
    return answer.fields["location"].rpartition("/")[2]


def blobs(server: RunningServer) -> set[str]:
    return {path.name for path in (server.data_dir / "blobs").glob("??/*") if "." not in path.name}


def test_t28_a_joined_file_survives_whatever_its_server_dies_of(tmp_path: Path) -> None:
    dice, whole = random.Random(7), b"".join(PARTS)
    with PreparedServer(tmp_path) as server:
        tus = RawTus("127.0.0.1", server.http_port)
        file_id = joined(tus, [partial(tus, content) for content in PARTS])
        url = f"{server.http_url}/api/v1/files/{file_id}/content"

        for _ in range(KILLS):
            server.restart()  # it begins to gather
            time.sleep(dice.random() * 0.3)
            assert httpx.get(url, timeout=PATIENCE_SECONDS).content == whole
        server.restart()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while blobs(server) != {file_id} and time.monotonic() < deadline:
            time.sleep(0.1)

        assert blobs(server) == {file_id}
        assert httpx.get(url, timeout=PATIENCE_SECONDS).content == whole
