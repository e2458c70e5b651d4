"""What one user may: every limit by itself, at its edge, and what is said of single users."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.core.refusals import refusal_of
from uploadstream.core.allowances import (
    READ,
    Allowance,
    LimitReached,
    QuotaExceeded,
    RateLimited,
    TooManyActive,
    Usage,
)
from uploadstream.core.errors import BadField
from uploadstream.core.ratelimit import Bucket, Rate

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
FREE = Allowance()
NONE_LEFT = Bucket(0, NOON)


def test_without_a_limit_anything_may_begin() -> None:
    full = Usage(10**15, 10**15, 10**6, NONE_LEFT)

    assert full.begun(FREE, size=10**15, now=NOON) == Usage(10**15, 2 * 10**15, 10**6 + 1, NONE_LEFT)
    assert not FREE.counts


@pytest.mark.parametrize(
    "allowance", [Allowance(rate_uploads=Rate(1, 1, 1)), Allowance(max_active_uploads=1), Allowance(quota_bytes=1)]
)
def test_what_is_counted_in_the_catalog_is_known(allowance: Allowance) -> None:
    assert allowance.counts
    assert not Allowance(rate_bytes=Rate(1, 1, 1)).counts


def test_an_upload_counts_with_its_declared_size_and_takes_a_token() -> None:
    allowance = Allowance(Rate(60, 60, 2), max_active_uploads=2, quota_bytes=100)

    first = Usage().begun(allowance, size=60, now=NOON)
    second = first.begun(allowance, size=None, now=NOON)

    assert first == Usage(0, 60, 1, Bucket(1_000_000, NOON))
    assert second == Usage(0, 60, 2, NONE_LEFT)


@pytest.mark.parametrize(("size", "refusal"), [(40, None), (41, QuotaExceeded), (0, None), (None, None)])
def test_a_quota_is_full_to_the_byte(size: int | None, refusal: type[LimitReached] | None) -> None:
    usage = Usage(stored_bytes=50, declared_bytes=10)

    error = refusal_of(usage.begun, Allowance(quota_bytes=100), size=size, now=NOON)

    assert (type(error) if error else None) is refusal
    assert not isinstance(error, QuotaExceeded) or (error.size, error.used, error.limit) == (41, 60, 100)


def test_as_many_may_be_open_as_are_allowed() -> None:
    allowance = Allowance(max_active_uploads=2)

    assert refusal_of(Usage(open_uploads=1).begun, allowance, size=1, now=NOON) is None
    error = refusal_of(Usage(open_uploads=2).begun, allowance, size=1, now=NOON)
    assert isinstance(error, TooManyActive)
    assert error.numbers == {"active": 2, "limit": 2}


def test_a_rate_says_how_long_to_wait() -> None:
    allowance = Allowance(Rate(60, 60, 20))
    usage = Usage(bucket=Bucket(250_000, NOON))

    error = refusal_of(usage.begun, allowance, size=1, now=NOON)

    assert isinstance(error, RateLimited)
    assert (error.limit, error.window, error.retry_seconds) == (60, 60, 0.75)
    assert usage.begun(allowance, size=1, now=NOON + timedelta(seconds=0.75)).open_uploads == 1
    assert str(RateLimited(limit=2, window=90, seconds=0.1)) == "Rate limit: 2 uploads a 90 s; retry in 1 s"


def test_what_waiting_does_not_help_with_is_said_first() -> None:
    allowance = Allowance(Rate(1, 1, 1), max_active_uploads=1, quota_bytes=1)
    usage = Usage(1, 0, 1, NONE_LEFT)

    quota = refusal_of(usage.begun, allowance, size=1, now=NOON)
    active = refusal_of(usage.begun, allowance, size=0, now=NOON)

    assert isinstance(quota, QuotaExceeded)
    assert quota.retry_seconds is None
    assert isinstance(active, TooManyActive)
    assert active.retry_seconds > 0


def test_a_file_that_was_no_upload_counts_at_once_and_is_never_open() -> None:
    allowance = Allowance(Rate(60, 60, 1), max_active_uploads=0, quota_bytes=100)

    after = Usage(10, 30, 2).stored(allowance, size=100 - 10, in_place_of=30, now=NOON)

    assert after == Usage(100, 0, 2, NONE_LEFT)
    assert isinstance(refusal_of(after.stored, allowance, size=1, in_place_of=0, now=NOON), QuotaExceeded)
    assert isinstance(refusal_of(after.stored, allowance, size=1, in_place_of=1, now=NOON), RateLimited)


def test_whoever_is_over_a_quota_that_was_lowered_may_keep_what_there_is() -> None:
    Usage(stored_bytes=200).check_room(Allowance(quota_bytes=100), 0)
    Usage(stored_bytes=200).check_room(Allowance(quota_bytes=100), -10)


def test_what_is_said_of_one_user_takes_the_place_of_what_holds_for_all() -> None:
    everyone = Allowance(Rate(60, 60, 20), None, 10, 10**9)

    said = everyone.overridden({"rate_uploads": "off", "rate_bytes": "1MB/s", "quota_bytes": "2GB"})

    assert said == Allowance(None, Rate(10**6, 1, 10**6), 10, 2 * 10**9)
    assert everyone.overridden({}) == everyone


def test_limits_are_spelled_as_they_are_set() -> None:
    allowance = Allowance(Rate(60, 60, 20), Rate(10**6, 1, 10**6), 10, 2**30)

    assert allowance.spelled() == {
        "rate_uploads": "60/min burst 20",
        "rate_bytes": "1MB/s",
        "max_active_uploads": "10",
        "quota_bytes": "1GiB",
    }
    assert FREE.overridden(allowance.spelled()) == allowance
    assert allowance.overridden(FREE.spelled()) == FREE
    assert FREE.spelled().keys() == READ.keys()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("max_active_uploads", "many", "'many' is not a number above 0; write such as 10, or off"),
        ("max_active_uploads", "0", "is not a number above 0"),
        ("max_active_uploads", "²", "is not a number above 0"),
        ("quota_bytes", "0", "must be more than 0; off sets no limit"),
        ("quota_bytes", "much", "'much' is not a size"),
        ("rate_uploads", "often", "'often' is no rate"),
    ],
)
def test_a_bad_limit_is_refused_by_its_name(name: str, text: str, says: str) -> None:
    with pytest.raises(BadField, match=f"^{name}: .*{says}"):
        FREE.overridden({name: text})
