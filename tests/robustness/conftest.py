"""A real server, and a client that says what it wants to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.prepared_server import PreparedServer
from tests.robustness.raw_tus import RawTus
from tests.running_server import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with PreparedServer(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def tus(server: RunningServer) -> RawTus:
    return RawTus("127.0.0.1", server.http_port)
