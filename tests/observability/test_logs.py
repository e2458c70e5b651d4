"""What is written to stdout."""

import json
import subprocess
import sys

PROGRAM = """
import io, os, sys
import structlog
from uploadstream.observability.logs import configure

class Pieces(io.RawIOBase):
    def writable(self): return True
    def write(self, data):
        os.write(2, bytes(data).hex().encode() + b"\\n")
        return len(data)

sys.stdout = io.TextIOWrapper(Pieces(), write_through=True)
configure()
structlog.get_logger().info("something happened", count=3)
"""


def test_a_line_is_written_at_once() -> None:
    """Or else the lines of several processes get into one another, where output is not buffered, as in containers."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    (piece,) = (bytes.fromhex(piece) for piece in done.stderr.split())
    assert piece.endswith(b"}\n")
    assert json.loads(piece)["event"] == "something happened"
