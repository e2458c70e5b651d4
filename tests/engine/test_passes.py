"""Passes are worth no more than what they were given for, and end with the key that they rest on."""

import asyncio
from datetime import timedelta

import pytest

from tests.core.refusals import refusal_of
from tests.engine.world import SECRET, MovableClock
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.adapters.signing import Signatures
from uploadstream.core.access import (
    Bounds,
    Caller,
    Credentials,
    Identity,
    Scope,
    ScopeMissing,
    Unauthenticated,
    WrongCredentials,
)
from uploadstream.core.errors import BadField, Refusal
from uploadstream.core.files import Action, Audit
from uploadstream.core.keys import Key, digest_of, key_of, spelled
from uploadstream.engine.identities import KeyProof
from uploadstream.engine.passes import LOGIN_LIFE, PREFIX, SECONDS_MAX, Passes

BOUNDS = Bounds(size_max=100, allowed_types=("image/*", "text/plain"))


class Office:
    """Gives passes, to holders of keys."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.catalog = MemoryCatalog()
        self.keys = KeyProof(self.catalog, self.clock, keep_seconds=0)
        self.passes = Passes(Signatures(SECRET, self.clock), self.keys, self.clock)

    async def key(self, *, scopes: str = "read write", hours: int | None = None) -> tuple[Key, str]:
        now = self.clock.now()
        until = None if hours is None else now + timedelta(hours=hours)
        wanted = frozenset(Scope(word) for word in scopes.split())
        made = key_of(self.clock.new_id(), user_id="ann", name="", scopes=wanted, at=now, expires_at=until)
        text = spelled(made.id, "a" * 43)
        audit = Audit(made.id, Action.KEY_CREATE, "operator", now, "cli", "")
        await self.catalog.add_key(made, digest_of(text), audit)
        return made, text

    async def caller(self, text: str) -> Caller:
        return Caller(identity=await self.keys.identity(Credentials(api_key=text)))

    async def shown(self, text: str) -> Identity | None:
        return await self.passes.identity(Credentials(bearer=text))

    async def shown_as_cookie(self, text: str) -> Identity | None:
        return await self.passes.identity(Credentials(cookie=text))

    async def revoke(self, key: Key) -> None:
        audit = Audit(key.id, Action.KEY_REVOKE, "operator", self.clock.now(), "cli", "")
        assert await self.catalog.revoke_key(key, audit)


@pytest.fixture
async def office() -> Office:
    return Office()


@pytest.mark.parametrize("bounds", [BOUNDS, Bounds("an upload"), Bounds(size_max=0), Bounds(allowed_types=("*/*",))])
async def test_a_pass_for_uploads_is_its_user_within_its_bounds(office: Office, bounds: Bounds) -> None:
    _, text = await office.key()

    given = office.passes.for_uploads(await office.caller(text), bounds, seconds=60)

    assert given.text.startswith(PREFIX)
    assert await office.shown(given.text) == Identity("ann", frozenset({Scope.UPLOAD}), bounds=bounds)
    office.clock.ahead += timedelta(seconds=61)
    with pytest.raises(WrongCredentials, match="or has expired"):
        await office.shown(given.text)


async def test_a_pass_ends_with_its_key(office: Office) -> None:
    key, text = await office.key()
    upload = office.passes.for_uploads(await office.caller(text), BOUNDS)
    login = await office.passes.log_in(text)

    await office.revoke(key)

    for shown in (office.shown(upload.text), office.shown_as_cookie(login.text), office.passes.log_in(text)):
        with pytest.raises(WrongCredentials, match="API key is not valid"):
            await shown


async def test_who_is_known_otherwise_than_by_a_key_is_given_a_pass_too(office: Office) -> None:
    given = office.passes.for_uploads(Caller(identity=Identity("ben")), BOUNDS)

    found = await office.shown(given.text)
    assert found is not None
    assert found.user_id == "ben"


async def test_an_admin_may_have_a_pass_made_for_somebody_else(office: Office) -> None:
    admin = Caller("ben", identity=Identity("root", frozenset({Scope.ADMIN})))

    assert office.passes.for_uploads(admin, BOUNDS).identity.user_id == "ben"


async def test_who_may_not_send_is_given_no_pass(office: Office) -> None:
    uploader = Caller(identity=Identity("ann", frozenset({Scope.UPLOAD}), bounds=BOUNDS))
    reader = Caller(identity=Identity("ann", frozenset({Scope.READ})))

    for caller, refused in ((Caller("ann"), Unauthenticated), (uploader, ScopeMissing), (reader, ScopeMissing)):
        assert type(refusal_of(office.passes.for_uploads, caller, BOUNDS)) is refused


@pytest.mark.parametrize("seconds", [-1, 0, SECONDS_MAX + 1])
async def test_a_pass_is_for_a_day_at_most(office: Office, seconds: int) -> None:
    refused = refusal_of(office.passes.for_uploads, Caller(identity=Identity("ann")), BOUNDS, seconds=seconds)

    assert isinstance(refused, BadField)
    assert str(refused) == f"expires_in: must be 1 to {SECONDS_MAX} seconds, is {seconds}"


async def test_who_logs_in_is_who_has_the_key_with_all_that_it_is_for(office: Office) -> None:
    key, text = await office.key(scopes="read")

    login = await office.passes.log_in(text)

    assert login.identity == await office.shown_as_cookie(login.text) == key.identity(digest_of(text))
    office.clock.ahead += LOGIN_LIFE + timedelta(seconds=1)
    with pytest.raises(WrongCredentials):
        await office.shown_as_cookie(login.text)


async def test_a_login_lasts_no_longer_than_its_key(office: Office) -> None:
    key, text = await office.key(hours=1)

    assert (await office.passes.log_in(text)).expires_at == key.expires_at


@pytest.mark.parametrize("text", ["", "wrong", "us_12345678_" + "b" * 43])
async def test_who_has_no_key_does_not_log_in(office: Office, text: str) -> None:
    with pytest.raises(Unauthenticated):
        await office.passes.log_in(text)


async def test_a_pass_of_one_kind_is_none_of_the_other(office: Office) -> None:
    _, text = await office.key()
    upload = office.passes.for_uploads(await office.caller(text), BOUNDS).text
    login = (await office.passes.log_in(text)).text

    garbage = [PREFIX, f"{PREFIX}a.b.c", PREFIX + login, f"{PREFIX}é", PREFIX + "a" * 10_000]
    answers = await asyncio.gather(*map(office.shown, garbage), return_exceptions=True)
    answers += await asyncio.gather(
        *map(office.shown_as_cookie, ["a", upload, upload.removeprefix(PREFIX)]), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [WrongCredentials] * 8


async def test_what_is_no_pass_is_somebody_elses_to_judge(office: Office) -> None:
    for credentials in (Credentials(), Credentials(bearer="a.b.c"), Credentials(api_key="us_x"), Credentials("us_y")):
        found: Identity | Refusal | None = await office.passes.identity(credentials)
        assert found is None
