"""A running server, and the foreign clients that are set against it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.tools import grpcurl_program, required_program, tus_js_script
from tests.interop.tus_js import TusJs
from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer

MIB = 2**20


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests that do not stop it; each test looks at its own uploads only."""
    with PreparedServer(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 MiB that no compression and no cache can guess."""
    path = tmp_path_factory.mktemp("files") / "large file.bin"
    path.write_bytes(os.urandom(50 * MIB))
    return path


@pytest.fixture(scope="session")
def tus_js_installed(pytestconfig: pytest.Config) -> tuple[str, Path]:
    """Node, and the script that drives tus-js-client."""
    node = required_program("node")
    return node, tus_js_script(pytestconfig.cache)


@pytest.fixture
def tus_js(tus_js_installed: tuple[str, Path], server: RunningServer) -> TusJs:
    """tus-js-client, pointed at the shared server."""
    node, script = tus_js_installed
    return TusJs(node, script, f"{server.http_url}/files")


@pytest.fixture(scope="session")
def grpcurl(pytestconfig: pytest.Config) -> Path:
    """The grpcurl program."""
    return grpcurl_program(pytestconfig.cache)


@pytest.fixture(scope="session")
def curl() -> str:
    """The curl program."""
    return required_program("curl")
