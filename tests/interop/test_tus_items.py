"""tus 1.0.0 item by item, over sockets: what its own tests see in memory, seen by an HTTP client of a real server."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tests.interop.stored import clock_of
from tests.prepared_server import PreparedServer
from tests.robustness.raw_tus import RawTus, answer_on
from tests.running_server import HOST, RunningServer

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}
UNKNOWN = "/files/5f0c1a2b-0000-4000-8000-00000000000a"


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """A client of its own user, so that nobody else's uploads are seen."""
    with httpx.Client(base_url=server.http_url, headers={"X-User-Id": secrets.token_hex(8)}, timeout=60) as opened:
        yield opened


def created(client: httpx.Client, length: int | None = 10, **fields: str) -> str:
    """The path of a new upload."""
    said = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    answer = client.post("/files", headers={**TUS, **said, **named})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def patched(client: httpx.Client, path: str, at: int, chunk: bytes, **fields: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return client.patch(path, headers={**CHUNK, "Upload-Offset": str(at), **named}, content=chunk)


def looked(client: httpx.Client, path: str) -> httpx.Headers:
    """What HEAD says of an upload."""
    answer = client.head(path, headers=TUS)
    assert answer.status_code in {200, 204}, answer
    return answer.headers


def stored(client: httpx.Client, path: str) -> bytes:
    """The bytes of the file that an upload has become."""
    answer = client.get(f"/api/v1/files/{path.rpartition('/')[2]}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


def open_uploads(client: httpx.Client) -> list[str]:
    return [one["upload_id"] for one in client.get("/api/v1/uploads").json()["uploads"]]


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_t1_another_version_is_412_and_nothing_is_done(client: httpx.Client, method: str) -> None:
    path = created(client)
    said = {**CHUNK, "Tus-Resumable": "2.0.0", "Upload-Length": "10", "Upload-Offset": "0"}

    answer = client.request(method, "/files" if method == "POST" else path, headers=said)

    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert open_uploads(client) == [path.rpartition("/")[2]]
    assert looked(client, path)["Upload-Offset"] == "0"


def test_t1_a_refusal_carries_the_version_too(client: httpx.Client) -> None:
    path = created(client)
    answers = [
        client.post("/files", headers=TUS),
        client.put("/files", headers=TUS, content=b"x"),
        client.head(UNKNOWN, headers=TUS),
        patched(client, path, 5, b"x"),
        patched(client, path, 0, b"more than ten"),
        patched(client, path, 0, b"x", Upload_Checksum="sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        client.patch(path, headers={**TUS, "Upload-Offset": "0"}, content=b"x"),
    ]

    assert [answer.status_code for answer in answers] == [400, 405, 404, 409, 413, 460, 415]
    assert {answer.headers["Tus-Resumable"] for answer in answers} == {"1.0.0"}


@pytest.mark.parametrize("path", ["/files", UNKNOWN])
@pytest.mark.parametrize("version", [{}, TUS, {"Tus-Resumable": "0.2.2"}])
def test_t2_t3_t4_t5_t21_options_tells_all_there_is(client: httpx.Client, path: str, version: dict[str, str]) -> None:
    answer = client.options(path, headers=version)

    assert answer.status_code in {200, 204}
    assert answer.headers["Tus-Version"].split(",")[0] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        *("creation", "creation-with-upload", "creation-defer-length", "expiration", "termination"),
        *("checksum", "checksum-trailer", "concatenation"),
    }
    assert int(answer.headers["Tus-Max-Size"]) == 512 * 2**20
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"].split(",")


@pytest.mark.parametrize("used", ["POST", "PUT", "GET", "DELETE"])
def test_t6_the_method_that_is_said_is_the_one_that_counts(client: httpx.Client, used: str) -> None:
    path = created(client, 3)
    said = {**CHUNK, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}

    answer = client.request(used, path, headers=said, content=b"abc")

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "3")
    assert stored(client, path) == b"abc"


@pytest.mark.parametrize("value", ["-1", "+1", "1 1", "1.0", "1e3", "0x1", "", "9223372036854775808", "\xb2", "1, 1"])
def test_t7_a_number_is_digits_only(client: httpx.Client, value: str) -> None:
    path = created(client)
    spelled = value.encode("latin-1")
    sent = {name.encode(): text.encode() for name, text in CHUNK.items()}

    length = client.post("/files", headers={**sent, b"Upload-Length": spelled})
    place = client.patch(path, headers={**sent, b"Upload-Offset": spelled}, content=b"a")

    assert (length.status_code, place.status_code) == (400, 400)
    assert looked(client, path)["Upload-Offset"] == "0"


@pytest.mark.parametrize("length", [0, 10, None])
def test_t8_t17_head_says_where_an_upload_stands(client: httpx.Client, length: int | None) -> None:
    said = looked(client, created(client, length))

    assert (said["Upload-Offset"], said["Cache-Control"]) == ("0", "no-store")
    assert said.get("Upload-Length") == (None if length is None else str(length))
    assert said.get("Upload-Defer-Length") == ("1" if length is None else None)


def test_t8_an_upload_that_is_not_there_has_no_offset(client: httpx.Client) -> None:
    answer = client.head(UNKNOWN, headers=TUS)

    assert answer.status_code == 404
    assert "Upload-Offset" not in answer.headers


def test_t9_a_patch_moves_the_offset_by_what_it_brings(client: httpx.Client) -> None:
    path = created(client)

    answers = [
        patched(client, path, 0, b"abcd"),
        patched(client, path, 0, b"wrong"),
        client.patch(path, headers={**TUS, "Upload-Offset": "4", "Content-Type": "text/plain"}, content=b"wrong!"),
        patched(client, UNKNOWN, 0, b"abcd"),
        patched(client, path, 4, b"efghij"),
    ]

    assert [answer.status_code for answer in answers] == [204, 409, 415, 404, 204]
    assert [answer.headers.get("Upload-Offset") for answer in answers] == ["4", None, None, None, "10"]
    assert stored(client, path) == b"abcdefghij"


def test_t9_of_a_body_that_is_too_long_what_fits_is_kept(client: httpx.Client) -> None:
    path, other = created(client), created(client)

    announced = patched(client, path, 0, b"more than ten")
    came = client.patch(other, headers={**CHUNK, "Upload-Offset": "0"}, content=iter([b"more ", b"than ten"]))

    assert (announced.status_code, came.status_code) == (413, 413)
    assert looked(client, path)["Upload-Offset"] == "0"
    assert looked(client, other)["Upload-Offset"] == "10"


def test_t11_an_upload_is_its_users_own(client: httpx.Client) -> None:
    path, other = created(client), {"X-User-Id": "another"}

    assert client.head(path, headers={**TUS, **other}).status_code == 404
    assert patched(client, path, 0, b"abc", X_User_Id="another").status_code == 404
    assert client.delete(path, headers={**TUS, **other}).status_code == 404
    assert looked(client, path)["Upload-Offset"] == "0"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Upload-Length": "1", "Upload-Defer-Length": "1"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Defer-Length": "0"},
        {"Upload-Defer-Length": "true"},
    ],
)
def test_t12_a_creation_says_its_length_or_that_it_will(client: httpx.Client, fields: dict[str, str]) -> None:
    assert client.post("/files", headers={**TUS, **fields}).status_code == 400
    assert open_uploads(client) == []


