"""Every byte goes once, in order, to the store; none is written that was refused; all memory is given back.

Sizes are made small here, so that few bytes reach every branch.
"""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.fake_disk import Answer, FakeDisk
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import (
    BadInput,
    LengthMismatch,
    Refusal,
    StorageFull,
    StorageUnavailable,
    TypeMismatch,
)
from uploadstream.core.media import SNIFF_BYTES, check_declared
from uploadstream.engine import intake as intake_module
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.intake import PLENTY_OUT, Intake, Received, Terms

BUFFER_SIZE = 64
SMALL = 16
VIEWS_MAX = 6
ROOM = 10**9
PATIENCE_SECONDS = 5


@pytest.fixture(autouse=True)
def small_sizes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake_module, "SMALL_PIECE", SMALL)
        patch.setattr(intake_module, "VIEWS_MAX", VIEWS_MAX)
        yield


def anything(_: bytes) -> None:
    """A head that is always taken."""


def overrun(count: int) -> BadInput:
    return LengthMismatch(received=count, declared=ROOM)


def an_intake(
    disk: FakeDisk, buffers: Buffers | None = None, *, before: Received | None = None, terms: Terms | None = None
) -> Intake:
    return Intake(
        disk,
        buffers or Buffers(BUFFER_SIZE),
        before or Received.nothing(),
        terms or Terms(ROOM, overrun, anything),
    )


def fill(intake: Intake, data: bytes) -> tuple[int, asyncio.Future[None] | None]:
    """Bring as much of `data` as fits, as a socket does; how much that was."""
    buffer = intake.get_buffer(len(data))
    buffer[:] = data[: len(buffer)]
    return len(buffer), intake.received(len(buffer))


class Sender:
    """Brings pieces over one of the two ways in, pausing when told to; remembers what was taken."""

    def __init__(self, intake: Intake, disk: FakeDisk, *, by_reference: bool) -> None:
        self.taken = bytearray()
        self.waiting_max = 0
        self._intake = intake
        self._disk = disk
        self._by_reference = by_reference

    async def send(self, piece: bytes) -> None:
        if self._by_reference:
            busy = self._intake.feed(piece)
            self.taken += piece
            await self._pause(busy)
            return
        while piece:
            count, busy = fill(self._intake, piece)
            self.taken += piece[:count]
            await self._pause(busy)
            piece = piece[count:]

    async def _pause(self, busy: asyncio.Future[None] | None) -> None:
        waiting = len(self.taken) - len(self._disk.content)
        self.waiting_max = max(self.waiting_max, waiting)
        if busy is not None:
            assert self._intake.is_waiting
            async with asyncio.timeout(PATIENCE_SECONDS):
                await busy


pieces_strategy = st.lists(st.binary(max_size=3 * BUFFER_SIZE) | st.binary(max_size=SMALL), max_size=30)


@given(
    pieces=pieces_strategy,
    plan=st.lists(st.sampled_from([Answer.NOW, Answer.LATER]), max_size=30),
    turns=st.integers(1, 9),
    flushes=st.sets(st.integers(0, 29)),
    by_reference=st.booleans(),
    before=st.binary(max_size=9),
)
@settings(deadline=None, max_examples=300)
async def test_every_byte_is_stored_once_and_in_order(
    pieces: list[bytes], plan: list[Answer], turns: int, flushes: set[int], by_reference: bool, before: bytes
) -> None:
    disk, buffers = FakeDisk(plan, after=Answer.LATER, turns=turns), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers, before=Received(len(before), crc32c(before), before))
    sender = Sender(intake, disk, by_reference=by_reference)

    for number, piece in enumerate(pieces):
        await sender.send(piece)
        if number in flushes:
            intake.flush()
        if number % 3 == 0:
            await asyncio.sleep(0)
    await intake.close()

    sent = b"".join(pieces)
    assert disk.content == sender.taken == sent
    assert intake.offset == len(before) + len(sent)
    assert intake.taken == len(sent)
    assert intake.room == ROOM - len(sent)
    assert intake.crc == crc32c(before + sent)
    assert intake.stored == (intake.offset, intake.crc)
    assert intake.head == (before + sent)[:SNIFF_BYTES]
    assert buffers.out == 0
    # one batch is written while the next fills
    assert sender.waiting_max <= 2 * (BUFFER_SIZE + max(map(len, pieces), default=0))


