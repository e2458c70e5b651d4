"""nginx, HAProxy and Caddy as plain processes, with the examples of docs/deploy or with what somebody else might write.

Invariant: only ports, names and files of an example are exchanged, for those of the test; every other line is tried as
it stands in the documentation.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running_server import HOST, RunningServer, free_ports

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "deploy"
CERTIFICATE = ROOT / "tests" / "servers" / "localhost.pem"
KEY = ROOT / "tests" / "servers" / "localhost.key.pem"
NAME = "localhost"  # which the certificate is for

READY_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 10.0


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs, and the address of the service behind it."""

    name: str
    port: int
    scheme: str = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{NAME}:{self.port}"

    @property
    def grpc_url(self) -> str:
        return f"grpcs://{NAME}:{self.port}"


def program(name: str) -> str:
    """The path of a proxy, which the system may keep where only its administrator looks."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed; its configuration in docs/deploy cannot be tried")
    return path


def exchanged(text: str, values: Mapping[str, str]) -> str:
    """The text with other values; every one of them has to be there."""
    for old, new in values.items():
        assert old in text, f"{old!r} is not in the example"
        text = text.replace(old, new)
    return text


def behind(server: RunningServer) -> dict[str, str]:
    """Where the examples have the service, and where it is."""
    return {"127.0.0.1:8080": f"{HOST}:{server.http_port}", "127.0.0.1:50051": server.grpc_target}


def temporary_paths(folder: Path) -> str:
    """Directives with which nginx keeps nothing in the system's folders."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "    access_log off;\n" + "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)


@contextmanager
def nginx_with(text: str, folder: Path, ports: Sequence[int]) -> Iterator[None]:
    """nginx with a configuration, keeping what it writes in a folder."""
    config = folder / "nginx.conf"
    config.write_text(text)
    places = "daemon off; pid nginx.pid; error_log stderr;"
    if os.geteuid() == 0:
        places += " user root;"  # another user's workers could keep nothing in the test's folder
    command = [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(config), "-g", places]
    with running(command, ports):
        yield


@contextmanager
def nginx(server: RunningServer, folder: Path) -> Iterator[Proxy]:
    """The example for nginx; what it would keep in the system's folders goes to `folder`."""
    (port,) = free_ports(1)
    values = {
        "listen 443 ": f"listen {HOST}:{port} ",
        "files.example.com;": f"{NAME};",
        "/etc/ssl/files.example.com.pem": str(CERTIFICATE),
        "/etc/ssl/files.example.com.key.pem": str(KEY),
        "http {\n": f"http {{\n{temporary_paths(folder)}",
    }
    with nginx_with(exchanged((EXAMPLES / "nginx.conf").read_text(), {**values, **behind(server)}), folder, [port]):
        yield Proxy("nginx", port)


@contextmanager
def haproxy(server: RunningServer, folder: Path) -> Iterator[Proxy]:
    """The example for HAProxy."""
    (port,) = free_ports(1)
    both = folder / "both.pem"
    both.write_bytes(CERTIFICATE.read_bytes() + KEY.read_bytes())
    config = folder / "haproxy.cfg"
    values = {"bind :443 ": f"bind {HOST}:{port} ", "/etc/ssl/files.example.com.both.pem": str(both)}
    config.write_text(exchanged((EXAMPLES / "haproxy.cfg").read_text(), {**values, **behind(server)}))
    with running([program("haproxy"), "-db", "-f", str(config)], [port]):
        yield Proxy("HAProxy", port)


@contextmanager
def caddy(server: RunningServer, folder: Path) -> Iterator[Proxy]:
    """The example for Caddy, without the certificate that it would ask for by itself."""
    (port,) = free_ports(1)
    config = folder / "Caddyfile"
    ours = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n\n"
    values = {"files.example.com {\n": f"https://{NAME}:{port} {{\n\tbind {HOST}\n\ttls {CERTIFICATE} {KEY}\n"}
    config.write_text(ours + exchanged((EXAMPLES / "Caddyfile").read_text(), {**values, **behind(server)}))
    homes = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with running([program("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)], [port], homes):
        yield Proxy("Caddy", port)


@contextmanager
def running(
    command: Sequence[str], ports: Sequence[int], variables: Mapping[str, str] | None = None
) -> Generator[None]:
    """A process from when it listens until the block ends."""
    environment = {**os.environ, **(variables or {})}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until_open(process, ports)
            yield
        except AssertionError as error:
            log.seek(0)
            error.add_note(f"{command[0]} said:\n{log.read()[-4000:]}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_open(process: subprocess.Popen[bytes], ports: Sequence[int]) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    for port in ports:
        while True:
            assert process.poll() is None, f"ended with status {process.returncode}"
            assert time.monotonic() < deadline, f"does not listen on {port}"
            try:
                socket.create_connection((HOST, port)).close()
            except OSError:
                time.sleep(0.02)
            else:
                break
