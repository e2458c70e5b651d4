"""A server of the draft in memory, which can be told to do one thing wrong: what the checks are tried on.

It is as small as the rules allow and knows nothing of the server that the checks are for.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import secrets
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.interop.ietf.probe import PARTIAL, PROBLEMS, VERSION_FIELD
from tests.interop.ietf.wire import Malformed, boolean, integer

VERSIONS = range(3, 11)
SIZE_MAX = 1 << 30
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}

FieldMap = dict[str, str]


class Refused(Exception):
    """An answer that ends the request."""

    def __init__(self, status: int, fields: FieldMap | None = None, **problem: object) -> None:
        super().__init__(status)
        self.status = status
        self.fields = {"Upload-Complete": "?0", "Content-Type": "application/problem+json", **(fields or {})}
        self.problem = problem


@dataclass
class Upload:
    """One upload resource. `turn`: the newest request to it, which alone may go on."""

    length: int | None = None
    wanted: str = ""
    expected: str = ""
    content: bytearray = field(default_factory=bytearray)
    is_complete: bool = False
    turn: int = 0
    holder: socket.socket | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def take(self, turn: int, holder: socket.socket | None = None) -> int:
        """End the request that runs and be the newest; one that came before it, and is late, is refused."""
        with self.lock:
            if turn < self.turn:
                raise Refused(409)
            if self.holder is not None:
                with suppress(OSError):
                    self.holder.shutdown(socket.SHUT_RDWR)
            self.holder = holder
            self.turn = turn
            return self.turn


class Fake(socketserver.ThreadingTCPServer):
    """The server; `fault` is the name of what it does wrong."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, fault: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.fault = fault
        self.uploads: dict[str, Upload] = {}
        self._count = itertools.count(1)

    @property
    def url(self) -> str:
        """The resource that creates uploads."""
        return f"http://127.0.0.1:{self.server_address[1]}/files"

    def stored(self, upload: str) -> bytes:
        """What an upload has."""
        return bytes(self.uploads[upload].content)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Requests are numbered as they come: threads begin in any order."""
        super().process_request(request, (*client_address, next(self._count)))

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no news."""