@given(
    pieces=pieces_strategy,
    good=st.lists(st.sampled_from([Answer.NOW, Answer.LATER]), max_size=6),
    bad=st.sampled_from([Answer.FAILS_NOW, Answer.FAILS_LATER]),
    turns=st.integers(1, 9),
    by_reference=st.booleans(),
)
@settings(deadline=None, max_examples=300)
async def test_when_the_store_fails_a_prefix_is_stored_and_nothing_is_taken_any_more(
    pieces: list[bytes], good: list[Answer], bad: Answer, turns: int, by_reference: bool
) -> None:
    disk, buffers = FakeDisk([*good, bad], turns=turns), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)
    sender = Sender(intake, disk, by_reference=by_reference)
    failure: Refusal | None = None

    try:
        for piece in pieces:
            await sender.send(piece)
        await intake.close()
    except StorageFull as error:
        failure = error

    assert (failure is not None) == (len(disk.writes) > len(good))
    if failure is not None:
        with pytest.raises(StorageFull):
            intake.feed(b"more")
        with pytest.raises(StorageFull):
            await intake.close()
    size, crc = intake.stored
    assert b"".join(pieces).startswith(disk.content)
    assert size <= len(disk.content)
    assert crc == crc32c(disk.content[:size])
    assert buffers.out == 0


@pytest.mark.parametrize("answer", [Answer.NOW, Answer.LATER])
async def test_reading_pauses_exactly_while_both_buffers_are_busy(answer: Answer) -> None:
    disk, buffers = FakeDisk(after=answer, turns=0), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)

    first = fill(intake, bytes(BUFFER_SIZE))[1]
    second = fill(intake, bytes(BUFFER_SIZE))[1]

    assert first is None
    if answer is Answer.NOW:
        assert (second, buffers.out) == (None, 0)
        return
    assert second is not None
    assert intake.is_waiting
    assert buffers.out == 2
    disk.finish()
    await second
    assert not intake.is_waiting
    assert (disk.writes, disk.in_flight, buffers.out) == ([BUFFER_SIZE] * 2, BUFFER_SIZE, 1)
    disk.finish()
    await intake.close()
    assert buffers.out == 0


async def test_a_waiter_is_told_the_stores_error() -> None:
    disk, buffers = FakeDisk(after=Answer.LATER, turns=0), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)
    fill(intake, bytes(BUFFER_SIZE))
    _, busy = fill(intake, bytes(BUFFER_SIZE))
    assert busy is not None

    disk.finish(Answer.FAILS_LATER)

    with pytest.raises(StorageFull):
        await busy
    with pytest.raises(StorageFull):
        await intake.close()
    assert buffers.out == 0


async def test_a_waiter_is_told_when_the_batch_it_waited_with_fails() -> None:
    disk, buffers = FakeDisk([Answer.LATER, Answer.FAILS_NOW], turns=0), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)
    fill(intake, bytes(BUFFER_SIZE))
    _, busy = fill(intake, bytes(BUFFER_SIZE))
    assert busy is not None

    disk.finish()

    with pytest.raises(StorageFull):
        await busy
    with pytest.raises(StorageFull):
        await intake.close()
    assert disk.content == bytes(BUFFER_SIZE)
    assert buffers.out == 0


async def test_a_write_that_is_cancelled_from_outside_is_unavailable_storage() -> None:
    class Vanishing(FakeDisk):
        def finish(self, answer: Answer = Answer.LATER) -> None:
            assert self._pending is not None
            self._pending[1].cancel()
            self._pending = None

    disk, buffers = Vanishing(after=Answer.LATER), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)
    fill(intake, bytes(BUFFER_SIZE))

    with pytest.raises(StorageUnavailable):
        await intake.close()
    assert buffers.out == 0


async def test_a_sender_that_goes_away_while_it_waits_loses_nothing_it_sent() -> None:
    disk, buffers = FakeDisk(after=Answer.LATER, turns=3), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)
    fill(intake, b"a" * BUFFER_SIZE)
    _, busy = fill(intake, b"b" * BUFFER_SIZE)
    assert busy is not None

    busy.cancel()
    await intake.close()

    assert disk.content == b"a" * BUFFER_SIZE + b"b" * BUFFER_SIZE
    assert buffers.out == 0


