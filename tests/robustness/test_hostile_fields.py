"""Every field that something reads, with anything in it: always an answer, never a 5xx, and nothing left behind.

A request goes over a bare socket to a running server, so that no library mends it. What must hold, whatever was sent:
an answer comes in time; it is a success or a 4xx with a reason; after a refusal neither the catalog nor the store has
more or less than before; the server still does its work.
"""

from __future__ import annotations

import os
import re
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.prepared_server import PreparedServer
from tests.robustness.raw_tus import RawTus
from tests.running_server import RunningServer

ANSWER_SECONDS_MAX = 15.0
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "10"))
BODY = b"--x\r\nContent-Disposition: form-data; name=f\r\n\r\n{}\r\n--x--\r\n"
UNKNOWN = "00000000-0000-4000-8000-000000000000"

TUS = (
    *("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Defer-Length", "Upload-Checksum"),
    *("Upload-Concat", "X-HTTP-Method-Override", "Tus-Version", "Upload-Expires", "Tus-Max-Size", "Tus-Extension"),
)
IETF = (
    *("Upload-Complete", "Upload-Incomplete", "Upload-Draft-Interop-Version", "Upload-Limit", "Upload-Offset"),
    *("Upload-Length", "Content-Digest", "Repr-Digest", "Want-Repr-Digest", "Want-Content-Digest", "Digest"),
)
PONDS = ("Upload-Name", "Upload-Length", "Upload-Offset")
BODIES = (
    *("Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location", "Expect"),
    *("Content-Range", "Trailer", "TE", "Content-MD5", "Content-Length", "Transfer-Encoding"),
)
READS = (
    *("Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"),
    *("Accept", "Accept-Encoding", "Accept-Language", "Last-Event-ID", "Cache-Control"),
)
EVERYWHERE = (
    *("X-User-Id", "X-Api-Key", "Authorization", "Cookie", "Host", "Connection", "Upgrade", "HTTP2-Settings"),
    *("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", "X-Request-Id", "Traceparent"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Date", "Max-Forwards", "Via", "User-Agent", "X"),
)
# Fields by which a body's length or the connection's use is told: after these, bytes may have been kept as after a cut.
FRAMING = {"content-length", "transfer-encoding", "expect", "connection", "upgrade", "trailer", "te"}


@dataclass(frozen=True)
class Place:
    """A method and a URL, the fields of a request that does well there, and those that are read."""

    method: str
    path: str  # {open} stands for an upload in progress, {file} for a file, {unknown} for neither
    fields: Mapping[str, str]
    read: Sequence[str]
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


TUS_FIELDS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS_FIELDS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
PARTIAL = {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?0"}
INTEROP = {"Upload-Draft-Interop-Version": "8"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
API = "/api/v1"

PLACES = [
    Place("POST", "/files", {**TUS_FIELDS, "Upload-Length": "100"}, (*TUS, *BODIES)),
    Place("POST", "/files", {**CHUNK, "Upload-Length": "100"}, (*TUS, *BODIES), BODY),
    Place("HEAD", "/files/{open}", TUS_FIELDS, (*TUS, *READS)),
    Place("PATCH", "/files/{open}", CHUNK, (*TUS, *BODIES), BODY),
    Place("POST", "/files/{open}", {**CHUNK, "X-HTTP-Method-Override": "PATCH"}, (*TUS, *BODIES), BODY),
    Place("DELETE", "/files/{open}", TUS_FIELDS, (*TUS, *BODIES)),
    Place("HEAD", "/files/{file}", TUS_FIELDS, (*TUS, *READS)),
    Place("PATCH", "/files/{unknown}", CHUNK, (*TUS, *BODIES), BODY),
    Place("OPTIONS", "/files", {}, (*TUS, *IETF, *READS)),
    Place("OPTIONS", "/files/{open}", {}, (*TUS, *IETF, *READS)),
    Place("POST", "/files", {**INTEROP, "Upload-Complete": "?0"}, (*IETF, *BODIES), BODY),
    Place("POST", "/files", {**INTEROP, "Upload-Complete": "?1"}, (*IETF, *BODIES), BODY),
    Place("PUT", "/files", {**INTEROP, "Upload-Complete": "?1"}, (*IETF, *BODIES), BODY),
    Place("POST", "/files", {}, (*TUS, *IETF, *BODIES), BODY),
    Place("PUT", "/files", {}, (*TUS, *IETF, *BODIES), BODY),
    Place("HEAD", "/files/{open}", INTEROP, (*IETF, *READS)),
    Place("GET", "/files/{open}", INTEROP, (*IETF, *READS)),
    Place("PATCH", "/files/{open}", {**INTEROP, **PARTIAL}, (*IETF, *BODIES), BODY),
    Place("PATCH", "/files/{file}", {**INTEROP, **PARTIAL}, (*IETF, *BODIES), BODY),
    Place("DELETE", "/files/{open}", INTEROP, (*IETF, *BODIES)),
    Place("POST", "/filepond", FORM, (*PONDS, *BODIES), BODY),
    Place("POST", "/filepond", {**FORM, "Upload-Length": "100"}, (*PONDS, *BODIES), BODY),
    Place("HEAD", "/filepond?patch={open}", {}, (*PONDS, *READS)),
    Place(
        "PATCH",
        "/filepond?patch={open}",
        {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Upload-Length": "100"},
        (*PONDS, *BODIES),
        BODY,
    ),
    Place("DELETE", "/filepond", {"Content-Type": "text/plain"}, (*PONDS, *BODIES), UNKNOWN.encode()),
    Place("GET", "/filepond?load={file}", {}, (*PONDS, *READS)),
    Place("GET", "/filepond?restore={file}", {}, (*PONDS, *READS)),
    Place("GET", "/filepond?fetch=http://127.0.0.1:1/", {}, (*PONDS, *READS)),
    Place("GET", f"{API}/files", {}, READS),
    Place("GET", f"{API}/files/{{file}}", {}, READS),
    Place("GET", f"{API}/files/{{file}}/content", {}, READS),
    Place("HEAD", f"{API}/files/{{file}}/content", {}, READS),
    Place("GET", f"{API}/files/{{file}}/content", {"Range": "bytes=1-5"}, READS),
    Place("GET", f"{API}/files/{{open}}/content?follow=true", {"X-User-Id": "nobody else"}, READS),
    Place("GET", f"{API}/files/{{file}}/audit", {}, READS),
    Place("GET", f"{API}/files/{{file}}/thumbnails/small", {}, READS),
    Place("POST", f"{API}/files/{{file}}/restore", {}, BODIES),
    Place("DELETE", f"{API}/files/{{unknown}}", {}, BODIES),
    Place("GET", f"{API}/uploads", {}, READS),
    Place("GET", f"{API}/uploads/{{open}}", {}, READS),
    Place("GET", f"{API}/stats/deletions", {}, READS),
    Place("GET", f"{API}/events", {}, READS),
    Place("GET", "/", {}, READS),
    Place("GET", "/openapi.json", {}, READS),
    Place("GET", "/healthz", {}, READS),
    Place("POST", "/nowhere", {}, BODIES, BODY),
]

NUMBERS = (
    *(b"-1", b"+5", b"00000000000000000000005", b"5 ", b"5.0", b"1e3", b"0x10", b"1_000", b"5,5", b"5;a", b"NaN"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"9" * 4000, b"-" + b"9" * 400),
    *("\u0665".encode(), "\uff15".encode(), b"\xb2", b"true", b"null", b"None", b"infinity"),
)
STRUCTURED = (
    *(b"?1", b"?0", b"?2", b"?", b"?1;", b"?1;a=(", b'"', b'"\\x"', b"((", b"()", b":@@:", b"::", b":AAAA", b"@1e400"),
    *(
        b"a=1, a=2,",
        b"a=1,,b",
        b"=",
        b"sha-256=:AAAA:",
        b"sha-256=:" + b"A" * 20000 + b":",
        b"sha-256=10.5",
        b"sha-256",
    ),
    *(b'%"%zz"', b"max-size=-1", b"a;" * 2000, b"(" * 3000, b"8;a=?1", b"999999999999999", b"1234567890123456"),
)
WORDS = (
    *(
        b"",
        b" ",
        b"\t",
        b",",
        b";",
        b"=",
        b"*",
        b"\\",
        b"..",
        b"../../etc/passwd",
        b"C:\\x",
        b"%00",
        b"%0d%0aX: 1",
        b"\x7f",
    ),
    *(b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", "\u202egnp.exe".encode(), "\U0001f4a9".encode(), b"\x01", b"a\x0bb"),
    *(b"sha1 AAAA", b"sha1", b"sha1 ", b"SHA1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=", b"md5 \xff", b"crc32c AAAAAA=="),
    *(b"partial", b"final;", b"final;/files/x /files/y", b"final;" + b"/files/a " * 1500, b"final;http://[::1"),
    *(b"filename", b"filename ", b"filename !!", b"filename YQ==,filename YQ==", b"filename AAAA", b" YQ==", b"a b c"),
    *(b"filename " + b"QUFB" * 6000, b"filetype " + b"/" * 400, b"user_id //8=", b"user_id " + b"QUFB" * 100),
    *(b"attachment; filename=", b'inline; filename="a\\', b"inline; filename*=UTF-8''%ff%fe", b"; filename=a"),
    *(
        b'inline; filename="../../x"',
        b"inline; filename*=x''y; filename*=UTF-8''a",
        b"inline; filename*0=a",
        b"form-data",
    ),
    *(b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/form-data; boundary=" + b"x" * 9000),
    *(b"text/plain; charset=nonsense", b"/", b"a/b/c", b"text/plain;" * 1000, b"application/partial-upload; a"),
    *(b"GET", b"PATCH", b"DELETE", b"CONNECT", b"delete", b"TRACE", b"\xd0\xb0", b"PATCH " * 100, b"PATCH\x00"),
    *(b"100-continue", b"200-ok", b"100-continue, 100-continue", b"chunked", b"gzip, chunked", b"chunked, chunked"),
    *(b"xchunked", b"identity", b"close", b"upgrade", b"h2c", b"websocket", b"Upload-Length", b"keep-alive, close"),
)
READING = (
    *(b"bytes=", b"bytes=-", b"bytes=--1", b"bytes=5-1", b"bytes=0-0,0-0", b"bytes=" + b"0-1," * 4000, b"bytes=-0"),
    *(
        b"bytes=" + b"9" * 400 + b"-",
        b"bytes=0-" + b"9" * 5000,
        b"bytes=a-b",
        b"octets=0-1",
        b"bytes = 0-1",
        b"bytes=0-1-2",
    ),
    *(b'"', b'W/"', b'W/""', b'"a", *', b"*, *", b'"' + b"a" * 9000 + b'"', b'"a"' + b', "b"' * 3000, b'"\xff"'),
    *(b"Thu, 01 Jan 1970 00:00:00 GMT", b"Thu, 99 Foo 99999 99:99:99 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"0"),
    *(b"Fri, 31 Dec 9999 23:59:60 GMT", b"Mon, 01 Jan 0001 00:00:00 -9999", b"Thu, 01 Jan 1970 00:00:00 +999999999"),
    *(b"*/*;q=nan", b"text/event-stream", b"*/*;q=1e999", b"bytes=0-1\x00", b"text/html;" * 800, b"9" * 30, b"-1"),
)
CUTS = (
    b"a\r\nUpload-Length: 7",
    b"a\r\n\r\nGET /healthz HTTP/1.1",
    b"a\rb",
    b"a\nb",
    b"a\x00b",
    b"a\r\n b",
    b"\r\n\tc",
    b"\n",
)
LONG = (b"a" * 65536, b"\xff" * 65536, b"a=1," * 16384, b"9" * 65536, b" " * 65536)

# What comes near to a field's own grammar; everything of these is sent to every place that reads the field.
_METADATA = tuple(value for value in WORDS if value.startswith((b"file", b"user_id", b" YQ", b"a b")))
_CHECKSUMS = tuple(value for value in WORDS if value[:3].lower() in {b"sha", b"md5", b"crc"})
NEAR: dict[str, Sequence[bytes]] = {
    **dict.fromkeys(("Upload-Length", "Upload-Offset"), (*NUMBERS[5:16], b"\xb2", b"-5", b"")),
    "Upload-Metadata": _METADATA,
    "Upload-Checksum": _CHECKSUMS,
    "Upload-Concat": tuple(value for value in WORDS if value.startswith((b"partial", b"final"))),
    "X-HTTP-Method-Override": (b"CONNECT", b"TRACE", b"patch", b"\xd0\xb0", b"PATCH\x00", b""),
    "Upload-Complete": STRUCTURED[:8],
    "Upload-Draft-Interop-Version": (b"8;a=?1", b"-8", b"9" * 400, b"(8)", b"\xff"),
    **dict.fromkeys(("Content-Digest", "Repr-Digest", "Want-Repr-Digest"), STRUCTURED[8:22]),
    "Content-Disposition": tuple(value for value in WORDS if b"filename" in value and b";" in value),
    "Content-Type": tuple(value for value in WORDS if value.startswith((b"multipart", b"text", b"/", b"a/"))),
    "Range": tuple(value for value in READING if value.startswith(b"bytes")),
    **dict.fromkeys(("If-Match", "If-None-Match", "If-Range"), READING[12:20]),
    **dict.fromkeys(("If-Modified-Since", "If-Unmodified-Since", "If-Range"), READING[20:27]),
    "Last-Event-ID": (b"9" * 30, b"-1", b"\xff", b"\xb2"),
}

VALUES = st.one_of(
    st.sampled_from([*NUMBERS, *STRUCTURED, *WORDS, *READING]),
    st.sampled_from([*NUMBERS, *STRUCTURED, *WORDS, *READING]),
    st.sampled_from([*CUTS, *LONG]),
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(-(2**70), 2**70).map(lambda number: str(number).encode()),
    st.from_regex(rb"\A[a-z*?\":;,=()@%/ .0-9-]{0,40}\Z"),
)
# How the value comes: in the field's place, beside it, twice beside it.
REPEATS = st.sampled_from([0, 0, 0, 1, 2])


@dataclass(frozen=True)
class Answer:
    """What came first: a status, the fields, and content if its end was told."""

    status: int
    fields: Mapping[str, str]
    content: bytes


class Target:
    """A running server with an upload that is open and a file, and what it holds."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.tus = RawTus("127.0.0.1", server.http_port, timeout=ANSWER_SECONDS_MAX)
        self.known: tuple[object, ...] | None = None  # what is held, where nothing has changed it since
        self.file = self._finished()
        self.open = self.tus.create(100)

    def _finished(self) -> str:
        self.known = None
        path = self.tus.create(10)
        assert self.tus.patch(path, offset=0, body=b"0123456789").status == 204
        return path

    def path(self, template: str) -> str:
        """A place's URL."""
        names = {"{open}": self.open, "{file}": self.file, "{unknown}": UNKNOWN}
        for name, path in names.items():
            template = template.replace(name, path.rpartition("/")[2])
        return template

    def held(self) -> tuple[object, ...]:
        """What a refusal leaves as it was: open uploads, files, and the blobs that have bytes."""
        with closing(sqlite3.connect(self.server.data_dir / "catalog.sqlite", timeout=10)) as catalog:
            uploads = catalog.execute("SELECT id FROM uploads WHERE ended_how IS NULL ORDER BY id").fetchall()
            files = catalog.execute("SELECT id, deleted_at FROM files ORDER BY id").fetchall()
        folders = [folder for folder in os.scandir(self.server.data_dir / "blobs") if folder.is_dir()]
        found = [(one.name, one.stat().st_size) for folder in folders for one in os.scandir(folder)]
        blobs = sorted((name, size) for name, size in found if size and len(name) == len(UNKNOWN))
        return uploads, files, blobs

    def refresh(self) -> None:
        """Give what the last request took."""
        head = self.tus.ask("HEAD", self.open, {})
        if head.status != 200 or head.fields["upload-offset"] != "0" or head.fields.get("upload-length") != "100":
            self.known = None
            self.tus.ask("DELETE", self.open, {})
            self.open = self.tus.create(100)
        if self.tus.ask("GET", f"{API}{self.file}", {}).status != 200:
            self.file = self._finished()

    def is_well(self) -> bool:
        """Whether it still takes a whole upload and gives it back."""
        path = self._finished()
        return self.tus.ask("GET", f"{API}{path}/content", {}).body == b"0123456789"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server that waits one second for a body that does not come."""
    with PreparedServer(tmp_path_factory.mktemp("data"), options=["--read-timeout", "1s"]) as running:
        yield Target(running)


def head_of(place: Place, path: str, name: str, value: bytes, repeat: int) -> bytes:
    """A request's head with one hostile field."""
    fields = {"Host": "localhost", "Content-Length": str(len(place.body)), **place.fields}
    if place.method in {"GET", "HEAD", "OPTIONS"}:
        del fields["Content-Length"]
    if not repeat:
        fields = {key: said for key, said in fields.items() if key.lower() != name.lower()}
    lines = [f"{place.method} {path} HTTP/1.1".encode()]
    lines += [f"{key}: {said}".encode() for key, said in fields.items()]
    lines += [name.encode() + b": " + value] * max(1, repeat)
    return b"\r\n".join([*lines, b"", b""])


def first_answer(connection: socket.socket, *, has_body: bool) -> Answer:
    """The first final answer on a connection, interim ones passed over."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            assert piece, f"closed without an answer, after {data!r}"
            data += piece
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        if status >= 200:
            break
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(fields.get("content-length", "0")) if has_body and status not in {204, 304} else 0
    assert length < 1 << 20, f"{length} bytes of answer to a file of 10"
    while len(data) < length:
        piece = connection.recv(65536)
        assert piece, "closed in the middle of an answer"
        data += piece
    return Answer(status, fields, data[:length])


def answer_to(target: Target, request: bytes, *, has_body: bool) -> Answer:
    """The answer to a request as it stands. Nobody closes first: a missing answer is a missing answer."""
    with target.tus.connect() as connection:
        connection.settimeout(ANSWER_SECONDS_MAX)
        with suppress(ConnectionError):  # it was refused while it was sent; the answer is there all the same
            connection.sendall(request)
        return first_answer(connection, has_body=has_body)


def check(target: Target, place: Place, name: str, value: bytes, repeat: int) -> None:
    """One hostile request, and everything that must hold after it."""
    before = target.known or target.held()
    target.known = None
    request = head_of(place, target.path(place.path), name, value, repeat) + place.body
    answer = answer_to(target, request, has_body=place.method != "HEAD")
    said = f"{place} with {name}: {value[:200]!r} ({repeat})"

    assert answer.status < 500 or (answer.status == 501 and name.lower() == "transfer-encoding"), (said, answer)
    if answer.status in {400, 413, 415, 422, 431} and place.method != "HEAD":
        assert answer.content.strip(), f"{said}: {answer.status} without a reason"
    for field, text in answer.fields.items():
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text), f"{said}: {field}: {text!r}"
    if answer.status >= 400 and name.lower() not in FRAMING:
        target.known = target.held()
        assert target.known == before, f"{said}: {answer.status} has changed what is held"
    target.refresh()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_hostile_field_is_answered_and_leaves_nothing(target: Target, place: Place) -> None:
    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        print_blob=True,
    )
    @given(st.sampled_from([*place.read, *place.read, *EVERYWHERE]), VALUES, REPEATS)
    @example("X-User-Id", b"\xff\xfe", 0)
    @example("X-User-Id", b"a" * 65536, 0)
    @example("Host", b"a b", 0)
    @example("Content-Length", b"18446744073709551616", 0)
    def hostile(name: str, value: bytes, repeat: int) -> None:
        check(target, place, name, value, repeat)

    for name in place.read:
        for value in NEAR.get(name, ()):
            check(target, place, name, value, 0)
    hostile()

    assert target.is_well()
