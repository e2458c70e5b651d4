"""A token bucket lets in what it says, no more, and whoever waits as told is let in."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uploadstream.core.ratelimit import Bucket, Rate, parse_byte_rate, parse_rate

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, UTC)
MICROSECOND = timedelta(microseconds=1)
RATES = st.builds(Rate, st.integers(1, 10**9), st.sampled_from([1, 60, 3600, 86_400]), st.integers(1, 10**9))
GAPS = st.one_of(st.just(timedelta()), st.timedeltas(timedelta(), timedelta(days=2)))


def taken_at(rate: Rate, bucket: Bucket | None, now: datetime) -> Bucket | None:
    """The bucket without one, if there is one."""
    return None if rate.wait(bucket, now) else rate.take(bucket, now)


def test_a_full_bucket_gives_its_burst_at_once_and_not_one_more() -> None:
    rate, bucket = Rate(20, 60, 20), None
    for left in range(20, 0, -1):
        assert rate.tokens(bucket, NOON) == left
        bucket = taken_at(rate, bucket, NOON)
        assert bucket is not None

    assert rate.tokens(bucket, NOON) == 0
    assert taken_at(rate, bucket, NOON) is None
    assert rate.wait(bucket, NOON) == timedelta(seconds=3)


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("burst", [1, 2, 3])
def test_every_small_bucket_agrees_with_the_same_one_in_fractions(count: int, burst: int) -> None:
    """Every order of taking and waiting, with the rule written a second time and nothing rounded."""
    rate, step = Rate(count, 60, burst), timedelta(seconds=6)
    for pattern in range(2**8):
        bucket, now, exact = rate.full(NOON), NOON, Fraction(burst)
        for bit in range(8):
            if pattern >> bit & 1:
                now += step
                exact = min(Fraction(burst), exact + Fraction(count, 10))
            elif (taken := taken_at(rate, bucket, now)) is not None:
                bucket, exact = taken, exact - 1
                assert exact >= 0
            else:
                assert exact < 1


@given(rate=RATES, gaps=st.lists(GAPS, max_size=30))
def test_no_window_sees_more_than_the_burst_and_what_the_rate_brings_in_it(rate: Rate, gaps: list[timedelta]) -> None:
    bucket, now, taken = None, NOON, list[datetime]()
    for gap in gaps:
        now += gap
        if after := taken_at(rate, bucket, now):
            bucket = after
            taken.append(now)

    for first in range(len(taken)):
        for last in range(first, len(taken)):
            seconds = Fraction((taken[last] - taken[first]) // MICROSECOND, 10**6)
            assert last - first + 1 <= rate.burst + seconds * rate.count / rate.seconds


@given(rate=RATES, gaps=st.lists(GAPS, max_size=10), count=st.integers(1, 5))
@example(rate=Rate(1, 60, 1), gaps=[MICROSECOND], count=1)
def test_whoever_waits_as_told_is_let_in_and_a_moment_earlier_is_not(
    rate: Rate, gaps: list[timedelta], count: int
) -> None:
    count, bucket, now = min(count, rate.burst), rate.take(None, NOON, count=rate.burst), NOON
    for gap in gaps:
        now += gap
        bucket = taken_at(rate, bucket, now) or bucket

    wait = rate.wait(bucket, now, count=count)

    assert not rate.wait(bucket, now + wait, count=count)
    assert rate.tokens(bucket, now + wait) >= count
    assert not wait or rate.wait(bucket, now + wait - MICROSECOND, count=count)


@given(rate=RATES, gap=GAPS)
def test_the_time_of_a_bucket_does_not_go_back(rate: Rate, gap: timedelta) -> None:
    """A host whose clock is behind gives nothing away."""
    bucket = rate.take(None, NOON, count=rate.burst)

    behind = rate.filled(bucket, NOON - gap)

    assert behind == bucket
    assert rate.filled(behind, NOON) == bucket


def test_more_than_the_burst_is_waited_for_from_now_on() -> None:
    """As a full bucket has saved up nothing since."""
    rate = Rate(10, 1, 5)

    for bucket in (None, rate.full(NOON)):
        assert rate.wait(bucket, NOON + timedelta(hours=1), count=15) == timedelta(seconds=1)


def test_one_that_owes_is_waited_for_longer() -> None:
    rate = Rate(10, 1, 5)
    bucket = rate.take(None, NOON, count=25)

    assert rate.tokens(bucket, NOON) == 0
    assert rate.wait(bucket, NOON, count=0) == timedelta(seconds=2)
    assert rate.wait(bucket, NOON, count=5) == timedelta(seconds=2.5)


def test_another_rate_goes_on_with_the_tokens_that_there_are() -> None:
    many, few = Rate(100, 60, 100), Rate(10, 60, 10)
    bucket = many.take(None, NOON, count=40)

    assert many.tokens(bucket, NOON) == 60
    assert few.tokens(bucket, NOON) == 10


def test_it_is_known_when_there_is_one_more() -> None:
    rate = Rate(60, 60, 3)
    bucket = rate.take(None, NOON)

    assert rate.until_more(None, NOON) == timedelta()
    assert rate.until_more(bucket, NOON + timedelta(seconds=0.25)) == timedelta(seconds=0.75)
    assert rate.unit == "minute"


@given(rate=RATES)
def test_numbers_fit_into_64_bits(rate: Rate) -> None:
    largest = Rate(10**12, 86_400, 10**12)

    assert max(rate.full(NOON).level, largest.full(NOON).level) < 2**63


@pytest.mark.parametrize(
    ("text", "rate", "spelled"),
    [
        ("60/min burst 20", Rate(60, 60, 20), "60/min burst 20"),
        (" 60 / MINUTE  Burst 20 ", Rate(60, 60, 20), "60/min burst 20"),
        ("5/s", Rate(5, 1, 5), "5/s"),
        ("5/sec", Rate(5, 1, 5), "5/s"),
        ("1/second burst 1", Rate(1, 1, 1), "1/s"),
        ("1000/h", Rate(1000, 3600, 1000), "1000/h"),
        ("1000/hour", Rate(1000, 3600, 1000), "1000/h"),
        ("7/day burst 9", Rate(7, 86_400, 9), "7/day burst 9"),
    ],
)
def test_a_rate_is_so_many_in_a_time(text: str, rate: Rate, spelled: str) -> None:
    assert parse_rate(text) == rate
    assert rate.spelled() == spelled
    assert parse_rate(spelled) == rate


@pytest.mark.parametrize(
    ("text", "rate", "spelled"),
    [
        ("50MB/s", Rate(50_000_000, 1, 50_000_000), "50MB/s"),
        ("1.5 MiB / s burst 4 MiB", Rate(1_572_864, 1, 4_194_304), "1536KiB/s burst 4MiB"),
        ("600MB/min", Rate(600_000_000, 60, 600_000_000), "600MB/min"),
        ("4097/s", Rate(4097, 1, 4097), "4097B/s"),
    ],
)
def test_a_rate_of_bytes_is_a_size_in_a_time(text: str, rate: Rate, spelled: str) -> None:
    assert parse_byte_rate(text) == rate
    assert rate.spelled(of_bytes=True) == spelled
    assert parse_byte_rate(spelled) == rate


@pytest.mark.parametrize("text", ["off", "", " OFF "])
def test_off_is_no_rate(text: str) -> None:
    assert parse_rate(text) is None
    assert parse_byte_rate(text) is None


@pytest.mark.parametrize(
    "text", ["60", "60/", "/min", "60/week", "60/min burst", "x/min", "-1/s", "1.5/s", "60/min 20", "²/s"]
)
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate; write such as 60/min burst 20"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["50MB", "50MB/", "/s", "50MB/week", "50MB/s burst"])
def test_what_is_no_rate_of_bytes_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate of bytes; write such as 50MB/s"):
        parse_byte_rate(text)


@pytest.mark.parametrize("text", ["0/s", "1/s burst 0"])
def test_a_rate_of_nothing_is_refused(text: str) -> None:
    for parse in (parse_rate, parse_byte_rate):
        with pytest.raises(ValueError, match="must be more than 0; off sets no limit"):
            parse(text)


def test_a_rate_that_no_network_brings_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at most"):
        parse_byte_rate("2TB/s")


@given(text=st.text(max_size=20))
def test_any_text_is_a_rate_or_a_value_error(text: str) -> None:
    for parse in (parse_rate, parse_byte_rate):
        try:
            rate = parse(text)
        except ValueError:
            continue
        assert rate is None or rate.count > 0