@pytest.mark.parametrize("by_reference", [False, True])
@pytest.mark.parametrize("after_turns", range(6))
async def test_closing_that_was_interrupted_goes_on_where_it_was(after_turns: int, by_reference: bool) -> None:
    disk, buffers = FakeDisk(after=Answer.LATER, turns=3), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)
    sender = Sender(intake, disk, by_reference=by_reference)
    for size in (BUFFER_SIZE, SMALL + 1, 5):
        await sender.send(b"x" * size)

    closing = asyncio.ensure_future(intake.close())
    for _ in range(after_turns):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await intake.close()

    assert disk.content == sender.taken
    assert intake.stored == (len(sender.taken), crc32c(sender.taken))
    assert buffers.out == 0


async def test_a_thousand_slow_connections_own_no_buffer() -> None:
    buffers = Buffers(BUFFER_SIZE)
    disks = [FakeDisk(after=Answer.LATER, turns=0) for _ in range(1000)]
    intakes = [an_intake(disk, buffers) for disk in disks]

    for _ in range(2):
        for number, intake in enumerate(intakes):
            fill(intake, bytes([number % 256]) * (SMALL - 1))

    assert buffers.out == 0
    for number, (intake, disk) in enumerate(zip(intakes, disks, strict=True)):
        closing = asyncio.ensure_future(intake.close())
        while not closing.done():
            await asyncio.sleep(0)
            if disk.in_flight:
                disk.finish()
        assert disk.content == bytes([number % 256]) * 2 * (SMALL - 1)


async def test_what_comes_slowly_is_written_as_it_comes() -> None:
    disk = FakeDisk()
    intake = an_intake(disk)

    for number in range(1, 5):
        fill(intake, b"ab")
        assert len(disk.content) == 2 * number


