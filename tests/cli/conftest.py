"""A running server, and the command line of a user of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import CommandLine
from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with PreparedServer(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(params=["grpc", "tus"])
def cli(request: pytest.FixtureRequest, server: RunningServer, tmp_path: Path) -> CommandLine:
    """Once over each protocol."""
    return command_line(server, tmp_path, request.param)


@pytest.fixture
def grpc_cli(server: RunningServer, tmp_path: Path) -> CommandLine:
    """Over gRPC only, where the protocol makes no difference."""
    return command_line(server, tmp_path, "grpc")


def command_line(server: RunningServer, folder: Path, protocol: str) -> CommandLine:
    address = f"grpc://{server.grpc_target}" if protocol == "grpc" else server.http_url
    return CommandLine(folder, address, {"UPLOADSTREAM_USER": folder.name})
