"""Files that have been in the trash for their time are purged: row first, bytes behind, and nobody else's bytes."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contracts.blobs import store_bytes
from tests.contracts.catalog import of
from tests.engine.faults import Faults
from tests.engine.test_gathering import ERRORS, PIECES, Crash, end, joined, joined_for_good, partials
from tests.engine.world import ANN, BOB, TRASH_TTL, Engine, World, blob_keys, body, content, declared, memory_world
from uploadstream.core.access import Caller
from uploadstream.core.errors import Gone, NotFound
from uploadstream.core.files import Action, File
from uploadstream.engine import purging
from uploadstream.engine.events import Kind
from uploadstream.engine.purging import LEASE, Done, Purger
from uploadstream.engine.sweeper import GRACE, SWEEPER, Sweep
from uploadstream.engine.verify import Finding, verify

TEXT = b"0123456789"
PATIENCE_SECONDS = 10
MOMENT = timedelta(minutes=1)


@pytest.fixture
def engine(world: World) -> Engine:
    return world.engine


async def stored(world: World, *, text: bytes = TEXT, caller: Caller = ANN) -> File:
    return await world.engine.uploads.store_whole(declared(len(text)), caller, body(text))


async def in_trash(world: World, *, caller: Caller = ANN) -> File:
    return await world.engine.files.delete((await stored(world, caller=caller)).id, caller)


async def purged(world: World) -> dict[str, int]:
    done = await world.engine.purger.sweep(SWEEPER)
    return {name: count for name, count in done.items() if count}


async def actions(world: World, file: File) -> list[Action]:
    return [row.action for row in (await world.engine.files.audit(file.id, ANN)).rows]


async def test_what_has_been_in_the_trash_for_its_time_is_gone(world: World) -> None:
    old, kept = await in_trash(world), await stored(world)
    world.clock.ahead = TRASH_TTL - MOMENT
    young = await in_trash(world)
    assert await purged(world) == {}

    world.clock.ahead = TRASH_TTL + MOMENT

    assert await purged(world) == {"purged": 1, "purged bytes": 10}
    assert await blob_keys(world) == {kept.id, young.id}
    assert (await world.engine.files.list(ANN)).rows == [kept]
    for act in (world.engine.files.restore, world.engine.files.describe, world.engine.files.delete):
        with pytest.raises(NotFound):
            await act(old.id, ANN)
    assert (await world.engine.files.restore(young.id, ANN)).id == young.id
    assert [verdict.finding async for verdict in verify(world.engine.ports)] == [Finding.WHOLE] * 2
    assert await purged(world) == {}


async def test_the_trail_of_a_purged_file_says_what_it_was_and_stays_its_owners(world: World) -> None:
    file = await in_trash(world)
    world.clock.ahead = TRASH_TTL
    await purged(world)

    rows = (await world.engine.files.audit(file.id, ANN)).rows

    assert [row.action for row in rows] == [Action.COMPLETE, Action.DELETE, Action.PURGE]
    assert (rows[-1].user_id, rows[-1].protocol) == (SWEEPER.user_id, "sweeper")
    said = {"content_type": "text/plain", "size": "10", "uploaded_at": file.uploaded_at.isoformat()}
    assert [row.details for row in rows[1:]] == [said] * 2
    with pytest.raises(NotFound):
        await world.engine.files.audit(file.id, BOB)


async def test_who_listens_is_told_that_a_file_is_gone(world: World) -> None:
    file = await in_trash(world)
    world.clock.ahead = TRASH_TTL
    await purged(world)

    (*_, row) = await world.catalog.events("ann", after=0, limit=10)
    event = await world.engine.events._event(*row)

    assert event is not None
    assert (event.kind, event.id, event.file, event.upload) == (Kind.PURGED, file.id, None, None)


@pytest.mark.parametrize(("late", "is_restored"), [(-MOMENT, True), (timedelta(), False), (MOMENT, False)])
async def test_a_file_is_restored_until_its_time_is_over(world: World, late: timedelta, is_restored: bool) -> None:
    file = await in_trash(world)
    world.clock.ahead = TRASH_TTL + late

    if is_restored:
        await world.engine.files.restore(file.id, ANN)
    else:
        with pytest.raises(Gone) as caught:
            await world.engine.files.restore(file.id, ANN)
        assert caught.value.how == "purged"

    assert await purged(world) == ({} if is_restored else {"purged": 1, "purged bytes": 10})


async def test_who_restores_what_is_being_purged_is_told_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await in_trash(world)
    set_deleted = world.catalog.set_deleted

    async def late(*args: object) -> bool:
        assert await world.catalog.purge(file, of(file, Action.PURGE))
        return await set_deleted(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(world.catalog, "set_deleted", late)

    with pytest.raises(NotFound):
        await world.engine.files.restore(file.id, ANN)


async def test_without_a_time_in_the_trash_what_is_deleted_is_purged_next(world: World) -> None:
    file = await in_trash(world)

    done = await Purger(world.engine.ports, trash_ttl=timedelta()).sweep(SWEEPER)

    assert done == {"purged": 1, "purged bytes": 10}
    assert await world.catalog.file(file.id) is None


async def test_deletion_statistics_outlive_the_files(world: World) -> None:
    await in_trash(world)
    before = await world.engine.files.deletion_stats(ANN)
    world.clock.ahead = TRASH_TTL

    await purged(world)

    assert await world.engine.files.deletion_stats(ANN) == replace(before, purged=1, purged_bytes=10)


# Parts


async def deleted_long_ago(world: World, *files: File) -> None:
    for file in files:
        await world.engine.files.delete(file.id, ANN)
    world.clock.ahead += TRASH_TTL


async def test_parts_go_when_nothing_needs_them_any_more(world: World) -> None:
    ids = await partials(world)
    first, second = await joined(world, ids), await joined(world, ids[1:])
    await end(world, ids)

    await deleted_long_ago(world, first)
    await purged(world)
    assert await blob_keys(world) == set(ids[1:])
    assert await content(world.engine, second) == b"".join(PIECES[1:])

    await deleted_long_ago(world, second)
    await purged(world)
    assert await blob_keys(world) == set()


async def test_a_part_that_an_open_upload_has_stays_and_goes_with_that(world: World) -> None:
    ids = await partials(world)
    file = await joined(world, [*ids, ids[0]])
    await world.engine.files.delete(file.id, ANN)
    await end(world, ids[1:])

    done = await Purger(world.engine.ports, trash_ttl=timedelta()).sweep(SWEEPER)

    assert await blob_keys(world) == {ids[0]}
    assert done["purged bytes"] == file.size - 2 * (await world.engine.uploads.status(ids[0], ANN)).session.offset
    again = await joined(world, ids[:1])
    await end(world, ids[:1])
    assert await blob_keys(world) == {ids[0]}
    await deleted_long_ago(world, again)
    await purged(world)
    assert await blob_keys(world) == set()


async def test_a_copy_that_a_crash_left_goes_with_the_file(world: World) -> None:
    file = await joined_for_good(world)
    await store_bytes(world.blobs, file.id, b"begun")
    await deleted_long_ago(world, file)

    await purged(world)

    assert await blob_keys(world) == set()


async def test_a_file_that_is_being_gathered_waits_for_the_next_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, plain = await joined_for_good(world), await stored(world)
    copy, results = world.blobs.copy, list[dict[str, int]]()

    async def meanwhile(*args: object, **kwargs: object) -> None:
        if not results:
            await deleted_long_ago(world, file, plain)
            results.append(await purged(world))
        await copy(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(world.blobs, "copy", meanwhile)

    assert await world.engine.gatherer.gather() == {"gathered": 1}

    assert results == [{"purged": 1, "purged bytes": 10, "not purged: in use": 1}]
    assert await purged(world) == {"purged": 1, "purged bytes": file.size}
    assert await blob_keys(world) == set()


async def test_a_file_that_was_gathered_since_it_was_looked_up_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await joined_for_good(world)
    purgeable = world.catalog.purgeable

    await deleted_long_ago(world, file)
    gone = await world.catalog.file(file.id)
    assert gone is not None

    async def gathered_meanwhile(**kwargs: object) -> object:
        found = await purgeable(**kwargs)  # type: ignore[arg-type]
        if found:
            await world.catalog.set_deleted(replace(gone, deleted_at=None), of(gone, Action.RESTORE))
            await world.engine.gatherer.gather()
            await world.catalog.set_deleted(gone, of(gone, Action.DELETE))
        return found

    monkeypatch.setattr(world.catalog, "purgeable", gathered_meanwhile)

    assert await purged(world) == {"purged": 1, "purged bytes": file.size}
    assert await blob_keys(world) == set()


# Readers


async def test_who_is_reading_a_file_when_it_is_purged_gets_all_of_it(world: World) -> None:
    text = bytes(range(256)) * 100
    file = await stored(world, text=text)
    reading = world.engine.downloads.read(file, start=0, stop=file.size, piece_size=1000)
    got = await anext(reading)
    await deleted_long_ago(world, file)

    await purged(world)

    assert await blob_keys(world) == set()
    assert got + b"".join([piece async for piece in reading]) == text


async def test_who_reads_the_parts_of_a_file_that_is_purged_is_told_that_it_is_gone(world: World) -> None:
    file = await joined_for_good(world)
    reading = world.engine.downloads.read(file, start=0, stop=file.size, piece_size=10)
    await anext(reading)
    await deleted_long_ago(world, file)
    await purged(world)

    with pytest.raises(NotFound):
        [piece async for piece in reading]


async def test_a_file_that_is_purged_while_all_are_verified_is_no_loss(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, kept = await in_trash(world), await stored(world)
    world.clock.ahead = TRASH_TTL
    files = world.catalog.files

    async def purged_then(*args: object, deleted: bool, **kwargs: object) -> object:
        found = await files(*args, deleted=deleted, **kwargs)  # type: ignore[arg-type]
        if deleted:
            await purged(world)
        return found

    monkeypatch.setattr(world.catalog, "files", purged_then)

    verdicts = [(verdict.file.id, verdict.finding) async for verdict in verify(world.engine.ports)]

    assert verdicts == [(kept.id, Finding.WHOLE)]
    assert await world.catalog.file(file.id) is None


# Many, and several at once


async def test_more_than_a_batch_is_purged_a_few_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "BATCH", 7)
    monkeypatch.setattr(purging, "STEP", 3)
    files = [await in_trash(world) for _ in range(25)]
    world.clock.ahead = TRASH_TTL

    assert [file async for file in world.engine.purger.due()] == files
    assert await purged(world) == {"purged": 25, "purged bytes": 250}

    assert await blob_keys(world) == set()


async def test_two_that_purge_at_once_purge_each_file_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "STEP", 3)
    files = [await in_trash(world) for _ in range(20)]
    world.clock.ahead = TRASH_TTL

    async def all_of(purger: Purger) -> list[str]:
        return [one.file.id async for one in purger.purge(ANN)]

    purgers = [Purger(world.engine.ports, trash_ttl=TRASH_TTL) for _ in range(3)]
    found = await asyncio.gather(*map(all_of, purgers))

    assert sorted(itertools.chain(*found)) == sorted(file.id for file in files)
    assert [await actions(world, file) for file in files] == [[Action.COMPLETE, Action.DELETE, Action.PURGE]] * 20
    assert (await world.engine.files.deletion_stats(ANN)).purged == 20


async def test_of_those_that_do_it_by_themselves_one_is_enough(world: World) -> None:
    await in_trash(world)
    world.clock.ahead = TRASH_TTL

    async with world.engine.ports.leases.hold(LEASE):
        assert await purged(world) == {}


async def test_nothing_is_purged_on_another_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await in_trash(world)
    world.clock.ahead = TRASH_TTL

    async def other() -> str:
        return "another"

    monkeypatch.setattr(world.blobs, "store_id", other)

    assert await purged(world) == {"not purged: STORAGE_UNAVAILABLE": 1}
    assert await world.catalog.file(file.id) == file
    assert await blob_keys(world) == {file.id}


async def test_the_sweeper_purges_now_and_then(world: World) -> None:
    await in_trash(world)
    world.clock.ahead = TRASH_TTL
    done = asyncio.Event()

    def swept(sweep: Sweep) -> None:
        if sweep["purged"]:
            done.set()

    sweeping = asyncio.create_task(world.engine.sweeper.run(every_seconds=60, swept=swept))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await done.wait()
    sweeping.cancel()

    await asyncio.wait([sweeping])
    assert await blob_keys(world) == set()


# Cut anywhere


async def some_trash(world: World) -> tuple[list[File], File]:
    """Files to be purged: plain, empty, joined from what others need and from what nobody needs; and one that stays."""
    ids = await partials(world)
    stays, *going = [await joined(world, some) for some in (ids[:2], ids, ids[1:])]
    await end(world, ids)
    empty = (await world.engine.uploads.create(declared(0), ANN)).file
    assert empty is not None
    going += [await stored(world), await stored(world), empty]
    await deleted_long_ago(world, *going)
    return going, stays


async def count_places() -> int:
    world = memory_world()
    await some_trash(world)
    faults = Faults()
    await faults.engine(world).purger.sweep(SWEEPER)
    return len(faults.places)


async def assert_no_row_without_bytes(world: World, files: Sequence[File], stays: File, where: str) -> None:
    for file in files:
        row = await world.catalog.file(file.id)
        trail = await actions(world, file)
        assert (row is None) is (trail[-1] is Action.PURGE), where
        assert trail.count(Action.PURGE) <= 1, where
        if row is not None and row.size:
            assert len(await content(world.engine, row)) == row.size, where
    assert len(await content(world.engine, stays)) == stays.size, where


async def cut(
    world: World, kind: type[Faults], *, at: int, error: Exception | None
) -> tuple[Faults, asyncio.Future[Done]]:
    """Purge, and strike at a place."""

    def strike() -> None:
        if error is not None:
            raise error
        task.cancel()

    faults = kind(at=at, strike=strike)
    task = asyncio.ensure_future(faults.engine(world).purger.sweep(SWEEPER))
    await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    assert task.done()
    return faults, task


@pytest.mark.parametrize("faults_kind", [Faults, Crash])
@pytest.mark.parametrize("error", ERRORS)
async def test_wherever_purging_is_cut_no_row_is_without_its_bytes(
    error: Exception | None, faults_kind: type[Faults]
) -> None:
    """And what is left over is gone in the end."""
    count = await count_places()
    assert count > 30

    for at in range(count):
        world = memory_world()
        files, stays = await some_trash(world)
        faults, task = await cut(world, faults_kind, at=at, error=error)
        where = f"{error!r} {faults.places[at]} (place {at})"
        assert task.cancelled() or task.exception() is None or task.exception() is error, where

        world.start()
        await assert_no_row_without_bytes(world, files, stays, where)
        await purged(world)
        world.clock.ahead += 2 * GRACE
        await world.engine.sweeper.sweep()
        await assert_no_row_without_bytes(world, files, stays, where)
        assert await blob_keys(world) == {part.key for part in stays.parts}, where
        assert (await world.engine.files.deletion_stats(ANN)).purged == len(files), where
