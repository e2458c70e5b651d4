"""tus over a bare socket, for clients that misbehave in ways no library does."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A response's head and what of its body came with it."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""


class RawTus:
    """Requests to one server, each on a connection of its own."""

    def __init__(self, host: str, port: int, *, timeout: float = 30) -> None:
        self._address = (host, port)
        self._timeout = timeout

    def connect(self) -> socket.socket:
        """A connection to do with as one likes."""
        connection = socket.create_connection(self._address, self._timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def head_of(self, method: str, path: str, fields: Mapping[str, str]) -> bytes:
        """A request's head."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address[0]}", "Tus-Resumable: 1.0.0"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    def ask(self, method: str, path: str, fields: Mapping[str, str], body: bytes = b"") -> Answer:
        """One whole request and its answer."""
        with self.connect() as connection:
            connection.sendall(self.head_of(method, path, fields) + body)
            return answer_on(connection, has_body=method != "HEAD")

    def create(self, length: int, metadata: str = "") -> str:
        """A new upload's path."""
        fields = {"Upload-Length": str(length), "Content-Length": "0"}
        answer = self.ask("POST", "/files", fields | ({"Upload-Metadata": metadata} if metadata else {}))
        assert answer.status == 201, answer
        return answer.fields["location"]

    def offset(self, path: str) -> int:
        """Where the upload stands."""
        answer = self.ask("HEAD", path, {})
        assert answer.status == 200, answer
        return int(answer.fields["upload-offset"])

    def begin_patch(self, path: str, *, offset: int, length: int) -> socket.socket:
        """A connection on which `length` bytes of a PATCH are expected now."""
        connection = self.connect()
        connection.sendall(self.head_of("PATCH", path, patch_fields(offset, length)))
        return connection

    def patch(self, path: str, *, offset: int, body: bytes) -> Answer:
        """A whole PATCH."""
        return self.ask("PATCH", path, patch_fields(offset, len(body)), body)


def patch_fields(offset: int, length: int) -> dict[str, str]:
    """The fields of a PATCH."""
    return {
        "Upload-Offset": str(offset),
        "Content-Length": str(length),
        "Content-Type": "application/offset+octet-stream",
    }


def answer_on(connection: socket.socket, *, has_body: bool = True) -> Answer:
    """The next answer on a connection; ConnectionError if there is none."""
    head, _, body = received_up_to(connection, b"", b"\r\n\r\n").partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    fields = {name.lower(): value.strip() for name, _, value in pairs}
    length = int(fields.get("content-length", 0)) if has_body else 0
    while len(body) < length:
        body += received(connection)
    return Answer(int(first.split()[1]), fields, body)


def received_up_to(connection: socket.socket, data: bytes, mark: bytes) -> bytes:
    """What comes, until `mark` is in it."""
    while mark not in data:
        data += received(connection)
    return data


def received(connection: socket.socket) -> bytes:
    """The next bytes; ConnectionError at the end."""
    piece = connection.recv(65536)
    if not piece:
        raise ConnectionError("closed before the answer's end")
    return piece


def reset(connection: socket.socket) -> None:
    """Close with RST: what is under way is thrown away."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
