"""What may be done with an upload, and what becomes of it."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contracts.blobs import store_bytes
from tests.engine.world import ANN, BOB, Bring, Engine, World, blob_keys, body, content, declared, disk_world, received
from uploadstream.adapters.memory import MemoryBlobs
from uploadstream.core.access import ANONYMOUS, Caller
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import (
    BadField,
    BodyTimeout,
    Busy,
    BytesLost,
    Draining,
    Gone,
    LengthMismatch,
    NotFound,
    OffsetMismatch,
    Refusal,
    StorageFull,
    TakenOver,
    TooLarge,
    TypeMismatch,
    TypeNotAllowed,
    UploadClosed,
)
from uploadstream.core.files import Action
from uploadstream.core.session import Declared, Limits, Session, State
from uploadstream.core.sizes import KIB, MIB
from uploadstream.engine import uploads as uploads_module
from uploadstream.engine.intake import Intake
from uploadstream.engine.uploads import Uploaded
from uploadstream.engine.watch import Incoming
from uploadstream.ports import Fsync

TEXT = b"0123456789"
JAVASCRIPT = b"function hello() { return 'world'; }\n" * 100
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
PATIENCE_SECONDS = 5


@pytest.fixture
def engine(world: World) -> Engine:
    return world.engine


async def never(_: Intake) -> None:
    pytest.fail("a body was taken that is refused")


async def created(engine: Engine, length: int | None = 10, *, caller: Caller = ANN) -> str:
    return (await engine.uploads.create(declared(length), caller)).session.id


async def trail(engine: Engine, upload_id: str) -> list[Action]:
    return [entry.action for entry in (await engine.files.audit(upload_id, ANN)).rows]


@asynccontextmanager
async def a_stalled_body(engine: Engine, upload_id: str, *chunks: bytes) -> AsyncIterator["asyncio.Task[Uploaded]"]:
    """A request that brought some bytes and brings no more."""
    stalled = asyncio.Event()

    async def pour(intake: Intake) -> None:
        await body(*chunks)(intake)
        stalled.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(engine.uploads.append(upload_id, ANN, Incoming(pour)))
    await stalled.wait()
    yield task
    task.cancel()
    await asyncio.wait([task])


# Create


async def test_a_new_upload_is_empty_and_open(engine: Engine, world: World) -> None:
    uploaded = await engine.uploads.create(declared(10, content_type="text/plain", metadata="filename YQ=="), ANN)

    session = uploaded.session
    assert uploaded.file is None
    assert (session.state, session.offset, session.length, session.protocol) == (State.OPEN, 0, 10, "test")
    assert (session.declared.user_id, session.declared.metadata) == ("ann", "filename YQ==")
    assert await engine.uploads.status(session.id, ANN) == uploaded
    assert await trail(engine, session.id) == [Action.CREATE]


async def test_an_upload_of_0_bytes_is_a_file_at_once(engine: Engine) -> None:
    uploaded = await engine.uploads.create(declared(0), ANN)

    assert uploaded.file is not None
    assert uploaded.session.state is State.COMPLETE
    assert (uploaded.file.size, uploaded.file.crc32c) == (0, 0)
    assert await content(engine, uploaded.file) == b""
    assert (await engine.uploads.status(uploaded.session.id, ANN)).file == uploaded.file


async def test_who_names_nobody_uploads_as_anonymous(engine: Engine) -> None:
    uploaded = await engine.uploads.create(declared(10), Caller())

    assert uploaded.session.declared.user_id == ANONYMOUS


async def test_the_user_that_is_declared_is_the_owner(engine: Engine) -> None:
    uploaded = await engine.uploads.create(declared(10, user_id="bob"), Caller())

    assert uploaded.session.declared.user_id == "bob"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (declared(10, name=""), "filename"),
        (declared(10, name="a/b"), "filename"),
        (declared(10, content_type="nonsense"), "content_type"),
        (declared(-1), "size"),
        (declared(10, user_id="x" * 129), "user_id"),
    ],
)
async def test_what_is_declared_badly_leaves_nothing(engine: Engine, world: World, bad: Declared, field: str) -> None:
    for act in (engine.uploads.create(bad, ANN), engine.uploads.store_whole(bad, ANN, never)):
        with pytest.raises(BadField) as caught:
            await act
        assert caught.value.field == field

    assert (await engine.uploads.list(ANN, page_size=9, page_token="")).rows == []
    assert await blob_keys(world) == set()


async def test_a_declared_type_is_kept_without_the_blanks_around_it(engine: Engine) -> None:
    uploaded = await engine.uploads.create(declared(10, content_type=" text/plain; charset=utf-8 "), ANN)

    assert uploaded.session.declared.content_type == "text/plain; charset=utf-8"


async def test_a_file_over_the_limit_is_refused_before_its_first_byte(engine: Engine) -> None:
    for act in (
        engine.uploads.create(declared(600 * MIB), ANN),
        engine.uploads.store_whole(declared(600 * MIB), ANN, never),
    ):
        with pytest.raises(TooLarge, match=r"^File size 600 MiB exceeds limit of 512 MiB$"):
            await act


async def test_a_file_the_store_has_no_room_for_is_refused_before_its_first_byte(world: World) -> None:
    class Small(MemoryBlobs):
        async def free(self) -> int:
            return 1000

    world.blobs = Small(world.clock)
    engine = world.start()

    for act in (engine.uploads.create(declared(1001), ANN), engine.uploads.store_whole(declared(1001), ANN, never)):
        with pytest.raises(StorageFull) as caught:
            await act
        assert caught.value.free == 1000
    assert (await engine.uploads.create(declared(1000), ANN)).session.length == 1000
    assert (await engine.uploads.create(declared(None), ANN)).session.length is None


# Append


@pytest.mark.parametrize("bring", [body, received])
async def test_an_upload_is_a_file_when_its_last_byte_is_there(engine: Engine, bring: Bring) -> None:
    sent = bytes(range(256)) * 4000
    upload_id = await created(engine, len(sent))

    parts = [sent[:1], sent[1:600], sent[600:700_000], sent[700_000:]]
    seen = [await engine.uploads.append(upload_id, ANN, Incoming(bring(part))) for part in parts]

    assert [uploaded.session.offset for uploaded in seen] == [1, 600, 700_000, len(sent)]
    assert [uploaded.file is not None for uploaded in seen] == [False, False, False, True]
    file = seen[-1].file
    assert file is not None
    assert (file.id, file.size, file.crc32c, file.filename, file.user_id) == (
        *(upload_id, len(sent), crc32c(sent)),
        *("a.bin", "ann"),
    )
    assert await content(engine, file) == sent
    assert await trail(engine, upload_id) == [Action.CREATE, Action.COMPLETE]
    assert engine.buffers.out == 0


async def test_the_store_says_where_the_next_byte_belongs(engine: Engine) -> None:
    upload_id = await created(engine)
    offsets: list[int] = []

    async def pour(intake: Intake) -> None:
        offsets.append(intake.offset)
        intake.feed(b"abc")

    await engine.uploads.append(upload_id, ANN, Incoming(pour))
    await engine.uploads.append(upload_id, ANN, Incoming(pour))

    assert offsets == [0, 3]


@pytest.mark.parametrize("at", [0, 2, 4, 10, 10**9])
async def test_bytes_for_another_place_are_refused_and_change_nothing(engine: Engine, at: int) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0))

    with pytest.raises(OffsetMismatch) as caught:
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=at))

    assert (caught.value.expected, caught.value.given) == (3, at)
    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 3


@pytest.mark.parametrize("bring", [body, received])
async def test_more_bytes_than_declared_are_never_written(engine: Engine, bring: Bring, world: World) -> None:
    upload_id = await created(engine)

    with pytest.raises(LengthMismatch, match=r"^Received 11 bytes, declared 10$"):
        await engine.uploads.append(upload_id, ANN, Incoming(bring(b"abcde", b"fghijk"), at=0))

    uploaded = await engine.uploads.status(upload_id, ANN)
    assert uploaded.session.offset == 5
    assert uploaded.file is None
    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(bring(b"fghij"), at=5))
    assert uploaded.file is not None
    assert await content(engine, uploaded.file) == b"abcdefghij"


@pytest.mark.parametrize("bring", [body, received])
async def test_what_came_behind_the_last_byte_changes_nothing_of_the_file_that_was_declared(
    engine: Engine, bring: Bring
) -> None:
    upload_id = await created(engine)

    with pytest.raises(LengthMismatch, match=r"^Received 11 bytes, declared 10$"):
        await engine.uploads.append(upload_id, ANN, Incoming(bring(b"abcde", b"fghij", b"k"), at=0))

    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 10
    await engine.sweeper.sweep()
    (file,) = (await engine.files.list(ANN)).rows
    assert await content(engine, file) == b"abcdefghij"


async def test_a_body_known_to_be_too_long_is_refused_before_its_first_byte(engine: Engine) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0, count=3))

    with pytest.raises(LengthMismatch, match=r"^Received 11 bytes, declared 10$"):
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=3, count=8))

    assert (await engine.uploads.append(upload_id, ANN, Incoming(body(b"defghij"), at=3, count=7))).file


async def test_a_cut_body_keeps_what_came(engine: Engine) -> None:
    upload_id = await created(engine)

    with pytest.raises(ConnectionResetError):
        await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc", b"def", then=ConnectionResetError())))

    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 6
    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(b"ghij"), at=6))
    assert uploaded.file is not None
    assert uploaded.file.crc32c == crc32c(b"abcdefghij")


async def test_a_body_cut_after_its_last_byte_is_completed_by_the_next_request(engine: Engine) -> None:
    upload_id = await created(engine)
    with pytest.raises(ConnectionResetError):
        await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT, then=ConnectionResetError())))
    assert (await engine.uploads.status(upload_id, ANN)).file is None

    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(), at=10))

    assert uploaded.file is not None
    assert await content(engine, uploaded.file) == TEXT


async def test_bytes_of_unknown_number_for_a_full_upload_are_refused_and_it_is_completed(engine: Engine) -> None:
    upload_id = await created(engine)
    with pytest.raises(ConnectionResetError):
        await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT, then=ConnectionResetError())))

    for _ in range(2):  # to an upload that a cut left full, and to one that is a file
        with pytest.raises(UploadClosed, match=rf"^Upload {upload_id} is complete and takes no more bytes$"):
            await engine.uploads.append(upload_id, ANN, Incoming(body(b"more")))

        uploaded = await engine.uploads.status(upload_id, ANN)
        assert uploaded.file is not None
        assert await content(engine, uploaded.file) == TEXT


async def test_a_silent_body_is_ended_and_keeps_what_came(world: World) -> None:
    engine = world.start(read_timeout_seconds=0.15)
    upload_id = await created(engine)

    async def fall_silent(intake: Intake) -> None:
        intake.feed(b"abc")
        await asyncio.sleep(3600)

    with pytest.raises(BodyTimeout):
        await engine.uploads.append(upload_id, ANN, Incoming(fall_silent))

    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 3


async def test_a_server_that_stops_ends_bodies_and_keeps_what_came(engine: Engine) -> None:
    upload_id = await created(engine)

    async with a_stalled_body(engine, upload_id, b"abc") as task:
        engine.watch.stop_all(Draining())
        await asyncio.wait([task])

        assert isinstance(task.exception(), Draining)
    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 3


async def test_a_cancelled_request_keeps_what_came(engine: Engine) -> None:
    upload_id = await created(engine)

    async with a_stalled_body(engine, upload_id, b"abc") as task:
        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(b"defghij"), at=3))
    assert uploaded.file is not None


# An upload whose sender says when it is complete


async def told(engine: Engine, length: int | None) -> str:
    uploaded = await engine.uploads.create(replace(declared(length), is_told=True), ANN)
    assert uploaded.file is None
    return uploaded.session.id


@pytest.mark.parametrize("length", [10, None])
async def test_the_last_of_several_requests_says_so(engine: Engine, length: int | None) -> None:
    upload_id = await told(engine, length)
    first = await engine.uploads.append(upload_id, ANN, Incoming(body(b"01234"), at=0, complete=False))
    last = await engine.uploads.append(upload_id, ANN, Incoming(body(b"56789"), at=5, complete=True))

    assert (first.session.offset, first.file) == (5, None)
    assert last.file is not None
    assert await content(engine, last.file) == TEXT


async def test_a_length_that_is_reached_does_not_say_so(world: World) -> None:
    engine = world.engine
    upload_id = await told(engine, 10)
    full = await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT), complete=False))
    again = await engine.uploads.append(upload_id, ANN, Incoming(body(), at=10, complete=False))
    await engine.sweeper.sweep()
    found = await engine.uploads.status(upload_id, ANN)

    assert (full.file, again.file, found.file) == (None, None, None)
    assert found.session.offset == 10
    uploaded = await world.start().uploads.append(upload_id, ANN, Incoming(body(), at=10, complete=True))
    assert uploaded.file is not None


@pytest.mark.parametrize("count", [None, 6])
@pytest.mark.parametrize("complete", [True, False])
async def test_who_says_when_it_is_complete_ends_an_upload_with_a_byte_behind_its_length(
    engine: Engine, world: World, count: int | None, complete: bool
) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"01234"), at=0, complete=False))

    with pytest.raises(LengthMismatch):
        await engine.uploads.append(upload_id, ANN, Incoming(body(b"567890"), at=5, count=count, complete=complete))

    with pytest.raises(Gone, match="refused"):
        await engine.uploads.status(upload_id, ANN)
    assert await blob_keys(world) == set()


async def test_an_upload_is_not_ended_by_a_length_that_is_only_told_wrongly(engine: Engine) -> None:
    upload_id = await created(engine)

    with pytest.raises(BadField):
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=0, count=6, length=5, complete=False))

    assert (await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT), at=0, complete=True))).file


async def test_an_empty_one_is_complete_when_that_is_said(engine: Engine) -> None:
    upload_id = await told(engine, 0)

    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(), at=0, complete=True))

    assert uploaded.file is not None
    assert uploaded.file.size == 0


async def test_what_is_said_to_be_complete_too_early_stays_open(engine: Engine) -> None:
    upload_id = await told(engine, 10)
    with pytest.raises(LengthMismatch, match=r"^Received 5 bytes, declared 10$"):
        await engine.uploads.append(upload_id, ANN, Incoming(body(b"01234"), at=0, complete=True))

    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(b"56789"), at=5, complete=True))

    assert uploaded.file is not None
    assert uploaded.file.crc32c == crc32c(TEXT)


async def test_a_request_that_does_not_know_of_that_completes_it_at_its_length(engine: Engine) -> None:
    upload_id = await told(engine, 10)
    await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT), complete=False))

    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(), at=10))

    assert uploaded.file is not None


# A length told later


async def test_a_length_may_be_told_with_any_body(engine: Engine) -> None:
    upload_id = await created(engine, None)

    first = await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0))
    second = await engine.uploads.append(upload_id, ANN, Incoming(body(b"de"), at=3, length=10))
    third = await engine.uploads.append(upload_id, ANN, Incoming(body(b"fghij"), at=5))

    assert [uploaded.session.length for uploaded in (first, second, third)] == [None, 10, 10]
    assert third.file is not None
    assert await content(engine, third.file) == b"abcdefghij"


async def test_a_length_told_when_all_bytes_are_there_completes_the_upload(engine: Engine) -> None:
    upload_id = await created(engine, None)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0))

    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(), at=3, length=3))

    assert uploaded.file is not None
    assert await content(engine, uploaded.file) == b"abc"


async def test_a_length_once_told_is_remembered_and_never_changes(world: World) -> None:
    upload_id = await created(world.engine, None)
    await world.engine.uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0, length=10))

    engine = world.start()

    assert (await engine.uploads.status(upload_id, ANN)).session.length == 10
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"d"), at=3, length=10))
    with pytest.raises(BadField, match=r"^size: is 11 here, was 10 when the upload began$"):
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=4, length=11))


@pytest.mark.parametrize(("length", "error"), [(2, LengthMismatch), (-1, BadField), (513 * MIB, TooLarge)])
async def test_a_length_that_cannot_be_is_refused(engine: Engine, length: int, error: type[Refusal]) -> None:
    upload_id = await created(engine, None)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0))

    with pytest.raises(error):
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=3, length=length))

    assert (await engine.uploads.status(upload_id, ANN)).session.length is None


async def test_a_body_too_long_for_the_length_told_with_it_tells_no_length(engine: Engine) -> None:
    upload_id = await created(engine, None)

    with pytest.raises(LengthMismatch):
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=0, length=5, count=6))

    assert (await engine.uploads.status(upload_id, ANN)).session.length is None


async def test_without_a_length_the_limit_is_the_limit(world: World) -> None:
    engine = world.start(limits=Limits(file_size_max=1000))
    upload_id = await created(engine, None)

    with pytest.raises(TooLarge) as caught:
        await engine.uploads.append(upload_id, ANN, Incoming(body(bytes(1000), b"x")))

    assert (caught.value.size, caught.value.limit) == (1001, 1000)
    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 1000


# A finished upload


async def test_a_sender_that_missed_the_answer_may_ask_again(engine: Engine) -> None:
    upload_id = await created(engine)
    done = await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))

    assert await engine.uploads.append(upload_id, ANN, Incoming(body(), at=10)) == done
    assert await engine.uploads.append(upload_id, ANN, Incoming(body(), at=10, length=10)) == done
    assert await engine.uploads.append(upload_id, ANN, Incoming(body())) == done
    assert await engine.uploads.status(upload_id, ANN) == done


async def test_a_finished_upload_takes_no_more_bytes(engine: Engine) -> None:
    upload_id = await created(engine)
    done = await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))

    with pytest.raises(OffsetMismatch) as caught:
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=4))
    with pytest.raises(BadField):
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=10, length=11))
    with pytest.raises(UploadClosed):
        await engine.uploads.append(upload_id, ANN, Incoming(never, at=10, count=1))

    assert (caught.value.expected, caught.value.given) == (10, 4)
    assert done.file is not None
    assert await content(engine, done.file) == TEXT


# Content


@pytest.mark.parametrize("bring", [body, received])
async def test_content_of_another_type_than_declared_ends_the_upload(
    engine: Engine, world: World, bring: Bring
) -> None:
    upload_id = (await engine.uploads.create(declared(3600, content_type="image/png"), ANN)).session.id
    pieces = [JAVASCRIPT[at : at + 100] for at in range(0, 3600, 100)]

    with pytest.raises(TypeMismatch, match=r"^Declared image/png, content is text/plain$"):
        await engine.uploads.append(upload_id, ANN, Incoming(bring(*pieces)))

    assert await blob_keys(world) == set()
    with pytest.raises(Gone) as caught:
        await engine.uploads.status(upload_id, ANN)
    assert caught.value.how == "refused"
    (entry,) = [entry for entry in (await engine.files.audit(upload_id, ANN)).rows if entry.action is Action.REFUSE]
    assert entry.details == {"why": "Declared image/png, content is text/plain"}


async def test_the_type_is_seen_however_the_first_bytes_are_spread_over_requests(engine: Engine) -> None:
    upload_id = (await engine.uploads.create(declared(3600, content_type="image/png"), ANN)).session.id
    await engine.uploads.append(upload_id, ANN, Incoming(body(JAVASCRIPT[:300])))
    await engine.uploads.append(upload_id, ANN, Incoming(body(JAVASCRIPT[300:511])))

    with pytest.raises(TypeMismatch):
        await engine.uploads.append(upload_id, ANN, Incoming(body(JAVASCRIPT[511:512])))


async def test_a_short_file_of_another_type_than_declared_is_refused_at_its_end(engine: Engine, world: World) -> None:
    upload_id = (await engine.uploads.create(declared(10, content_type="image/png"), ANN)).session.id

    with pytest.raises(TypeMismatch):
        await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))

    assert await blob_keys(world) == set()
    assert (await engine.files.list(ANN)).rows == []


async def test_a_type_that_is_not_taken_here_ends_the_upload(world: World) -> None:
    engine = world.start(limits=Limits(allowed_types=("image/*", "video/*")))
    upload_id = await created(engine)

    with pytest.raises(TypeNotAllowed, match=r"^Type text/plain is not allowed; allowed: image/\*, video/\*$"):
        await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))

    assert await blob_keys(world) == set()


async def test_a_type_that_only_its_name_tells_is_taken_where_its_name_is_allowed(world: World) -> None:
    csv = "text/csv"
    engine = world.start(limits=Limits(allowed_types=(csv,)))
    upload_id = (await engine.uploads.create(declared(10, content_type=csv), ANN)).session.id

    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(b"a,b\n1,2\n3,")))

    assert uploaded.file is not None
    assert uploaded.file.content_type == csv


# Two requests at once


async def test_a_newer_request_takes_over_and_loses_nothing(engine: Engine) -> None:
    upload_id = await created(engine)

    async with a_stalled_body(engine, upload_id, b"abc", b"def") as older:
        async with asyncio.timeout(PATIENCE_SECONDS):
            newer = await engine.uploads.append(upload_id, ANN, Incoming(body(b"ghij"), at=6))

        await asyncio.wait([older])
        assert isinstance(older.exception(), TakenOver)
    assert newer.file is not None
    assert await content(engine, newer.file) == b"abcdefghij"


async def test_of_many_requests_at_once_the_bytes_of_all_that_fit_are_kept(engine: Engine) -> None:
    upload_id = await created(engine, 100)

    async def one_byte(intake: Intake) -> None:
        intake.feed(bytes([intake.offset]))
        await asyncio.sleep(0)

    results = await asyncio.gather(
        *(engine.uploads.append(upload_id, ANN, Incoming(one_byte)) for _ in range(10)), return_exceptions=True
    )

    done = [result for result in results if isinstance(result, Uploaded)]
    assert {type(result) for result in results} <= {Uploaded, TakenOver}
    assert done
    uploaded = await engine.uploads.status(upload_id, ANN)
    stored = [
        piece
        async for piece in engine.ports.blobs.read(upload_id, start=0, stop=uploaded.session.offset, piece_size=100)
    ]
    assert b"".join(stored) == bytes(range(uploaded.session.offset))


async def test_a_request_that_cannot_be_taken_over_makes_the_newer_one_busy(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await created(engine)
    monkeypatch.setattr(uploads_module, "PATIENCE_SECONDS", 0.1)

    async with engine.ports.leases.hold(upload_id, let_go=lambda: None):
        for act in (engine.uploads.append(upload_id, ANN, Incoming(never)), engine.uploads.abort(upload_id, ANN)):
            with pytest.raises(Busy) as caught:
                await act
            assert caught.value.upload_id == upload_id

    assert (await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))).file is not None


async def test_who_may_not_see_an_upload_takes_nothing_over(engine: Engine) -> None:
    upload_id = await created(engine)

    async with a_stalled_body(engine, upload_id, b"abc") as older:
        for act in (
            engine.uploads.append(upload_id, BOB, Incoming(never)),
            engine.uploads.abort(upload_id, BOB),
            engine.uploads.status(upload_id, BOB),
        ):
            with pytest.raises(NotFound):
                await act

        assert not older.done()


async def test_looking_at_an_upload_takes_nothing_over(engine: Engine) -> None:
    upload_id = await created(engine)

    async with a_stalled_body(engine, upload_id, b"abc") as older:
        await asyncio.sleep(0.25)  # the watch writes what an idle body brought
        uploaded = await engine.uploads.status(upload_id, ANN)
        rows = (await engine.uploads.list(ANN)).rows

        assert uploaded.session.offset == 3
        assert [row.offset for row in rows] == [3]
        assert not older.done()


# Abort


async def test_who_wants_an_offset_that_holds_ends_who_is_writing(engine: Engine) -> None:
    upload_id = await created(engine)
    async with a_stalled_body(engine, upload_id, b"abc") as older:
        found = await engine.uploads.settled(upload_id, ANN)

        with pytest.raises(TakenOver):
            await older
        rest = TEXT[found.session.offset :]
        assert (await engine.uploads.append(upload_id, ANN, Incoming(body(rest), at=found.session.offset))).file


async def test_a_finished_upload_is_settled(engine: Engine) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))

    assert (await engine.uploads.settled(upload_id, ANN)).file is not None


async def test_an_aborted_upload_leaves_nothing_but_its_trail(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc")))

    await engine.uploads.abort(upload_id, ANN)

    assert await blob_keys(world) == set()
    assert (await engine.uploads.list(ANN)).rows == []
    for act in (
        engine.uploads.status(upload_id, ANN),
        engine.uploads.append(upload_id, ANN, Incoming(never, at=3)),
        engine.uploads.abort(upload_id, ANN),
        engine.downloads.open_or_follow(upload_id, ANN),
    ):
        with pytest.raises(Gone) as caught:
            await act
        assert caught.value.how == "aborted"
    assert await trail(engine, upload_id) == [Action.CREATE, Action.ABORT]


async def test_aborting_ends_who_is_writing(engine: Engine, world: World) -> None:
    upload_id = await created(engine)

    async with a_stalled_body(engine, upload_id, b"abc") as older:
        await engine.uploads.abort(upload_id, ANN)
        await asyncio.wait([older])

        assert isinstance(older.exception(), TakenOver)
    assert await blob_keys(world) == set()


async def test_aborting_a_finished_upload_puts_its_file_in_the_trash(engine: Engine) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))

    await engine.uploads.abort(upload_id, ANN)

    with pytest.raises(Gone):
        await engine.uploads.status(upload_id, ANN)
    file = await engine.files.restore(upload_id, ANN)
    assert await content(engine, file) == TEXT


# Names and listings


@pytest.mark.parametrize("upload_id", [UNKNOWN, "", "../../etc/passwd", UNKNOWN.upper(), "\x00", "a" * 100_000])
async def test_what_is_no_upload_is_not_found(engine: Engine, upload_id: str) -> None:
    for act in (
        engine.uploads.status(upload_id, ANN),
        engine.uploads.append(upload_id, ANN, Incoming(never)),
        engine.uploads.abort(upload_id, ANN),
    ):
        with pytest.raises(NotFound) as caught:
            await act
        assert type(caught.value) is NotFound
        assert len(str(caught.value)) < 200


async def test_who_names_nobody_continues_any_upload_by_its_id(engine: Engine) -> None:
    upload_id = await created(engine)

    uploaded = await engine.uploads.append(upload_id, Caller(), Incoming(body(TEXT)))

    assert uploaded.file is not None
    assert uploaded.file.user_id == "ann"


async def test_open_uploads_are_listed_newest_first_a_page_at_a_time(engine: Engine, world: World) -> None:
    ids = []
    for number in range(7):
        world.clock.ahead = timedelta(seconds=number)
        ids.append(await created(engine))
        await engine.uploads.append(ids[-1], ANN, Incoming(body(b"x" * number)))
    await created(engine, caller=BOB)
    await engine.uploads.abort(ids.pop(3), ANN)
    await engine.uploads.append(ids.pop(3), ANN, Incoming(body(b"x" * 6)))

    seen: list[Session] = []
    token = ""
    while True:
        page = await engine.uploads.list(ANN, page_size=2, page_token=token)
        seen += page.rows
        assert len(page.rows) <= 2
        if not (token := page.next_token):
            break

    assert [session.id for session in seen] == ids[::-1]
    assert [session.offset for session in seen] == [6, 5, 2, 1, 0]


async def test_a_page_that_cannot_be_is_refused(engine: Engine) -> None:
    with pytest.raises(BadField):
        await engine.uploads.list(ANN, page_size=-1)
    with pytest.raises(BadField):
        await engine.uploads.list(ANN, page_token="nonsense")


async def test_an_upload_lives_as_long_as_somebody_comes_back_to_it(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    ttl = engine.limits.upload_ttl
    first = (await engine.uploads.status(upload_id, ANN)).session
    assert engine.uploads.expires_at(first) == first.created_at + ttl
    assert 0 <= ttl.total_seconds() - engine.uploads.seconds_left(first) < 10

    await asyncio.sleep(0.05)
    touched = (await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc")))).session

    assert engine.uploads.expires_at(touched) > first.created_at + ttl
    seen = (await engine.uploads.status(upload_id, ANN)).session
    assert abs(seen.touched_at - touched.touched_at) < timedelta(seconds=1)


# A disk that does not keep what it was given


@pytest.fixture
async def lasting_world(tmp_path: Path) -> AsyncIterator[World]:
    """Whose files are synced before they are complete."""
    made = disk_world(tmp_path, fsync=Fsync.COMPLETE)
    yield made
    made.close()


@pytest.fixture
def failing_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next fsync fails, and those after it do not: Linux says once that pages could not be written."""
    works = os.fsync

    def fails(_: int) -> None:
        monkeypatch.setattr(os, "fsync", works)
        raise OSError(errno.EIO, "the disk is on fire")

    monkeypatch.setattr(os, "fsync", fails)


