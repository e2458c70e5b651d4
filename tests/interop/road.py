"""A TCP proxy that halts after so many bytes, in the middle of whatever is sent, and is cut when a test says so.

A browser that is told to be offline begins no request, but ends those that it has begun: something has to cut them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from typing import Final

from tests.running_server import HOST

PIECE_SIZE: Final = 64 * 1024
WAIT_SECONDS: Final = 30.0


class Road:
    """The way to a port of this machine; `halt_at`: how many bytes go there before it halts."""

    def __init__(self, port: int, *, halt_at: int) -> None:
        self._port = port
        self._left: float = halt_at
        self._changed = Condition()
        self._open: list[socket.socket] = []
        self._is_cut = False
        self.listening = socket.create_server((HOST, 0))
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://{HOST}:{self.listening.getsockname()[1]}"

    def wait_until_it_halts(self) -> None:
        """So many bytes have gone, and the next wait."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._left, WAIT_SECONDS), f"{self._left} bytes did not come"

    def cut(self) -> None:
        """Reset every connection, and those to come: a browser tries once more by itself before it says so."""
        with self._changed:
            self._is_cut = True
            for each in self._open:
                reset(each)
            self._open.clear()
            self._left = float("inf")
            self._changed.notify_all()

    def mend(self) -> None:
        """Let connections through, and never halt again."""
        with self._changed:
            self._is_cut = False

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                with self._changed:
                    if self._is_cut:
                        reset(client)
                        continue
                    server = socket.create_connection((HOST, self._port))
                    self._open += [client, server]
                Thread(target=self._there, args=(client, server), daemon=True).start()
                Thread(target=self._back, args=(server, client), daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(PIECE_SIZE):
                with self._changed:
                    going = piece[: int(min(self._left, PIECE_SIZE))]
                    self._left -= len(going)
                    server.sendall(going)
                    self._changed.notify_all()
                    if len(going) < len(piece):
                        self._changed.wait_for(lambda: self._left)
                        return
            server.shutdown(socket.SHUT_WR)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while piece := server.recv(PIECE_SIZE):
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)


def reset(connection: socket.socket) -> None:
    """Close it with RST, also while another thread waits for it."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def road_to(port: int, *, halt_at: int) -> Iterator[Road]:
    """A road that is gone at the end."""
    road = Road(port, halt_at=halt_at)
    try:
        yield road
    finally:
        road.listening.close()
        road.cut()
