"""Who sent a request."""

import pytest
from starlette.requests import Request

from tests.core.refusals import refusal_of
from uploadstream.core.access import Caller
from uploadstream.core.errors import BadField
from uploadstream.http.callers import caller_of


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
