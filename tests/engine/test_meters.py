"""A user's bytes a second are so many on all its connections to all processes together; nobody is refused."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.engine.test_throttle import an_intake
from tests.engine.world import ANN, body, declared, memory_world
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.adapters.system import SystemClock
from uploadstream.core.allowances import Allowance
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.core.ratelimit import Rate
from uploadstream.core.sizes import KIB, MIB
from uploadstream.engine.meters import ALLOTMENT_SECONDS, PIECE_MAX, PIECE_MIN, Meter, Meters
from uploadstream.engine.throttle import Throttle

PATIENCE_SECONDS = 5
# Little is saved up: as much as this test may be late.
RATE = Rate(10 * MIB, 1, 512 * KIB)
PIECE = 32 * KIB


class Said:
    """What users may, as a test says; `catalog` is away while `is_away`."""

    def __init__(self, rate: Rate | None) -> None:
        self.rate = rate
        self.asked = 0
        self.is_away = False
        self._catalog = MemoryCatalog()

    async def allowance_of(self, _: str) -> Allowance:
        if self.is_away:
            raise CatalogUnavailable
        return Allowance(rate_bytes=self.rate)

    async def allot(self, user_id: str, rate: Rate, *, count: int, now: datetime) -> timedelta:
        if self.is_away:
            raise CatalogUnavailable
        self.asked += 1
        return await self._catalog.allot(user_id, rate, count=count, now=now)

    def process(self) -> Meters:
        return Meters(self.allowance_of, self, SystemClock())


async def meter_of(meters: Meters) -> Meter:
    meter = await meters.of("ann")
    assert meter is not None
    return meter


async def bring(meter: Meter, total: Callable[[int], None]) -> None:
    """Bring pieces as fast as it goes."""
    while True:
        await asyncio.sleep(0)
        total(PIECE)
        if not meter.spend(PIECE):
            await meter.wait()


@pytest.mark.parametrize("processes", [1, 2])
async def test_all_connections_to_all_processes_together_get_the_rate(processes: int) -> None:
    said = Said(RATE)
    meters = [await meter_of(said.process()) for _ in range(processes)]
    got: list[int] = []
    loop = asyncio.get_running_loop()
    bodies = [asyncio.create_task(bring(meter, got.append)) for meter in meters for _ in range(4)]
    await asyncio.sleep(0.5)
    start, before = loop.time(), sum(got)
    await asyncio.sleep(1.5)

    assert (sum(got) - before) / (loop.time() - start) == pytest.approx(RATE.count, rel=0.1)
    assert said.asked <= processes + 2.0 / ALLOTMENT_SECONDS + 1
    for task in bodies:
        task.cancel()
    await asyncio.wait(bodies)


async def test_who_has_no_such_limit_has_no_meter() -> None:
    assert await Said(None).process().of("ann") is None
    assert await Throttle().meter_of("ann") is None


async def test_what_is_left_is_there_for_the_next_body() -> None:
    meters = Said(RATE).process()
    first = await meter_of(meters)
    assert not first.spend(PIECE)
    await first.wait()

    assert await meter_of(meters) is first
    assert first.left > 0


async def test_a_limit_that_is_lifted_holds_up_nobody() -> None:
    said = Said(Rate(1, 86_400, 1))
    meters = said.process()
    meter = await meter_of(meters)
    assert not meter.spend(MIB)
    waiting = meter.wait()

    said.rate = None
    assert await meters.of("ann") is None

    await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    assert meter.spend(MIB)
    assert meter.piece_max == PIECE_MAX


async def test_a_limit_that_is_lifted_while_bodies_run_is_noticed() -> None:
    said = Said(RATE)
    meter = await meter_of(said.process())
    said.rate = None
    assert not meter.spend(MIB)

    await asyncio.wait_for(meter.wait(), PATIENCE_SECONDS)

    assert meter.spend(MIB)


async def test_while_the_catalog_is_away_each_process_keeps_the_rate_itself() -> None:
    said = Said(RATE)
    meter = await meter_of(said.process())
    said.is_away = True
    start = asyncio.get_running_loop().time()
    assert not meter.spend(MIB)

    await asyncio.wait_for(meter.wait(), PATIENCE_SECONDS)

    assert asyncio.get_running_loop().time() - start >= MIB / RATE.count


async def test_who_is_let_go_and_sends_nothing_keeps_nobody_back() -> None:
    meter = await meter_of(Said(Rate(PIECE_MIN * 2, 1, PIECE_MIN)).process())
    assert not meter.spend(1)
    turns = [meter.wait() for _ in range(5)]

    await asyncio.wait_for(asyncio.gather(*turns), PATIENCE_SECONDS)

    assert meter.left > 0
    await asyncio.sleep(0.1)
    assert meter.is_idle


async def test_a_body_that_ends_while_it_waits_is_forgotten() -> None:
    throttle = Throttle()
    meter = await meter_of(Said(Rate(1, 86_400, 1)).process())
    lane = throttle.enter(("ann", ""), meter)
    intake = an_intake(lane)

    waiting = intake.feed(bytes(PIECE))
    assert waiting is not None
    assert intake.is_waiting
    lane.forget(intake.turn)

    assert not intake.is_waiting


async def test_pieces_are_small_where_the_rate_is() -> None:
    throttle = Throttle()
    slow = await meter_of(Said(Rate(512 * KIB, 1, MIB)).process())
    lane = throttle.enter(("ann", ""), slow)

    assert len(an_intake(lane).get_buffer(MIB)) == 64 * KIB
    assert (await meter_of(Said(Rate(1, 60, 1)).process())).piece_max == PIECE_MIN
    assert (await meter_of(Said(Rate(10**11, 1, 1)).process())).piece_max == PIECE_MAX


async def test_meters_that_nobody_needs_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploadstream.engine.meters._METERS_MAX", 20)
    meters = Said(RATE).process()
    first = await meters.of("first")
    for number in range(30):
        await meters.of(f"user {number}")

    assert await meters.of("first") is not first


async def test_an_upload_waits_and_is_complete() -> None:
    engine = memory_world().start(allowance=Allowance(rate_bytes=RATE))
    start = asyncio.get_running_loop().time()

    file = await engine.uploads.store_whole(declared(2 * MIB), ANN, body(*[bytes(PIECE)] * 64))

    assert file.size == 2 * MIB
    assert asyncio.get_running_loop().time() - start >= 0.05
