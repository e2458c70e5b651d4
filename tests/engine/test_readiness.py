"""Many ask whether a part works; it is tried now and then."""

import asyncio

import pytest

from uploadstream.core.errors import StorageUnavailable
from uploadstream.engine import readiness
from uploadstream.engine.readiness import SharedCheck


class Part:
    """Works, or does not, when it is let."""

    def __init__(self) -> None:
        self.tries = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def check(self) -> None:
        self.tries += 1
        await self.go_on.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
async def part() -> Part:
    return Part()


async def test_all_who_ask_at_once_get_the_outcome_of_one_try(part: Part) -> None:
    shared = SharedCheck(part.check)
    asking = [asyncio.create_task(shared()) for _ in range(50)]
    await asyncio.sleep(0)

    part.error = StorageUnavailable()
    part.go_on.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)

    assert part.tries == 1
    assert outcomes == [part.error] * 50


async def test_an_outcome_is_good_for_a_while_and_then_tried_again(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedCheck(part.check)
    part.go_on.set()
    await shared()
    part.error = StorageUnavailable()

    await shared()
    assert part.tries == 1

    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    again = SharedCheck(part.check)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await again()
    part.error = None
    await again()
    assert part.tries == 4


async def test_a_try_that_lasts_is_not_joined_by_another(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    shared = SharedCheck(part.check)
    first = asyncio.create_task(shared())
    await asyncio.sleep(0.01)
    second = asyncio.create_task(shared())
    await asyncio.sleep(0.01)

    part.go_on.set()
    await asyncio.gather(first, second)

    assert part.tries == 1


async def test_who_goes_away_takes_the_outcome_from_nobody(part: Part) -> None:
    shared = SharedCheck(part.check)
    first, second = asyncio.create_task(shared()), asyncio.create_task(shared())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])

    part.go_on.set()
    await second

    assert (part.tries, first.cancelled()) == (1, True)
