"""Conditional requests: every combination of conditions, against the rules of RFC 9110 written a second time."""

import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.http.conditions import Validators, is_range_meant, judge

TAG = '"5f0c1a2b"'
MODIFIED = datetime(2026, 1, 2, 12, 0, 0, 999_999, tzinfo=UTC)
OURS = Validators(TAG, MODIFIED)
UNDATED = Validators(TAG)


def date(seconds: int = 0) -> str:
    return format_datetime((MODIFIED + timedelta(seconds=seconds)).replace(microsecond=0), usegmt=True)


# What a field may say, and whether that is true of the representation; None: it says nothing.
MATCH = {None: None, TAG: True, "*": True, '"other"': False, f'"other", {TAG}': True, f"W/{TAG}": False, "junk": False}
NONE_MATCH = {None: None, TAG: False, "*": False, '"other"': True, f"W/{TAG}": False, f'"a",,W/"b" , {TAG}': False}
UNMODIFIED = {None: None, date(): True, date(1): True, date(-1): False, "junk": None}
MODIFIED_SINCE = {None: None, date(): False, date(1): False, date(-1): True, "junk": None}


def expected(match: bool | None, unmodified: bool | None, none_match: bool | None, since: bool | None) -> HTTPStatus:
    """Section 13.2.2, steps 1 to 4."""
    if match is False or (match is None and unmodified is False):
        return HTTPStatus.PRECONDITION_FAILED
    if none_match is False or (none_match is None and since is False):
        return HTTPStatus.NOT_MODIFIED
    return HTTPStatus.OK


def test_all_conditions_together_are_judged_in_their_order() -> None:
    for a, b, c, d in itertools.product(MATCH, UNMODIFIED, NONE_MATCH, MODIFIED_SINCE):
        said = {"if-match": a, "if-unmodified-since": b, "if-none-match": c, "if-modified-since": d}
        fields = {name: value for name, value in said.items() if value is not None}

        assert judge(fields, OURS) == expected(MATCH[a], UNMODIFIED[b], NONE_MATCH[c], MODIFIED_SINCE[d]), fields


@pytest.mark.parametrize(
    ("value", "named"), [("W/{}", True), ("{}", True), ('"b", W/{}', True), ("*", True), ("", False), ('"b"', False)]
)
def test_a_weak_tag_is_found_weakly_and_is_never_a_strong_one(value: str, named: bool) -> None:
    weak, said = Validators(f"W/{TAG}"), value.format(TAG)

    assert judge({"if-none-match": said}, weak) is (HTTPStatus.NOT_MODIFIED if named else HTTPStatus.OK)
    assert judge({"if-match": said}, weak) is (HTTPStatus.OK if said == "*" else HTTPStatus.PRECONDITION_FAILED)
    assert not is_range_meant(said, weak)


def test_what_has_no_date_has_always_changed() -> None:
    assert judge({"if-modified-since": date()}, UNDATED) is HTTPStatus.OK
    assert judge({"if-unmodified-since": date()}, UNDATED) is HTTPStatus.PRECONDITION_FAILED


@pytest.mark.parametrize(
    "value", ["Fri, 02 Jan 2026 12:00:00 GMT", "Friday, 02-Jan-26 12:00:00 GMT", "Fri Jan  2 12:00:00 2026"]
)
def test_a_date_is_read_in_all_three_forms(value: str) -> None:
    assert judge({"if-modified-since": value}, OURS) is HTTPStatus.NOT_MODIFIED
    assert is_range_meant(value, OURS)


@pytest.mark.parametrize(
    "value",
    ["", "0", "2026-01-02T12:00:00Z", "Fri, 30 Feb 2026 12:00:00 GMT", f"{date()}, {date()}", "Fri, 02 Jan 2026 12:00"],
)
def test_what_is_no_date_is_as_if_it_were_not_there(value: str) -> None:
    assert judge({"if-modified-since": value}, OURS) is HTTPStatus.OK
    assert not is_range_meant(value, OURS)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *((None, True), (TAG, True), (f" {TAG} ", True), (f"W/{TAG}", False), ('"other"', False), ("*", False)),
        *((date(), True), (date(1), False), (date(-1), False)),
    ],
)
def test_a_range_is_meant_of_exactly_what_there_is(value: str | None, meant: bool) -> None:
    assert is_range_meant(value, OURS) is meant


def test_a_range_with_a_date_is_not_meant_of_what_has_none() -> None:
    assert not is_range_meant(date(), UNDATED)


@given(
    st.dictionaries(
        st.sampled_from(["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"]),
        st.text(st.characters(max_codepoint=255), max_size=60) | st.from_regex(r'(?:(?:W/)?"[a-z]*"[ ,]*){0,5}'),
    )
)
def test_whatever_is_said_is_judged(fields: dict[str, str]) -> None:
    assert judge(fields, OURS) in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED, HTTPStatus.PRECONDITION_FAILED}
    assert is_range_meant(fields.get("if-range"), OURS) in {True, False}


@pytest.mark.parametrize("text", ['"a",' * 8_000, '"' * 32_000, "," * 32_000, 'W/"a" ' * 5_000, " " * 32_000 + "x"])
def test_a_long_list_of_tags_costs_no_more_than_its_length(text: str) -> None:
    assert judge({"if-match": text}, OURS) is HTTPStatus.PRECONDITION_FAILED
