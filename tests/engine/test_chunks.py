"""Chunks of senders that cannot continue inside one: again, wholly or in part, and before their turn."""

import asyncio
from dataclasses import replace

import pytest

from tests.engine.world import ANN, Engine, body, content, declared, memory_world, received
from uploadstream.core.errors import BadField, LengthMismatch, NotFound, OffsetMismatch, UploadClosed
from uploadstream.core.session import UNNAMED
from uploadstream.engine.chunks import Chunks
from uploadstream.engine.intake import Intake
from uploadstream.engine.uploads import Uploaded
from uploadstream.engine.watch import Incoming, Pour

BYTES = bytes(range(256)) * 1024


@pytest.fixture
async def engine() -> Engine:
    return memory_world().engine


@pytest.fixture
def chunks(engine: Engine) -> Chunks:
    return Chunks(engine.uploads, patience_seconds=0.3)


async def begun(engine: Engine, length: int | None = len(BYTES)) -> str:
    return (await engine.uploads.create(declared(length, name=UNNAMED), ANN)).session.id


async def sent(
    chunks: Chunks, upload_id: str, at: int, data: bytes, pour: Pour | None = None, *, counted: bool = True
) -> Uploaded:
    incoming = Incoming(pour or body(data), at, count=len(data) if counted else None, may_repeat=True)
    return await chunks.append(upload_id, ANN, incoming)


class Away(ConnectionError):
    """The sender is cut off."""


@pytest.mark.parametrize("bring", [body, received])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("again_at", [0, 1, 99_999, 100_000])
async def test_f6_a_chunk_that_was_cut_is_sent_again_from_its_start(
    engine: Engine, chunks: Chunks, bring: type, counted: bool, again_at: int
) -> None:
    upload_id = await begun(engine)
    with pytest.raises(Away):
        await sent(chunks, upload_id, 0, BYTES, body(BYTES[:100_000], then=Away()))

    whole = await sent(chunks, upload_id, again_at, BYTES[again_at:], bring(BYTES[again_at:]), counted=counted)

    assert whole.file is not None
    assert await content(engine, whole.file) == BYTES


@pytest.mark.parametrize("pieces", [1, 7, 64 * 1024])
async def test_f6_a_chunk_that_comes_again_in_pieces_is_the_same(engine: Engine, chunks: Chunks, pieces: int) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]
    await sent(chunks, upload_id, 0, data[:500])

    split = [data[start : start + pieces] for start in range(0, len(data), pieces)]
    whole = await sent(chunks, upload_id, 0, data, body(*split))

    assert whole.file is not None
    assert await content(engine, whole.file) == data


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("stored", [500, 1000])
async def test_f6_a_chunk_that_is_there_already_changes_nothing(
    engine: Engine, chunks: Chunks, stored: int, counted: bool
) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]
    before = await sent(chunks, upload_id, 0, data[:stored])

    again = await sent(chunks, upload_id, 100, data[100:stored], counted=counted)

    assert replace(again.session, touched_at=before.session.touched_at) == before.session
    assert again.file == before.file


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize(("stored", "upto"), [(500, 500), (500, 1000), (1000, 1000)])
async def test_f6_other_bytes_than_before_are_refused_and_nothing_of_them_is_kept(
    engine: Engine, chunks: Chunks, stored: int, upto: int, counted: bool
) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]
    await sent(chunks, upload_id, 0, data[:stored])

    with pytest.raises(BadField, match="is it the same file"):
        await sent(chunks, upload_id, 0, bytes(upto), counted=counted)

    assert (await engine.uploads.status(upload_id, ANN)).session.offset == stored


async def test_f6_a_complete_upload_takes_nothing_new_behind_its_last_bytes(engine: Engine, chunks: Chunks) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]
    await sent(chunks, upload_id, 0, data)

    with pytest.raises(UploadClosed):
        await sent(chunks, upload_id, 500, data[500:] + b"more")
    with pytest.raises(UploadClosed):
        await sent(chunks, upload_id, 500, data[500:] + b"more", counted=False)


async def test_f6_a_chunk_that_comes_again_with_too_many_bytes_is_refused(engine: Engine, chunks: Chunks) -> None:
    upload_id = await begun(engine, 1000)
    await sent(chunks, upload_id, 0, BYTES[:500])

    with pytest.raises(LengthMismatch, match="Received 1001 bytes, declared 1000"):
        await sent(chunks, upload_id, 400, BYTES[400:1001])

    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 500


