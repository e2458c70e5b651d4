"""A client whose server is in memory, and that loses no time between its tries."""

from pathlib import Path

import pytest

from tests.client.faulty import FILM, FaultyServer
from uploadstream.client import asynchronous, retrying
from uploadstream.client.asynchronous import AsyncClient


@pytest.fixture(autouse=True)
def _quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def server() -> FaultyServer:
    return FaultyServer()


@pytest.fixture
def client(server: FaultyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncClient:
    monkeypatch.setattr(asynchronous, "connected", lambda *_, **__: server)
    return AsyncClient(state_dir=tmp_path / "state")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file of 300,000 bytes that differ."""
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    return path
