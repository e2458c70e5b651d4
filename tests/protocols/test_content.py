"""The bytes of files, on a real engine in memory."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.engine.world import ANN, World, body, declared, memory_world
from tests.protocols.asgi import assert_problem, client_of
from uploadstream.core.files import File
from uploadstream.protocols.content import OPENAPI, PIECE_SIZE, Content, write_content
from uploadstream.protocols.rest.endpoints import Rest

SENT = bytes(range(256)) * 4
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def app_of(world: World) -> Starlette:
    return Starlette(routes=Content(world.engine.downloads).routes())


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(world)) as opened:
        yield opened


@pytest.fixture
async def file(world: World) -> File:
    return await world.engine.uploads.store_whole(declared(len(SENT)), ANN, body(SENT))


async def test_a_files_bytes_are_served_as_a_download(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(f"/api/v1/files/{file.id}/content")

    assert answer.status_code == HTTPStatus.OK
    assert answer.content == SENT
    assert answer.headers["Content-Length"] == "1024"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{file.id}"'
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.bin"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Last-Modified" in answer.headers


async def test_a_type_is_served_as_it_was_declared_to_the_letter(client: httpx.AsyncClient, world: World) -> None:
    text = await world.engine.uploads.store_whole(declared(3, content_type="text/plain"), ANN, body(b"abc"))

    answer = await client.get(f"/api/v1/files/{text.id}/content")

    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=-24", 1000, 1024)]
)
async def test_a_range_of_a_file_is_served(
    client: httpx.AsyncClient, file: File, asked: str, start: int, stop: int
) -> None:
    answer = await client.get(f"/api/v1/files/{file.id}/content", headers={"Range": asked})

    assert answer.status_code == HTTPStatus.PARTIAL_CONTENT
    assert answer.content == SENT[start:stop]
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"
    assert answer.headers["Content-Length"] == str(stop - start)


async def test_a_range_that_is_not_there_is_416_and_says_the_size(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(f"/api/v1/files/{file.id}/content", headers={"Range": "bytes=1024-"})

    assert_problem(answer, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == "bytes */1024"


@pytest.mark.parametrize("fields", [{}, {"Range": "bytes=100-199"}, {"Range": "nonsense"}])
async def test_head_says_what_get_would(client: httpx.AsyncClient, file: File, fields: dict[str, str]) -> None:
    path = f"/api/v1/files/{file.id}/content"

    head, get = await client.head(path, headers=fields), await client.get(path, headers=fields)

    assert (head.status_code, head.headers) == (get.status_code, get.headers)
    assert head.content == b""


async def test_a_file_larger_than_a_piece_is_served_whole(client: httpx.AsyncClient, world: World) -> None:
    sent = bytes(3 * PIECE_SIZE + 1)
    large = await world.engine.uploads.store_whole(declared(len(sent)), ANN, body(sent))

    assert (await client.get(f"/api/v1/files/{large.id}/content")).content == sent


async def test_an_empty_file_is_served(client: httpx.AsyncClient, world: World) -> None:
    empty = (await world.engine.uploads.create(declared(0), ANN)).file
    assert empty is not None

    answer = await client.get(f"/api/v1/files/{empty.id}/content")

    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (HTTPStatus.OK, b"", "0")


async def test_an_end_beyond_every_number_is_the_end_of_the_file(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(f"/api/v1/files/{file.id}/content", headers={"Range": f"bytes=1000-{'9' * 20}"})

    assert (answer.status_code, answer.content) == (HTTPStatus.PARTIAL_CONTENT, SENT[1000:])


# Refusals


@pytest.mark.parametrize("file_id", [UNKNOWN, "nonsense", UNKNOWN.upper(), "x" * 5000])
async def test_an_unknown_file_is_404(client: httpx.AsyncClient, file_id: str) -> None:
    assert_problem(await client.get(f"/api/v1/files/{file_id}/content"), HTTPStatus.NOT_FOUND, "not-found")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_another_users_file_is_as_unknown(client: httpx.AsyncClient, file: File, method: str) -> None:
    for who in ({"headers": {"X-User-Id": "bob"}}, {"params": {"user_id": "bob"}}):
        answer = await client.request(method, f"/api/v1/files/{file.id}/content", **who)  # type: ignore[arg-type]
        assert answer.status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("under", ["", "/below"])
async def test_what_is_not_allowed_says_all_that_is(world: World, under: str) -> None:
    beside = Rest(world.engine.files, world.engine.uploads, world.engine.events).app(title="t", version="0")
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

    answer = await client.get(f"/api/v1/files/{file.id}/content", headers=fields)

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")


@given(
    asked=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    user_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
async def test_whatever_is_asked_is_answered_or_refused(asked: str, user_id: str) -> None:
    world = memory_world()
    file = await world.engine.uploads.store_whole(declared(len(SENT)), ANN, body(SENT))

    async with client_of(app_of(world)) as client:
        answer = await client.get(
            f"/api/v1/files/{file.id}/content", params={"user_id": user_id}, headers={"Range": asked}
        )

    assert 200 <= answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.json()["status"] == answer.status_code


# Documentation, and values


async def test_the_documentation_of_the_api_has_it(world: World) -> None:
    app = Rest(world.engine.files, world.engine.uploads, world.engine.events).app(
        title="t", version="0", beside=OPENAPI
    )

    async with client_of(app) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]

    assert set(paths["/api/v1/files/{file_id}/content"]) == {"get", "head"}


def test_a_download_names_its_file_in_any_letters() -> None:
    fields = write_content(File(UNKNOWN, "ann", "山.txt", 3, "", "text/plain", 0, NOON, "tus"))

    assert fields["Content-Disposition"] == "attachment; filename*=UTF-8''%E5%B1%B1.txt"
    assert fields["Last-Modified"] == "Fri, 02 Jan 2026 12:00:00 GMT"
