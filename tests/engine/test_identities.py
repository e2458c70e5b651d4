"""From credentials to an identity."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import timedelta

import pytest

from tests.engine.world import MovableClock
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.access import Credentials, Identity, Scope, Unauthenticated, WrongCredentials
from uploadstream.core.errors import CatalogUnavailable, Refusal
from uploadstream.core.files import Action, Audit
from uploadstream.core.keys import Key, digest_of, key_of, spelled
from uploadstream.engine import identities
from uploadstream.engine.identities import Identities, KeyProof

BOTH = frozenset({Scope.READ, Scope.WRITE})


class CountingKeys(MemoryCatalog):
    """Counts the questions, answers slowly, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[int] = []
        self.at_once = self.most_at_once = 0
        self.fault: BaseException | None = None

    async def keys_with(self, digests: Collection[bytes]) -> Mapping[bytes, Key]:
        self.questions.append(len(digests))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.005)
        self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        return await super().keys_with(digests)


class Door:
    """Keys, a clock, and what lets their holders in."""

    def __init__(self, keep_seconds: float = 60.0) -> None:
        self.clock = MovableClock()
        self.store = CountingKeys()
        self.proof = KeyProof(self.store, self.clock, keep_seconds=keep_seconds)
        self.open = Identities([self.proof], required=False)
        self.closed = Identities([self.proof], required=True)

    async def key(self, user_id: str = "ann", *, expires_in: timedelta | None = None) -> tuple[Key, str]:
        now = self.clock.now()
        made = key_of(
            self.clock.new_id(),
            user_id=user_id,
            name="",
            scopes=BOTH,
            at=now,
            expires_at=None if expires_in is None else now + expires_in,
        )
        text = spelled(made.id, (secrets.token_hex(32))[:43])
        await self.store.add_key(made, digest_of(text), self.audit(made, Action.KEY_CREATE))
        return made, text

    async def revoke(self, key: Key) -> None:
        await self.store.revoke_key(key, self.audit(key, Action.KEY_REVOKE))

    def audit(self, key: Key, action: Action) -> Audit:
        return Audit(key.id, action, "operator", self.clock.now(), "cli", "")

    async def used(self) -> list[object]:
        await self.proof.close()
        return [key.last_used_at for key in await self.store.keys(None, after=None, limit=10)]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    yield made
    await made.proof.close()


async def refusal(way: Identities, credentials: Credentials) -> Refusal:
    with pytest.raises(Unauthenticated) as caught:
        await way.identify(credentials)
    return caught.value


def guess() -> Credentials:
    return Credentials(api_key=spelled("0" * 8, secrets.token_hex(32)[:43]))


async def test_a_key_is_its_user_as_a_bearer_and_by_itself(door: Door) -> None:
    key, text = await door.key()

    for way in (door.open, door.closed):
        for credentials in (Credentials(bearer=text), Credentials(api_key=text)):
            assert await way.identify(credentials) == Identity("ann", BOTH, key.id, key_digest=digest_of(text))


async def test_where_a_key_is_required_none_and_a_wrong_one_are_told_apart(door: Door) -> None:
    missing, wrong = await refusal(door.closed, Credentials()), await refusal(door.closed, guess())

    assert (str(missing), type(missing)) == ("API key is missing", Unauthenticated)
    assert (str(wrong), type(wrong)) == ("API key is not valid", WrongCredentials)
    assert str(await refusal(door.closed, Credentials(bearer="something else"))) == "API key is not valid"
    assert str(await refusal(door.closed, Credentials(api_key="us_short"))) == "API key is not valid"


async def test_where_all_may_come_in_a_wrong_key_is_nobody(door: Door) -> None:
    for credentials in (Credentials(), guess(), Credentials(bearer="x"), Credentials(api_key="us_short")):
        assert await door.open.identify(credentials) is None


