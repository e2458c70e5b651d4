"""HTTP/1.1 over a bare socket with every interim response kept, and the structured fields of an answer.

An HTTP library hides interim responses, mends what it sends and forgives what it reads; here nothing is.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
RECEIVE_SIZE = 65536
SHOWN_CONTENT_MAX = 400


class Broken(Exception):
    """What came is no answer: nothing at all, half of one, or no HTTP."""


class Malformed(ValueError):
    """A value that is no structured field of the kind wanted (RFC 9651)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One response, interim or final; `sent`: how much of the request's content was on its way when it came."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    content: bytes = b""
    sent: int = 0

    def field(self, name: str) -> str | None:
        """A field's value, of several lines joined as HTTP wants it."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def is_interim(self) -> bool:
        """Whether another response follows."""
        return 100 <= self.status < 200

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    @property
    def is_client_error(self) -> bool:
        """4xx."""
        return 400 <= self.status < 500

    def __str__(self) -> str:
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.fields)]
        if self.content:
            text = self.content[:SHOWN_CONTENT_MAX].decode("utf-8", "backslashreplace")
            lines += ["", text + (" ..." if len(self.content) > SHOWN_CONTENT_MAX else "")]
        return "\n".join(lines)


@dataclass(slots=True)
class Request:
    """A request's head; `fields` go out as they are, in their order."""

    method: str
    target: str
    fields: list[tuple[str, str]] = field(default_factory=list)

    def encoded(self) -> bytes:
        """As it is sent."""
        return f"{self}\r\n\r\n".encode("latin-1")

    def __str__(self) -> str:
        return "\r\n".join(
            [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.fields)]
        )


class Exchange:
    """One request on a connection of its own, and every response to it."""

    def __init__(self, address: tuple[str, int], request: Request, *, seconds: float = 10) -> None:
        self.request = request
        self.interims: list[Message] = []
        self.final: Message | None = None
        self.sent = 0
        self.trouble = ""  # why sending stopped, if it did
        self._seconds = seconds
        self._received = b""
        self._socket = socket.create_connection(address, seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request.encoded())

    def send(self, content: bytes) -> bool:
        """Send content as it is; False when the server takes no more of it."""
        self._socket.settimeout(self._seconds)
        try:
            self._socket.sendall(content)
        except OSError as error:
            self.trouble = self.trouble or f"{type(error).__name__} after {self.sent} bytes of content"
            return False
        self.sent += len(content)
        return True

    def send_chunk(self, content: bytes) -> bool:
        """Send one chunk of a chunked body; an empty one is the last."""
        before = self.sent
        done = self.send(b"%x\r\n%b\r\n" % (len(content), content))
        self.sent = before + len(content) if done else before
        return done

    def wait_for(self, *statuses: int, seconds: float) -> Message | None:
        """The first interim response with one of these statuses; None if none comes in time, or the final one did."""
        deadline = time.monotonic() + seconds
        while True:
            for one in self.interims:
                if one.status in statuses:
                    return one
            if self.final is not None or not self._next(deadline):
                return None

    def announced(self, *, seconds: float = 5) -> Message | None:
        """The interim response that names the upload."""
        deadline = time.monotonic() + seconds
        while self.final is None:
            for one in self.interims:
                if one.status == 104 and one.field("Location") is not None:
                    return one
            if not self._next(deadline):
                break
        return None

    def listen(self, seconds: float) -> None:
        """Take what comes within the time."""
        deadline = time.monotonic() + seconds
        while self.final is None and self._next(deadline):
            pass

    def answer(self) -> Message:
        """The final response. Broken."""
        deadline = time.monotonic() + self._seconds
        while self.final is None:
            if not self._next(deadline):
                raise Broken(f"no final response within {self._seconds:g} s")
        return self.final

    def has_ended(self, seconds: float) -> bool:
        """Whether the server ends this exchange in time: by a final response, or by closing the connection."""
        deadline = time.monotonic() + seconds
        try:
            while self.final is None:
                if not self._next(deadline):
                    return False
        except (Broken, OSError):
            pass
        return True

    def reset(self) -> None:
        """End the connection as a crash of the client would: what is under way is thrown away."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """End the connection; what was sent still arrives."""
        self._socket.close()

    def _next(self, deadline: float) -> bool:
        """Read one more response; False when the time is over."""
        try:
            message = self._message(deadline)
        except TimeoutError:
            return False
        except OSError as error:
            raise Broken(f"{type(error).__name__} in place of a final response") from error
        if message.is_interim:
            self.interims.append(message)
        else:
            self.final = message
        return True

    def _message(self, deadline: float) -> Message:
        while HEAD_END not in self._received:
            self._receive(deadline)
        head, _, rest = self._received.partition(HEAD_END)
        message = read_head(head, sent=self.sent)
        if message.is_interim or self.request.method == "HEAD" or message.status in {204, 304}:
            self._received = rest
            return message
        content = self._content(message, len(head) + len(HEAD_END), deadline)
        return Message(message.status, message.reason, message.fields, content, message.sent)

    def _content(self, message: Message, start: int, deadline: float) -> bytes:
        """The content behind the head. What is received stays whole until all is there: time may run out between."""
        if "chunked" in (message.field("Transfer-Encoding") or "").lower():
            while (found := read_chunked(self._received[start:])) is None:
                self._receive(deadline)
            content, length = found
        elif (said := message.field("Content-Length")) is not None:
            length = int(said)
            while len(self._received) < start + length:
                self._receive(deadline)
            content = self._received[start : start + length]
        else:
            raise Broken(f"a response whose end nobody can tell (RFC 9112, section 6.3):\n{message}")
        self._received = self._received[start + length :]
        return content

    def _receive(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        piece = self._socket.recv(RECEIVE_SIZE)
        if not piece:
            raise Broken("the connection was closed in place of a final response")
        self._received += piece

    def __str__(self) -> str:
        sent = str(self.request).replace("\r\n", "\n")
        lines = [f"sent:\n{indented(sent)}", f"  [{self.sent} bytes of content]"]
        if self.trouble:
            lines.append(f"  [{self.trouble}]")
        lines += [
            f"came (with {one.sent} bytes on their way):\n{indented(str(one))}"
            for one in [*self.interims, *([self.final] if self.final else [])]
        ]
        if self.final is None:
            lines.append("came: no final response")
        return "\n".join(lines)


def indented(text: str) -> str:
    """Four columns to the right."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def read_head(head: bytes, *, sent: int = 0) -> Message:
    """A response's head. Broken."""
    first, *lines = head.decode("latin-1").split("\r\n")
    found = re.fullmatch(r"HTTP/1\.1 (\d{3})(?: (.*))?", first)
    if not found:
        raise Broken(f"a line that begins no HTTP/1.1 response: {first!r}")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise Broken(f"a line that is no field: {line!r}")
        fields.append((name, value.strip(" \t")))
    return Message(int(found[1]), found[2] or "", tuple(fields), sent=sent)


