"""Which files are wanted, and tokens that go round in their own order and are bad input in another."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.errors import BadField
from uploadstream.core.files import File
from uploadstream.core.listings import (
    Found,
    Key,
    Place,
    Sort,
    Wanted,
    check_wanted,
    found_page,
    name_key,
    read_place,
    write_place,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FILE = File("5f0c1a2b-0000-4000-8000-00000000000a", "ann", "Größe.PNG", 3, "", "image/png", 0, NOON, "tus")
KEYS: dict[Sort, st.SearchStrategy[Key]] = {
    Sort.UPLOADED_AT: st.datetimes(timezones=st.just(UTC)),
    Sort.SIZE: st.integers(0, 2**63 - 1),
    Sort.FILENAME: st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60).map(name_key),
}


@given(st.data(), st.sampled_from(Sort), st.uuids().map(str))
def test_a_place_goes_round_in_its_own_order_only(data: st.DataObject, sort: Sort, row_id: str) -> None:
    place = Place(data.draw(KEYS[sort]), row_id)

    token = write_place(place)

    assert read_place(token, sort) == place
    for other in set(Sort) - {sort}:
        error = refusal_of(read_place, token, other)
        assert isinstance(error, BadField)
        assert error.field == "page_token"


@given(
    st.text(max_size=48)
    | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | st.builds(
        lambda head, kind, rest: base64.urlsafe_b64encode(head + kind + rest).decode(),
        st.binary(min_size=16, max_size=16),
        st.sampled_from([b"t", b"s", b"n"]),
        st.binary(max_size=12),
    ),
    st.sampled_from(Sort),
)
def test_any_text_is_a_place_or_a_bad_field(token: str, sort: Sort) -> None:
    error = refusal_of(read_place, token, sort)

    assert error is None or (isinstance(error, BadField) and error.field == "page_token")


@pytest.mark.parametrize(
    ("sort", "key"), [(Sort.UPLOADED_AT, NOON), (Sort.FILENAME, "grösse.png"), (Sort.SIZE, 3)], ids=str
)
def test_a_file_has_a_place_in_every_order(sort: Sort, key: Key) -> None:
    assert Wanted(sort=sort).place_of(FILE) == Place(key, FILE.id)


def test_no_token_is_the_beginning() -> None:
    assert read_place("", Sort.SIZE) is None


@pytest.mark.parametrize("one", ["größe", "GRÖSSE", "Gro\u0308ße", "GRO\u0308SSE"])
def test_spellings_of_a_name_in_small_and_capital_letters_have_one_key(one: str) -> None:
    assert name_key(one) == "grösse"


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (Wanted(), True),
        (Wanted(deleted=True), False),
        (Wanted(name="ÖSSE."), True),
        (Wanted(name="."), True),
        (Wanted(name="?"), False),
        (Wanted(content_type="*/*"), True),
        (Wanted(content_type="image/*"), True),
        (Wanted(content_type="Image/PNG"), True),
        (Wanted(content_type="image/pn"), False),
        (Wanted(content_type="video/*"), False),
        (Wanted(since=NOON), True),
        (Wanted(since=NOON + timedelta(microseconds=1)), False),
        (Wanted(until=NOON), False),
        (Wanted(until=NOON + timedelta(microseconds=1)), True),
    ],
    ids=str,
)
def test_a_file_is_wanted_or_not(wanted: Wanted, is_wanted: bool) -> None:
    assert wanted.lets_through(FILE) is is_wanted


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Wanted(name="x" * 256), "name"),
        (Wanted(name="a\0b"), "name"),
        (Wanted(name="\ud800"), "name"),
        (Wanted(content_type="png"), "type"),
        (Wanted(content_type="*/png"), "type"),
        (Wanted(content_type="im*/*"), "type"),
        (Wanted(content_type="a/" + "b" * 200), "type"),
        (Wanted(content_type="image/%"), "type"),
        (Wanted(since=NOON, until=NOON - timedelta(seconds=1)), "uploaded_before"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_makes_no_sense_is_a_bad_field(wanted: Wanted, field: str) -> None:
    error = refusal_of(check_wanted, wanted)

    assert isinstance(error, BadField)
    assert error.field == field


def test_every_bad_field_is_named() -> None:
    error = refusal_of(check_wanted, Wanted(name="\0", content_type="x", since=NOON, until=NOON - timedelta(1)))

    assert isinstance(error, BadField)
    assert [one.field for one in error.all] == ["name", "type", "uploaded_before"]


def test_what_makes_sense_stays_as_it_is() -> None:
    wanted = Wanted(name="ß" * 127, content_type="image/svg+xml", since=NOON, until=NOON)

    assert check_wanted(wanted) is wanted


def test_a_page_goes_on_behind_its_last_file_or_where_looking_was_given_up() -> None:
    wanted = Wanted(sort=Sort.SIZE)
    full = found_page(Found([FILE, FILE]), wanted, size=1)
    short = found_page(Found([FILE], Place(7, FILE.id)), wanted, size=5)
    last = found_page(Found([FILE]), wanted, size=1)

    assert (full.rows, read_place(full.next_token, Sort.SIZE)) == ([FILE], Place(3, FILE.id))
    assert (short.rows, read_place(short.next_token, Sort.SIZE)) == ([FILE], Place(7, FILE.id))
    assert (last.rows, last.next_token) == ([FILE], "")
