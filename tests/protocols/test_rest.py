"""The REST API on a real engine in memory."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from http import HTTPStatus

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from tests.engine.world import ANN, World, body, declared, memory_world
from tests.protocols.asgi import assert_problem, client_of
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.core.files import File
from uploadstream.engine.watch import Incoming
from uploadstream.protocols.rest.endpoints import Rest, misunderstood, refused, unserved

SENT = bytes(range(256)) * 4
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
AS_ANN = {"X-User-Id": "ann"}
AS_BOB = {"X-User-Id": "bob"}


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def app(world: World) -> FastAPI:
    engine = world.engine
    return Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="UploadStream", version="1.2.3")


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


@pytest.fixture
async def file(world: World) -> File:
    return await stored(world)


async def stored(world: World, *, name: str = "a.bin", content_type: str = "") -> File:
    what = declared(len(SENT), name=name, content_type=content_type)
    return await world.engine.uploads.store_whole(what, ANN, body(SENT))


# Files


async def test_a_file_is_described(client: httpx.AsyncClient, file: File) -> None:
    answer = await client.get(f"/api/v1/files/{file.id}")

    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {
        "file_id": file.id,
        "user_id": "ann",
        "filename": "a.bin",
        "size": 1024,
        "content_type": file.content_type,
        "crc32c": f"{file.crc32c:08x}",
        "sha256": None,
        "uploaded_at": file.uploaded_at.isoformat().replace("+00:00", "Z"),
        "deleted_at": None,
        "processing_status": "PENDING",
        "processing_result": None,
    }


@pytest.mark.parametrize("file_id", [UNKNOWN, "nonsense", UNKNOWN.upper(), "x" * 5000])
@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("DELETE", ""), ("POST", "/restore"), ("GET", "/audit")],
)
async def test_an_unknown_file_is_404(client: httpx.AsyncClient, method: str, tail: str, file_id: str) -> None:
    answer = await client.request(method, f"/api/v1/files/{file_id}{tail}")

    assert_problem(answer, HTTPStatus.NOT_FOUND, "not-found")


@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("DELETE", ""), ("POST", "/restore"), ("GET", "/audit")],
)
async def test_another_users_file_is_as_unknown(client: httpx.AsyncClient, file: File, method: str, tail: str) -> None:
    for who in ({"headers": AS_BOB}, {"params": {"user_id": "bob"}}):
        answer = await client.request(method, f"/api/v1/files/{file.id}{tail}", **who)  # type: ignore[arg-type]
        assert answer.status_code == HTTPStatus.NOT_FOUND


async def test_files_are_listed_newest_first_a_page_at_a_time(client: httpx.AsyncClient, world: World) -> None:
    for number in range(5):
        world.clock.ahead = timedelta(seconds=number)
        await stored(world, name=str(number))

    names: list[str] = []
    token = ""
    while True:
        page = (await client.get("/api/v1/files", params={"page_size": 2, "page_token": token}, headers=AS_ANN)).json()
        names += [row["filename"] for row in page["files"]]
        if not (token := page["next_page_token"]):
            break

    assert names == ["4", "3", "2", "1", "0"]


async def test_a_listing_without_a_user_is_of_anonymous(client: httpx.AsyncClient, file: File) -> None:
    assert (await client.get("/api/v1/files")).json() == {"files": [], "next_page_token": ""}
    named = (await client.get("/api/v1/files", params={"user_id": "ann"})).json()
    assert [row["file_id"] for row in named["files"]] == [file.id]


async def test_a_deleted_file_is_in_the_trash_until_it_is_restored(client: httpx.AsyncClient, file: File) -> None:
    path = f"/api/v1/files/{file.id}"

    deleted = await client.delete(path, headers=AS_ANN)
    again = await client.delete(path, headers=AS_ANN)
    trash = (await client.get("/api/v1/files", params={"deleted": "true"}, headers=AS_ANN)).json()["files"]
    gone = await client.get(path)
    restored = await client.post(f"{path}/restore", headers=AS_ANN)
    back = await client.get(path)

    assert deleted.status_code == HTTPStatus.NO_CONTENT
    assert_problem(again, HTTPStatus.GONE, "gone")
    assert_problem(gone, HTTPStatus.GONE, "gone")
    assert [row["file_id"] for row in trash] == [file.id]
    assert trash[0]["deleted_at"] is not None
    assert (restored.status_code, restored.json()) == (HTTPStatus.OK, back.json())


async def test_the_trail_of_a_file_is_told(client: httpx.AsyncClient, file: File) -> None:
    await client.delete(f"/api/v1/files/{file.id}", headers=AS_ANN)

    rows = (await client.get(f"/api/v1/files/{file.id}/audit")).json()["audit"]
    first = (await client.get(f"/api/v1/files/{file.id}/audit", params={"page_size": 1})).json()

    assert [(row["action"], row["user_id"], row["protocol"]) for row in rows] == [
        ("complete", "ann", "test"),
        ("delete", "ann", "http"),
    ]
    assert first["audit"] == rows[:1]
    assert first["next_page_token"]


async def test_open_uploads_are_listed(client: httpx.AsyncClient, world: World) -> None:
    session = (await world.engine.uploads.create(declared(10), ANN)).session
    await world.engine.uploads.append(session.id, ANN, Incoming(body(b"abc")))

    page = (await client.get("/api/v1/uploads", headers=AS_ANN)).json()

    (row,) = page["uploads"]
    expires = datetime.fromisoformat(row.pop("expires_at"))
    created = datetime.fromisoformat(row.pop("created_at"))
    assert row == {
        "upload_id": session.id,
        "user_id": "ann",
        "filename": "a.bin",
        "size": 10,
        "offset": 3,
        "protocol": "test",
    }
    assert created == session.created_at
    assert expires > created + timedelta(hours=23)


async def test_deletions_are_counted(client: httpx.AsyncClient, world: World, file: File) -> None:
    await stored(world)
    await client.delete(f"/api/v1/files/{file.id}", headers=AS_ANN)

    stats = (await client.get("/api/v1/stats/deletions", headers=AS_ANN)).json()

    assert (stats["deleted"], stats["restored"], stats["restored_share"]) == (1, 0, 0.0)
    assert stats["by_type"] == {file.content_type: 1}


# Refusals


@pytest.mark.parametrize("path", ["/api/v1/files", "/api/v1/uploads", f"/api/v1/files/{UNKNOWN}/audit"])
@pytest.mark.parametrize(
    "params", [{"page_size": "-1"}, {"page_size": "ten"}, {"page_size": "1.5"}, {"page_token": "nonsense"}]
)
async def test_a_page_that_cannot_be_is_400(client: httpx.AsyncClient, path: str, params: dict[str, str]) -> None:
    answer = await client.get(path, params=params)

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")
    assert answer.json()["field"] == next(iter(params))


async def test_every_parameter_that_cannot_be_read_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/files", params={"page_size": "ten", "deleted": "perhaps"})

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")
    assert {bad["field"] for bad in answer.json()["errors"]} == {"page_size", "deleted"}


async def test_a_user_that_cannot_be_is_400(client: httpx.AsyncClient) -> None:
    for who in ({"headers": {"X-User-Id": "x" * 129}}, {"params": {"user_id": "a\nb"}}):
        answer = await client.get("/api/v1/files", **who)  # type: ignore[arg-type]
        assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")


async def test_a_user_may_have_any_letters_in_a_field_or_a_link(client: httpx.AsyncClient, world: World) -> None:
    session = (await world.engine.uploads.create(declared(10, user_id="太郎"), ANN)).session

    by_field = await client.get("/api/v1/uploads", headers={b"X-User-Id": "太郎".encode()})
    by_link = await client.get("/api/v1/uploads", params={"user_id": "太郎"})

    assert by_field.json() == by_link.json()
    assert by_link.json()["uploads"][0]["upload_id"] == session.id


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nonsense", HTTPStatus.NOT_FOUND),
        ("GET", "/nonsense", HTTPStatus.NOT_FOUND),
        ("GET", "/api/v1/files/%2e%2e%2fetc", HTTPStatus.NOT_FOUND),
        ("GET", "/api/v1/files/", HTTPStatus.NOT_FOUND),
        ("PUT", "/api/v1/files", HTTPStatus.METHOD_NOT_ALLOWED),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["type"], answer.json()["status"]) == ("about:blank", status)
    assert ("Allow" in answer.headers) == (status == HTTPStatus.METHOD_NOT_ALLOWED)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/files", {"GET", "HEAD"}),
        (f"/api/v1/files/{UNKNOWN}", {"GET", "HEAD", "DELETE"}),
        (f"/api/v1/files/{UNKNOWN}/restore", {"POST"}),
        ("/openapi.json", {"GET", "HEAD"}),
    ],
)
@pytest.mark.parametrize("under", ["", "/below"])
async def test_what_is_not_allowed_says_all_that_is(world: World, path: str, allowed: set[str], under: str) -> None:
    engine = world.engine
    app = Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="t", version="0")
    async with client_of(Starlette(routes=[Mount(under or "/", app)])) as client:
        answer = await client.put(under + path)

    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("second", ["ann", "bob"])
async def test_a_field_that_says_one_thing_is_not_taken_twice(client: httpx.AsyncClient, second: str) -> None:
    answer = await client.get("/api/v1/files", headers=[("X-User-Id", "ann"), ("X-User-Id", second)])

    assert_problem(answer, HTTPStatus.BAD_REQUEST, "bad-field")
    assert answer.json()["field"] == "X-User-Id"


async def test_a_catalog_that_is_away_is_503_and_says_when_to_come_back(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise CatalogUnavailable

    monkeypatch.setattr(world.catalog, "search", away)

    answer = await client.get("/api/v1/files")

    assert_problem(answer, HTTPStatus.SERVICE_UNAVAILABLE, "catalog-unavailable")
    assert answer.headers["Retry-After"].isdigit()


@given(
    params=st.dictionaries(
        st.sampled_from(["page_size", "page_token", "deleted", "user_id"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.integers(-(2**70), 2**70).map(str),
    ),
    asked=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    path=st.sampled_from(["", f"/{UNKNOWN}/audit", f"/{UNKNOWN}/content", "/FILE/content", "/FILE/audit"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # nothing is changed: one service does for all
async def test_whatever_is_asked_is_answered_or_refused(
    client: httpx.AsyncClient, file: File, params: dict[str, str], asked: str, path: str
) -> None:
    answer = await client.get(f"/api/v1/files{path.replace('FILE', file.id)}", params=params, headers={"Range": asked})

    assert 200 <= answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.json()["status"] == answer.status_code


async def test_an_error_that_is_no_refusal_is_not_explained_away() -> None:
    request = Request({"type": "http"})
    for handler in (refused, misunderstood, unserved):
        with pytest.raises(ZeroDivisionError):
            await handler(request, ZeroDivisionError())


async def test_a_failure_of_ours_is_a_problem_too_and_still_a_failure(
    app: FastAPI, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.catalog, "search", fails)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        answer = await client.get("/api/v1/files")

    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["type"] == "about:blank"
    async with client_of(app) as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("/api/v1/files")
