"""Users who send at the same time share what the process can take; who waits for its turn can still be ended."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.engine.fake_disk import FakeDisk
from tests.engine.world import ANN, BOB, body, declared, memory_world
from uploadstream.core.errors import LengthMismatch, TakenOver
from uploadstream.core.sizes import GIB, KIB, MIB
from uploadstream.core.turns import LEAD_MAX, PIECES_MAX
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.intake import Intake, Received, Terms
from uploadstream.engine.throttle import STUCK_SECONDS, Lane, Throttle
from uploadstream.engine.watch import LOOK_SECONDS, Pouring, Watch
from uploadstream.ports import Bytes

PATIENCE_SECONDS = 5
PIECE = 256 * KIB


class Sponge(FakeDisk):
    """Takes everything and keeps nothing."""

    def write(self, views: Sequence[Bytes], count: int) -> None:
        self.writes = [count]


def an_intake(lane: Lane, disk: FakeDisk | None = None) -> Intake:
    terms = Terms(1024 * GIB, lambda count: LengthMismatch(received=count, declared=0), lambda _: None)
    return Intake(disk or Sponge(), Buffers(), Received.nothing(), terms, lane)


@asynccontextmanager
async def sending(
    throttle: Throttle, user: str, bodies: int, *, pause_seconds: float = 0
) -> AsyncIterator[list[Intake]]:
    """Bodies that bring a piece whenever they may."""

    async def send(intake: Intake) -> None:
        while True:
            await asyncio.sleep(pause_seconds)
            busy = intake.feed(bytes(PIECE))
            if busy is not None:
                await busy

    intakes = [an_intake(throttle.enter((user, ""))) for _ in range(bodies)]
    tasks = [asyncio.create_task(send(intake)) for intake in intakes]
    try:
        yield intakes
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for intake in intakes:
            intake.lane.forget(intake.turn)
            throttle.leave(intake.lane)


def taken(intakes: list[Intake]) -> int:
    return sum(intake.taken for intake in intakes)


async def turns_of_the_loop(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)


async def test_one_user_with_few_bodies_is_not_counted() -> None:
    throttle = Throttle()

    async with sending(throttle, "ann", PIECES_MAX) as ann:
        await turns_of_the_loop(20)

        assert not ann[0].lane.counts
        assert ann[0].lane.standing.clock == 0
        assert [intake.turn for intake in ann] == [None] * PIECES_MAX


async def test_a_crowd_leaves_another_more_than_half() -> None:
    throttle = Throttle()
    async with sending(throttle, "crowd", 50) as crowd, sending(throttle, "ann", 1) as ann:
        before, start = taken(crowd), ann[0].taken
        await turns_of_the_loop(2000)

        assert ann[0].taken - start > 1.5 * (taken(crowd) - before) > 0


async def test_a_slow_user_does_not_slow_the_others() -> None:
    """The crowd alone is given some of its bodies in each turn of the loop, and beside somebody else one."""
    throttle = Throttle()
    async with sending(throttle, "crowd", 50) as crowd, sending(throttle, "ann", 1, pause_seconds=0.005):
        await turns_of_the_loop(200)
        before = taken(crowd)
        await turns_of_the_loop(1000)

        assert taken(crowd) - before > 200 * PIECE


async def test_when_the_others_have_gone_everybody_goes_on() -> None:
    throttle = Throttle()
    async with sending(throttle, "bob", PIECES_MAX) as bob:
        async with sending(throttle, "ann", 1):
            await until(lambda: bob[0].lane.standing.waiting > PIECES_MAX / 2)

        assert not bob[0].lane.counts
        assert bob[0].lane.standing.waiting == 0
        before = [intake.taken for intake in bob]
        await turns_of_the_loop(5)
        assert all(intake.taken > count for intake, count in zip(bob, before, strict=True))


async def test_who_waits_for_its_turn_owns_no_buffer_and_its_bytes_are_stored() -> None:
    throttle, disk, buffers = Throttle(), FakeDisk(), Buffers()
    ann, _bob = throttle.enter(("ann", "")), throttle.enter(("bob", ""))
    _bob.took(1)
    await asyncio.sleep(0)
    terms = Terms(GIB, lambda count: LengthMismatch(received=count, declared=0), lambda _: None)
    intake = Intake(disk, buffers, Received.nothing(), terms, ann)
    ann.took(2 * LEAD_MAX)

    intake.get_buffer(MIB)[: 100 * KIB] = bytes(100 * KIB)
    turn = intake.received(100 * KIB)

    assert turn is not None
    assert intake.is_waiting
    assert buffers.out == 0
    assert len(disk.content) == 100 * KIB


async def test_waiting_for_ones_turn_is_no_silence() -> None:
    watch = Watch(read_timeout_seconds=2 * LOOK_SECONDS)
    ann, bob = watch.throttle.enter(("ann", "")), watch.throttle.enter(("bob", ""))
    ann.took(1024 * GIB)
    going_on = True

    async def keep_sending() -> None:
        while going_on:
            bob.took(1)
            await asyncio.sleep(0)

    bobs = asyncio.create_task(keep_sending())
    await asyncio.sleep(0)
    running = asyncio.create_task(watch.run(Pouring(), body(b"a", b"b"), an_intake(ann)))
    await asyncio.sleep(5 * LOOK_SECONDS)
    assert not running.done()
    going_on = False
    await bobs
    watch.throttle.leave(bob)

    await running


async def test_who_waits_for_its_turn_can_be_stopped_at_once() -> None:
    watch = Watch(read_timeout_seconds=PATIENCE_SECONDS)
    ann, bob = watch.throttle.enter(("ann", "")), watch.throttle.enter(("bob", ""))
    pending = asyncio.get_running_loop().create_future()
    bob.took(1, pending)
    ann.took(8 * LEAD_MAX)
    await asyncio.sleep(0)
    pouring, intake = Pouring(), an_intake(ann)
    running = asyncio.create_task(watch.run(pouring, body(b"a", b"b"), intake))
    await until(lambda: intake.is_waiting)

    pouring.stop(TakenOver(upload_id="a"))
    with pytest.raises(TakenOver):
        await running

    assert ann.standing.waiting == 0
    pending.cancel()


async def test_one_user_whose_bytes_the_store_does_not_take_does_not_hold_up_the_others() -> None:
    throttle = Throttle()
    ann, bob = throttle.enter(("ann", "")), throttle.enter(("bob", ""))
    hanging = asyncio.get_running_loop().create_future()
    bob.took(1, hanging)
    await asyncio.sleep(0)
    start = asyncio.get_running_loop().time()
    turn = ann.took(8 * LEAD_MAX)

    assert turn is not None
    await asyncio.wait_for(turn, PATIENCE_SECONDS)

    assert asyncio.get_running_loop().time() - start >= STUCK_SECONDS * 0.9
    hanging.cancel()


async def test_what_waits_for_the_store_is_waited_for() -> None:
    throttle = Throttle()
    ann, bob = throttle.enter(("ann", "")), throttle.enter(("bob", ""))
    storing = asyncio.get_running_loop().create_future()
    bob.took(1, storing)
    await asyncio.sleep(0)
    turn = ann.took(8 * LEAD_MAX)
    await turns_of_the_loop(20)

    assert turn is not None
    assert not turn.done()
    storing.set_result(None)
    await turns_of_the_loop(5)
    assert turn.done()


async def test_users_of_one_process_have_their_lanes() -> None:
    world = memory_world()
    seen: Counter[tuple[str, str]] = Counter()

    async def pour(intake: Intake) -> None:
        seen[intake.lane.who] += 1
        await asyncio.sleep(0)

    await asyncio.gather(
        world.engine.uploads.store_whole(declared(None), ANN, pour),
        world.engine.uploads.store_whole(declared(None), BOB, pour),
    )

    assert seen == {("ann", ""): 1, ("bob", ""): 1}
