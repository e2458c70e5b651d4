"""Who sent a request."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from tests.core.refusals import refusal_of
from uploadstream.core.access import Caller, Credentials, Identity, Scope, Unauthenticated, WrongCredentials
from uploadstream.core.errors import BadField
from uploadstream.http.callers import AGAIN, KNOWN, Asked, caller_of, check_still, credentials_of


def request(*fields: tuple[str, str], query: str = "", client: tuple[str, int] | None = ("192.0.2.1", 1)) -> Request:
    headers = [(name.lower().encode(), value.encode()) for name, value in fields]
    scope = {"type": "http", "method": "GET", "headers": headers, "query_string": query.encode(), "client": client}
    return Request(scope)


@pytest.mark.parametrize(
    ("asked", "user_id"),
    [
        (request(), ""),
        (request(("X-User-Id", "ann")), "ann"),
        (request(query="user_id=%E5%A4%AA%E9%83%8E"), "太郎"),
        (request(("X-User-Id", "太郎")), "太郎"),
        (request(("X-User-Id", "ann"), query="user_id=bob"), "ann"),
    ],
)
def test_a_user_is_named_by_a_field_or_a_link(asked: Request, user_id: str) -> None:
    assert caller_of(asked) == Caller(user_id, "http", "192.0.2.1")


def test_a_socket_without_an_address_has_none() -> None:
    assert caller_of(request(client=None), "tus") == Caller("", "tus", "")


def test_a_user_that_cannot_be_and_a_field_there_twice_are_refused() -> None:
    for asked in (request(("X-User-Id", "x" * 129)), request(("X-User-Id", "ann"), ("X-User-Id", "ann"))):
        assert isinstance(refusal_of(caller_of, asked), BadField)


def test_a_user_in_the_uploads_own_words_goes_before_the_field() -> None:
    assert caller_of(request(("X-User-Id", "ann")), "tus", named="bob").user_id == "bob"


def test_a_user_that_was_found_out_goes_before_everything() -> None:
    asked = request(("X-User-Id", "bob"), query="user_id=bob")
    ann = asked.scope[KNOWN] = Identity("ann")

    assert caller_of(asked, named="bob") == Caller("ann", "http", "192.0.2.1", ann)


def test_a_refusal_that_was_found_is_raised_where_the_caller_is_asked_for() -> None:
    asked = request()
    asked.scope[KNOWN] = Unauthenticated("Log in first")

    assert refusal_of(caller_of, asked) is asked.scope[KNOWN]


def test_an_admin_names_the_user_whose_things_it_means() -> None:
    asked = request(("X-User-Id", "bob"))
    admin = asked.scope[KNOWN] = Identity("ann", frozenset({Scope.ADMIN}))

    assert caller_of(asked) == Caller("bob", "http", "192.0.2.1", admin)
    assert caller_of(asked, named="cleo") == Caller("cleo", "http", "192.0.2.1", admin)


@pytest.mark.parametrize(
    ("field", "credentials"),
    [
        (("Authorization", "Bearer abc"), Credentials(bearer="abc")),
        (("Authorization", "bearer  abc "), Credentials(bearer="abc")),
        (("Authorization", "Basic YW5uOmFiYw=="), Credentials()),
        (("Authorization", "Bearer"), Credentials()),
        (("X-Api-Key", " abc"), Credentials(api_key="abc")),
        (("Cookie", "abc"), Credentials()),
    ],
)
def test_credentials_are_a_bearer_or_a_key(field: tuple[str, str], credentials: Credentials) -> None:
    assert credentials_of(request(field)) == credentials


async def found(*fields: tuple[str, str], method: str = "GET", **options: Any) -> object:
    """What an application is told of a request's sender."""
    told: list[object] = []

    async def app(scope: AsgiScope, _: Receive, __: Send) -> None:
        told.append(scope.get(KNOWN))

    async def ann_by_her_key(credentials: Credentials) -> Identity | None:
        if credentials.api_key == "hers":
            return Identity("ann")
        raise WrongCredentials("API key is not valid")

    scope = {**request(*fields).scope, "method": method}
    await Asked(app, ann_by_her_key, **options)(scope, None, None)  # type: ignore[arg-type]
    [one] = told
    return one


async def test_whom_a_request_s_credentials_prove_is_found_out() -> None:
    assert await found(("X-Api-Key", "hers")) == Identity("ann")


async def test_a_refusal_is_kept_for_the_protocol() -> None:
    assert isinstance(await found(("X-Api-Key", "other")), WrongCredentials)
    assert isinstance(await found(("X-Api-Key", "hers"), ("X-Api-Key", "hers")), BadField)


async def bob(_: Request) -> str:
    return "bob"


async def test_the_application_around_us_goes_before_our_own_keys() -> None:
    assert await found(("X-Api-Key", "hers"), authenticate=bob) == Identity("bob")


async def test_options_is_nobody_s_way_round_the_question_who_asks() -> None:
    asked = await found(("X-HTTP-Method-Override", "DELETE"), method="OPTIONS", authenticate=bob)

    assert isinstance(asked, Unauthenticated)
    assert isinstance(await found(method="OPTIONS"), WrongCredentials)


async def still(before: Identity | None, now: object) -> Exception | None:
    """How a request fares that is asked about again."""

    async def again() -> object:
        return now

    asked = request()
    asked.scope.update({KNOWN: before, AGAIN: again})
    try:
        await check_still(asked)
    except Unauthenticated as error:
        return error
    return None


async def test_who_is_let_in_for_long_is_asked_about_again() -> None:
    ann, revoked = Identity("ann"), WrongCredentials("API key is not valid")

    assert await still(ann, Identity("ann")) is None
    assert await still(None, None) is None
    assert await still(ann, revoked) is revoked
    for now in (None, Identity("bob")):
        assert isinstance(await still(ann, now), WrongCredentials)
    await check_still(request())


async def test_the_application_around_us_is_asked_once_a_request() -> None:
    scopes: list[AsgiScope] = []

    async def app(scope: AsgiScope, _: Receive, __: Send) -> None:
        scopes.append(scope)

    async def nobody(_: Credentials) -> None:
        return None

    for options in ({}, {"authenticate": bob}):
        asked = {**request().scope, "method": "GET"}
        await Asked(app, nobody, **options)(asked, None, None)  # type: ignore[arg-type]

    assert [AGAIN in scope for scope in scopes] == [True, False]