def test_t13_the_address_of_a_new_upload_is_told(client: httpx.Client) -> None:
    answer = client.post("/files", headers={**TUS, "Upload-Length": "10"})

    there = answer.url.join(answer.headers["Location"])
    assert answer.status_code == 201
    assert looked(client, str(there))["Upload-Length"] == "10"


@pytest.mark.parametrize("length", [512 * 2**20 + 1, 2**63 - 1])
def test_t14_what_is_longer_than_the_limit_is_413(client: httpx.Client, length: int) -> None:
    late = created(client, None)

    assert client.post("/files", headers={**TUS, "Upload-Length": str(length)}).status_code == 413
    assert patched(client, late, 0, b"", Upload_Length=str(length)).status_code == 413
    assert client.post("/files", headers={**TUS, "Upload-Length": str(512 * 2**20)}).status_code == 201


def test_t15_an_upload_of_no_bytes_is_a_file_at_once(client: httpx.Client) -> None:
    path = created(client, 0)

    assert stored(client, path) == b""
    assert looked(client, path)["Upload-Offset"] == looked(client, path)["Upload-Length"] == "0"


def test_t16_metadata_is_given_back_word_for_word(client: httpx.Client) -> None:
    evil = base64.b64encode(b'../..\r\nSet-Cookie: a=b";\x00').decode()
    metadata = f"filename {base64.b64encode('ü.txt'.encode()).decode()},note {evil}, empty"
    path = created(client, 3, Upload_Metadata=metadata)

    before = looked(client, path)["Upload-Metadata"]
    patched(client, path, 0, b"abc")

    assert before == looked(client, path)["Upload-Metadata"] == metadata
    content = client.get(f"/api/v1/files/{path.rpartition('/')[2]}/content")
    assert "Set-Cookie" not in content.headers
    assert "%C3%BC.txt" in content.headers["Content-Disposition"]


