"""The fields that tell of limits, as draft-ietf-httpapi-ratelimit-headers-11 has them."""

from datetime import UTC, datetime, timedelta

from http_sf import parse

from uploadstream.core.allowances import Allowance, Standing, Usage
from uploadstream.core.ratelimit import Bucket, Rate
from uploadstream.http.rate_limits import write_standing

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def test_each_limit_is_a_policy_with_its_unit_and_what_is_left_of_it() -> None:
    allowance = Allowance(Rate(60, 60, 20), Rate(1, 1, 1), 10, 10**9)
    usage = Usage(4 * 10**8, 10**8, 3, Bucket(7_250_000, NOON))

    assert write_standing(Standing(allowance, usage, NOON)) == {
        "RateLimit-Policy": '"uploads";q=20;w=20, "active";q=10;qu="concurrent-requests", '
        '"stored";q=1000000000;qu="content-bytes"',
        "RateLimit": '"uploads";r=7;t=1, "active";r=7, "stored";r=500000000',
    }


def test_nothing_is_told_where_nothing_is_limited_that_counts() -> None:
    assert write_standing(Standing(Allowance(rate_bytes=Rate(1, 1, 1)), Usage(), NOON)) == {}


def test_who_has_more_than_it_may_has_nothing_left() -> None:
    allowance = Allowance(None, None, 2, 100)

    fields = write_standing(Standing(allowance, Usage(150, 0, 3), NOON))

    assert fields["RateLimit"] == '"active";r=0, "stored";r=0'


def test_a_full_bucket_is_full_for_as_long_as_one_likes() -> None:
    standing = Standing(Allowance(Rate(10, 60, 50)), Usage(), NOON)

    assert write_standing(standing) == {"RateLimit-Policy": '"uploads";q=50;w=300', "RateLimit": '"uploads";r=50'}


def test_the_window_of_an_empty_bucket_ends_when_there_is_a_token() -> None:
    rate = Rate(20, 60, 20)
    at = NOON + timedelta(seconds=0.5)

    fields = write_standing(Standing(Allowance(rate), Usage(bucket=Bucket(0, NOON)), at))

    assert fields["RateLimit"] == '"uploads";r=0;t=3'


def test_no_number_is_too_large_for_its_field() -> None:
    fields = write_standing(Standing(Allowance(quota_bytes=2**59), Usage(), NOON))

    assert parse(fields["RateLimit-Policy"].encode(), tltype="list")
    assert fields["RateLimit"] == '"stored";r=999999999999999'
