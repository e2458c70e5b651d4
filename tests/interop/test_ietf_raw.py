"""The draft over bare sockets, for most HTTP libraries do not show interim responses; items are the checklist's."""

import base64
import hashlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from tests.interop.stored import content_url
from tests.running_server import HOST, RunningServer

MIB = 2**20
V8 = {"Upload-Draft-Interop-Version": "8"}
PART = {**V8, "Content-Type": "application/partial-upload"}


@dataclass(frozen=True)
class Heard:
    """One response, interim or final."""

    status: int
    fields: Mapping[str, str]


@dataclass
class Line:
    """A connection on which every response is heard."""

    socket: socket.socket
    _data: bytes = field(default=b"")

    def say(
        self, method: str, path: str, fields: Mapping[str, str], body: bytes = b"", *, version: str = "1.1"
    ) -> None:
        lines = [f"{method} {path} HTTP/{version}", f"Host: {HOST}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def hear(self) -> Heard:
        """The next response, whatever it is."""
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        length = int(fields.get("content-length", 0)) if status >= 200 else 0
        while len(self._data) < length:
            self._more()
        self._data = self._data[length:]
        return Heard(status, fields)

    def hear_all(self) -> list[Heard]:
        """Up to the final one."""
        heard = [self.hear()]
        while heard[-1].status < 200:
            heard.append(self.hear())
        return heard

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        assert piece, f"closed, after {self._data!r}"
        self._data += piece


@pytest.fixture
def line(server: RunningServer) -> Iterator[Line]:
    with dialled(server) as one:
        yield Line(one)


def dialled(server: RunningServer) -> socket.socket:
    return socket.create_connection((HOST, server.http_port), 20)


def asked(server: RunningServer, method: str, path: str, fields: Mapping[str, str]) -> httpx.Response:
    return httpx.request(method, f"{server.http_url}{path}", headers=dict(fields))


def test_r10_r12_the_address_comes_before_the_body_is_sent(server: RunningServer, line: Line) -> None:
    data = os.urandom(MIB)
    line.say("POST", "/files", {**V8, "Upload-Complete": "?1", "Content-Length": str(len(data))})

    first = line.hear()
    line.socket.sendall(data)
    *_, last = line.hear_all()

    assert first.status == 104
    assert first.fields["upload-draft-interop-version"] == "8"
    assert first.fields["upload-limit"].startswith("max-size=")
    assert (last.status, last.fields["upload-complete"]) == (201, "?1")
    file_id = first.fields["location"].rpartition("/")[2]
    assert httpx.get(content_url(server, file_id)).content == data


@pytest.mark.parametrize("version", [None, "2", "11"])
def test_r39_who_names_no_known_version_hears_one_answer(line: Line, version: str | None) -> None:
    named = {"Upload-Draft-Interop-Version": version} if version else {}

    line.say("POST", "/files", {**named, "Upload-Complete": "?1", "Content-Length": "5"}, b"hello")

    assert [heard.status for heard in line.hear_all()] == [201]


@pytest.mark.parametrize("version", range(3, 11))
def test_r39_every_known_version_hears_the_address_first(line: Line, version: int) -> None:
    named = {"Upload-Draft-Interop-Version": str(version)}
    says = {"Upload-Incomplete": "?0"} if version == 3 else {"Upload-Complete": "?1"}

    line.say("POST", "/files", {**named, **says, "Content-Length": "5"}, b"hello")
    first, last = line.hear_all()

    assert (first.status, last.status) == (104, 201)
    assert first.fields["upload-draft-interop-version"] == str(version)
    assert last.fields.get("upload-incomplete" if version == 3 else "upload-complete") == (
        "?0" if version == 3 else "?1"
    )


def test_r10_a_client_of_http_1_0_hears_one_answer(line: Line) -> None:
    line.say("POST", "/files", {**V8, "Upload-Complete": "?1", "Content-Length": "5"}, b"hello", version="1.0")

    assert [heard.status for heard in line.hear_all()] == [201]


def test_r33_a_104_takes_no_100_away(line: Line) -> None:
    fields = {**V8, "Upload-Complete": "?1", "Content-Length": "5", "Expect": "100-continue"}
    line.say("POST", "/files", fields)

    before = [line.hear(), line.hear()]
    line.socket.sendall(b"hello")

    assert [heard.status for heard in before] == [104, 100]
    assert line.hear().status == 201


def test_r33_a_refused_creation_wants_no_body(line: Line) -> None:
    fields = {**V8, "Upload-Complete": "?1", "Content-Length": str(2**50), "Expect": "100-continue"}

    line.say("POST", "/files", fields)

    assert [heard.status for heard in line.hear_all()] == [413]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_r11_r29_the_offset_is_told_while_the_body_comes(server: RunningServer, line: Line, method: str) -> None:
    fields, path = {**V8, "Upload-Complete": "?1", "Content-Length": str(2 * MIB)}, "/files"
    if method == "PATCH":
        path = asked(server, "POST", "/files", {**V8, "Upload-Complete": "?0"}).headers["Location"]
        fields |= {**PART, "Upload-Offset": "0"}
    line.say(method, path, fields, os.urandom(MIB))

    progress = line.hear() if method == "PATCH" else [line.hear(), line.hear()][1]
    line.socket.sendall(os.urandom(MIB))
    *_, last = line.hear_all()

    assert (progress.status, progress.fields["upload-offset"]) == (104, str(MIB))
    assert "location" not in progress.fields
    assert last.status == 201


def test_r17_r21_r30_what_a_cut_left_is_continued(server: RunningServer) -> None:
    data = os.urandom(3 * MIB)
    with dialled(server) as one:
        line = Line(one)
        line.say("POST", "/files", {**V8, "Upload-Complete": "?1", "Content-Length": str(len(data))}, data[:MIB])
        path = line.hear().fields["location"]
        assert line.hear().fields["upload-offset"] == str(MIB)

    found = asked(server, "HEAD", path, V8)
    offset = int(found.headers["Upload-Offset"])
    rest = {**PART, "Upload-Offset": str(offset), "Upload-Complete": "?1"}
    done = httpx.patch(f"{server.http_url}{path}", headers=rest, content=data[offset:])

    assert (found.status_code, offset) == (204, MIB)
    assert found.headers["Upload-Length"] == str(len(data))
    assert (done.status_code, done.headers["Upload-Complete"]) == (201, "?1")
    assert httpx.get(f"{server.http_url}{done.headers['Location']}").content == data


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_r21_r32_a_question_ends_the_body_that_still_comes(server: RunningServer, line: Line, method: str) -> None:
    line.say("POST", "/files", {**V8, "Upload-Complete": "?1", "Content-Length": str(2 * MIB)}, os.urandom(MIB))
    path = line.hear().fields["location"]
    line.hear()

    found = asked(server, method, path, V8)

    assert (found.status_code, found.headers["Upload-Offset"]) == (204, str(MIB))
    ended = line.hear()
    assert (ended.status, ended.fields["upload-complete"], ended.fields["location"]) == (423, "?0", path)


def test_r31_r32_a_cancel_ends_the_body_that_still_comes(server: RunningServer, line: Line) -> None:
    line.say("POST", "/files", {**V8, "Upload-Complete": "?1", "Content-Length": str(2 * MIB)}, os.urandom(MIB))
    path = line.hear().fields["location"]
    line.hear()

    assert asked(server, "DELETE", path, V8).status_code == 204
    assert line.hear().status == 423
    assert asked(server, "HEAD", path, V8).status_code == 410


def test_r6_the_server_itself_tells_the_limits(line: Line) -> None:
    line.say("OPTIONS", "*", {})
    whole = line.hear()
    line.say("OPTIONS", "/files", V8)

    assert whole.status == 204
    assert whole.fields["upload-limit"] == line.hear().fields["upload-limit"]


def test_r38_an_upload_is_its_users_own(server: RunningServer) -> None:
    mine, other = {**V8, "X-User-Id": "ann"}, {**V8, "X-User-Id": "bob"}
    path = asked(server, "POST", "/files", {**mine, "Upload-Complete": "?0"}).headers["Location"]
    part = {**PART, "Upload-Offset": "0", "Upload-Complete": "?1", "X-User-Id": "bob"}

    answers = [asked(server, method, path, fields) for method, fields in (("HEAD", other), ("PATCH", part))]

    assert [answer.status_code for answer in (*answers, asked(server, "DELETE", path, other))] == [404] * 3
    assert asked(server, "HEAD", path, mine).headers["Upload-Complete"] == "?0"


@pytest.mark.parametrize(("digest", "status"), [(b"hello", 201), (b"other", 400)])
@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
def test_r37_a_digest_may_come_behind_the_body(line: Line, name: str, digest: bytes, status: int) -> None:
    said = f"sha-256=:{base64.b64encode(hashlib.sha256(digest).digest()).decode()}:".encode()
    fields = {**V8, "Upload-Complete": "?1", "Transfer-Encoding": "chunked", "Trailer": name}

    line.say("POST", "/files", fields, b"5\r\nhello\r\n0\r\n%b: %b\r\n\r\n" % (name.encode(), said))

    assert line.hear_all()[-1].status == status


def test_r28_a_chunked_body_behind_its_length_ends_the_upload(server: RunningServer, line: Line) -> None:
    created = asked(server, "POST", "/files", {**V8, "Upload-Complete": "?0", "Upload-Length": "5"})
    path = created.headers["Location"]
    fields = {**PART, "Upload-Offset": "0", "Upload-Complete": "?0", "Transfer-Encoding": "chunked"}

    line.say("PATCH", path, fields, b"6\r\nhello!\r\n0\r\n\r\n")

    assert line.hear().status == 400
    assert asked(server, "HEAD", path, V8).status_code == 410


def test_r36_what_frames_a_body_does_not_count(server: RunningServer, line: Line) -> None:
    fields = {**V8, "Upload-Complete": "?0", "Transfer-Encoding": "chunked"}

    line.say("POST", "/files", fields, b"2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n")

    assert line.hear_all()[-1].fields["upload-offset"] == "5"