async def test_what_comes_fast_is_written_a_buffer_at_a_time() -> None:
    disk, buffers = FakeDisk(), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)

    for _ in range(4):
        fill(intake, bytes(BUFFER_SIZE // 2))

    assert disk.writes == [BUFFER_SIZE, BUFFER_SIZE]


async def test_while_many_buffers_are_in_use_none_waits_for_more_bytes() -> None:
    disk, buffers = FakeDisk(), Buffers(BUFFER_SIZE)
    for _ in range(PLENTY_OUT):
        buffers.take_scratch()
    intake = an_intake(disk, buffers)

    fill(intake, bytes(BUFFER_SIZE // 2))

    assert disk.writes == [BUFFER_SIZE // 2]
    assert buffers.out == PLENTY_OUT


async def test_what_is_handed_over_by_reference_is_not_copied() -> None:
    class Keeping(FakeDisk):
        def write(self, views: object, count: int) -> None:
            assert isinstance(views, list)
            kept.extend(views)

    kept: list[object] = []
    intake = an_intake(Keeping())
    chunks = [bytes(BUFFER_SIZE - 1), bytes(7)]

    for chunk in chunks:
        intake.feed(chunk)

    assert [id(view) for view in kept] == [id(chunk) for chunk in chunks]


async def test_many_tiny_messages_are_written_in_batches() -> None:
    disk = FakeDisk()
    intake = an_intake(disk)

    for _ in range(3 * VIEWS_MAX):
        intake.feed(b"x")

    assert disk.writes == [VIEWS_MAX] * 3


async def test_an_empty_message_changes_nothing() -> None:
    disk = FakeDisk()
    intake = an_intake(disk)
    intake.stirred = False

    assert intake.feed(b"") is None

    assert (intake.offset, intake.stirred, disk.writes) == (0, False, [])


async def test_flushing_hands_over_what_is_there_and_frees_its_buffer() -> None:
    disk, buffers = FakeDisk(), Buffers(BUFFER_SIZE)
    intake = an_intake(disk, buffers)
    fill(intake, bytes(BUFFER_SIZE // 2))
    assert (disk.writes, buffers.out) == ([], 1)

    intake.flush()
    intake.flush()

    assert (disk.writes, buffers.out) == ([BUFFER_SIZE // 2], 0)


# Refused before it is written


@pytest.mark.parametrize("by_reference", [False, True])
@pytest.mark.parametrize("sizes", [[11], [10, 1], [4, 7], [1] * 11, [60], [10, 60]])
async def test_the_chunk_that_would_overrun_is_never_written(sizes: list[int], by_reference: bool) -> None:
    disk, buffers = FakeDisk(), Buffers(BUFFER_SIZE)
    given: list[int] = []

    def refuse(count: int) -> BadInput:
        given.append(count)
        return LengthMismatch(received=90 + count, declared=100)

    intake = an_intake(disk, buffers, before=Received(90, 7, bytes(90)), terms=Terms(10, refuse, anything))
    sender = Sender(intake, disk, by_reference=by_reference)

    for size in sizes[:-1]:
        await sender.send(b"x" * size)
    with pytest.raises(LengthMismatch):
        await sender.send(b"x" * sizes[-1])
    await intake.close()

    fitting = sum(sizes[:-1])
    assert given == [sum(sizes)]
    assert disk.content == b"x" * fitting
    assert (intake.offset, intake.room) == (90 + fitting, 10 - fitting)
    assert intake.crc == crc32c(b"x" * fitting, 7)
    assert buffers.out == 0


@pytest.mark.parametrize("by_reference", [False, True])
async def test_after_a_refusal_nothing_is_taken_any_more(by_reference: bool) -> None:
    disk = FakeDisk()
    intake = an_intake(disk, terms=Terms(10, overrun, anything))
    sender = Sender(intake, disk, by_reference=by_reference)

    for size in (11, 1):
        with pytest.raises(LengthMismatch):
            await sender.send(b"x" * size)
    await intake.close()

    assert disk.content == b""


@pytest.mark.parametrize("by_reference", [False, True])
@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=40), known=st.integers(0, 600))
@settings(deadline=None)
async def test_the_head_is_looked_at_once_when_512_bytes_are_there(
    by_reference: bool, sizes: list[int], known: int
) -> None:
    seen: list[bytes] = []
    before = bytes(number % 251 for number in range(known))
    disk = FakeDisk()
    intake = Intake(disk, Buffers(1024), Received(known, 0, before[:SNIFF_BYTES]), Terms(ROOM, overrun, seen.append))
    sender = Sender(intake, disk, by_reference=by_reference)
    content = before + bytes(number % 13 for number in range(sum(sizes)))
    place = known

    for size in sizes:
        await sender.send(content[place : place + size])
        place += size
        assert seen == ([content[:SNIFF_BYTES]] if known < SNIFF_BYTES <= place else [])

    assert intake.head == content[:SNIFF_BYTES]


JAVASCRIPT = b"function hello() { return 'world'; }\n" * 100


@pytest.mark.parametrize("by_reference", [False, True])
@pytest.mark.parametrize("size", [1, 100, 511, 512, 513, 3000])
async def test_content_that_is_not_what_was_declared_is_refused_after_512_bytes(size: int, by_reference: bool) -> None:
    def check(head: bytes) -> None:
        check_declared("image/png", head)

    disk, buffers = FakeDisk(), Buffers(4096)
    intake = an_intake(disk, buffers, terms=Terms(ROOM, overrun, check))
    sender = Sender(intake, disk, by_reference=by_reference)
    sent = 0

    while sent + size < SNIFF_BYTES:
        await sender.send(JAVASCRIPT[sent : sent + size])
        sent += size
    for _ in range(2):
        with pytest.raises(TypeMismatch, match=r"^Declared image/png, content is text/plain$"):
            await sender.send(JAVASCRIPT[sent : sent + size])
    await intake.close()

    assert disk.content == JAVASCRIPT[:sent]
    assert buffers.out == 0


# Memory


def test_a_buffer_given_back_is_lent_again() -> None:
    buffers = Buffers(BUFFER_SIZE)
    taken = buffers.take_scratch()

    buffers.give_back(taken)
    buffers.take_scratch()

    assert buffers.scratch is taken


def test_only_so_many_free_buffers_are_kept() -> None:
    buffers = Buffers(BUFFER_SIZE, kept=2)
    taken = [buffers.take_scratch() for _ in range(5)]
    for buffer in taken:
        buffers.give_back(buffer)

    again = [buffers.take_scratch() for _ in range(4)]

    assert sum(any(buffer is old for old in taken) for buffer in [*again, buffers.scratch]) == 2


def test_every_buffer_is_of_the_same_size_and_full() -> None:
    buffers = Buffers(BUFFER_SIZE)

    first = buffers.take_scratch()

    assert len(first) == len(buffers.scratch) == BUFFER_SIZE
    assert first is not buffers.scratch
