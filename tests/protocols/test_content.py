"""The bytes of files and of open uploads, on a real engine in memory."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.engine.world import ANN, World, body, declared, memory_world
from tests.protocols.asgi import assert_problem, client_of
from uploadstream.core.errors import StorageUnavailable
from uploadstream.core.files import Action, File
from uploadstream.core.session import Session
from uploadstream.engine.watch import Incoming
from uploadstream.http.fields import http_date
from uploadstream.protocols.content.answers import answer_file, answer_upload
from uploadstream.protocols.content.endpoint import Content
from uploadstream.protocols.content.openapi import OPENAPI
from uploadstream.protocols.content.sending import PIECE_SIZE
from uploadstream.protocols.rest.endpoints import Rest

SENT = bytes(range(256)) * 4
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PAGE = b"<!DOCTYPE html><script>alert(1)</script>"
PATIENCE_SECONDS = 10


def app_of(world: World) -> Starlette:
    return Starlette(routes=Content(world.engine.downloads).routes())


def path_of(stored: File | Session) -> str:
    return f"/api/v1/files/{stored.id}/content"


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(world)) as opened:
        yield opened


@pytest.fixture
async def file(world: World) -> File:
    return await stored(world, SENT)


async def stored(world: World, sent: bytes, content_type: str = "", *, name: str = "a.bin") -> File:
    what = declared(len(sent), content_type=content_type, name=name)
    return await world.engine.uploads.store_whole(what, ANN, body(sent))


async def begun(world: World, length: int | None, *chunks: bytes) -> Session:
    session = (await world.engine.uploads.create(declared(length), ANN)).session
    for chunk in chunks:
        await world.engine.uploads.append(session.id, ANN, Incoming(body(chunk)))
    return session


# Whole files


async def test_a_files_bytes_are_served_as_a_download(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(path_of(file))

    assert answer.status_code == HTTPStatus.OK
    assert answer.content == SENT
    assert answer.headers["Content-Length"] == "1024"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{file.id}"'
    assert answer.headers["Last-Modified"] == http_date(file.uploaded_at)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.bin"'
    assert answer.headers["Repr-Digest"] == f"crc32c=:{base64.b64encode(file.crc32c.to_bytes(4)).decode()}:"


async def test_a_type_is_served_as_it_was_declared_to_the_letter(client: httpx.AsyncClient, world: World) -> None:
    text = await stored(world, b"abc", "text/plain;Charset=utf-8")

    answer = await client.get(path_of(text))

    assert answer.headers["Content-Type"] == "text/plain;Charset=utf-8"


async def test_a_file_larger_than_a_piece_is_served_whole(client: httpx.AsyncClient, world: World) -> None:
    sent = bytes(3 * PIECE_SIZE + 1)
    large = await stored(world, sent)

    assert (await client.get(path_of(large))).content == sent


async def test_an_empty_file_is_served(client: httpx.AsyncClient, world: World) -> None:
    empty = (await world.engine.uploads.create(declared(0), ANN)).file
    assert empty is not None

    answer = await client.get(path_of(empty))
    ranged = await client.get(path_of(empty), headers={"Range": "bytes=0-"})

    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (HTTPStatus.OK, b"", "0")
    assert_problem(ranged, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range-not-satisfiable")


# Ranges


@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=-24", 1000, 1024)]
)
async def test_a_range_of_a_file_is_served(
    client: httpx.AsyncClient, file: File, asked: str, start: int, stop: int
) -> None:
    answer = await client.get(path_of(file), headers={"Range": asked})

    assert answer.status_code == HTTPStatus.PARTIAL_CONTENT
    assert answer.content == SENT[start:stop]
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"
    assert answer.headers["Content-Length"] == str(stop - start)


async def test_several_ranges_are_served_as_parts(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(path_of(file), headers={"Range": "bytes=500-599,0-9,-24,2000-"})

    assert answer.status_code == HTTPStatus.PARTIAL_CONTENT
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert "Content-Range" not in answer.headers
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + answer.content)
    assert message.get_content_type() == "multipart/byteranges"
    assert [
        (part["Content-Range"], part["Content-Type"], part.get_payload(decode=True)) for part in message.iter_parts()
    ] == [
        ("bytes 500-599/1024", file.content_type, SENT[500:600]),
        ("bytes 0-9/1024", file.content_type, SENT[:10]),
        ("bytes 1000-1023/1024", file.content_type, SENT[1000:]),
    ]


async def test_several_ranges_that_are_one_are_served_as_one(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(path_of(file), headers={"Range": "bytes=0-9,5-19,3000-"})

    assert (answer.status_code, answer.content) == (HTTPStatus.PARTIAL_CONTENT, SENT[:20])
    assert answer.headers["Content-Range"] == "bytes 0-19/1024"


async def test_nobody_can_have_a_file_sent_many_times_over_in_one_answer(client: httpx.AsyncClient, file: File) -> None:
    for asked in ("bytes=" + ",".join(["0-"] * 30), "bytes=" + ",".join(["0-"] * 3000)):
        answer = await client.get(path_of(file), headers={"Range": asked})
        assert answer.content == SENT


async def test_a_range_that_is_not_there_is_416_and_says_the_size(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(path_of(file), headers={"Range": "bytes=1024-"})

    assert_problem(answer, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == "bytes */1024"


async def test_an_end_beyond_every_number_is_the_end_of_the_file(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(path_of(file), headers={"Range": f"bytes=1000-{'9' * 20}"})

    assert (answer.status_code, answer.content) == (HTTPStatus.PARTIAL_CONTENT, SENT[1000:])


@pytest.mark.parametrize(
    "fields",
    [
        *({}, {"Range": "bytes=100-199"}, {"Range": "nonsense"}, {"Range": "bytes=9999-"}),
        *({"If-None-Match": "*"}, {"If-Match": '"other"'}),
    ],
)
async def test_head_says_what_get_would(client: httpx.AsyncClient, file: File, fields: dict[str, str]) -> None:
    head, get = await client.head(path_of(file), headers=fields), await client.get(path_of(file), headers=fields)

    assert (head.status_code, head.headers) == (get.status_code, get.headers)


# Conditions


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"If-None-Match": "TAG"}, HTTPStatus.NOT_MODIFIED),
        ({"If-None-Match": '"a", W/TAG'}, HTTPStatus.NOT_MODIFIED),
        ({"If-None-Match": '"a"'}, HTTPStatus.OK),
        ({"If-Modified-Since": "DATE"}, HTTPStatus.NOT_MODIFIED),
        ({"If-Match": "TAG"}, HTTPStatus.OK),
        ({"If-Match": '"a"'}, HTTPStatus.PRECONDITION_FAILED),
        ({"If-Unmodified-Since": "Fri, 02 Jan 1970 12:00:00 GMT"}, HTTPStatus.PRECONDITION_FAILED),
        ({"If-Range": "TAG", "Range": "bytes=1-2"}, HTTPStatus.PARTIAL_CONTENT),
        ({"If-Range": "DATE", "Range": "bytes=1-2"}, HTTPStatus.PARTIAL_CONTENT),
        ({"If-Range": '"a"', "Range": "bytes=1-2"}, HTTPStatus.OK),
        ({"If-Range": '"a"', "Range": "bytes=9999-"}, HTTPStatus.OK),
        ({"If-None-Match": "TAG", "Range": "bytes=9999-"}, HTTPStatus.NOT_MODIFIED),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_conditions_are_kept(
    client: httpx.AsyncClient, file: File, fields: dict[str, str], status: int, method: str
) -> None:
    said = {"TAG": f'"{file.id}"', "DATE": http_date(file.uploaded_at)}
    for word, value in said.items():
        fields = {name: text.replace(word, value) for name, text in fields.items()}

    answer = await client.request(method, path_of(file), headers=fields)

    assert answer.status_code == status
    if method == "GET":
        whole = {HTTPStatus.OK: SENT, HTTPStatus.PARTIAL_CONTENT: SENT[1:3], HTTPStatus.NOT_MODIFIED: b""}
        assert whole.get(HTTPStatus(status), answer.content) == answer.content
    assert answer.headers["ETag"] == f'"{file.id}"'
    if status == HTTPStatus.PRECONDITION_FAILED:
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_the_lines_of_a_list_are_one_list(client: httpx.AsyncClient, file: File) -> None:
    lines = [("If-None-Match", '"a"'), ("If-None-Match", f'"{file.id}"')]

    assert (await client.get(path_of(file), headers=lines)).status_code == HTTPStatus.NOT_MODIFIED


# What never runs in our origin


@pytest.mark.parametrize(
    ("content_type", "sent"),
    [
        ("text/html", PAGE),
        ("", PAGE),
        ("text/plain", PAGE),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"),
        ("application/xml", b"<?xml version='1.0'?><a/>"),
        ("text/javascript", b"alert(1)"),
        ("application/octet-stream", SENT),
    ],
)
@pytest.mark.parametrize("query", [{}, {"inline": "true"}])
async def test_active_content_is_only_ever_saved(
    client: httpx.AsyncClient, world: World, content_type: str, sent: bytes, query: dict[str, str]
) -> None:
    answer = await client.get(path_of(await stored(world, sent, content_type)), params=query)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.bin"'
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "javascript" not in answer.headers["Content-Type"]


async def test_a_picture_is_shown_to_who_asks_and_saved_else(client: httpx.AsyncClient, world: World) -> None:
    path = path_of(await stored(world, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png", name="a.png"))

    shown = await client.get(path, params={"inline": ""})
    saved = await client.get(path, params={"inline": "false"})

    assert shown.headers["Content-Disposition"] == 'inline; filename="a.png"'
    assert saved.headers["Content-Disposition"] == 'attachment; filename="a.png"'
    assert shown.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in shown.headers["Content-Security-Policy"]
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


async def test_a_pdf_is_shown_in_a_sandbox_too(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.get(path_of(await stored(world, b"%PDF-1.7\n%\xe2\xe3\n")), params={"inline": "1"})

    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


# Uploads that are still arriving


async def follow(client: httpx.AsyncClient, upload: Session, asked: str = "") -> httpx.Response:
    fields = {"Range": asked, "If-Range": f'"{upload.id}"'} if asked else {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await client.get(path_of(upload), params={"follow": "true"}, headers=fields)


@pytest.mark.parametrize("length", [None, len(SENT)])
async def test_an_upload_is_sent_while_it_arrives_over_several_requests(
    client: httpx.AsyncClient, world: World, length: int | None
) -> None:
    upload = await begun(world, length)
    following = asyncio.create_task(follow(client, upload))

    for at in range(0, len(SENT), 256):
        await asyncio.sleep(0.02)
        last = at + 256 == len(SENT)
        incoming = Incoming(body(SENT[at : at + 256]), at=at, length=len(SENT) if last else None)
        await world.engine.uploads.append(upload.id, ANN, incoming)
    answer = await following

    assert (answer.status_code, answer.content) == (HTTPStatus.OK, SENT)
    assert answer.headers.get("Content-Length") == (None if length is None else str(length))
    assert answer.headers["ETag"] == f'"{upload.id}"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.bin"'
    assert "Last-Modified" not in answer.headers


@pytest.mark.parametrize(
    ("length", "asked", "range_said", "expected"),
    [
        (1024, "bytes=100-", "bytes 100-1023/1024", SENT[100:1024]),
        (1024, "bytes=-24", "bytes 1000-1023/1024", SENT[1000:1024]),
        (1024, "bytes=5-9", "bytes 5-9/1024", SENT[5:10]),
        (None, "bytes=100-", "bytes 100-536870911/*", SENT[100:1024]),
        (None, "bytes=5-9", "bytes 5-9/*", SENT[5:10]),
        (None, "bytes=100-4000", "bytes 100-4000/*", SENT[100:1024]),
        (None, "bytes=-24", None, SENT[0:1024]),
        (1024, "bytes=0-1,500-", None, SENT[0:1024]),
    ],
)
async def test_who_was_cut_goes_on_following_from_where_it_was(
    client: httpx.AsyncClient,
    world: World,
    length: int | None,
    asked: str,
    range_said: str | None,
    expected: bytes,
) -> None:
    upload = await begun(world, length, SENT[:600])
    following = asyncio.create_task(follow(client, upload, asked))

    await asyncio.sleep(0.02)
    await world.engine.uploads.append(upload.id, ANN, Incoming(body(SENT[600:]), length=len(SENT)))
    answer = await following

    assert answer.content == expected
    assert answer.status_code == (HTTPStatus.OK if range_said is None else HTTPStatus.PARTIAL_CONTENT)
    assert answer.headers.get("Content-Range") == range_said
    if length:
        assert answer.headers["Content-Length"] == str(len(expected))


@pytest.mark.parametrize(("length", "size"), [(1024, 1024), (None, 512 * 1024 * 1024)])
async def test_a_range_that_no_upload_will_have_is_416(
    client: httpx.AsyncClient, world: World, length: int | None, size: int
) -> None:
    answer = await follow(client, await begun(world, length), f"bytes={size}-")

    assert_problem(answer, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{size}"


async def test_a_finished_file_is_followed_as_it_is_read(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(path_of(file), params={"follow": "true"}, headers={"Range": "bytes=1-3"})

    assert (answer.status_code, answer.content) == (HTTPStatus.PARTIAL_CONTENT, SENT[1:4])


async def test_head_and_conditions_of_an_upload_wait_for_nothing(client: httpx.AsyncClient, world: World) -> None:
    upload = await begun(world, 1024)
    path = f"{path_of(upload)}?follow=1"

    head = await client.head(path)
    known = await client.get(path, headers={"If-None-Match": f'"{upload.id}"'})

    assert (head.status_code, head.headers["Content-Length"]) == (HTTPStatus.OK, "1024")
    assert known.status_code == HTTPStatus.NOT_MODIFIED


async def test_an_upload_is_no_file_to_who_does_not_follow(client: httpx.AsyncClient, world: World) -> None:
    upload = await begun(world, 1024)

    assert_problem(await client.get(path_of(upload)), HTTPStatus.NOT_FOUND, "not-found")
    assert_problem(await client.get(f"{path_of(upload)}?follow=false"), HTTPStatus.NOT_FOUND, "not-found")


async def test_an_upload_that_has_ended_is_gone(client: httpx.AsyncClient, world: World) -> None:
    upload = await begun(world, 1024)
    await world.engine.uploads.abort(upload.id, ANN)

    assert_problem(await follow(client, upload), HTTPStatus.GONE, "gone")


# Refusals


@pytest.mark.parametrize("file_id", [UNKNOWN, "nonsense", UNKNOWN.upper(), "x" * 5000])
async def test_an_unknown_file_is_404(client: httpx.AsyncClient, file_id: str) -> None:
    assert_problem(await client.get(f"/api/v1/files/{file_id}/content"), HTTPStatus.NOT_FOUND, "not-found")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_another_users_file_is_as_unknown(client: httpx.AsyncClient, file: File, method: str) -> None:
    for who in ({"headers": {"X-User-Id": "bob"}}, {"params": {"user_id": "bob"}}):
        answer = await client.request(method, path_of(file), **who)  # type: ignore[arg-type]
        assert answer.status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("under", ["", "/below"])
async def test_what_is_not_allowed_says_all_that_is(world: World, under: str) -> None:
    beside = Rest(world.engine.files, world.engine.uploads, world.engine.events, world.engine.passes).app(
        title="t", version="0"
    )
    below = Starlette(routes=[*Content(world.engine.downloads).routes(), Mount("/", beside)])
    async with client_of(Starlette(routes=[Mount(under or "/", below)])) as client:
        answer = await client.put(f"{under}/api/v1/files/{UNKNOWN}/content")

    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("second", ["ann", "bob"])
async def test_a_field_that_says_one_thing_is_not_taken_twice(
    client: httpx.AsyncClient, file: File, second: str
) -> None:
    fields = [("X-User-Id", "ann"), ("X-User-Id", second)]

    answer = await client.get(path_of(file), headers=fields)

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")


@given(
    said=st.dictionaries(
        st.sampled_from(["Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    ),
    user_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
async def test_whatever_is_asked_is_answered_or_refused(said: dict[str, str], user_id: str) -> None:
    world = memory_world()
    file = await world.engine.uploads.store_whole(declared(len(SENT)), ANN, body(SENT))

    async with client_of(app_of(world)) as client:
        answer = await client.get(path_of(file), params={"user_id": user_id}, headers=said)

    assert 200 <= answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize("name", ["follow", "inline"])
async def test_a_parameter_that_is_neither_true_nor_false_is_400(
    client: httpx.AsyncClient, file: File, name: str
) -> None:
    answer = await client.get(path_of(file), params={name: "perhaps"})

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")
    assert answer.json()["field"] == name


async def test_bytes_that_cannot_be_read_are_503_and_no_file_that_breaks_off(
    client: httpx.AsyncClient, world: World, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> AsyncIterator[bytes]:
        raise StorageUnavailable
        yield b""

    monkeypatch.setattr(world.blobs, "read", away)

    assert_problem(await client.get(path_of(file)), HTTPStatus.SERVICE_UNAVAILABLE, "storage-unavailable")


# Documentation, and values


async def test_the_documentation_of_the_api_has_it(world: World) -> None:
    app = Rest(world.engine.files, world.engine.uploads, world.engine.events, world.engine.passes).app(
        title="t", version="0", beside=OPENAPI
    )

    async with client_of(app) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]

    assert set(paths["/api/v1/files/{file_id}/content"]) == {"get", "head"}


def test_a_download_names_its_file_in_any_letters() -> None:
    file = File(UNKNOWN, "ann", "山.txt", 3, "", "text/plain", 0, NOON, "tus", sha256="ab" * 32)

    fields = answer_file(file, {}, inline=False, boundary="b").fields

    assert fields["Content-Disposition"] == "attachment; filename=\"_.txt\"; filename*=UTF-8''%E5%B1%B1.txt"
    assert fields["Last-Modified"] == "Fri, 02 Jan 2026 12:00:00 GMT"
    assert fields["Repr-Digest"].startswith("sha-256=:q6urq6")


def test_an_upload_without_a_type_has_one_that_says_nothing() -> None:
    session = Session(UNKNOWN, declared(None), 10, "tus", NOON, NOON)

    assert answer_upload(session, {}).answer.fields["Content-Type"] == "application/octet-stream"


async def test_what_is_sent_is_in_the_trail_and_nothing_else(
    client: httpx.AsyncClient, world: World, file: File
) -> None:
    world.engine.downloads._audited = True
    upload, done = await begun(world, 4, b"ab"), await stored(world, b"")

    await client.head(path_of(file))
    await client.get(path_of(file), headers={"If-None-Match": f'"{file.id}"'})
    await client.get(path_of(file), headers={"Range": "bytes=9999-"})
    await client.get(path_of(file))
    await client.get(path_of(file), headers={"Range": "bytes=10-19, 500-509"})
    await client.get(path_of(done))
    await client.get(path_of(upload), params={"follow": "true"}, headers={"Range": "bytes=0-0"})

    trails = [(await world.engine.files.audit(one.id, ANN)).rows for one in (file, done, upload)]
    assert [[row.details for row in rows if row.action is Action.DOWNLOAD] for rows in trails] == [
        [{"start": "0", "bytes": "1024"}, {"start": "10", "bytes": "20"}],
        [{"start": "0", "bytes": "0"}],
        [{"start": "0", "bytes": "1"}],
    ]


async def test_a_follower_of_an_upload_of_any_length_is_in_the_trail(client: httpx.AsyncClient, world: World) -> None:
    world.engine.downloads._audited = True
    upload = await begun(world, None, b"ab")
    following = asyncio.create_task(client.get(path_of(upload), params={"follow": "true"}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (rows := (await world.engine.files.audit(upload.id, ANN)).rows)[1:]:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)

    assert [row.details for row in rows if row.action is Action.DOWNLOAD] == [{"start": "0"}]
    await world.engine.uploads.abort(upload.id, ANN)
    await asyncio.wait([following], timeout=PATIENCE_SECONDS)
