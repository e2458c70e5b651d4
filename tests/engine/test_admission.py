"""What a user may is found out from the service's limits and the catalog's, and asked for seldom."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from tests.engine.world import MovableClock
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.allowances import Allowance
from uploadstream.core.ratelimit import Rate
from uploadstream.engine.admission import FRESH, Admission

DEFAULTS = Allowance(rate_uploads=Rate(60, 60, 20), quota_bytes=1000)


class CountingCatalog(MemoryCatalog):
    """One that knows how often it was asked."""

    asked = 0

    async def overridden(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Mapping[str, str]]]:
        self.asked += 1
        return await super().overridden(after=after, limit=limit)

    async def overrides(self, user_id: str) -> Mapping[str, str]:
        self.asked += 1
        return await super().overrides(user_id)


@pytest.fixture
def catalog() -> CountingCatalog:
    return CountingCatalog()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


async def test_without_any_limit_the_catalog_is_asked_once_in_a_while_and_counts_nothing(
    catalog: CountingCatalog, clock: MovableClock
) -> None:
    admission = Admission(catalog, clock)

    found = [await admission.counting(f"user {number}") for number in range(100)]

    assert found == [None] * 100
    assert catalog.asked == 1


async def test_what_an_operator_sets_counts_after_a_few_seconds_and_only_for_that_user(
    catalog: CountingCatalog, clock: MovableClock
) -> None:
    admission = Admission(catalog, clock, DEFAULTS)
    assert await admission.allowance("ann") == await admission.allowance("bob") == DEFAULTS
    await catalog.set_overrides("ann", {"quota_bytes": "off"})

    clock.ahead += FRESH

    assert await admission.allowance("ann") == Allowance(rate_uploads=Rate(60, 60, 20))
    assert await admission.allowance("bob") == DEFAULTS
    asked = catalog.asked
    assert await admission.counting("ann") == Allowance(rate_uploads=Rate(60, 60, 20))
    assert catalog.asked == asked
    await catalog.set_overrides("ann", {})
    clock.ahead += FRESH
    assert await admission.allowance("ann") == DEFAULTS


async def test_a_limit_of_bytes_a_second_alone_is_nothing_to_count(
    catalog: CountingCatalog, clock: MovableClock
) -> None:
    await catalog.set_overrides("ann", {"rate_bytes": "1MB/s"})
    admission = Admission(catalog, clock)

    assert await admission.counting("ann") is None
    assert await admission.allowance("ann") == Allowance(rate_bytes=Rate(10**6, 1, 10**6))


async def test_however_many_users_there_are_not_all_are_remembered(
    catalog: CountingCatalog, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploadstream.engine.admission._USERS_MAX", 10)
    await catalog.set_overrides("ann", {"quota_bytes": "1"})
    admission = Admission(catalog, clock)

    for number in range(25):
        await admission.allowance(f"user {number}")

    assert len(admission._known) <= 10
    assert timedelta(seconds=5) >= FRESH
