"""A TCP proxy that cuts its connections after so many bytes, in the way that it is told."""

from __future__ import annotations

import enum
import socket
import struct
import threading
from types import TracebackType
from typing import Self


class Cut(enum.Enum):
    """How a network fails."""

    RESET = "reset"  # RST to the server
    END = "end"  # FIN to the server
    SILENCE = "silence"  # nothing comes any more, and nothing is closed


class CuttingProxy:
    """Forwards one connection to `target` until `count` bytes have gone there, then cuts."""

    def __init__(self, target: tuple[str, int], *, count: int, cut: Cut) -> None:
        self._target = target
        self._left = count
        self._cut = cut
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listening]
        self.has_cut = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where to connect."""
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._sockets:
            each.close()

    def _run(self) -> None:
        client, _ = self._listening.accept()
        server = socket.create_connection(self._target)
        self._sockets += [client, server]
        back = threading.Thread(target=self._forward_back, args=(server, client), daemon=True)
        back.start()
        while self._left:
            piece = client.recv(min(self._left, 65536))
            if not piece:
                return
            server.sendall(piece)
            self._left -= len(piece)
        match self._cut:
            case Cut.RESET:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                server.shutdown(socket.SHUT_RD)
                server.close()
            case Cut.END:
                server.shutdown(socket.SHUT_WR)
            case Cut.SILENCE:
                pass
        self.has_cut.set()

    def _forward_back(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while piece := server.recv(65536):
                client.sendall(piece)
        except OSError:
            return
