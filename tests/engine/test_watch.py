"""All running bodies are looked after: idle ones are flushed, silent ones are ended, and any can be stopped."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.engine.fake_disk import Answer, FakeDisk
from tests.engine.world import body
from uploadstream.core.errors import BadInput, BodyTimeout, Draining, LengthMismatch, StorageFull, TakenOver
from uploadstream.core.sizes import MIB
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.intake import Intake, Received, Terms
from uploadstream.engine.watch import LOOK_SECONDS, Pouring, Watch

LONG = 3600.0
SHORT = 2 * LOOK_SECONDS
PATIENCE_SECONDS = 5
BIG_PIECE = bytes(128 * 1024)


def overrun(count: int) -> BadInput:
    return LengthMismatch(received=count, declared=0)


def an_intake(disk: FakeDisk, buffers: Buffers | None = None) -> Intake:
    return Intake(disk, buffers or Buffers(), Received.nothing(), Terms(64 * MIB, overrun, lambda _: None))


async def silence(_: Intake) -> None:
    await asyncio.sleep(LONG)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(LOOK_SECONDS / 10)


def fill(intake: Intake, piece: bytes) -> asyncio.Future[None] | None:
    intake.get_buffer(len(piece))[:] = piece
    return intake.received(len(piece))


async def test_a_body_that_ends_is_all_there_is_to_it() -> None:
    watch, disk = Watch(read_timeout_seconds=LONG), FakeDisk()
    intake = an_intake(disk)

    await watch.run(Pouring(), body(b"abc", b"def"), intake)
    await intake.close()

    assert disk.content == b"abcdef"
    assert len(watch) == 0


async def test_what_a_body_raises_comes_out() -> None:
    watch = Watch(read_timeout_seconds=LONG)

    with pytest.raises(ZeroDivisionError):
        await watch.run(Pouring(), body(b"abc", then=ZeroDivisionError()), an_intake(FakeDisk()))

    assert len(watch) == 0


async def test_a_body_that_brings_nothing_for_the_read_timeout_is_ended() -> None:
    watch, loop = Watch(read_timeout_seconds=SHORT), asyncio.get_running_loop()
    start = loop.time()

    with pytest.raises(BodyTimeout) as caught:
        await watch.run(Pouring(), silence, an_intake(FakeDisk()))

    assert caught.value.seconds == SHORT
    assert SHORT <= loop.time() - start + LOOK_SECONDS / 10 < SHORT + PATIENCE_SECONDS
    assert asyncio.current_task() is not None
    assert len(watch) == 0


async def test_a_body_that_brings_a_byte_now_and_then_is_not_ended() -> None:
    watch, disk = Watch(read_timeout_seconds=SHORT), FakeDisk()

    async def trickle(intake: Intake) -> None:
        for _ in range(6):
            await asyncio.sleep(SHORT / 2)
            intake.feed(b"x")

    intake = an_intake(disk)
    await watch.run(Pouring(), trickle, intake)
    await intake.close()

    assert disk.content == b"x" * 6


async def test_a_body_that_waits_for_our_slow_disk_is_not_ended() -> None:
    watch, disk = Watch(read_timeout_seconds=SHORT), FakeDisk(after=Answer.LATER, turns=0)
    intake = an_intake(disk)

    async def fast(intake: Intake) -> None:
        for _ in range(2):
            busy = intake.feed(bytes(MIB))
        assert busy is not None
        await busy

    running = asyncio.ensure_future(watch.run(Pouring(), fast, intake))
    await asyncio.sleep(3 * SHORT)
    assert not running.done()
    disk.finish()
    await running
    disk.finish()
    await intake.close()

    assert len(disk.content) == 2 * MIB


async def test_what_an_idle_body_brought_is_written_and_its_buffer_freed() -> None:
    watch, disk, buffers = Watch(read_timeout_seconds=LONG), FakeDisk(), Buffers()

    async def stall(intake: Intake) -> None:
        fill(intake, BIG_PIECE)
        await asyncio.sleep(LONG)

    running = asyncio.ensure_future(watch.run(Pouring(), stall, an_intake(disk, buffers)))
    await asyncio.sleep(0)
    assert (bytes(disk.content), buffers.out) == (b"", 1)
    await until(lambda: buffers.out == 0)

    assert disk.content == BIG_PIECE
    running.cancel()
    await asyncio.wait([running])


async def test_a_flush_that_fails_ends_the_body_with_the_stores_error() -> None:
    watch, buffers = Watch(read_timeout_seconds=LONG), Buffers()

    async def stall(intake: Intake) -> None:
        fill(intake, BIG_PIECE)
        await asyncio.sleep(LONG)

    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(StorageFull):
            await watch.run(Pouring(), stall, an_intake(FakeDisk([Answer.FAILS_NOW]), buffers))

    assert buffers.out == 0


async def test_a_body_that_is_stopped_ends_with_the_reason() -> None:
    watch, pouring = Watch(read_timeout_seconds=LONG), Pouring()
    asyncio.get_running_loop().call_later(0.01, pouring.stop, TakenOver(upload_id="a"))

    with pytest.raises(TakenOver):
        await watch.run(pouring, silence, an_intake(FakeDisk()))

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_body_that_was_stopped_before_it_began_never_begins() -> None:
    watch, pouring, disk = Watch(read_timeout_seconds=LONG), Pouring(), FakeDisk()
    pouring.stop(TakenOver(upload_id="a"))

    with pytest.raises(TakenOver):
        await watch.run(pouring, body(b"abc"), an_intake(disk))

    assert disk.content == b""
    assert len(watch) == 0


async def test_the_first_reason_is_the_one_that_is_told() -> None:
    watch, pouring = Watch(read_timeout_seconds=LONG), Pouring()
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, pouring.stop, TakenOver(upload_id="a"))
    loop.call_later(0.01, pouring.stop, Draining())

    with pytest.raises(TakenOver):
        await watch.run(pouring, silence, an_intake(FakeDisk()))


async def test_a_body_that_has_ended_cannot_be_stopped_any_more() -> None:
    watch, pouring = Watch(read_timeout_seconds=LONG), Pouring()
    await watch.run(pouring, body(b"abc"), an_intake(FakeDisk()))

    pouring.stop(TakenOver(upload_id="a"))
    await asyncio.sleep(0)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    watch, pouring = Watch(read_timeout_seconds=LONG), Pouring()
    running = asyncio.ensure_future(watch.run(pouring, silence, an_intake(FakeDisk())))
    await asyncio.sleep(0)

    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()
    assert len(watch) == 0


async def test_a_cancel_from_outside_wins_over_a_stop_in_the_same_moment() -> None:
    watch, pouring = Watch(read_timeout_seconds=LONG), Pouring()
    running = asyncio.ensure_future(watch.run(pouring, silence, an_intake(FakeDisk())))
    await asyncio.sleep(0)

    pouring.stop(TakenOver(upload_id="a"))
    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()


async def test_a_timeout_around_a_stopped_body_is_no_confusion() -> None:
    watch, pouring = Watch(read_timeout_seconds=LONG), Pouring()
    asyncio.get_running_loop().call_later(0.01, pouring.stop, TakenOver(upload_id="a"))

    with pytest.raises(TakenOver):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await watch.run(pouring, silence, an_intake(FakeDisk()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await watch.run(Pouring(), silence, an_intake(FakeDisk()))


async def test_a_body_that_ends_with_its_own_error_when_it_is_stopped_leaves_no_cancel_behind() -> None:
    watch, pouring = Watch(read_timeout_seconds=LONG), Pouring()
    asyncio.get_running_loop().call_later(0.01, pouring.stop, TakenOver(upload_id="a"))

    async def stubborn(_: Intake) -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            raise ConnectionResetError from None

    with pytest.raises(TakenOver):
        await watch.run(pouring, stubborn, an_intake(FakeDisk()))

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_body_that_ends_although_it_is_stopped_has_ended() -> None:
    watch, pouring, disk = Watch(read_timeout_seconds=LONG), Pouring(), FakeDisk()
    asyncio.get_running_loop().call_later(0.01, pouring.stop, TakenOver(upload_id="a"))

    async def last_byte(intake: Intake) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(LONG)
        intake.feed(b"x")

    intake = an_intake(disk)
    await watch.run(pouring, last_byte, intake)
    await intake.close()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert disk.content == b"x"


async def test_every_body_ends_when_the_server_is_about_to_stop() -> None:
    watch = Watch(read_timeout_seconds=LONG)
    running = [asyncio.ensure_future(watch.run(Pouring(), silence, an_intake(FakeDisk()))) for _ in range(20)]
    await asyncio.sleep(0)
    assert len(watch) == 20

    watch.stop_all(Draining())
    await asyncio.wait(running)

    assert {type(task.exception()) for task in running} == {Draining}
    assert len(watch) == 0


async def test_nobody_looks_while_nothing_runs() -> None:
    watch = Watch(read_timeout_seconds=LONG)
    for _ in range(2):
        await watch.run(Pouring(), body(b"abc"), an_intake(FakeDisk()))

    await until(lambda: watch._next_look is None)

    short = Watch(read_timeout_seconds=SHORT)
    with pytest.raises(BodyTimeout):
        await short.run(Pouring(), silence, an_intake(FakeDisk()))
    await until(lambda: short._next_look is None)


async def test_what_a_body_brings_is_in_the_store_soon_also_while_more_comes() -> None:
    watch, disk = Watch(read_timeout_seconds=LONG), FakeDisk()

    async def dribble(intake: Intake) -> None:
        while True:
            intake.feed(b"x")
            await asyncio.sleep(LOOK_SECONDS / 5)

    running = asyncio.ensure_future(watch.run(Pouring(), dribble, an_intake(disk)))
    await until(lambda: bool(disk.content))

    running.cancel()
    await asyncio.wait([running])
