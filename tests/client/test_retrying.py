"""How long is waited, and how long it is tried."""

import time

import pytest

from uploadstream.client import retrying
from uploadstream.client.errors import UNREACHABLE, UploadError
from uploadstream.client.retrying import Contact, Patience


class Failing:
    """Something that fails so many times in one way, and then gives its count."""

    def __init__(self, failures: int, error: UploadError) -> None:
        self.tries = 0
        self._failures = failures
        self._error = error

    async def __call__(self) -> int:
        self.tries += 1
        if self.tries <= self._failures:
            raise self._error
        return self.tries


def passing(reason: str = "UNAVAILABLE", *, retry_after_seconds: float | None = None) -> UploadError:
    return UploadError(reason, "away", is_passing=True, retry_after_seconds=retry_after_seconds)


async def test_what_passes_is_tried_again() -> None:
    assert await Patience(60, Contact()).until_done(Failing(4, passing())) == 5


async def test_what_does_not_pass_is_said_at_once() -> None:
    attempt = Failing(1, UploadError("FILE_TOO_LARGE", "too large"))

    with pytest.raises(UploadError, match="too large"):
        await Patience(60, Contact()).until_done(attempt)

    assert attempt.tries == 1


async def test_waits_grow_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings: list[float] = []
    monkeypatch.setattr(retrying, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(retrying, "LONGEST_WAIT_SECONDS", 0.005)

    def lowest(low: float, high: float) -> float:
        ceilings.append(high)
        return low

    monkeypatch.setattr("random.uniform", lowest)

    await Patience(60, Contact()).until_done(Failing(5, passing()))

    assert ceilings == [0.001, 0.002, 0.004, 0.005, 0.005]


async def test_the_server_says_how_long_to_wait() -> None:
    waits: list[float] = []

    await Patience(60, Contact()).until_done(
        Failing(1, passing(retry_after_seconds=0.2)), lambda _, seconds: waits.append(seconds)
    )

    assert waits == [0.2]


async def test_a_wait_longer_than_the_patience_is_not_begun() -> None:
    began = time.monotonic()

    with pytest.raises(UploadError):
        await Patience(5, Contact()).until_done(Failing(1, passing(retry_after_seconds=3600)))

    assert time.monotonic() - began < 1


async def test_a_server_that_was_never_reached_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_CONTACT_SECONDS", 0.05)
    began = time.monotonic()

    with pytest.raises(UploadError):
        await Patience(60, Contact()).until_done(Failing(10**6, passing(UNREACHABLE)))

    assert time.monotonic() - began < 1


async def test_a_server_that_was_reached_before_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_CONTACT_SECONDS", 0.0)
    contact = Contact()
    await Patience(60, contact).until_done(Failing(0, passing()))

    assert await Patience(60, contact).until_done(Failing(3, passing(UNREACHABLE))) == 4


async def test_patience_comes_back_with_progress() -> None:
    patience = Patience(0.1, Contact())
    attempt = Failing(8, passing(retry_after_seconds=0.04))

    async def progressing() -> int:
        patience.progressed()
        return await attempt()

    assert await patience.until_done(progressing) == 9


async def test_waiting_for_a_turn_costs_no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(retrying, "LONGEST_WAIT_SECONDS", 0.001)
    turn = passing("RATE_LIMITED", retry_after_seconds=0.02)

    assert await Patience(0.05, Contact()).until_done(Failing(9, turn)) == 10
    with pytest.raises(UploadError, match="away"):
        await Patience(0.05, Contact()).until_done(Failing(9, passing("TOO_MANY_ACTIVE", retry_after_seconds=0.02)))
    with pytest.raises(UploadError, match="away"):
        await Patience(5, Contact()).until_done(Failing(1, passing("RATE_LIMITED", retry_after_seconds=60)))


async def test_whoever_waits_for_a_turn_comes_a_little_later_than_all_others() -> None:
    waits: list[float] = []

    await Patience(60, Contact()).until_done(
        Failing(1, passing("RATE_LIMITED", retry_after_seconds=0.1)), lambda _, seconds: waits.append(seconds)
    )

    assert 0.1 < waits[0] <= 0.1 + retrying.FIRST_WAIT_SECONDS
