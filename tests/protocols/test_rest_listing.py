"""Listings of files by query, one upload and the ways to go on with it, pictures to come, HEAD."""

from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.world import ANN, World, body, declared, memory_world
from tests.protocols.asgi import assert_problem, client_of
from uploadstream.core.files import File
from uploadstream.engine.watch import Incoming
from uploadstream.protocols.rest.endpoints import Rest

UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
AS_ANN = {"X-User-Id": "ann"}
NAMES = ["b.txt", "Äpfel_1.PNG", "a.mp4", "äPFEL%2.png", "C.txt"]


def app_of(world: World) -> FastAPI:
    engine = world.engine
    return Rest(engine.files, engine.uploads, engine.events, engine.passes, grpc_port=50051).app(title="t", version="0")


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(world)) as opened:
        yield opened


async def stored(world: World, name: str = "a.bin", size: int = 3) -> File:
    return await world.engine.uploads.store_whole(declared(size, name=name), ANN, body(b"x" * size))


@pytest.fixture
async def files(world: World) -> list[File]:
    """One file a day, the first is the largest."""
    made = []
    for day, name in enumerate(NAMES):
        world.clock.ahead = timedelta(days=day)
        made.append(await stored(world, name, 10 - day))
    return made


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """The names of a listing, two a page."""
    names: list[str] = []
    token = ""
    while True:
        params = {"page_size": 2, **query, "page_token": token}
        answer = await client.get("/api/v1/files", params=params, headers=AS_ANN)
        assert answer.status_code == HTTPStatus.OK, answer.text
        names += [row["filename"] for row in answer.json()["files"]]
        if not (token := answer.json()["next_page_token"]):
            return names


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, NAMES[::-1]),
        ({"order": "asc"}, NAMES),
        ({"sort": "filename"}, ["a.mp4", "b.txt", "C.txt", "äPFEL%2.png", "Äpfel_1.PNG"]),
        ({"sort": "filename", "order": "desc"}, ["Äpfel_1.PNG", "äPFEL%2.png", "C.txt", "b.txt", "a.mp4"]),
        ({"sort": "size"}, NAMES),
        ({"sort": "size", "order": "asc"}, NAMES[::-1]),
        ({"name": "ÄPFEL"}, ["äPFEL%2.png", "Äpfel_1.PNG"]),
        ({"name": "%"}, ["äPFEL%2.png"]),
        ({"name": "_"}, ["Äpfel_1.PNG"]),
        ({"name": "no such"}, []),
        ({"type": "text/plain"}, NAMES[::-1]),
        ({"type": "image/*"}, []),
        ({"deleted": "true"}, []),
    ],
    ids=str,
)
async def test_files_are_listed_as_they_are_asked_for(
    client: httpx.AsyncClient, files: list[File], query: dict[str, str], expected: list[str]
) -> None:
    assert await listed(client, **query) == expected


async def test_files_are_listed_of_a_time(client: httpx.AsyncClient, files: list[File]) -> None:
    since, until = files[1].uploaded_at, files[3].uploaded_at

    both = await listed(client, uploaded_after=since.isoformat(), uploaded_before=until.isoformat())
    without_zone = await listed(client, uploaded_after=since.replace(tzinfo=None).isoformat())

    assert both == [NAMES[2], NAMES[1]]
    assert without_zone == NAMES[:0:-1]


async def test_pages_stay_in_place_while_files_come_and_go(
    client: httpx.AsyncClient, world: World, files: list[File]
) -> None:
    query = {"sort": "filename", "page_size": "2"}
    first = (await client.get("/api/v1/files", params=query, headers=AS_ANN)).json()
    await world.engine.files.delete(files[0].id, ANN)  # the last of the first page
    await stored(world, "0 before all")

    second = await client.get("/api/v1/files", params={**query, "page_token": first["next_page_token"]}, headers=AS_ANN)

    assert [row["filename"] for row in first["files"]] == ["a.mp4", "b.txt"]
    assert [row["filename"] for row in second.json()["files"]] == ["C.txt", "äPFEL%2.png"]


async def test_a_token_of_another_order_is_a_bad_field(client: httpx.AsyncClient, files: list[File]) -> None:
    page = (await client.get("/api/v1/files", params={"page_size": 1}, headers=AS_ANN)).json()

    answer = await client.get("/api/v1/files", params={"sort": "size", "page_token": page["next_page_token"]})

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")
    assert answer.json()["field"] == "page_token"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"sort": "colour"}, "sort"),
        ({"order": "up"}, "order"),
        ({"type": "png"}, "type"),
        ({"name": "x" * 300}, "name"),
        ({"name": "\0"}, "name"),
        ({"uploaded_after": "yesterday"}, "uploaded_after"),
        ({"uploaded_after": "2026-01-02", "uploaded_before": "2026-01-01"}, "uploaded_before"),
        ({"deleted": "perhaps"}, "deleted"),
        ({"page_size": "-1"}, "page_size"),
        ({"page_size": "9" * 30 + ".5"}, "page_size"),
        ({"page_token": "x"}, "page_token"),
    ],
    ids=str,
)
async def test_a_query_that_makes_no_sense_is_a_bad_field(
    client: httpx.AsyncClient, query: dict[str, str], field: str
) -> None:
    answer = await client.get("/api/v1/files", params=query)

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")
    assert answer.json()["field"] == field
    assert "Input" not in answer.json()["problem"]


