"""One HTTP/1.1 connection on which nothing is hidden: bodies sent by and by, interim responses, early answers."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import h11

from uploadstream.client.endpoint import Endpoint

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 10.0
READ_SIZE: Final = 64 * 1024


class Broken(Exception):
    """The connection, or what came over it, is of no use."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, interim or final; `fields` in the order they came, their names in small letters."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for there, value in self.fields if there == name.lower()]

    def get(self, name: str) -> str:
        """The values of a field as one, empty if there is none."""
        return ", ".join(self.all(name))

    def words(self, name: str) -> set[str]:
        """The members of a list, in small letters."""
        return {word.strip().lower() for word in self.get(name).split(",") if word.strip()}

    @property
    def is_success(self) -> bool:
        """Whether what was asked for was done."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of statuses

    @property
    def server(self) -> str:
        """Which program says that it answers; UploadStream itself does not say."""
        return self.get("server")


def connect(address: Endpoint, context: ssl.SSLContext | None) -> socket.socket:
    """A socket to the address, with TLS if it has `context`. OSError."""
    plain = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


class Exchange:
    """A connection, and the request and response that are under way on it. OSError and Broken from every method."""

    def __init__(self, address: Endpoint, context: ssl.SSLContext | None) -> None:
        self._host = address.authority
        self._socket = connect(address, context)
        self._h11 = h11.Connection(h11.CLIENT)

    def begin(self, method: str, path: str, fields: Mapping[str, str]) -> None:
        """Send the head of a request; without Content-Length it has no body."""
        headers = [("Host", self._host), *fields.items()]
        self._send(h11.Request(method=method, target=path, headers=headers))

    def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._send(h11.Data(data=data))

    def end(self) -> None:
        """The request is complete."""
        self._send(h11.EndOfMessage())

    def head(self, seconds: float = ANSWER_SECONDS) -> Answer | None:
        """The next interim or final response, without its body; None if there is none in that time."""
        deadline = time.monotonic() + seconds
        while (event := self._next(deadline)) is not None:
            if isinstance(event, h11.EndOfMessage):
                break
            if isinstance(event, h11.InformationalResponse | h11.Response):
                fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
                return Answer(event.status_code, fields)
        return None

    def piece(self, seconds: float = ANSWER_SECONDS) -> bytes | None:
        """Some bytes of the response's body; empty at its end, None if there are none in that time."""
        event = self._next(time.monotonic() + seconds)
        if isinstance(event, h11.Data):
            return bytes(event.data)
        return None if event is None else b""

    def answer(self, seconds: float = ANSWER_SECONDS) -> Answer:
        """The final response, whole."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.head(deadline - time.monotonic())
            if answer is None:
                raise Broken(f"no answer in {seconds:g} s")
            if answer.status >= 200:  # noqa: PLR2004 - the others are interim
                break
        body = b""
        while piece := self.piece(deadline - time.monotonic()):
            body += piece
        if piece is None:
            raise Broken(f"half an answer in {seconds:g} s")
        return Answer(answer.status, answer.fields, body)

    def renew(self) -> bool:
        """Whether the next request can go over this connection."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        return False

    def close(self) -> None:
        """Break off, whatever is under way."""
        self._socket.close()

    def _send(self, event: h11.Event) -> None:
        try:
            data = self._h11.send(event)
        except h11.LocalProtocolError as error:
            raise Broken(str(error)) from error
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.sendall(data or b"")

    def _next(self, deadline: float) -> h11.Event | None:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise Broken(f"no HTTP/1.1: {error}") from error
            if isinstance(event, h11.ConnectionClosed):
                raise Broken("the connection was closed")
            if isinstance(event, h11.Event):
                return event
            if event is h11.PAUSED:
                return h11.EndOfMessage()
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                self._h11.receive_data(self._socket.recv(READ_SIZE))
            except TimeoutError:
                return None
