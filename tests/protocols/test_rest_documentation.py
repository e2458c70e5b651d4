"""The API's documentation says what the API answers: its examples are compared with answers, its refusals refused."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import httpx
import openapi_spec_validator
import pytest
from openapi_schema_validator import OAS31Validator
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.engine.world import World, body, memory_world
from tests.protocols.asgi import client_of
from uploadstream.core.access import Caller
from uploadstream.core.errors import Busy, CatalogUnavailable, StorageUnavailable
from uploadstream.core.files import File
from uploadstream.core.session import Declared
from uploadstream.engine import events
from uploadstream.engine.watch import Incoming
from uploadstream.http.openapi import CONTENT, FILE
from uploadstream.protocols.content.endpoint import Content
from uploadstream.protocols.content.openapi import OPENAPI
from uploadstream.protocols.rest.documentation import GRPC_PORT, NOON, UPLOAD_ID
from uploadstream.protocols.rest.endpoints import Rest

ANN = Caller("ann", "tus", "192.0.2.1")
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
PROBLEM = "application/problem+json"
METHODS = ("get", "head", "delete", "post")
Operation = Mapping[str, Any]


class SetClock:
    """Says what it was set to, and gives the ids that it was told."""

    def __init__(self) -> None:
        self.at = NOON
        self.ids: list[str] = []

    def now(self) -> datetime:
        return self.at

    def new_id(self) -> str:
        return self.ids.pop()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def world(clock: SetClock) -> World:
    """A world where nothing depends on when and where it is."""
    world = memory_world()
    world.clock = world.blobs._clock = clock  # type: ignore[assignment, attr-defined]
    world.start()
    return world


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    engine = world.engine
    rest = Rest(engine.files, engine.uploads, engine.events, engine.passes, grpc_port=GRPC_PORT)
    app = rest.app(title="UploadStream", version="1.2.3", beside=OPENAPI)
    async with client_of(Starlette(routes=[*Content(engine.downloads).routes(), Mount("/", app)])) as opened:
        opened.base_url = httpx.URL("http://127.0.0.1:8080")
        yield opened


@pytest.fixture
async def described(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


@pytest.fixture
async def file(world: World, clock: SetClock) -> File:
    """The file of the examples."""
    clock.ids.append(FILE.id)
    declared = Declared(FILE.user_id, FILE.filename, FILE.declared_type, FILE.size)
    return await world.engine.uploads.store_whole(declared, ANN, body(CONTENT))


@pytest.fixture
async def upload(world: World, clock: SetClock) -> str:
    """The upload of the examples."""
    clock.ids.append(UPLOAD_ID)
    clock.at = NOON - timedelta(seconds=2)
    session = (await world.engine.uploads.create(Declared("ann", "film.mp4", "video/mp4", 1_048_576), ANN)).session
    clock.at = NOON
    await world.engine.uploads.append(session.id, ANN, Incoming(body(b"\0\0\0\x18ftypmp42".ljust(262_144, b"\0"))))
    return session.id


def operations(described: Operation) -> dict[str, Operation]:
    """By method and path, as in `GET /api/v1/files`."""
    return {
        f"{method.upper()} {path}": one for path, item in described["paths"].items() for method, one in item.items()
    }


def whole(described: Operation, schema: Operation) -> OAS31Validator:
    """A validator of what has this schema."""
    return OAS31Validator({**schema, "components": described["components"]})


def test_an_example_is_of_the_file_that_has_its_bytes(file: File) -> None:
    assert file == FILE


# What is there


async def test_it_is_openapi(described: dict[str, Any]) -> None:
    openapi_spec_validator.validate(described)

    assert described["openapi"].startswith("3.1.")


async def test_every_operation_says_what_it_is_for(described: dict[str, Any]) -> None:
    found = operations(described)
    tags = {tag["name"] for tag in described["tags"]}

    assert set(found) == {
        *("GET /api/v1/files", "GET /api/v1/files/{file_id}", "DELETE /api/v1/files/{file_id}"),
        *("POST /api/v1/files/{file_id}/restore", "GET /api/v1/files/{file_id}/audit"),
        *("GET /api/v1/files/{file_id}/content", "HEAD /api/v1/files/{file_id}/content"),
        *("GET /api/v1/files/{file_id}/thumbnails/{size}", "GET /api/v1/uploads", "GET /api/v1/uploads/{upload_id}"),
        *("DELETE /api/v1/uploads/{upload_id}", "GET /api/v1/stats/deletions", "GET /api/v1/events"),
        "POST /api/v1/tokens",
    }
    assert len({one["operationId"] for one in found.values()}) == len(found)
    for one in found.values():
        assert one["summary"]
        assert one["description"]
        assert set(one["tags"]) <= tags
        assert "422" not in one["responses"]
        assert {"400", "503"} <= set(one["responses"])


async def test_every_parameter_has_a_type_and_a_meaning(described: dict[str, Any]) -> None:
    parameters = [one for operation in operations(described).values() for one in operation["parameters"]]

    for one in parameters:
        assert one["description"], one
        assert {"type", "$ref"} & set(one["schema"]), one
    limits = {one["name"].lower(): one["schema"] for one in parameters}
    assert limits["page_size"]["minimum"] == 0
    assert limits["user_id"]["maxLength"] == limits["x-user-id"]["maxLength"] == 128
    assert limits["file_id"]["format"] == limits["upload_id"]["format"] == "uuid"
    assert limits["name"]["maxLength"] == 255
    assert limits["order"]["enum"] == ["asc", "desc"]
    assert limits["uploaded_after"]["format"] == "date-time"


async def test_every_shape_is_used_and_there(described: dict[str, Any]) -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))

    assert named == set(described["components"]["schemas"])


async def test_below_a_path_it_says_so(client: httpx.AsyncClient, world: World) -> None:
    engine = world.engine
    app = Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="t", version="0", beside=OPENAPI)
    async with client_of(Starlette(routes=[Mount("/below", app)])) as below:
        found = (await below.get("/below/openapi.json")).json()

    assert found["servers"] == [{"url": "/below"}]


# Examples of success


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("GET /api/v1/files", "/api/v1/files?user_id=ann"),
        ("GET /api/v1/files/{file_id}", f"/api/v1/files/{FILE.id}"),
        ("POST /api/v1/files/{file_id}/restore", f"/api/v1/files/{FILE.id}/restore"),
        ("GET /api/v1/files/{file_id}/audit", f"/api/v1/files/{FILE.id}/audit"),
        ("GET /api/v1/uploads", "/api/v1/uploads?user_id=ann"),
        ("GET /api/v1/uploads/{upload_id}", f"/api/v1/uploads/{UPLOAD_ID}"),
        ("GET /api/v1/stats/deletions", "/api/v1/stats/deletions?user_id=ann"),
    ],
)
@pytest.mark.usefixtures("file", "upload")
async def test_an_example_is_what_is_answered(
    client: httpx.AsyncClient, clock: SetClock, described: dict[str, Any], name: str, path: str
) -> None:
    if name.endswith("deletions"):
        clock.at += timedelta(days=1)
        await client.delete(FILES, headers={"X-User-Id": "ann"})

    answer = await client.request(name.split(maxsplit=1)[0], path)

    media = operations(described)[name]["responses"]["200"]["content"]["application/json"]
    assert (answer.status_code, answer.json()) == (200, media["example"])
    whole(described, media["schema"]).validate(media["example"])


async def test_every_json_answer_has_an_example(described: dict[str, Any]) -> None:
    for name, one in operations(described).items():
        for status, response in one["responses"].items():
            for media_type, media in response.get("content", {}).items():
                assert "image/" in media_type or "byteranges" in media_type or {"example", "examples"} & set(media), (
                    name,
                    status,
                )


@pytest.mark.parametrize(
    ("status", "fields"), [("200", {}), ("206", {"Range": "bytes=0-8"}), ("304", {"If-None-Match": "*"})]
)
async def test_the_example_of_a_file_s_bytes_is_the_file(
    client: httpx.AsyncClient, described: dict[str, Any], file: File, status: str, fields: dict[str, str]
) -> None:
    response = operations(described)["GET /api/v1/files/{file_id}/content"]["responses"][status]

    answer = await client.get(f"/api/v1/files/{file.id}/content", headers=fields)

    assert str(answer.status_code) == status
    assert dict(answer.headers) == {name.lower(): one["example"] for name, one in response["headers"].items()}
    assert answer.text == response.get("content", {}).get("*/*", {}).get("example", "")


async def test_the_example_of_events_is_an_event(world: World, described: dict[str, Any], upload: str) -> None:
    media = operations(described)["GET /api/v1/events"]["responses"]["200"]["content"]["text/event-stream"]
    lines = dict(line.split(": ", 1) for line in media["example"].strip().splitlines())
    shape = media["schema"]["contentSchema"]

    place = await world.engine.events.place(ANN, after=None)
    async with aclosing(world.engine.events.follow(place, idle_seconds=5)) as told:
        event = await anext(told)

    assert isinstance(event, events.Event)
    whole(described, shape).validate(json.loads(lines["data"]))
    assert lines["event"] == json.loads(lines["data"])["event"] == event.kind


# Refusals

FILES, AN_UPLOAD = f"/api/v1/files/{FILE.id}", f"/api/v1/uploads/{UPLOAD_ID}"
ALL = {
    "GET /api/v1/files": "/api/v1/files",
    "GET /api/v1/files/{file_id}": FILES,
    "DELETE /api/v1/files/{file_id}": FILES,
    "POST /api/v1/files/{file_id}/restore": f"{FILES}/restore",
    "GET /api/v1/files/{file_id}/audit": f"{FILES}/audit",
    "GET /api/v1/files/{file_id}/content": f"{FILES}/content",
    "GET /api/v1/files/{file_id}/thumbnails/{size}": f"{FILES}/thumbnails/small",
    "GET /api/v1/uploads": "/api/v1/uploads",
    "GET /api/v1/uploads/{upload_id}": AN_UPLOAD,
    "DELETE /api/v1/uploads/{upload_id}": AN_UPLOAD,
    "GET /api/v1/stats/deletions": "/api/v1/stats/deletions",
    "GET /api/v1/events": "/api/v1/events",
}


def examples(described: Operation, name: str) -> list[Any]:
    """The problems that the operation says it may be refused with."""
    responses = operations(described)[name]["responses"].values()
    bodies = [one["content"][PROBLEM]["examples"].values() for one in responses if PROBLEM in one.get("content", {})]
    return [example["value"] for each in bodies for example in each]


async def refusal(client: httpx.AsyncClient, name: str, query: str = "", **more: Any) -> Any:
    """The problem that this operation is refused with."""
    answer = await client.request(name.split(maxsplit=1)[0], ALL[name] + query, **more)
    assert answer.headers["Content-Type"] == PROBLEM
    return answer.json()


@pytest.mark.parametrize("name", ALL)
async def test_a_user_that_cannot_be_is_refused_as_documented(
    client: httpx.AsyncClient, described: dict[str, Any], name: str
) -> None:
    assert await refusal(client, name, f"?user_id={'x' * 129}") in examples(described, name)


@pytest.mark.parametrize("name", [name for name in ALL if "_id}" in name])
async def test_what_is_not_there_is_refused_as_documented(
    client: httpx.AsyncClient, described: dict[str, Any], name: str
) -> None:
    problem = await refusal(client, name)

    assert (problem["status"], problem in examples(described, name)) == (404, True)


@pytest.mark.parametrize("name", [name for name in ALL if "{file_id}" in name and "DELETE" not in name])
async def test_what_is_deleted_is_refused_as_documented(
    client: httpx.AsyncClient, world: World, described: dict[str, Any], file: File, name: str
) -> None:
    await world.engine.files.delete(file.id, ANN)
    if name.endswith("restore"):
        await world.blobs.remove(file.id)

    if name.endswith("audit"):
        assert "410" not in operations(described)[name]["responses"]
    else:
        assert await refusal(client, name) in examples(described, name)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("GET /api/v1/files", "?page_size=-1"),
        ("GET /api/v1/files", "?page_token=x"),
        ("GET /api/v1/files", "?type=png"),
        ("GET /api/v1/files/{file_id}/audit", "?page_size=-1"),
        ("GET /api/v1/files/{file_id}/audit", "?page_token=x"),
        ("GET /api/v1/files/{file_id}/content", "?follow=perhaps"),
        ("GET /api/v1/files/{file_id}/thumbnails/{size}", ""),
        ("GET /api/v1/uploads", "?page_size=-1"),
        ("GET /api/v1/uploads", "?page_token=x"),
        ("GET /api/v1/events", "?last_event_id=-1"),
    ],
)
async def test_a_parameter_that_cannot_be_read_is_refused_as_documented(
    client: httpx.AsyncClient, described: dict[str, Any], file: File, name: str, query: str
) -> None:
    assert await refusal(client, name, query) in examples(described, name)


@pytest.mark.parametrize("fields", [{"Range": f"bytes={FILE.size}-"}, {"If-Match": '"another"'}], ids=str)
async def test_what_is_asked_of_another_file_is_refused_as_documented(
    client: httpx.AsyncClient, described: dict[str, Any], file: File, fields: dict[str, str]
) -> None:
    name = "GET /api/v1/files/{file_id}/content"

    assert await refusal(client, name, headers=fields) in examples(described, name)


@pytest.mark.parametrize("name", ["GET /api/v1/uploads/{upload_id}", "DELETE /api/v1/uploads/{upload_id}"])
async def test_an_upload_that_has_ended_is_refused_as_documented(
    client: httpx.AsyncClient, world: World, described: dict[str, Any], upload: str, name: str
) -> None:
    await world.engine.uploads.abort(upload, ANN)

    assert await refusal(client, name) in examples(described, name)


async def test_an_upload_that_is_held_is_refused_as_documented(
    client: httpx.AsyncClient, world: World, described: dict[str, Any], upload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "DELETE /api/v1/uploads/{upload_id}"

    async def held(*_: object, **__: object) -> None:
        raise Busy(upload)

    monkeypatch.setattr(world.engine.uploads, "abort", held)

    assert await refusal(client, name) in examples(described, name)


@pytest.mark.parametrize("port", ["catalog", "blobs"])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.usefixtures("upload")
async def test_a_part_that_is_away_is_refused_as_documented(
    client: httpx.AsyncClient, world: World, described: dict[str, Any], file: File, name: str, port: str
) -> None:
    """Every operation, with every method of a port failing: it is a success without it, or as documented."""
    error = CatalogUnavailable() if port == "catalog" else StorageUnavailable()
    if name.endswith("restore"):
        await world.engine.files.delete(file.id, ANN)

    async def away(*_: object, **__: object) -> None:
        raise error

    part = getattr(world, port)
    for method in {"catalog": dir(type(part)), "blobs": ["stat", "read", "remove", "free"]}[port]:
        if not method.startswith("_") and hasattr(part, method):
            setattr(part, method, away)

    if (name, port) == ("GET /api/v1/events", "blobs"):  # it has begun by then, and ends
        return
    answer = await client.request(name.split(maxsplit=1)[0], ALL[name])

    assert (answer.status_code < 300) or answer.json() in examples(described, name)
    assert ("Retry-After" in answer.headers) == (answer.status_code == 503)
    if port == "catalog":
        assert answer.status_code == 503


async def test_no_more_listeners_are_taken_than_documented(
    client: httpx.AsyncClient, world: World, described: dict[str, Any]
) -> None:
    world.engine.events._listeners |= {events._Listener(events.Place("ann", 0)) for _ in range(events.LISTENERS_MAX)}
    full = await refusal(client, "GET /api/v1/events")
    world.engine.events.stop()
    stopped = await refusal(client, "GET /api/v1/events")

    for problem, kind in ((full, "too-many-listeners"), (stopped, "draining")):
        assert problem["type"] == f"urn:uploadstream:{kind}"
        assert problem in examples(described, "GET /api/v1/events")


async def test_a_picture_that_is_not_there_is_refused_as_documented(
    client: httpx.AsyncClient, described: dict[str, Any], file: File
) -> None:
    name = "GET /api/v1/files/{file_id}/thumbnails/{size}"
    huge = (await client.get(f"{FILES}/thumbnails/huge")).json()

    assert await refusal(client, name) in examples(described, name)
    assert huge in examples(described, name)


async def test_every_refusal_is_a_problem_of_the_shape_described(described: dict[str, Any]) -> None:
    for name in ALL:
        for problem in examples(described, name):
            whole(described, {"$ref": "#/components/schemas/Problem"}).validate(problem)