@contextmanager
def serving(fault: str = "") -> Iterator[Fake]:
    """A fake that runs."""
    with Fake(fault) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Conversation(socketserver.StreamRequestHandler):
    """One request."""

    server: Fake

    def handle(self) -> None:
        """Read the head, do what it asks, answer."""
        first, *lines = self.head()
        self.number: int = self.client_address[-1]
        self.method, target, _ = first.split(" ")
        self.fields: FieldMap = {}
        for line in lines:
            name, _, value = line.partition(":")
            key = name.lower()
            self.fields[key] = f"{self.fields[key]}, {value.strip()}" if key in self.fields else value.strip()
        self.version = self.integer(VERSION_FIELD) if VERSION_FIELD.lower() in self.fields else None
        self.id = urlsplit(target).path.removeprefix("/files").strip("/")
        try:
            self.dispatch()
        except Refused as refusal:
            content = json.dumps(refusal.problem).encode()
            self.reply(refusal.status, refusal.fields, content)

    def head(self) -> list[str]:
        """The lines of the head."""
        lines = []
        while line := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
            lines.append(line)
        return lines

    def dispatch(self) -> None:
        """By method and target."""
        if self.id:
            upload = self.server.uploads.get(self.id)
            if upload is None:
                raise Refused(404)
            self.serve(upload)
        elif self.method == "OPTIONS":
            self.reply(204, {"Upload-Limit": self.limits()})
        elif self.method in {"POST", "PUT"}:
            self.create()
        else:
            raise Refused(405)

    def serve(self, upload: Upload) -> None:
        """What is done to an upload."""
        if self.method in {"HEAD", "GET"}:
            if not self.goes_on():
                upload.take(self.number)
            self.reply(204, self.state(upload))
        elif self.method == "DELETE":
            del self.server.uploads[self.id]
            upload.take(self.number)
            self.reply(204, {})
        elif self.method == "PATCH":
            self.append(upload)
        else:
            raise Refused(405)

    def fault(self, name: str) -> bool:
        """Whether this is what goes wrong."""
        return self.server.fault == name

    def goes_on(self) -> bool:
        """Whether a newer request does not end this one."""
        return self.fault("keeps going") or self.fault("mixes")

    def integer(self, name: str) -> int | None:
        """A field's number; None if it is missing or malformed."""
        value = self.fields.get(name.lower())
        try:
            if self.fault("takes any number") and value is not None:
                return abs(int(float(value.strip('"').partition(",")[0])))
            number = integer(value)
        except (Malformed, ValueError):
            return None
        return number if number >= 0 else None

    def complete(self) -> bool | None:
        """What the request says of completeness."""
        name = "upload-incomplete" if self.version == 3 else "upload-complete"
        try:
            said = boolean(self.fields.get(name))
        except Malformed:
            return None
        return said != (name == "upload-incomplete")

    def limits(self) -> str:
        """Upload-Limit for a version."""
        return f"max-size={SIZE_MAX}, {'expires' if self.version == 6 else 'max-age'}=3600"

    def state(self, upload: Upload) -> FieldMap:
        """Where an upload stands."""
        shown = upload.is_complete
        fields = {
            "Upload-Offset": str(len(upload.content)),
            "Upload-Complete": f"?{int(shown)}",
            "Cache-Control": "no-store",
        }
        if self.version == 3:
            fields["Upload-Incomplete"] = f"?{int(not shown)}"
        if not self.fault("has no limits"):
            fields["Upload-Limit"] = self.limits()
        if upload.length is not None and not self.fault("forgets the length"):
            fields["Upload-Length"] = str(upload.length)
        return fields

    def create(self) -> None:
        """A new upload, with the content of the request."""
        complete = self.complete()
        upload = Upload(wanted=self.fields.get("want-repr-digest", ""), expected=self.fields.get("repr-digest", ""))
        self.tell_length(upload, 0, complete=complete)
        self.id = secrets.token_urlsafe(24)
        if upload.length is not None and upload.length > SIZE_MAX:
            raise Refused(413, {"Upload-Limit": self.limits(), "Upload-Complete": "?1"})
        self.server.uploads[self.id] = upload
        location = {"Location": f"/files/{self.id}"}
        if complete is not None and not self.fault("announces late"):
            self.interim({**location, "Upload-Limit": self.limits()})
        self.pour(upload, complete=bool(complete), where=location)
        if self.fault("announces late"):
            self.interim({**location, "Upload-Limit": self.limits()})
        if complete is False:
            named = {"Location": "/files/other"} if self.fault("names two locations") else location
            self.reply(201, {**self.state(upload), **named})
        else:
            self.conclude(upload)

    def append(self, upload: Upload) -> None:
        """More of an upload."""
        complete, at = self.complete(), self.integer("Upload-Offset")
        if (self.version or 8) >= 6 and self.fields.get("content-type", "").lower() != PARTIAL:
            raise Refused(415)
        if complete is None or at is None:
            raise Refused(400)
        turn = 0 if self.goes_on() else upload.take(self.number, self.connection)
        here = len(upload.content)
        if at != here:
            told = {"Upload-Offset": str(at if self.fault("tells no offset") else here)}
            problem = {"type": f"{PROBLEMS}mismatching-upload-offset", "expected-offset": here, "provided-offset": at}
            raise Refused(409, told, **problem)
        if upload.is_complete:
            if not self.fault("appends for ever"):
                raise Refused(400)
            upload.length = None
        self.tell_length(upload, at, complete=complete)
        self.pour(upload, complete=complete, turn=turn)
        if complete:
            self.conclude(upload)
        else:
            self.reply(204, self.state(upload))

    def tell_length(self, upload: Upload, at: int, *, complete: bool | None) -> None:
        """Take note of the length, if the request has an indicator."""
        count = self.integer("Content-Length")
        said = [self.integer("Upload-Length"), at + count if complete and count is not None else None]
        told = {one for one in [upload.length, *said] if one is not None}
        if len(told) > 1:
            raise Refused(400, type=f"{PROBLEMS}inconsistent-upload-length")
        upload.length = told.pop() if told else None
        if upload.length is not None and at + (count or 0) > upload.length:
            raise Refused(413, {"Upload-Limit": self.limits()})

    def pour(self, upload: Upload, *, complete: bool, turn: int = 0, where: FieldMap | None = None) -> None:
        """The content, checked; what is complete is marked so."""
        if "100-continue" in self.fields.get("expect", "") and not self.fault("asks for nothing"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        turn = turn or (0 if self.goes_on() else upload.take(self.number, self.connection))
        start = len(upload.content)
        is_whole = self.fault("takes a cut for the end")
        for piece, is_last in self.pieces():
            is_whole = is_whole or is_last
            with upload.lock:
                if upload.turn != turn and not self.goes_on():
                    raise Refused(409, {"Upload-Offset": str(len(upload.content))})
                upload.content += piece
                if upload.length is not None and len(upload.content) > upload.length:
                    self.server.uploads.pop(self.id, None)
                    raise Refused(413, {"Upload-Limit": self.limits()})
            if piece and len(upload.content) - start >= 1 << 17:
                told = {"Upload-Offset": str(len(upload.content) + 10**6 * self.fault("promises too much"))}
                self.interim({**told, **((where or {"Location": "/"}) if self.fault("locates progress") else {})})
        with upload.lock:
            said = self.fields.get("content-digest", "")
            if not self.matches(said, bytes(upload.content[start:])):
                del upload.content[start:]
                raise Refused(400, {"Upload-Offset": str(start)})
            if not is_whole or (upload.turn != turn and not self.goes_on()):
                raise ConnectionError
            full = self.fault("is complete when full") and len(upload.content) == upload.length
            upload.is_complete = upload.is_complete or complete or full

    def pieces(self) -> Iterator[tuple[bytes, bool]]:
        """What comes, and whether it is the last."""
        if "chunked" in self.fields.get("transfer-encoding", ""):
            while size := int(self.rfile.readline() or b"-1", 16):
                if size < 0:
                    return
                yield self.rfile.read(size), False
                self.rfile.readline()
            self.rfile.readline()
            yield b"", True
            return
        left = self.integer("Content-Length") or 0
        while left:
            try:
                piece = self.connection_read(min(left, 65536))
            except OSError:
                return
            if not piece:
                return
            left -= len(piece)
            yield piece, left == 0
        yield b"", True

    def connection_read(self, size: int) -> bytes:
        """What is there, at most so much."""
        return bytes(self.rfile.read1(size))

    def matches(self, said: str, content: bytes) -> bool:
        """Whether no digest that we know is another one."""
        if self.fault("believes digests"):
            return True
        members = [part.strip().partition("=") for part in said.split(",")]
        return all(value == digest_of(name, content) for name, _, value in members if name in ALGORITHMS)

    def conclude(self, upload: Upload) -> None:
        """The answer of the target resource."""
        content = bytes(upload.content)
        if not self.matches(upload.expected, content):
            raise Refused(400, {"Upload-Complete": "?1"})
        upload.is_complete = True
        fields = {"Upload-Complete": "?1", "Content-Type": "application/json"}
        if any(name in upload.wanted for name in ALGORITHMS):
            fields["Repr-Digest"] = f"sha-256={digest_of('sha-256', content)}"
        self.reply(200, fields, json.dumps({"size": len(content)}).encode())

    def interim(self, fields: FieldMap) -> None:
        """A 104, to whom one may be sent."""
        if self.version in VERSIONS or self.fault("announces to all"):
            self.write("104 Upload Resumption Supported", {**fields, VERSION_FIELD: str(self.version)})

    def reply(self, status: int, fields: FieldMap, content: bytes = b"") -> None:
        """The final response."""
        if status != 204:
            fields = {**fields, "Content-Length": str(len(content))}
        self.write(f"{status} Said", {**fields, "Connection": "close"})
        if self.method != "HEAD":
            self.wfile.write(content)

    def write(self, status: str, fields: FieldMap) -> None:
        """A head."""
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode())


def digest_of(name: str, content: bytes) -> str:
    """A digest as RFC 9530 writes its value."""
    return f":{base64.b64encode(ALGORITHMS[name](content).digest()).decode()}:"