async def test_f6_an_upload_that_a_crash_left_full_is_complete_when_its_last_chunk_comes_again(
    engine: Engine, chunks: Chunks
) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]
    sink = await engine.ports.blobs.append(upload_id, at=0)
    assert sink.write([data], 1000) is None
    await sink.close(complete=False)

    whole = await sent(chunks, upload_id, 500, data[500:])

    assert whole.file is not None
    assert await content(engine, whole.file) == data


async def test_f6_who_sends_again_what_is_there_does_not_disturb_who_writes(engine: Engine, chunks: Chunks) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]
    await sent(chunks, upload_id, 0, data[:500])
    going_on, go_on = asyncio.Event(), asyncio.Event()

    async def slow(intake: Intake) -> None:
        intake.feed(data[500:600])
        going_on.set()
        await go_on.wait()
        intake.feed(data[600:])

    writing = asyncio.ensure_future(sent(chunks, upload_id, 500, data[500:], slow))
    await going_on.wait()
    await sent(chunks, upload_id, 0, data[:500])
    go_on.set()

    assert (await writing).file is not None


async def test_a_cut_while_bytes_are_compared_leaves_nothing_running(engine: Engine, chunks: Chunks) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]
    await sent(chunks, upload_id, 0, data[:500])

    async def cut(intake: Intake) -> None:
        intake.feed(data)  # it answers that it is busy
        raise Away

    with pytest.raises(Away):
        await sent(chunks, upload_id, 0, data, cut)

    assert (await engine.uploads.status(upload_id, ANN)).session.offset in {500, 1000}
    assert len(asyncio.all_tasks()) == 1


async def test_f12_chunks_that_come_at_once_wait_for_their_turn(engine: Engine, chunks: Chunks) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]

    starts = [300, 900, 0, 600]
    ended = await asyncio.gather(
        *(sent(chunks, upload_id, start, data[start : start + 300]) for start in starts), return_exceptions=True
    )

    assert not [error for error in ended if isinstance(error, BaseException)]
    file = (await engine.uploads.status(upload_id, ANN)).file
    assert file is not None
    assert await content(engine, file) == data


async def test_f12_a_chunk_waits_as_long_as_those_before_it_arrive(engine: Engine, chunks: Chunks) -> None:
    upload_id, data = await begun(engine, 1000), BYTES[:1000]

    async def slow(intake: Intake) -> None:
        for start in range(0, 500, 100):
            await asyncio.sleep(0.15)
            intake.feed(data[start : start + 100])

    first = asyncio.ensure_future(sent(chunks, upload_id, 0, data[:500], slow))
    second = await sent(chunks, upload_id, 500, data[500:])

    assert second.file is not None
    await first


async def test_f12_a_chunk_whose_turn_does_not_come_is_refused(engine: Engine, chunks: Chunks) -> None:
    upload_id = await begun(engine, 1000)

    with pytest.raises(OffsetMismatch, match="Next byte belongs at 0, not at 500"):
        await sent(chunks, upload_id, 500, BYTES[500:1000])


async def test_a_chunk_behind_the_end_is_refused_at_once(engine: Engine) -> None:
    upload_id = await begun(engine, 1000)

    with pytest.raises(OffsetMismatch):
        await asyncio.wait_for(sent(Chunks(engine.uploads), upload_id, 1001, b"a"), 2)


async def test_f3_the_first_chunk_that_has_a_name_names_the_upload(engine: Engine, chunks: Chunks) -> None:
    upload_id = await begun(engine, 1000)

    for at, name in [(0, ""), (1, "a.txt"), (2, "b.txt")]:
        incoming = Incoming(body(b"x"), at, count=1, may_repeat=True)
        await chunks.append(upload_id, ANN, incoming, filename=name)

    assert (await engine.uploads.status(upload_id, ANN)).session.declared.filename == "a.txt"


async def test_f7_the_size_of_chunks_outlives_the_process(chunks: Chunks) -> None:
    world = memory_world()
    upload_id = await begun(world.engine, 1000)
    await sent(Chunks(world.engine.uploads), upload_id, 0, BYTES[:300])
    with pytest.raises(Away):
        await sent(Chunks(world.engine.uploads), upload_id, 300, BYTES[300:600], body(BYTES[300:450], then=Away()))

    session = (await world.start().uploads.status(upload_id, ANN)).session

    assert (session.offset, session.chunk_start) == (450, 300)


async def test_nothing_is_appended_to_what_is_not_there(chunks: Chunks) -> None:
    with pytest.raises(NotFound):
        await sent(chunks, "5f0c1a2b-0000-4000-8000-00000000000a", 0, b"")
