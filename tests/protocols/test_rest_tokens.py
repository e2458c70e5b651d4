"""`POST /api/v1/tokens`: a token for one upload, or for new ones within bounds."""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.engine.world import World, body, declared, memory_world
from tests.protocols.asgi import client_of
from uploadstream.core.access import Bounds, Caller, Credentials, Identity
from uploadstream.core.access import Scope as May
from uploadstream.engine.passes import SECONDS_MAX
from uploadstream.http.callers import KNOWN
from uploadstream.protocols.rest.endpoints import Rest

ANN = Identity("ann")
PATH = "/api/v1/tokens"


@dataclass
class Known:
    """An application whose requests are those of whoever a test says."""

    app: ASGIApp
    identity: Identity | None = ANN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, KNOWN: self.identity}, receive, send)


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def app(world: World) -> Known:
    engine = world.engine
    return Known(Rest(engine.files, engine.uploads, engine.events, engine.passes).app(title="t", version="0"))


@pytest.fixture
async def client(app: Known) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


async def bounds_of(world: World, answer: httpx.Response) -> Bounds | None:
    found = await world.engine.passes.identity(Credentials(bearer=answer.json()["token"]))
    assert found is not None
    assert found.user_id == answer.json()["user_id"] == "ann"
    return found.bounds


async def test_a_token_is_for_what_was_asked(world: World, client: httpx.AsyncClient) -> None:
    upload = (await world.engine.uploads.create(declared(9), Caller("ann"))).session.id
    asked: list[dict[str, Any]] = [
        *({"upload_id": upload}, {"size_max": 9, "expires_in": 1}, {"allowed_types": ["image/*", "a/b"]}),
        {"size_max": 0, "allowed_types": ["*/*"], "expires_in": SECONDS_MAX, "upload_id": None},
    ]

    answers = [await client.post(PATH, json=wish) for wish in asked]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert [await bounds_of(world, answer) for answer in answers] == [
        *(Bounds(upload), Bounds(size_max=9), Bounds(allowed_types=("image/*", "a/b")), Bounds("", 0, ("*/*",))),
    ]
    told = answers[3].json()
    assert (told["upload_id"], told["size_max"], told["allowed_types"]) == (None, 0, ["*/*"])
    assert answers[0].json()["allowed_types"] is None


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({}, "upload_id: either this must be there, or else size_max, allowed_types or both"),
        ({"upload_id": "x", "size_max": 1}, "upload_id: either this must be there"),
        ({"size_max": -1}, "size_max: must be greater than or equal to 0"),
        ({"size_max": "9"}, "size_max: must be a valid integer"),
        ({"size_max": 1.5}, "size_max: must be a valid integer"),
        ({"size_max": 10**30}, "size_max: must be less than or equal to"),
        ({"size_max": 1, "expires_in": 0}, "expires_in: must be greater than or equal to 1"),
        ({"size_max": 1, "expires_in": 86_401}, "expires_in: must be less than or equal to 86400"),
        ({"size_max": 1, "expires_in": True}, "expires_in: must be a valid integer"),
        ({"allowed_types": []}, "allowed_types: "),
        ({"allowed_types": ["a/b"] * 21}, "allowed_types: "),
        ({"allowed_types": ["png"]}, "allowed_types: must be */*, or such as image/* or image/png, is png"),
        ({"allowed_types": ["a/b,c/d"]}, "allowed_types: must be */*"),
        ({"allowed_types": ["a/" + "b" * 200]}, "allowed_types.0: "),
        ({"allowed_types": "image/*"}, "allowed_types: "),
        ({"size_max": 1, "admin": True}, "admin: Extra inputs are not permitted"),
        ({"upload_id": "x" * 37}, "upload_id: "),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(client: httpx.AsyncClient, wish: Any, says: str) -> None:
    answer = await client.post(PATH, json=wish)

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(says)


async def test_anothers_upload_is_as_unknown(world: World, client: httpx.AsyncClient) -> None:
    theirs = (await world.engine.uploads.create(declared(9), Caller("bob"))).session.id
    unknown = theirs[:-1] + ("0" if theirs[-1] != "0" else "1")

    for upload in (theirs, unknown, "no-id"):
        answer = await client.post(PATH, json={"upload_id": upload})
        assert (answer.status_code, answer.json()["detail"]) == (
            404,
            f"No upload {upload}" if upload == "no-id" else f"No file {upload}",
        )


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        *[(None, 401), (Identity("ann", frozenset({May.READ})), 403)],
        (Identity("ann", frozenset({May.UPLOAD}), bounds=Bounds(size_max=9)), 403),
    ],
)
async def test_who_may_not_send_gives_no_token(
    client: httpx.AsyncClient, app: Known, identity: Identity | None, status: int
) -> None:
    app.identity = identity

    assert (await client.post(PATH, json={"size_max": 9})).status_code == status


async def test_a_token_for_one_upload_does_all_that_takes_and_nothing_else(world: World) -> None:
    uploads, files = world.engine.uploads, world.engine.files
    other = (await uploads.create(declared(4), Caller("ann"))).session.id
    upload = (await uploads.create(declared(4), Caller("ann"))).session.id
    caller = Caller(identity=Identity("ann", frozenset({May.UPLOAD}), bounds=Bounds(upload)))

    assert (await uploads.status(upload, caller)).session.offset == 0
    act: Awaitable[object]
    for act in (uploads.status(other, caller), uploads.abort(other, caller)):
        with pytest.raises(Exception, match=f"No file {other}"):
            await act
    for act in (uploads.list(caller), uploads.create(declared(1), caller), files.describe(other, caller)):
        with pytest.raises(Exception, match=r"is needed|for no other"):
            await act
    await uploads.abort(upload, caller)


async def test_a_token_for_new_uploads_makes_them_no_larger_and_reaches_no_larger_ones(world: World) -> None:
    uploads = world.engine.uploads
    caller = Caller(identity=Identity("ann", frozenset({May.UPLOAD}), bounds=Bounds("", 4, ("text/*",))))
    large = (await uploads.create(declared(9), Caller("ann"))).session.id

    with pytest.raises(Exception, match="File size 5 B exceeds limit of 4 B"):
        await uploads.create(declared(5), caller)
    with pytest.raises(Exception, match="is not allowed; allowed: text"):
        await uploads.store_whole(declared(4), caller, body(b"\x89PNG"[:1] + b"\0\0\0"))
    with pytest.raises(Exception, match=f"No file {large}"):
        await uploads.status(large, caller)
    made = (await uploads.create(declared(4), caller)).session
    assert (made.size_max, made.allowed_types) == (4, ("text/*",))
    assert (await uploads.status(made.id, caller)).session.id == made.id
    stored = await uploads.store_whole(declared(4), caller, body(b"text"))
    with pytest.raises(Exception, match="Scope write is needed"):  # it is a file now
        await uploads.abort(stored.id, caller)