async def test_bytes_that_could_not_be_synced_are_asked_for_again(
    lasting_world: World, request: pytest.FixtureRequest
) -> None:
    uploads = lasting_world.engine.uploads
    upload_id = await created(lasting_world.engine)
    await uploads.append(upload_id, ANN, Incoming(body(TEXT[:4])))

    request.getfixturevalue("failing_sync")
    with pytest.raises(BytesLost):
        await uploads.append(upload_id, ANN, Incoming(body(TEXT[4:])))

    assert (await uploads.status(upload_id, ANN)).session.offset == 0
    with pytest.raises(OffsetMismatch):
        await uploads.append(upload_id, ANN, Incoming(never, at=10))
    uploaded = await uploads.append(upload_id, ANN, Incoming(body(b"abcdefghij"), at=0))
    assert uploaded.file is not None
    assert uploaded.file.crc32c == crc32c(b"abcdefghij")


async def test_an_upload_that_a_crash_left_full_is_no_file_if_it_cannot_be_synced(
    lasting_world: World, request: pytest.FixtureRequest
) -> None:
    engine = lasting_world.engine
    upload_id = await created(engine)
    await store_bytes(lasting_world.blobs, upload_id, TEXT, complete=False)

    request.getfixturevalue("failing_sync")
    swept = await engine.sweeper.sweep()
    again = await engine.sweeper.sweep()

    found = await engine.uploads.status(upload_id, ANN)
    assert (found.session.offset, found.file) == (0, None)
    assert (swept["failed: BYTES_LOST"], swept["complete"], again["complete"]) == (1, 0, 0)


