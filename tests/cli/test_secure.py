"""Client commands over TLS."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import CommandLine
from tests.running_server import free_ports

PEM = Path(__file__).parents[1] / "servers"
ROOTS = {"grpcs": "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "https": "SSL_CERT_FILE"}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    http_port, grpc_port = free_ports(2)
    cli = CommandLine(tmp_path_factory.mktemp("server"), "")
    files = ("--tls-cert", PEM / "localhost.pem", "--tls-key", PEM / "localhost.key.pem")
    process = cli.start("serve", "--http-port", str(http_port), "--grpc-port", str(grpc_port), *files)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Ctrl-C"):
            break
    yield {"https": http_port, "grpcs": grpc_port}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.mark.parametrize("scheme", ROOTS)
def test_a_certificate_that_is_not_trusted_is_one_line_that_says_what_to_do(
    ports: dict[str, int], tmp_path: Path, scheme: str
) -> None:
    server = f"{scheme}://localhost:{ports[scheme]}"

    done = CommandLine(tmp_path, server).run("ls")

    said = f"The certificate of {server} is not trusted; name a PEM file of whoever issued it in {ROOTS[scheme]}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize("scheme", ROOTS)
def test_a_certificate_whose_issuer_is_named_is_trusted(ports: dict[str, int], tmp_path: Path, scheme: str) -> None:
    server = f"{scheme}://localhost:{ports[scheme]}"

    cli = CommandLine(tmp_path, server, {ROOTS[scheme]: str(PEM / "localhost.pem")})

    assert cli.succeed("ls", "--json") == "[]\n"
