"""Limits of a service of two processes, as its operator sets them and its clients meet them."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running_server import RunningServer
from uploadstream import Client, UploadError
from uploadstream.cli.program import run

RATE = "20/min burst 20"
PROTOCOLS = ("grpc", "http")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("limits")
    variables = {"UPLOADSTREAM_RATE_UPLOADS": RATE}
    with RunningServer(folder / "data", options=["--workers", "2"], environment=variables) as running:
        told = ["--data-dir", str(running.data_dir)]
        for protocol in PROTOCOLS:
            assert run(["limits", f"{protocol}-slow", "--rate-uploads", "60/min burst 1", *told]) == 0
            assert run(["limits", f"{protocol}-poor", "--rate-uploads", "off", "--quota-bytes", "1KB", *told]) == 0
        yield running


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(server: RunningServer, protocol: str, user: str, folder: Path) -> Client:
    where = f"grpc://{server.grpc_target}" if protocol == "grpc" else server.http_url
    return Client(where, user=f"{protocol}-{user}", state_dir=folder / "state")


async def test_of_200_uploads_at_once_the_processes_together_let_in_exactly_20(server: RunningServer) -> None:
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(base_url=server.http_url, limits=limits, timeout=60) as client:
        fields = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "X-User-Id": "many"}
        began = time.monotonic()

        answers = await asyncio.gather(*(client.post("/files", headers=fields) for _ in range(200)))

    came_since = int((time.monotonic() - began) / 3)
    begun = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 20 <= len(begun) <= 20 + came_since
    assert len(begun) + len(refused) == 200
    assert all(1 <= int(answer.headers["Retry-After"]) <= 3 for answer in refused)


def test_the_client_waits_for_its_turn_and_goes_on(server: RunningServer, protocol: str, tmp_path: Path) -> None:
    film = tmp_path / "film.bin"
    film.write_bytes(b"x" * 1000)
    with client_of(server, protocol, "slow", tmp_path) as client:
        files = [client.upload(film) for _ in range(3)]

        assert len({file.file_id for file in files}) == 3
        assert len(list(client.list_files())) == 3


def test_where_there_is_no_room_the_client_says_so_at_once(
    server: RunningServer, protocol: str, tmp_path: Path
) -> None:
    film = tmp_path / "film.bin"
    film.write_bytes(b"x" * 1001)
    with client_of(server, protocol, "poor", tmp_path) as client, pytest.raises(UploadError) as refused:
        client.upload(film)

    assert (refused.value.reason, refused.value.is_passing) == ("QUOTA_EXCEEDED", False)
    assert str(refused.value).startswith("Quota: 1001 B more would make 1001 B of 1000 B")
