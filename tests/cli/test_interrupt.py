"""Ctrl-C, pressed again and again."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import CommandLine


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """A server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        yield listening


def test_ctrl_c_held_down_ends_a_command_as_one_does(deaf: socket.socket, tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, f"http://127.0.0.1:{deaf.getsockname()[1]}")
    process = cli.start("ls")
    with deaf.accept()[0]:
        until = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < until:
            process.send_signal(signal.SIGINT)
            time.sleep(0.0005)
    printed, said = process.communicate(timeout=20)

    assert (process.returncode, printed) == (130, "")
    assert "Traceback" not in said
