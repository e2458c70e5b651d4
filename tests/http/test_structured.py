"""Structured fields (RFC 9651): only a value of the wanted type is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.http.structured import (
    LENGTH_MAX,
    joined,
    read_boolean,
    read_dictionary,
    read_integer,
    write_boolean,
    write_dictionary,
)

NO_INTEGERS = [
    None,
    "",
    "-1",
    "1.0",
    "?1",
    '"5"',
    "5, 5",
    "five",
    "1000000000000000",
    ":YQ==:",
    "5;",
    "+5",
    "\u0665",
    "5" * 9999,
]


def test_several_lines_of_a_field_are_one_list() -> None:
    assert joined([("A", "1"), ("b", "?1"), ("a", "2")]) == {"a": "1, 2", "b": "?1"}


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("5;a=1", 5), (" 007 ", 7), ("999999999999999", 10**15 - 1)])
def test_an_integer_is_read(value: str, number: int) -> None:
    assert read_integer(value) == number


@pytest.mark.parametrize("value", NO_INTEGERS)
def test_what_is_no_whole_number_from_0_on_is_as_nothing(value: str | None) -> None:
    assert read_integer(value) is None


@pytest.mark.parametrize(("value", "expected"), [("?1", True), ("?0", False), ("?1;x", True)])
def test_a_boolean_is_read(value: str, expected: bool) -> None:
    assert read_boolean(value) is expected


@pytest.mark.parametrize("value", [None, "", "1", "true", "?2", "?1, ?1", "?", "?01"])
def test_what_is_no_boolean_is_as_nothing(value: str | None) -> None:
    assert read_boolean(value) is None


def test_a_dictionary_has_bytes_and_numbers_and_the_last_of_a_key() -> None:
    assert read_dictionary("sha-256=:YWJj:, a=1;p=2, a=3, b") == {"sha-256": b"abc", "a": 3, "b": True}
    assert read_dictionary("") == {}


@pytest.mark.parametrize("value", [None, "a=", "A=1", "a=:Y:", ",", "a=1,", "a=1 b=2", "☃", "a" * (LENGTH_MAX + 1)])
def test_what_is_no_dictionary_is_as_nothing(value: str | None) -> None:
    assert read_dictionary(value) is None


@given(st.text(max_size=50))
def test_no_text_is_too_strange_to_be_read(value: str) -> None:
    read_integer(value)
    read_boolean(value)
    read_dictionary(value)


def test_what_is_written_is_read_again() -> None:
    assert write_boolean(True) == "?1"
    assert write_boolean(False) == "?0"
    assert write_dictionary({"max-size": 5, "b": b"abc"}) == "max-size=5, b=:YWJj:"
