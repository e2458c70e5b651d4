"""A point in time is kept to the microsecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.instants import instant_of, microseconds_of


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_comes_back_as_it_was(at: datetime) -> None:
    assert instant_of(microseconds_of(at)) == at


def test_it_is_counted_from_1970_wherever_its_clock_stands() -> None:
    assert microseconds_of(datetime(1970, 1, 1, 2, 0, 1, 5, tzinfo=timezone(timedelta(hours=2)))) == 1_000_005


def test_what_is_beyond_the_calendar_is_no_instant() -> None:
    with pytest.raises(OverflowError):
        instant_of(2**63 - 1)
