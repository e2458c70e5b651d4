"""Who sent a request."""

import pytest
from starlette.requests import Request

from tests.core.refusals import refusal_of
from uploadstream.core.access import Caller, Unauthenticated
from uploadstream.core.errors import BadField
from uploadstream.http.callers import KNOWN, caller_of


def request(*fields: tuple[str, str], query: str = "", client: tuple[str, int] | None = ("192.0.2.1", 1)) -> Request:
    headers = [(name.lower().encode(), value.encode()) for name, value in fields]
    return Request({"type": "http", "headers": headers, "query_string": query.encode(), "client": client})


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
    asked.scope[KNOWN] = "ann"

    assert caller_of(asked, named="bob") == Caller("ann", "http", "192.0.2.1", is_known=True)


def test_a_refusal_that_was_found_is_raised_where_the_caller_is_asked_for() -> None:
    asked = request()
    asked.scope[KNOWN] = Unauthenticated("Log in first")

    assert refusal_of(caller_of, asked) is asked.scope[KNOWN]