@pytest.mark.parametrize("metadata", ["a YQ==,a YQ==", ",", "a YQ==,", "a not base64", "b  YQ=="])
def test_t16_metadata_of_another_form_is_400(client: httpx.Client, metadata: str) -> None:
    answer = client.post("/files", headers={**TUS, "Upload-Length": "3", "Upload-Metadata": f"x,{metadata}"})

    assert answer.status_code == 400


def test_t17_a_length_that_is_told_late_is_told_once(client: httpx.Client) -> None:
    path = created(client, None)

    answers = [
        patched(client, path, 0, b"abc"),
        patched(client, path, 3, b"", Upload_Length="2"),
        patched(client, path, 3, b"d", Upload_Length="5"),
        patched(client, path, 4, b"", Upload_Length="6"),
        patched(client, path, 4, b"e", Upload_Length="5"),
    ]

    assert [answer.is_success for answer in answers] == [True, False, True, False, True]
    assert stored(client, path) == b"abcde"


def test_t18_a_creation_that_waits_to_be_asked_brings_its_bytes(server: RunningServer) -> None:
    tus = RawTus(HOST, server.http_port)
    said = {**CHUNK, "Upload-Length": "10", "Content-Length": "3", "Expect": "100-continue"}
    said.pop("Tus-Resumable")

    with tus.connect() as connection:
        connection.sendall(tus.head_of("POST", "/files", said))
        first = answer_on(connection)
        connection.sendall(b"abc")
        answer = answer_on(connection)

    assert (first.status, answer.status, answer.fields["upload-offset"]) == (100, 201, "3")
    assert tus.offset(answer.fields["location"]) == 3


def test_t18_a_creation_of_a_cut_body_keeps_what_came(client: httpx.Client, server: RunningServer) -> None:
    tus, user = RawTus(HOST, server.http_port), client.headers["X-User-Id"]
    said = {**CHUNK, "Upload-Length": "10", "Content-Length": "10", "X-User-Id": user}
    said.pop("Tus-Resumable")

    with tus.connect() as connection:
        connection.sendall(tus.head_of("POST", "/files", said) + b"abc")
        until = time.monotonic() + 10
        while not open_uploads(client) and time.monotonic() < until:
            time.sleep(0.05)

    [upload_id] = open_uploads(client)
    assert patched(client, f"/files/{upload_id}", 3, b"defghij").status_code == 204
    assert stored(client, upload_id) == b"abcdefghij"