@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "type", "uploaded_after", "uploaded_before", "sort", "order", "page_token", "page_size"]
        ),
        st.text(max_size=40) | st.integers().map(str) | st.datetimes().map(str) | st.sampled_from(["size", "image/*"]),
    )
)
# Nothing is changed: one service does for all.
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_query_is_a_failure(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await client.get("/api/v1/files", params=query)

    assert answer.status_code in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}


# One upload


async def test_an_upload_tells_how_it_can_be_continued(client: httpx.AsyncClient, world: World) -> None:
    session = (await world.engine.uploads.create(declared(10, name="ü b"), ANN)).session
    await world.engine.uploads.append(session.id, ANN, Incoming(body(b"abc")))

    said = (await client.get(f"/api/v1/uploads/{session.id}")).json()

    assert (said["upload_id"], said["offset"], said["size"], said["complete"]) == (session.id, 3, 10, False)
    ways = {way["protocol"]: way for way in said["ways"]}
    assert list(ways) == ["tus", "ietf", "filepond", "grpc"]
    assert {way["method"] for way in said["ways"][:3]} == {"PATCH"}
    assert ways["tus"]["url"] == ways["ietf"]["url"] == f"/files/{session.id}"
    assert ways["tus"]["headers"]["Upload-Offset"] == ways["ietf"]["headers"]["Upload-Offset"] == "3"
    assert ways["filepond"]["url"] == f"/filepond?patch={session.id}"
    assert ways["filepond"]["headers"]["Upload-Length"] == "10"
    assert ways["grpc"]["url"] == "grpc://service.test:50051"
    assert ways["grpc"]["message"] == {"metadata": {"uploadId": session.id, "offset": "3"}}


async def test_an_upload_of_unknown_length_is_not_filepond_s(world: World) -> None:
    session = (await world.engine.uploads.create(declared(None), ANN)).session
    engine = world.engine
    app = Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="t", version="0")

    async with client_of(app) as client:
        said = (await client.get(f"/api/v1/uploads/{session.id}")).json()

    assert [way["protocol"] for way in said["ways"]] == ["tus", "ietf"]


async def test_a_complete_upload_has_no_way_to_go_on(client: httpx.AsyncClient, world: World) -> None:
    file = await stored(world)

    said = (await client.get(f"/api/v1/uploads/{file.id}")).json()

    assert (said["complete"], said["ways"], said["offset"]) == (True, [], 3)


async def test_an_upload_is_ended(client: httpx.AsyncClient, world: World) -> None:
    session = (await world.engine.uploads.create(declared(10), ANN)).session
    path = f"/api/v1/uploads/{session.id}"

    anothers = await client.delete(path, headers={"X-User-Id": "bob"})
    ended = await client.delete(path, headers=AS_ANN)
    again = await client.get(path)

    assert_problem(anothers, HTTPStatus.NOT_FOUND, "not-found")
    assert (ended.status_code, ended.content) == (HTTPStatus.NO_CONTENT, b"")
    assert_problem(again, HTTPStatus.GONE, "gone")


@pytest.mark.parametrize("size", ["small", "medium", "large"])
async def test_there_is_no_thumbnail_yet(client: httpx.AsyncClient, world: World, size: str) -> None:
    file = await stored(world)

    answer = await client.get(f"/api/v1/files/{file.id}/thumbnails/{size}")

    assert_problem(answer, HTTPStatus.NOT_FOUND, "no-thumbnail")
    assert answer.json()["processing_status"] == "PENDING"


async def test_a_thumbnail_has_one_of_three_sizes_and_a_file(client: httpx.AsyncClient, world: World) -> None:
    file = await stored(world)

    assert (await client.get(f"/api/v1/files/{file.id}/thumbnails/huge")).status_code == HTTPStatus.BAD_REQUEST
    assert_problem(await client.get(f"/api/v1/files/{UNKNOWN}/thumbnails/small"), HTTPStatus.NOT_FOUND, "not-found")


# HEAD


async def test_head_answers_what_get_would_but_for_the_body(client: httpx.AsyncClient, world: World) -> None:
    file = await stored(world)

    for path in (f"/api/v1/files/{file.id}", "/api/v1/files", "/api/v1/uploads", f"/api/v1/files/{UNKNOWN}"):
        get, head = await client.get(path), await client.head(path)

        assert (head.status_code, dict(head.headers), head.content) == (get.status_code, dict(get.headers), b"")


async def test_what_never_ends_has_no_head(client: httpx.AsyncClient) -> None:
    head = await client.head("/api/v1/events")
    posted = await client.post("/api/v1/files")

    assert (head.status_code, head.headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET")
    assert (posted.status_code, posted.headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD")