# A crash


@pytest.mark.parametrize("noted", [False, True])
async def test_a_new_process_goes_on_where_the_store_is(world: World, noted: bool) -> None:
    sent = bytes(range(256)) * 1000
    upload_id = await created(world.engine, len(sent))
    await world.engine.uploads.append(upload_id, ANN, Incoming(body(sent[:100_000])))
    if not noted:
        await world.blobs.drop_note(upload_id)

    engine = world.start()
    found = await engine.uploads.status(upload_id, ANN)
    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(sent[100_000:]), at=100_000))

    assert found.session.offset == 100_000
    assert uploaded.file is not None
    assert uploaded.file.crc32c == crc32c(sent)
    assert await world.blobs.note(upload_id) is None


async def test_a_crash_between_the_last_byte_and_the_catalog_is_mended_by_the_next_request(world: World) -> None:
    upload_id = await created(world.engine)
    await store_bytes(world.blobs, upload_id, TEXT, complete=True)

    engine = world.start()
    before = await engine.uploads.status(upload_id, ANN)
    uploaded = await engine.uploads.append(upload_id, ANN, Incoming(body(), at=10))

    assert (before.session.offset, before.file) == (10, None)
    assert uploaded.file is not None
    assert uploaded.file.crc32c == crc32c(TEXT)
    assert await content(engine, uploaded.file) == TEXT


async def test_a_full_upload_of_another_type_than_declared_is_refused_after_a_crash_too(world: World) -> None:
    upload_id = (await world.engine.uploads.create(declared(10, content_type="image/png"), ANN)).session.id
    await store_bytes(world.blobs, upload_id, TEXT, complete=True)

    with pytest.raises(TypeMismatch):
        await world.start().uploads.append(upload_id, ANN, Incoming(never, at=10))

    assert await blob_keys(world) == set()


async def test_a_note_is_written_now_and_then_while_a_long_body_lasts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploadstream.engine.sums.NOTE_SECONDS", 0.02)
    upload_id = await created(world.engine, 2 * MIB)

    async with a_stalled_body(world.engine, upload_id, bytes(MIB), b"x" * 64 * KIB):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await world.blobs.note(upload_id) is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
