"""Page tokens go round, and forged ones move only the start."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.errors import BadField
from uploadstream.core.pages import (
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    Page,
    Position,
    check_page_size,
    page_of,
    read_token,
    write_token,
)

positions = st.builds(
    Position,
    st.datetimes(timezones=st.just(UTC)),
    st.uuids().map(str),
)


@given(positions)
def test_a_place_goes_round(place: Position) -> None:
    token = write_token(place)

    assert read_token(token) == place
    assert token.isascii()
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


def test_a_place_in_another_time_zone_is_the_same_instant() -> None:
    place = Position(datetime(2026, 1, 2, 14, tzinfo=timezone(timedelta(hours=2))), str(UUID(int=7)))

    assert read_token(write_token(place)) == Position(datetime(2026, 1, 2, 12, tzinfo=UTC), place.id)


@given(st.text(max_size=48) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_a_place_or_a_bad_field(token: str) -> None:
    error = refusal_of(read_token, token)

    assert error is None or (isinstance(error, BadField) and error.field == "page_token")


@given(st.binary(min_size=24, max_size=24))
def test_a_forged_token_of_the_right_length_is_a_place_or_a_bad_field(packed: bytes) -> None:
    try:
        place = read_token(base64.urlsafe_b64encode(packed).decode())
    except BadField:
        return
    assert place is not None
    assert place.at.tzinfo is UTC
    assert str(UUID(place.id)) == place.id


def test_no_token_is_the_start_of_the_listing() -> None:
    assert read_token("") is None


@pytest.mark.parametrize(("asked", "given"), [(0, PAGE_SIZE_DEFAULT), (1, 1), (1000, 1000), (1001, PAGE_SIZE_MAX)])
def test_a_page_has_the_size_asked_for_within_its_bounds(asked: int, given: int) -> None:
    assert (PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX) == (20, 1000)
    assert check_page_size(asked) == given


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(BadField, match=r"^page_size: must be 0 or more, is -1$"):
        check_page_size(-1)


@pytest.mark.parametrize("count", range(5))
def test_a_page_names_the_next_one_only_if_there_is_one(count: int) -> None:
    rows = [Position(datetime(2026, 1, 1, tzinfo=UTC), str(UUID(int=number))) for number in range(count)]

    page = page_of(rows, size=3, place=lambda row: row)

    assert page.rows == rows[:3]
    assert read_token(page.next_token) == (rows[2] if count > 3 else None)


def test_a_page_of_nothing_is_the_last() -> None:
    assert page_of([], size=3, place=lambda row: row) == Page([], "")
