"""One service, and each proxy before it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.deployment.proxies import CERTIFICATE, Proxy, caddy, haproxy, nginx
from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer

EXAMPLES = {"nginx": nginx, "HAProxy": haproxy, "Caddy": caddy}


@pytest.fixture(scope="session", autouse=True)
def trust() -> Iterator[None]:
    """Everybody, also the programs that are started, trusts the certificate of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(CERTIFICATE))
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with PreparedServer(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def proxies(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Proxy]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(start(server, tmp_path_factory.mktemp(name))) for name, start in EXAMPLES.items()
        }


@pytest.fixture(params=EXAMPLES)
def proxy(request: pytest.FixtureRequest, proxies: dict[str, Proxy]) -> Proxy:
    """Each in its turn."""
    return proxies[request.param]


@pytest.fixture
def http(proxy: Proxy, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a user of its own, over HTTP/2 as browsers are."""
    with httpx.Client(base_url=proxy.url, headers={"X-User-Id": tmp_path.name}, http2=True, timeout=30) as client:
        yield client
