"""What an application may send besides the messages that uvicorn's cycle knows: interim responses, files by the kernel.

It stands between the application and the cycle, and writes to the cycle's own transport. Everything else goes to the
cycle untouched, which keeps the account of what was promised and what was sent.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Mapping, MutableMapping
from typing import Any, Final, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, RequestResponseCycle

from uploadstream.http import interim, zero_copy
from uploadstream.servers.pump import Line

Message = MutableMapping[str, Any]

# What an application may send before its answer; 100 is the server's own to send.
_PHRASES: Final[Mapping[int, bytes]] = {103: b"Early Hints", 104: b"Upload Resumption Supported"}
# An interim response has no content, and says nothing of the connection (RFC 9110, section 15.2).
_NOT_INTERIM: Final = frozenset([b"connection", b"content-length", b"transfer-encoding"])


def extensions(scope: Mapping[str, Any], line: Line) -> dict[str, Any]:
    """What an application may send in answer to this request."""
    offered: dict[str, Any] = {}
    if scope["http_version"] == "1.1":
        offered[interim.EXTENSION] = {}
    if line.can_send_files:
        offered[zero_copy.EXTENSION] = {}
    return offered


class Answer:
    """An application for one request, whose `send` takes the messages of our extensions as well."""

    def __init__(self, app: Any, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._line = cast("Line", cycle.transport)
        self._flow: FlowControl = cycle.flow
        self._is_old = cycle.scope["http_version"] == "1.0"
        self._ends_with_connection = False

    async def __call__(self, scope: Any, receive: Any, _send: Any) -> None:
        """Run the application; its messages come here first. A body that it leaves without an end is cut there."""
        await self._app(scope, receive, self.send)
        cycle = self._cycle
        if cycle.response_started and not cycle.response_complete and not cycle.disconnected:
            cycle.disconnected = True  # who follows an upload that ends is told so by this; it is no fault to be logged
            self._line.close()

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message."""
        kind = message["type"]
        if kind == interim.EXTENSION:
            return self._send_interim(message)
        if kind == zero_copy.EXTENSION:
            return self._send_file(message)
        if self._is_old:
            self._keep_from_chunks(message)
        return self._cycle.send(cast("Any", message))

    def _keep_from_chunks(self, message: Message) -> None:
        """A client of HTTP/1.0 knows none (RFC 9112, section 6.1): a body without a length ends with the connection."""
        if message["type"] == "http.response.start":
            self._ends_with_connection = all(name.lower() != b"content-length" for name, _ in message["headers"])
            if self._ends_with_connection:
                self._cycle.chunked_encoding = False
        elif self._ends_with_connection:
            self._cycle.expected_content_length = len(message.get("body", b""))

    async def _send_interim(self, message: Message) -> None:
        """Send it now, or not at all: it is no use later, and nothing may wait for a client that does not read it."""
        cycle = self._cycle
        if cycle.response_started or cycle.scope["http_version"] != "1.1":
            raise RuntimeError("An interim response comes before the final one, to a client of HTTP/1.1.")
        head = _interim_head(message)
        if not (cycle.disconnected or self._flow.write_paused):
            self._line.write(head)

    async def _send_file(self, message: Message) -> None:
        """Send a piece of a file as (a piece of) the body, past the transport's memory."""
        cycle = self._cycle
        if cycle.disconnected or not cycle.response_started or cycle.response_complete:
            await cycle.send(cast("Any", message))  # which says what is wrong with it, if anything
            return
        rest: Any = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
        if cycle.scope["method"] != "HEAD":
            piece = _Piece(message)
            self._count(piece.size)
            if piece.size and not await self._push(piece):
                return
            if cycle.chunked_encoding and piece.size:
                self._line.write(b"\r\n")
        await cycle.send(rest)

    def _count(self, size: int) -> None:
        """Enter a piece into the cycle's account."""
        cycle = self._cycle
        if cycle.chunked_encoding:
            if size:
                self._line.write(b"%x\r\n" % size)
            return
        if self._ends_with_connection:
            return
        if size > cycle.expected_content_length:
            raise RuntimeError("Response content longer than Content-Length")
        cycle.expected_content_length -= size

    async def _push(self, piece: _Piece) -> bool:
        """Whether the client was there to the end."""
        cycle, line = self._cycle, self._line
        try:
            sent = await line.send_file(piece.fd, at=piece.at, count=piece.size, outflow=self._flow)
        except ConnectionError:
            cycle.disconnected = True
            cycle.message_event.set()
            if not line.is_closing():
                line.abort()
            return False
        piece.note(sent)
        if sent < piece.size:
            raise zero_copy.FileEnded(f"A file ends {piece.size - sent} bytes too early")
        return True


class _Piece:
    """Which bytes of which file."""

    def __init__(self, message: Message) -> None:
        self._file = message["file"]
        self.fd: int = self._file if isinstance(self._file, int) else self._file.fileno()
        at, count = message.get("offset"), message.get("count")
        self._moves = at is None
        self.at: int = self._position() if at is None else at
        left = max(0, os.fstat(self.fd).st_size - self.at)
        self.size: int = left if count is None else count
        if self.at < 0 or self.size < 0:
            raise ValueError(f"No bytes of a file: offset {at}, count {count}")

    def _position(self) -> int:
        position: int = os.lseek(self.fd, 0, os.SEEK_CUR) if isinstance(self._file, int) else self._file.tell()
        return position

    def note(self, sent: int) -> None:
        """Move the file's position behind what was sent, if it was sent from there."""
        if not self._moves:
            return
        if isinstance(self._file, int):
            os.lseek(self.fd, self.at + sent, os.SEEK_SET)
        else:
            self._file.seek(self.at + sent)


def _interim_head(message: Message) -> bytes:
    """The bytes of an interim response."""
    status = message["status"]
    if status not in _PHRASES:
        raise RuntimeError(f"{status} is no interim response that an application may send.")
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES[status])]
    for name, value in message.get("headers", []):
        if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) or name.lower() in _NOT_INTERIM:
            raise RuntimeError(f"{name!r} cannot be a field of an interim response, or not with this value.")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join([*lines, b"\r\n"])
