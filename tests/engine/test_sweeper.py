"""What is left over is tidied up, and what is in use left alone."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.contracts.blobs import a_key, store_bytes
from tests.engine.test_uploads import a_stalled_body
from tests.engine.world import ANN, TRASH_TTL, Engine, World, blob_keys, body, content, declared
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import CatalogUnavailable, Gone, NotFound, StorageUnavailable, TypeMismatch
from uploadstream.core.files import Action, File
from uploadstream.core.session import Session
from uploadstream.engine import sweeper as sweeper_module
from uploadstream.engine.intake import Intake
from uploadstream.engine.pairing import pair
from uploadstream.engine.sweeper import GRACE, LEASE, Sweep
from uploadstream.engine.watch import Incoming
from uploadstream.ports import Blob

TEXT = b"0123456789"
PATIENCE_SECONDS = 5
LONG_AFTER = GRACE + timedelta(minutes=1)


@pytest.fixture
def engine(world: World) -> Engine:
    return world.engine


async def created(engine: Engine, length: int | None = 10, *, content_type: str = "") -> str:
    return (await engine.uploads.create(declared(length, content_type=content_type), ANN)).session.id


async def stored(engine: Engine) -> File:
    return await engine.uploads.store_whole(declared(len(TEXT)), ANN, body(TEXT))


def counted(sweep: Sweep) -> dict[str, int]:
    return {name: count for name, count in sweep.items() if count}


async def test_where_all_is_in_order_nothing_happens(engine: Engine, world: World) -> None:
    file = await stored(engine)
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc")))

    sweep = await engine.sweeper.sweep()

    assert counted(sweep) == {}
    assert await blob_keys(world) == {file.id, upload_id}
    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 3


async def test_an_upload_nobody_came_back_to_expires_with_its_bytes(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc")))

    world.clock.ahead = engine.limits.upload_ttl - timedelta(minutes=1)
    early = await engine.sweeper.sweep()
    world.clock.ahead = engine.limits.upload_ttl + timedelta(minutes=1)
    late = await engine.sweeper.sweep()

    assert (counted(early), counted(late)) == ({}, {"expire": 1})
    assert await blob_keys(world) == set()
    with pytest.raises(Gone) as caught:
        await engine.uploads.status(upload_id, ANN)
    assert caught.value.how == "expired"
    (*_, entry) = (await engine.files.audit(upload_id, ANN)).rows
    assert (entry.action, entry.user_id, entry.protocol) == (Action.EXPIRE, "uploadstream", "sweeper")


async def test_an_upload_that_never_got_a_byte_expires_too(engine: Engine, world: World) -> None:
    upload_id = await created(engine, None)
    world.clock.ahead = engine.limits.upload_ttl + timedelta(minutes=1)

    assert counted(await engine.sweeper.sweep()) == {"expire": 1}

    with pytest.raises(Gone):
        await engine.uploads.status(upload_id, ANN)


async def test_an_upload_that_is_being_written_never_expires(engine: Engine, world: World) -> None:
    upload_id = await created(engine)

    async with a_stalled_body(engine, upload_id, b"abc") as running:
        world.clock.ahead = 10 * engine.limits.upload_ttl
        assert counted(await engine.sweeper.sweep()) == {}

        assert not running.done()
    assert (await engine.uploads.status(upload_id, ANN)).session.offset == 3


@pytest.mark.parametrize("how", ["aborted", "completed"])
async def test_an_upload_that_ended_since_it_was_listed_is_left_alone(engine: Engine, world: World, how: str) -> None:
    upload_id = await created(engine)
    (listed,) = (await engine.uploads.list(ANN)).rows
    if how == "aborted":
        await engine.uploads.abort(upload_id, ANN)
    else:
        await engine.uploads.append(upload_id, ANN, Incoming(body(TEXT)))
    world.clock.ahead = 2 * engine.limits.upload_ttl

    assert await engine.uploads.tidy(listed, ANN) is None


async def test_an_upload_that_a_crash_left_full_is_completed(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    await store_bytes(world.blobs, upload_id, TEXT)
    world.clock.ahead = 10 * engine.limits.upload_ttl  # what is complete does not expire

    assert counted(await world.start().sweeper.sweep()) == {"complete": 1}

    file = await world.engine.files.describe(upload_id, ANN)
    assert file.crc32c == crc32c(TEXT)
    assert await content(world.engine, file) == TEXT


async def test_who_sees_all_bytes_of_an_upload_that_was_left_full_sees_a_file(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    await store_bytes(world.blobs, upload_id, TEXT)
    assert (await engine.uploads.status(upload_id, ANN)).file is None

    found, also = await asyncio.gather(*(engine.uploads.standing(upload_id, ANN) for _ in range(2)))

    assert found.file == also.file == await engine.files.describe(upload_id, ANN)
    assert await engine.uploads.standing(upload_id, ANN) == found


async def test_an_upload_that_is_not_full_just_stands_where_it_does(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    await store_bytes(world.blobs, upload_id, TEXT[:2])

    assert await engine.uploads.standing(upload_id, ANN) == await engine.uploads.status(upload_id, ANN)


async def test_who_looks_at_a_full_upload_that_may_be_no_file_is_told_why(engine: Engine, world: World) -> None:
    upload_id = await created(engine, content_type="image/png")
    await store_bytes(world.blobs, upload_id, TEXT)

    with pytest.raises(TypeMismatch):
        await engine.uploads.standing(upload_id, ANN)

    assert await blob_keys(world) == set()


async def test_a_full_upload_of_another_type_than_declared_is_refused(engine: Engine, world: World) -> None:
    upload_id = await created(engine, content_type="image/png")
    await store_bytes(world.blobs, upload_id, TEXT)

    assert counted(await engine.sweeper.sweep()) == {"refuse": 1}

    assert await blob_keys(world) == set()
    with pytest.raises(Gone):
        await engine.uploads.status(upload_id, ANN)


async def test_a_blob_that_nothing_knows_is_removed(engine: Engine, world: World) -> None:
    file = await stored(engine)
    trash = await stored(engine)
    await engine.files.delete(trash.id, ANN)
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc")))
    for _ in range(3):
        await store_bytes(world.blobs, a_key(), b"orphan")
    world.clock.ahead = LONG_AFTER

    assert counted(await engine.sweeper.sweep()) == {"orphan blobs": 3}

    assert await blob_keys(world) == {file.id, trash.id, upload_id}


async def test_a_blob_that_nothing_knows_has_a_grace(engine: Engine, world: World) -> None:
    key = a_key()
    await store_bytes(world.blobs, key, b"orphan")

    world.clock.ahead = GRACE - timedelta(minutes=1)

    assert counted(await engine.sweeper.sweep()) == {}
    assert await blob_keys(world) == {key}


async def test_a_whole_file_that_is_still_arriving_is_no_orphan(engine: Engine, world: World) -> None:
    go_on = asyncio.Event()

    async def slow(intake: Intake) -> None:
        intake.feed(TEXT[:4])
        await go_on.wait()
        intake.feed(TEXT[4:])

    storing = asyncio.create_task(engine.uploads.store_whole(declared(10), ANN, slow))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await blob_keys(world):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    world.clock.ahead = LONG_AFTER

    assert counted(await engine.sweeper.sweep()) == {}
    go_on.set()

    assert await content(engine, await storing) == TEXT


async def test_a_file_that_was_stored_while_blobs_were_listed_is_no_orphan(engine: Engine, world: World) -> None:
    file = await stored(engine)

    class Behind(MemoryCatalog):
        """Says at first that it does not know what it will know in a moment."""

        asked = 0

        async def known(self, keys: object) -> set[str]:
            self.asked += 1
            return set() if self.asked == 1 else {file.id}

    world.clock.ahead = LONG_AFTER
    world.catalog = Behind()
    await world.start().sweeper.sweep()

    assert file.id in await blob_keys(world)


@pytest.mark.parametrize("left", [None, TEXT[:4]])
async def test_a_file_whose_bytes_are_gone_is_listed_no_more(engine: Engine, world: World, left: bytes | None) -> None:
    file, whole = await stored(engine), await stored(engine)
    empty = (await engine.uploads.create(declared(0), ANN)).file
    await world.blobs.remove(file.id)
    if left is not None:
        await store_bytes(world.blobs, file.id, left)

    assert counted(await engine.sweeper.sweep()) == {"lost files": 1}
    assert counted(await engine.sweeper.sweep()) == {}

    assert {row.id for row in (await engine.files.list(ANN)).rows} == {whole.id, empty.id if empty else ""}
    (*_, entry) = (await engine.files.audit(file.id, ANN)).rows
    assert (entry.action, entry.details) == (Action.LOSE, {"stored": str(len(left or b"")), "size": "10"})


async def test_a_sweep_that_is_not_thorough_looks_at_no_blob_and_no_file(engine: Engine, world: World) -> None:
    file = await stored(engine)
    await world.blobs.remove(file.id)
    await store_bytes(world.blobs, a_key(), b"orphan")
    await created(engine)
    world.clock.ahead = engine.limits.upload_ttl + timedelta(minutes=1)

    assert counted(await engine.sweeper.sweep(thorough=False)) == {"expire": 1}

    assert len(await blob_keys(world)) == 1


async def test_what_ended_long_ago_is_forgotten(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    await engine.uploads.abort(upload_id, ANN)

    world.clock.ahead = TRASH_TTL - timedelta(minutes=1)
    early = await engine.sweeper.sweep()
    world.clock.ahead = TRASH_TTL + timedelta(minutes=1)
    late = await engine.sweeper.sweep()

    assert (counted(early), counted(late)) == ({}, {"forgotten": 1})
    with pytest.raises(NotFound) as caught:
        await engine.uploads.status(upload_id, ANN)
    assert type(caught.value) is NotFound


# What else is left over


async def test_a_note_of_what_is_no_open_upload_is_dropped(engine: Engine, world: World) -> None:
    file, ended, upload_id, unknown = await stored(engine), await created(engine), await created(engine), a_key()
    await engine.uploads.abort(ended, ANN)
    for key in (file.id, ended, upload_id, unknown):
        await world.blobs.set_note(key, b"note")

    assert counted(await engine.sweeper.sweep()) == {"orphan notes": 3}

    assert [await world.blobs.note(key) for key in (file.id, ended, upload_id, unknown)] == [None, None, b"note", None]


async def test_a_note_of_what_somebody_works_at_is_left_alone(engine: Engine, world: World) -> None:
    key = a_key()
    await world.blobs.set_note(key, b"note")

    async with engine.ports.leases.hold(key, let_go=lambda: None):
        assert counted(await engine.sweeper.sweep()) == {}

    assert await world.blobs.note(key) == b"note"


async def test_a_note_of_an_upload_that_began_while_notes_were_listed_stays(engine: Engine, world: World) -> None:
    upload_id = await created(engine)
    await engine.uploads.append(upload_id, ANN, Incoming(body(b"abc")))
    ask = world.catalog.upload
    asked: list[str] = []

    async def behind(key: str) -> Session | None:
        asked.append(key)
        return None if len(asked) == 1 else await ask(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.catalog, "uploads", no_rows)
        patch.setattr(world.catalog, "upload", behind)
        assert counted(await engine.sweeper.sweep()) == {}

    assert len(asked) == 2
    assert await world.blobs.note(upload_id) is not None


async def no_rows(*_: object, **__: object) -> list[Session]:
    return []


async def test_what_work_that_was_cut_short_left_is_removed_after_the_grace(engine: Engine, world: World) -> None:
    asked: list[timedelta] = []

    async def remove_leftovers(*, before: datetime) -> int:
        asked.append(world.clock.now() - before)
        return 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.blobs, "remove_leftovers", remove_leftovers)
        assert counted(await engine.sweeper.sweep()) == {"leftovers": 2}
        assert counted(await engine.sweeper.sweep(thorough=False)) == {}

    (age,) = asked
    assert GRACE <= age < LONG_AFTER


# A store that is away


async def test_while_another_store_is_there_nothing_is_judged_by_it(engine: Engine, world: World) -> None:
    await pair(world.catalog, world.blobs, new_id=a_key(), place="here")
    lost, orphan, idle = await stored(engine), a_key(), await created(engine)
    await world.blobs.remove(lost.id)
    await store_bytes(world.blobs, orphan, b"orphan")
    await world.blobs.set_note(orphan, b"note")
    world.clock.ahead = engine.limits.upload_ttl + timedelta(minutes=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.blobs, "store_id", another_id)
        with pytest.raises(StorageUnavailable):
            await engine.sweeper.sweep()

    assert [file.id for file in (await engine.files.list(ANN)).rows] == [lost.id]
    assert (await engine.uploads.status(idle, ANN)).session.offset == 0
    assert await blob_keys(world) == {orphan}
    assert await world.blobs.note(orphan) == b"note"


async def test_a_store_that_goes_away_while_it_is_swept_is_no_loss_of_files(engine: Engine, world: World) -> None:
    await pair(world.catalog, world.blobs, new_id=a_key(), place="here")
    file = await stored(engine)
    files = world.catalog.files

    async def unmounted(*args: Any, **kwargs: Any) -> Sequence[File]:
        patch.setattr(world.blobs, "store_id", another_id)
        await world.blobs.remove(file.id)
        return await files(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.catalog, "files", unmounted)
        sweep = await engine.sweeper.sweep()

    assert counted(sweep) == {"failed: STORAGE_UNAVAILABLE": 1}
    assert [row.id for row in (await engine.files.list(ANN)).rows] == [file.id]


async def another_id() -> str | None:
    return None


async def test_more_than_a_batch_of_each_is_tidied_up(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "BATCH", 3)
    for number in range(7):
        world.clock.ahead = timedelta(seconds=number % 3)
        await created(engine)
        await world.blobs.remove((await stored(engine)).id)
        await store_bytes(world.blobs, a_key(), b"orphan")
    world.clock.ahead = engine.limits.upload_ttl + timedelta(minutes=1)

    sweep = await engine.sweeper.sweep()

    assert counted(sweep) == {"expire": 7, "orphan blobs": 7, "lost files": 7}
    assert await blob_keys(world) == set()


async def test_only_one_process_sweeps(engine: Engine) -> None:
    async with engine.ports.leases.hold(LEASE, let_go=lambda: None):
        assert counted(await engine.sweeper.sweep()) == {"elsewhere": 1}

    assert counted(await engine.sweeper.sweep()) == {}


async def test_one_upload_in_trouble_does_not_keep_the_others(engine: Engine, world: World) -> None:
    ids = [await created(engine) for _ in range(5)]
    stat = world.blobs.stat

    async def broken(key: str) -> Blob | None:
        if key == ids[2]:
            raise StorageUnavailable
        return await stat(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.blobs, "stat", broken)
        world.clock.ahead = engine.limits.upload_ttl + timedelta(minutes=1)
        sweep = await engine.sweeper.sweep()

    assert counted(sweep) == {"expire": 4, "failed: STORAGE_UNAVAILABLE": 1}


async def test_a_round_that_fails_is_tried_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Sweep] = []
    rounds = 0

    async def uploads(*_: object, **__: object) -> list[object]:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise CatalogUnavailable
        return []

    monkeypatch.setattr(engine.ports.catalog, "uploads", uploads)
    running = asyncio.create_task(engine.sweeper.run(every_seconds=0.01, swept=told.append))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while rounds < 3:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])

    assert told == [{"failed: CATALOG_UNAVAILABLE": 1}]  # and nothing of rounds that did nothing


async def test_now_and_then_a_round_is_thorough(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper_module, "THOROUGH_EVERY", 3)
    rounds: list[bool] = []

    async def sweep(*, thorough: bool) -> Sweep:
        rounds.append(thorough)
        return Counter()

    monkeypatch.setattr(engine.sweeper, "sweep", sweep)
    running = asyncio.create_task(engine.sweeper.run(every_seconds=0, swept=lambda _: None))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(rounds) < 7:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])

    assert rounds[:7] == [True, False, False, True, False, False, True]
