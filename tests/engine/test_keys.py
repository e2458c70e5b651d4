"""API keys in the hands of whoever runs the service."""

from datetime import timedelta

import pytest

from tests.engine.world import MovableClock
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.access import Credentials, Identity, Scope
from uploadstream.core.errors import BadField, NotFound
from uploadstream.core.files import Action
from uploadstream.core.keys import is_spelled
from uploadstream.engine import keys as engine_keys
from uploadstream.engine.identities import Identities, KeyProof
from uploadstream.engine.keys import Keys

READ = frozenset({Scope.READ})


class Desk:
    def __init__(self) -> None:
        self.catalog, self.clock = MemoryCatalog(), MovableClock()
        self.keys = Keys(self.catalog, self.clock)

    async def identify(self, text: str) -> Identity | None:
        return await Identities([KeyProof(self.catalog, self.clock)], required=False).identify(Credentials(text))

    async def create(self, user_id: str = "ann", expires_in: timedelta | None = None) -> tuple[str, str]:
        key, text = await self.keys.create(user_id, name="laptop", scopes=READ, expires_in=expires_in)
        return key.id, text


async def test_a_key_that_was_made_lets_its_user_in_and_is_kept_nowhere() -> None:
    desk = Desk()

    key_id, text = await desk.create(expires_in=timedelta(days=90))

    assert is_spelled(text)
    assert text.startswith(f"us_{key_id[:8]}_")
    found = await desk.identify(text)
    assert found is not None
    assert (found.user_id, found.scopes, found.key_id) == ("ann", READ, key_id)
    assert text not in repr(vars(desk.catalog))
    assert text.rpartition("_")[2] not in repr(vars(desk.catalog))


async def test_no_two_keys_are_alike() -> None:
    desk = Desk()

    assert len({text.rpartition("_")[2] for _, text in [await desk.create() for _ in range(20)]}) == 20


async def test_what_the_operator_does_with_keys_is_in_the_trail() -> None:
    desk = Desk()
    key_id, text = await desk.create()

    await desk.keys.revoke(key_id)
    await desk.keys.revoke(key_id)

    assert await desk.identify(text) is None
    rows = [row for _, row in await desk.catalog.audit(key_id, after=None, limit=9)]
    assert [(row.action, row.user_id, row.protocol) for row in rows] == [
        (Action.KEY_CREATE, "operator", "cli"),
        (Action.KEY_REVOKE, "operator", "cli"),
    ]
    assert rows[0].details == {"user_id": "ann", "name": "laptop", "scopes": "read"}
    assert all(text not in repr(row) for row in rows)


async def test_keys_are_listed_over_several_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_keys, "PAGE", 2)
    desk = Desk()
    ids = {(await desk.create(user))[0] for user in ("ann", "bob", "ann", "ann", "ann")}

    assert {key.id async for key in desk.keys.all()} == ids
    assert [key.user_id async for key in desk.keys.all("bob")] == ["bob"]


@pytest.mark.parametrize("key_id", ["5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", "us_5f0c1a2b", ""])
async def test_a_key_that_there_is_not_is_not_revoked(key_id: str) -> None:
    with pytest.raises(NotFound, match=r"^No key "):
        await Desk().keys.revoke(key_id)


async def test_a_key_that_would_be_good_for_longer_than_there_are_dates_is_not_made() -> None:
    with pytest.raises(BadField, match="expires"):
        await Desk().create(expires_in=timedelta.max)