async def test_a_key_lets_nobody_in_once_it_has_expired(door: Door) -> None:
    _, text = await door.key(expires_in=timedelta(minutes=1))
    assert await door.closed.identify(Credentials(api_key=text))

    door.clock.ahead = timedelta(minutes=1)

    assert str(await refusal(door.closed, Credentials(api_key=text))) == "API key is not valid"


async def test_a_revoked_key_is_good_for_as_long_as_keys_are_kept_in_memory_and_no_longer() -> None:
    door = Door(keep_seconds=0.1)
    key, text = await door.key()
    assert await door.closed.identify(Credentials(api_key=text))

    await door.revoke(key)

    assert await door.closed.identify(Credentials(api_key=text))
    await asyncio.sleep(0.11)
    assert str(await refusal(door.closed, Credentials(api_key=text))) == "API key is not valid"
    assert identities.KEEP_SECONDS < 5


async def test_a_key_that_is_used_all_the_time_is_asked_for_once(door: Door) -> None:
    _, text = await door.key()

    for _ in range(100):
        await door.closed.identify(Credentials(api_key=text))

    assert door.store.questions == [1]


async def test_the_same_guess_again_and_again_asks_the_store_nothing(door: Door) -> None:
    wrong = guess()

    for _ in range(100):
        await refusal(door.closed, wrong)

    assert door.store.questions == [1]


async def test_however_many_guess_at_once_the_store_is_asked_one_thing_at_a_time(door: Door) -> None:
    _, text = await door.key()

    outcomes = await asyncio.gather(
        *(door.open.identify(guess()) for _ in range(1500)), door.closed.identify(Credentials(api_key=text))
    )

    assert outcomes[-1] is not None
    assert outcomes[:-1] == [None] * 1500
    assert door.store.most_at_once == 1
    assert len(door.store.questions) <= 6


async def test_guesses_fill_no_memory_and_push_no_key_out_of_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "KEPT_MAX", 10)
    _, text = await door.key()
    await door.closed.identify(Credentials(api_key=text))

    await asyncio.gather(*(door.open.identify(guess()) for _ in range(100)))

    asked = len(door.store.questions)
    await door.closed.identify(Credentials(api_key=text))
    assert len(door.store.questions) == asked
    assert len(door.proof._unknown) == 10


@pytest.mark.parametrize("way", ["open", "closed"])
async def test_while_the_store_is_away_who_brings_a_key_is_told_so(door: Door, way: str) -> None:
    _, text = await door.key()
    door.store.fault = CatalogUnavailable()

    with pytest.raises(CatalogUnavailable):
        await getattr(door, way).identify(Credentials(api_key=text))

    door.store.fault = None
    assert await getattr(door, way).identify(Credentials(api_key=text))


async def test_who_goes_away_while_it_is_asked_about_takes_nobody_along(door: Door) -> None:
    _, text = await door.key()
    first = asyncio.create_task(door.closed.identify(Credentials(api_key=text)))
    second = asyncio.create_task(door.closed.identify(Credentials(api_key=text)))
    await asyncio.sleep(0)

    first.cancel()

    assert await second
    assert first.cancelled()


async def test_the_last_use_of_a_key_is_remembered_about_once_a_minute(door: Door) -> None:
    _, text = await door.key()
    before = door.clock.now()
    await door.closed.identify(Credentials(api_key=text))
    [first] = await door.used()
    await door.closed.identify(Credentials(api_key=text))
    assert await door.used() == [first]

    door.clock.ahead = timedelta(minutes=1)
    await door.closed.identify(Credentials(api_key=text))

    [later] = await door.used()
    assert before <= first < before + timedelta(seconds=30) < later  # type: ignore[operator]


async def test_a_use_that_cannot_be_remembered_hinders_nobody(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise CatalogUnavailable

    _, text = await door.key()
    monkeypatch.setattr(door.store, "use_key", away)

    assert await door.closed.identify(Credentials(api_key=text))
    assert await door.used() == [None]
