"""A running server takes a new certificate on SIGHUP, and keeps the one it has where the new one is none."""

import os
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.running_server import HOST, RunningServer

PEM = Path(__file__).parent.parent / "servers"


class TlsServer(RunningServer):
    """One that answers over TLS alone."""

    def _is_ready(self) -> bool:
        try:
            return bool(shown(self.http_port))
        except OSError:
            return False


def shown(port: int) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((HOST, port), 20) as plain, context.wrap_socket(plain) as wrapped:
        return wrapped.getpeercert(binary_form=True) or b""


def seen(server: RunningServer) -> set[bytes]:
    """What many new connections to both of its ports are shown; a worker that just starts may keep them waiting."""

    def on(port: int) -> bytes:
        found = b""

        def answers() -> bool:
            nonlocal found
            with suppress(OSError):
                found = shown(port)
            return bool(found)

        assert eventually(answers), server.output()
        return found

    return {on(port) for port in (server.http_port, server.grpc_port) for _ in range(8)}


def der(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((PEM / name).read_text())


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 100  # two workers start one after the other
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_new_connections_of_both_kinds_see_the_new_one_and_a_bad_one_changes_nothing(
    tmp_path: Path, workers: int
) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(PEM / "localhost.pem", chain)
    shutil.copy(PEM / "localhost.key.pem", key)
    options = ("--tls-cert", str(chain), "--tls-key", str(key), "--workers", str(workers))
    with TlsServer(tmp_path / "data", options=options) as server:
        assert eventually(lambda: "UploadStream is ready." in server.output())
        shutil.copy(PEM / "renewed.pem", chain)
        os.kill(server.pid, signal.SIGHUP)
        assert eventually(lambda: server.output().count("is not that of the certificate") == workers)
        assert server.output().count("certificate not renewed") == workers
        assert seen(server) == {der("localhost.pem")}

        shutil.copy(PEM / "renewed.key.pem", key)
        os.kill(server.pid, signal.SIGHUP)
        assert eventually(lambda: server.output().count("certificate renewed") == workers)
        assert seen(server) == {der("renewed.pem")}
        assert server.stop() == 0


def test_a_worker_that_starts_while_the_files_hold_none_shows_the_last_good_one(tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(PEM / "localhost.pem", chain)
    shutil.copy(PEM / "localhost.key.pem", key)
    options = ("--tls-cert", str(chain), "--tls-key", str(key), "--workers", "2")
    with TlsServer(tmp_path / "data", options=options) as server:
        assert eventually(lambda: "UploadStream is ready." in server.output())
        shutil.copy(PEM / "renewed.pem", chain)
        shutil.copy(PEM / "renewed.key.pem", key)
        os.kill(server.pid, signal.SIGHUP)
        assert eventually(lambda: server.output().count("certificate renewed") == 2)
        chain.unlink()

        for victim in server.workers():
            os.kill(victim, signal.SIGKILL)
        assert eventually(lambda: server.output().count("certificate not renewed") == 2)

        assert seen(server) == {der("renewed.pem")}
        assert server.stop() == 0


def test_workers_without_a_certificate_have_nothing_to_read_again(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", options=("--workers", "2")) as server:
        assert eventually(lambda: "UploadStream is ready." in server.output())
        pids = server.workers()
        os.kill(server.pid, signal.SIGHUP)

        assert eventually(lambda: server.output().count("nothing to read again") == 2)
        assert server.workers() == pids
        assert server.stop() == 0