def test_t19_every_answer_to_a_post_or_patch_says_when_the_upload_ends(
    client: httpx.Client, server: RunningServer
) -> None:
    post = client.post("/files", headers={**TUS, "Upload-Length": "10"})
    path = post.headers["Location"]

    taken = patched(client, path, 0, b"abc")
    refused = [
        patched(client, path, 0, b"abc"),
        patched(client, path, 3, b"far too many"),
        patched(client, path, 3, b"x", Upload_Checksum="sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        client.patch(path, headers={**TUS, "Upload-Offset": "3"}, content=b"x"),
    ]
    last = patched(client, path, 3, b"defghij")

    now = clock_of(server)
    for answer in (post, taken, *refused):
        left = parsedate_to_datetime(answer.headers["Upload-Expires"]) - now
        assert 86_300 < left.total_seconds() <= 86_401
    assert "Upload-Expires" not in last.headers


def test_t20_an_upload_that_nobody_came_back_to_is_410(tmp_path: Path) -> None:
    with PreparedServer(tmp_path, environment={"UPLOADSTREAM_UPLOAD_TTL": "1s"}) as server:
        with httpx.Client(base_url=server.http_url) as client:
            path = created(client)
        time.sleep(1.1)
        server.restart()  # which begins with a sweep
        until = time.monotonic() + 20
        while (answer := httpx.head(f"{server.http_url}{path}", headers=TUS)).status_code != 410:
            assert time.monotonic() < until, answer
            time.sleep(0.1)

    assert "Upload-Offset" not in answer.headers


@pytest.mark.parametrize("sent", [b"", b"abc", b"abcdefghij"])
def test_t25_an_upload_is_ended_finished_or_not(client: httpx.Client, sent: bytes) -> None:
    path = created(client)
    patched(client, path, 0, sent)

    assert client.delete(path, headers=TUS).status_code == 204
    assert client.head(path, headers=TUS).status_code == 410
    assert client.delete(path, headers=TUS).status_code == 410
    assert patched(client, path, len(sent), b"x").status_code == 410
    assert client.get(f"/api/v1/files/{path.rpartition('/')[2]}/content").status_code in {404, 410}


def test_t26_t27_t28_t29_t30_t31_parts_become_one_file(client: httpx.Client, server: RunningServer) -> None:
    of_part = f"filename {base64.b64encode(b'part').decode()}"
    one, two = (created(client, 3, Upload_Concat="partial", Upload_Metadata=of_part) for _ in range(2))
    assert [patched(client, path, 0, data).status_code for path, data in ((one, b"abc"), (two, b"def"))] == [204] * 2
    listed = client.get("/api/v1/files").json()["files"]

    said = f"final;{server.http_url}{two} {one} {two}"
    final = client.post("/files", headers={**TUS, "Upload-Concat": said})
    path = final.headers["Location"]
    another = client.post("/files", headers={**TUS, "Upload-Concat": f"final;{one}"})
    deleted = [client.delete(part, headers=TUS).status_code for part in (one, two)]
    of_final, refused = looked(client, path), patched(client, path, 9, b"x")

    assert listed == []
    assert (final.status_code, another.status_code, deleted) == (201, 201, [204, 204])
    assert stored(client, path) == b"defabcdef"
    assert stored(client, another.headers["Location"]) == b"abc"
    assert (of_final["Upload-Offset"], of_final["Upload-Length"], of_final["Upload-Concat"]) == ("9", "9", said)
    assert "Upload-Metadata" not in of_final
    assert refused.status_code == 403


def test_t27_a_final_upload_says_no_length(client: httpx.Client) -> None:
    path = created(client, 3, Upload_Concat="partial")
    patched(client, path, 0, b"abc")
    said = {**TUS, "Upload-Concat": f"final;{path}", "Upload-Length": "3"}

    assert client.post("/files", headers=said).status_code == 400
    assert looked(client, path)["Upload-Concat"] == "partial"


def test_t31_t32_a_part_that_is_not_finished_joins_nothing(client: httpx.Client) -> None:
    path = created(client, 3, Upload_Concat="partial")
    patched(client, path, 0, b"ab")

    answer = client.post("/files", headers={**TUS, "Upload-Concat": f"final;{path}"})

    said = looked(client, path)
    assert answer.status_code == 400
    assert (said["Upload-Offset"], said["Upload-Length"], said["Upload-Concat"]) == ("2", "3", "partial")
    assert "concatenation-unfinished" not in client.options("/files").headers["Tus-Extension"]
