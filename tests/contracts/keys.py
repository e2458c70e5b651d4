"""What every catalog promises of API keys."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from uploadstream.core.access import Scope
from uploadstream.core.errors import BadField
from uploadstream.core.files import Action, Audit
from uploadstream.core.keys import Key, digest_of
from uploadstream.core.pages import Position
from uploadstream.ports import Catalog

NOON = datetime(2026, 3, 4, 12, 0, 0, 123_456, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_key(*, user: str = "ada", name: str = "laptop", at: datetime = NOON, expires_at: datetime | None = None) -> Key:
    return Key(str(uuid.uuid4()), user, name, frozenset({Scope.READ, Scope.WRITE}), at, expires_at)


def audit_of(key: Key, action: Action = Action.KEY_CREATE, at: datetime = NOON) -> Audit:
    return Audit(key.id, action, "operator", at, "cli", "", {"name": key.name})


async def added(catalog: Catalog, key: Key, text: str = "") -> Key:
    await catalog.add_key(key, digest_of(text or key.id), audit_of(key, at=key.created_at))
    return key


class KeysContract:
    """Subclasses give the fixture `catalog`."""

    async def test_a_key_is_found_by_its_digest_as_it_was_written(self, catalog: Catalog) -> None:
        one = await added(catalog, a_key(name="größe 🔑", expires_at=NOON + HOUR), "us_one")
        other = await added(catalog, replace(a_key(user="bob"), scopes=frozenset(Scope)), "us_other")

        asked = [digest_of(text) for text in ("us_one", "us_other", "us_none")]

        assert await catalog.keys_with(asked) == {asked[0]: one, asked[1]: other}
        assert await catalog.keys_with([]) == {}
        assert (await catalog.key(one.id), await catalog.key(str(uuid.uuid4()))) == (one, None)
        assert await catalog.key("no id") is None

    async def test_many_keys_are_asked_for_at_once(self, catalog: Catalog) -> None:
        one = await added(catalog, a_key(), "us_one")

        asked = [digest_of(str(number)) for number in range(499)]

        assert await catalog.keys_with([*asked, digest_of("us_one")]) == {digest_of("us_one"): one}

    async def test_making_a_key_is_in_the_trail_of_its_user(self, catalog: Catalog) -> None:
        key = await added(catalog, a_key())

        assert [audit for _, audit in await catalog.audit(key.id, after=None, limit=9)] == [audit_of(key)]
        assert [audit for _, audit in await catalog.events("ada", after=0, limit=9)] == [audit_of(key)]
        assert await catalog.owner_of_trail(key.id) == "ada"

    async def test_keys_are_listed_the_newest_first_page_by_page(self, catalog: Catalog) -> None:
        made = [
            await added(catalog, a_key(user=user, at=NOON + number // 2 * HOUR))
            for number, user in enumerate(["ada", "bob", "ada", "ada", "bob"])
        ]
        newest = sorted(made, key=lambda key: (key.created_at, key.id), reverse=True)

        assert await catalog.keys(None, after=None, limit=9) == newest
        place = Position(newest[1].created_at, newest[1].id)
        assert await catalog.keys(None, after=place, limit=2) == newest[2:4]
        assert await catalog.keys("bob", after=None, limit=9) == [key for key in newest if key.user_id == "bob"]
        assert await catalog.keys("cyd", after=None, limit=9) == []

    async def test_a_key_is_revoked_once(self, catalog: Catalog) -> None:
        key = await added(catalog, a_key(), "us_one")
        revoking, again = (audit_of(key, Action.KEY_REVOKE, at=NOON + hours * HOUR) for hours in (1, 2))

        assert await catalog.revoke_key(key, revoking)
        assert not await catalog.revoke_key(key, again)
        assert not await catalog.revoke_key(a_key(), again)

        revoked = replace(key, revoked_at=NOON + HOUR)
        assert await catalog.keys_with([digest_of("us_one")]) == {digest_of("us_one"): revoked}
        assert [audit for _, audit in await catalog.events("ada", after=1, limit=9)] == [revoking]

    async def test_the_last_use_is_the_latest_that_was_told(self, catalog: Catalog) -> None:
        key = await added(catalog, a_key())

        await catalog.use_key(key.id, NOON + HOUR)
        await catalog.use_key(key.id, NOON)
        await catalog.use_key(str(uuid.uuid4()), NOON)

        assert await catalog.key(key.id) == replace(key, last_used_at=NOON + HOUR)

    async def test_a_key_with_a_name_that_not_every_database_takes_is_refused(self, catalog: Catalog) -> None:
        with pytest.raises(BadField):
            await added(catalog, a_key(name="nul\0"))

    async def test_the_first_secret_is_that_of_all_servers(self, catalog: Catalog) -> None:
        settled = await asyncio.gather(*(catalog.secret(f"secret {number}") for number in range(5)))

        assert len(set(settled)) == 1
        assert await catalog.secret("another") == settled[0]
        assert await catalog.store_id() is None
