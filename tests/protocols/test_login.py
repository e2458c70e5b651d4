"""/session: a browser logs in by a key, is told who it is, and logs out; no page of others makes it do so."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from tests.engine.world import World, memory_world
from tests.protocols.asgi import BASE_URL, client_of
from uploadstream.core.access import Scope
from uploadstream.core.files import Action, Audit
from uploadstream.core.keys import Key, digest_of, key_of, spelled
from uploadstream.engine.identities import Identities
from uploadstream.http.browsers import NAME
from uploadstream.http.callers import Asked
from uploadstream.protocols.login import PATH, Login

OURS = {"Sec-Fetch-Site": "same-origin", "Origin": BASE_URL}
THEIRS = {"Sec-Fetch-Site": "same-site", "Origin": "http://evil.service.test"}


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def key(world: World) -> tuple[Key, str]:
    now = world.clock.now()
    made = key_of(world.clock.new_id(), user_id="ann", name="", scopes=frozenset({Scope.READ}), at=now, expires_at=None)
    text = spelled(made.id, "a" * 43)
    await world.catalog.add_key(made, digest_of(text), Audit(made.id, Action.KEY_CREATE, "x", now, "cli", ""))
    return made, text


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    engine = world.engine
    identities = Identities([engine.keys, engine.passes], required=True)
    app = Asked(Starlette(routes=Login(engine.passes, required=True).routes()), identities.identify)
    async with client_of(app) as opened:
        yield opened


async def test_who_shows_a_key_is_known_until_logging_out(client: httpx.AsyncClient, key: tuple[Key, str]) -> None:
    assert (await client.get(PATH)).json() == {"user_id": None, "required": True}

    answer = await client.post(PATH, json={"api_key": key[1]}, headers=OURS)
    assert (answer.status_code, answer.json()["user_id"]) == (200, "ann")
    assert answer.headers["Cache-Control"] == "no-store"
    assert key[1] not in answer.headers["Set-Cookie"]
    assert (await client.get(PATH)).json() == {"user_id": "ann", "required": True}

    assert (await client.delete(PATH, headers=OURS)).status_code == 204
    assert NAME not in client.cookies
    assert (await client.get(PATH)).json()["user_id"] is None


async def test_a_page_of_others_uses_no_login(client: httpx.AsyncClient, key: tuple[Key, str]) -> None:
    await client.post(PATH, json={"api_key": key[1]}, headers=OURS)

    assert (await client.get(PATH, headers=THEIRS)).json()["user_id"] is None
    assert (await client.delete(PATH, headers=THEIRS)).status_code == 403
    assert (await client.get(PATH)).json()["user_id"] == "ann"


@pytest.mark.parametrize("fields", [THEIRS, {"Origin": "null"}, {"Sec-Fetch-Site": "none"}, {}])
async def test_a_page_of_others_logs_nobody_in(
    client: httpx.AsyncClient, key: tuple[Key, str], fields: dict[str, str]
) -> None:
    answer = await client.post(PATH, json={"api_key": key[1]}, headers=fields)

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


async def test_a_key_that_is_revoked_ends_the_login(
    client: httpx.AsyncClient, world: World, key: tuple[Key, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.engine.keys, "_keep_seconds", 0)
    await client.post(PATH, json={"api_key": key[1]}, headers=OURS)

    now = world.clock.now()
    await world.catalog.revoke_key(key[0], Audit(key[0].id, Action.KEY_REVOKE, "x", now, "cli", ""))

    assert (await client.get(PATH)).json()["user_id"] is None


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ('{"api_key": "us_wrong"}', 401),
        ('{"api_key": ""}', 401),
        ('{"api_key": 7}', 400),
        ("{}", 400),
        ("[]", 400),
        ("", 400),
        ('{"api_key": "' + "x" * 20_000 + '"}', 400),
    ],
)
async def test_what_is_no_key_logs_nobody_in(client: httpx.AsyncClient, content: str, status: int) -> None:
    answer = await client.post(PATH, content=content, headers={**OURS, "Content-Type": "application/json"})

    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert "Set-Cookie" not in answer.headers


async def test_a_form_logs_nobody_in(client: httpx.AsyncClient, key: tuple[Key, str]) -> None:
    assert (await client.post(PATH, data={"api_key": key[1]}, headers=OURS)).status_code == 415
