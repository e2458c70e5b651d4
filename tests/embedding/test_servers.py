"""Mounted in another application, on servers that are not ours, every protocol does what it does on our own.

What those servers lack is left out: interim responses, trailers, files sent by the kernel.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.embedding.served import Served, served

MOUNT = "/some/path"
APP = "tests.embedding.mounted:app"
UVICORN = ("uvicorn", APP, "--host={host}", "--port={port}")
SERVERS = {
    "uvicorn-h11": (*UVICORN, "--http=h11", "--loop=asyncio"),
    "uvicorn-httptools": (*UVICORN, "--http=httptools", "--loop=asyncio"),
    "uvicorn-uvloop": (*UVICORN, "--http=httptools", "--loop=uvloop"),
    "hypercorn": ("hypercorn", APP, "--bind={host}:{port}"),
    "granian": ("granian", "--interface=asgi", "--loop=asyncio", "--host={host}", "--port={port}", APP),
}
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}
PART = {"Upload-Complete": "?1", "Content-Type": "application/partial-upload"}
CONTENT = bytes(range(256)) * 4096  # 1 MiB
WAIT_SECONDS_MAX = 10.0


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with served(SERVERS[request.param], folder, ready="/mine") as running:
        yield running


@pytest.fixture
def http(server: Served) -> Iterator[httpx.Client]:
    """A client that asks for what is said, on the server itself: nothing is put before its paths."""
    with httpx.Client(base_url=server.url, timeout=WAIT_SECONDS_MAX) as client:
        yield client


def create(http: httpx.Client, size: int) -> str:
    """Begin a tus upload; where it is."""
    answer = http.post(f"{MOUNT}/files", headers={**TUS, "Upload-Length": str(size)})
    assert answer.status_code == 201, answer.text
    location = answer.headers["Location"]
    assert location.startswith(f"{MOUNT}/files/")
    return str(location)


def id_of(location: str) -> str:
    return location.rpartition("/")[2]


def content_of(http: httpx.Client, file_id: str) -> bytes:
    answer = http.get(f"{MOUNT}/api/v1/files/{file_id}/content")
    assert answer.status_code == 200
    return answer.content


def offset_of(http: httpx.Client, location: str) -> int:
    return int(http.head(location, headers=TUS).headers["Upload-Offset"])


def connected(http: httpx.Client) -> socket.socket:
    where = urlsplit(str(http.base_url))
    return socket.create_connection((where.hostname or "", where.port or 0), timeout=WAIT_SECONDS_MAX)


def eventually(offset: int, http: httpx.Client, location: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while (found := offset_of(http, location)) != offset:
        assert time.monotonic() < deadline, f"{found} of {offset} bytes"
        time.sleep(0.02)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_plain_body_becomes_a_file(http: httpx.Client, method: str) -> None:
    path = f"{MOUNT}/files/plain.bin" if method == "PUT" else f"{MOUNT}/files"

    answer = http.request(method, path, content=CONTENT)

    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{MOUNT}/api/v1/files/{answer.json()['file_id']}/content"
    assert http.get(answer.headers["Location"]).content == CONTENT


def test_a_body_of_unknown_length_becomes_a_file(http: httpx.Client) -> None:
    answer = http.put(f"{MOUNT}/files/chunks.bin", content=iter([CONTENT[:1000], CONTENT[1000:]]))

    assert content_of(http, answer.json()["file_id"]) == CONTENT


def test_a_tus_upload_that_was_cut_goes_on(http: httpx.Client) -> None:
    location = create(http, len(CONTENT))
    head = f"PATCH {location} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(CONTENT)}\r\nUpload-Offset: 0\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in CHUNK.items())

    with connected(http) as connection:
        connection.sendall(head.encode() + b"\r\n" + CONTENT[:300_000])
        eventually(300_000, http, location)
    answer = http.patch(location, headers={**CHUNK, "Upload-Offset": "300000"}, content=CONTENT[300_000:])

    assert answer.status_code == 204, answer.text
    assert answer.headers["Upload-Offset"] == str(len(CONTENT))
    assert content_of(http, id_of(location)) == CONTENT


def test_an_upload_goes_on_over_the_ietf_protocol_and_says_where_it_is(http: httpx.Client) -> None:
    begun = http.post(f"{MOUNT}/files", headers={"Upload-Complete": "?0"}, content=CONTENT[:1000])
    location = begun.headers["Location"]
    assert location.startswith(f"{MOUNT}/files/")
    assert http.head(location).headers["Upload-Offset"] == "1000"

    answer = http.patch(location, headers={**PART, "Upload-Offset": "1000"}, content=CONTENT[1000:])

    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{MOUNT}/api/v1/files/{id_of(location)}/content"
    assert content_of(http, id_of(location)) == CONTENT


def test_filepond_sends_a_form_and_chunks(http: httpx.Client) -> None:
    whole = http.post(f"{MOUNT}/filepond", files={"filepond": ("a.bin", CONTENT)})
    assert whole.status_code == 201, whole.text
    assert http.get(f"{MOUNT}/filepond", params={"load": whole.text}).content == CONTENT

    begun = http.post(f"{MOUNT}/filepond", files={"filepond": (None, "{}")}, headers={"Upload-Length": "1000"})
    fields = {**CHUNK, "Upload-Offset": "0", "Upload-Length": "1000", "Upload-Name": "b.bin"}
    http.patch(f"{MOUNT}/filepond", params={"patch": begun.text}, headers=fields, content=CONTENT[:1000])
    assert content_of(http, begun.text) == CONTENT[:1000]
    assert http.request("DELETE", f"{MOUNT}/filepond", content=begun.text).status_code == 204


def test_the_ways_to_go_on_are_below_the_mount(http: httpx.Client) -> None:
    location = create(http, 10)

    ways = http.get(f"{MOUNT}/api/v1/uploads/{id_of(location)}").json()["ways"]

    assert {way["protocol"] for way in ways} == {"tus", "ietf", "filepond"}
    for way in ways:
        assert way["url"].startswith(f"{MOUNT}/")
    [filepond] = [way for way in ways if way["protocol"] == "filepond"]
    http.request(filepond["method"], filepond["url"], headers=filepond["headers"], content=b"ten bytes!")
    assert content_of(http, id_of(location)) == b"ten bytes!"


def test_a_range_comes_and_head_says_the_size(http: httpx.Client) -> None:
    path = http.post(f"{MOUNT}/files", content=CONTENT).headers["Location"]

    part = http.get(path, headers={"Range": "bytes=1000-300999"})
    several = http.get(path, headers={"Range": "bytes=0-9,5000-5009"})

    assert (part.status_code, part.content) == (206, CONTENT[1000:301_000])
    assert several.status_code == 206
    assert several.headers["Content-Type"].startswith("multipart/byteranges")
    assert http.head(path).headers["Content-Length"] == str(len(CONTENT))
    assert http.get(path, headers={"If-None-Match": part.headers["ETag"]}).status_code == 304
    assert http.get(path, headers={"Range": f"bytes={len(CONTENT)}-"}).status_code == 416


def test_a_reader_follows_an_upload_over_its_requests(http: httpx.Client) -> None:
    location = create(http, 3000)
    follower: list[bytes] = []

    def follow() -> None:
        with httpx.Client(base_url=http.base_url, timeout=WAIT_SECONDS_MAX) as reader:
            path = f"{MOUNT}/api/v1/files/{id_of(location)}/content"
            with reader.stream("GET", path, params={"follow": "true"}) as answer:
                follower.extend(answer.iter_raw())

    reading = threading.Thread(target=follow)
    reading.start()
    for at in (0, 1000, 2000):
        http.patch(location, headers={**CHUNK, "Upload-Offset": str(at)}, content=CONTENT[at : at + 1000])
    reading.join(WAIT_SECONDS_MAX)

    assert b"".join(follower) == CONTENT[:3000]


def test_events_are_told_while_they_happen(http: httpx.Client) -> None:
    with http.stream("GET", f"{MOUNT}/api/v1/events", params={"user_id": "ann"}) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith(("id:", "retry:"))
        with httpx.Client(base_url=http.base_url) as other:
            sent = other.put(f"{MOUNT}/files/told.txt", content=b"told", headers={"X-User-Id": "ann"})
        data = next(line for line in lines if line.startswith("data:"))

    event: dict[str, Any] = json.loads(data.removeprefix("data:"))
    assert (event["event"], event["id"]) == ("completed", sent.json()["file_id"])


@pytest.mark.parametrize("name", ["", "docs"])
def test_the_pages_and_all_that_they_ask_for_are_there(http: httpx.Client, name: str) -> None:
    page = http.get(f"{MOUNT}/{name}")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]

    wanted = set(re.findall(r'(?:href|src)="([^"#]+)"', page.text))

    assert len(wanted) > 3
    for path in wanted:
        assert not path.startswith("/")
        assert http.get(f"{MOUNT}/{path}").status_code == 200, path


def test_the_mount_without_its_slash_leads_to_the_page(http: httpx.Client) -> None:
    answer = http.get(MOUNT, follow_redirects=True)

    assert answer.status_code == 200
    assert answer.url.path == f"{MOUNT}/"


def test_the_documentation_names_the_mount_as_its_server(http: httpx.Client) -> None:
    document = http.get(f"{MOUNT}/openapi.json").json()

    assert document["servers"] == [{"url": MOUNT}]
    assert "/api/v1/files" in document["paths"]


def test_what_is_too_large_is_refused_before_and_after_its_first_byte(http: httpx.Client) -> None:
    declared = http.post(f"{MOUNT}/files", headers={**TUS, "Upload-Length": "9000000"})
    assert declared.status_code == 413
    assert "8.6 MiB exceeds limit of 8 MiB" in declared.text

    with connected(http) as connection:  # a client that reads only when it has sent all would not hear of it
        connection.sendall(f"PUT {MOUNT}/files/a HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        answer = b""
        try:
            for _ in range(12):
                connection.sendall(b"100000\r\n" + CONTENT + b"\r\n")
        except OSError:  # it does not listen any more
            pass
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    listed = http.get(f"{MOUNT}/api/v1/uploads").json()["uploads"]
    assert [upload for upload in listed if upload["filename"] == "a"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/web/nothing/app.js", 404),
        ("HEAD", "/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", 404),
        ("GET", "/filepond?load=nothing", 404),
        ("TRACE", "/files", 405),
    ],
)
def test_what_is_not_there_is_not_found(http: httpx.Client, method: str, path: str, status: int) -> None:
    assert http.request(method, MOUNT + path).status_code == status


def test_the_application_keeps_its_own_paths(http: httpx.Client) -> None:
    assert http.get("/mine").json() == "mine"
    assert http.get("/files").status_code == 404


def test_told_to_stop_the_server_ends_with_the_service_in_it(server: Served, http: httpx.Client) -> None:
    """The last test of each server: an upload that is going on is kept, and nothing is complained of."""
    location = create(http, 2000)
    http.patch(location, headers={**CHUNK, "Upload-Offset": "0"}, content=CONTENT[:1000])

    status = server.stop()

    assert status in {0, -15}
    assert "/uploadstream/" not in server.output()  # no line of ours in a traceback; hypercorn has its own