def read_chunked(data: bytes) -> tuple[bytes, int] | None:
    """The content of a chunked body and the length it takes; None while it is not whole."""
    content, at = b"", 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].split(b";")[0], 16)
        at = end + 2
        if size == 0:
            last = data.find(b"\r\n", at)
            return (content, last + 2) if last == at else None
        if len(data) < at + size + 2:
            return None
        content += data[at : at + size]
        at += size + 2
    return None


_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE = r"(?:-?\d+(?:\.\d+)?|\?[01]|\"[^\"]*\"|[A-Za-z*][^\s;,]*|:[A-Za-z0-9+/=]*:)"
_PARAMETERS = rf"(?:; *{_KEY}(?:={_BARE})?)*"
_INTEGER = re.compile(rf"(-?\d{{1,15}}){_PARAMETERS}")
_BOOLEAN = re.compile(rf"\?([01]){_PARAMETERS}")
_MEMBER = re.compile(rf"({_KEY})(?:=({_BARE}))?{_PARAMETERS}")


def integer(value: str | None) -> int:
    """An Item that is an Integer (RFC 9651, section 3.3.1). Malformed."""
    found = _INTEGER.fullmatch(value or "")
    if not found:
        raise Malformed(f"{value!r} is no structured Integer")
    return int(found[1])


def boolean(value: str | None) -> bool:
    """An Item that is a Boolean (RFC 9651, section 3.3.6). Malformed."""
    found = _BOOLEAN.fullmatch(value or "")
    if not found:
        raise Malformed(f"{value!r} is no structured Boolean")
    return found[1] == "1"


def dictionary(value: str | None) -> Mapping[str, str]:
    """A Dictionary (RFC 9651, section 3.2): its members' values as they were written. Malformed."""
    members: dict[str, str] = {}
    for part in re.split(r"[ \t]*,[ \t]*", value or ""):
        found = _MEMBER.fullmatch(part)
        if not found:
            raise Malformed(f"{value!r} is no structured Dictionary")
        members[found[1]] = found[2] or "?1"
    return members
