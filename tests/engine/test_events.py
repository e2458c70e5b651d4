"""What a listener is told: everything of its user, once and in order, and where uploads stand."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.world import ANN, BOB, Engine, World, body, declared, memory_world
from uploadstream.core.access import Caller
from uploadstream.core.errors import CatalogUnavailable, Draining, TooManyListeners, TypeNotAllowed
from uploadstream.core.files import Action, File
from uploadstream.core.session import Session
from uploadstream.engine import events
from uploadstream.engine.events import KINDS, UNTOLD, Event, Events, Kind
from uploadstream.engine.watch import Incoming

Told = AsyncGenerator[Event | None]


async def begun(engine: Engine, length: int | None = 100, caller: Caller = ANN) -> Session:
    return (await engine.uploads.create(declared(length), caller)).session


async def appended(engine: Engine, session: Session, data: bytes, caller: Caller = ANN) -> None:
    await engine.uploads.append(session.id, caller, Incoming(body(data)))


async def stored(engine: Engine, caller: Caller = ANN) -> File:
    return await engine.uploads.store_whole(declared(3), caller, body(b"abc"))


@asynccontextmanager
async def listening(engine: Engine, caller: Caller = ANN, *, after: int | None = None) -> AsyncGenerator[Told]:
    place = await engine.events.place(caller, after=after)
    async with aclosing(engine.events.follow(place, idle_seconds=5)) as told:
        yield told


async def next_of(told: Told) -> Event:
    async with asyncio.timeout(10):
        event = await anext(told)
    assert event is not None
    return event


async def kinds_of(told: Told, count: int) -> list[tuple[str, int | None]]:
    found = [await next_of(told) for _ in range(count)]
    return [(event.kind.value, event.number) for event in found]


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


def test_everything_the_trail_knows_of_uploads_and_files_can_be_told() -> None:
    assert set(KINDS) == set(Action) - UNTOLD
    assert {*KINDS.values(), Kind.PROGRESS} == set(Kind)


async def test_a_life_of_an_upload_is_told_as_it_goes(world: World) -> None:
    engine = world.engine
    async with listening(engine) as told:
        session = await begun(engine)
        created = await next_of(told)
        await asyncio.sleep(0.1)
        await appended(engine, session, b"x" * 40)
        progress = await next_of(told)
        await appended(engine, session, b"x" * 60)
        completed = await next_of(told)
        await engine.files.delete(session.id, ANN)
        deleted = await next_of(told)
        await engine.files.restore(session.id, ANN)
        restored = await next_of(told)

    assert [event.kind for event in (created, progress, completed, deleted, restored)] == [
        *(Kind.CREATED, Kind.PROGRESS, Kind.COMPLETED, Kind.DELETED, Kind.RESTORED)
    ]
    assert [event.number for event in (created, progress, completed, deleted, restored)] == [1, None, 2, 3, 4]
    assert {event.id for event in (created, progress, completed, deleted, restored)} == {session.id}
    assert created.upload is not None
    assert created.upload.length == 100
    assert progress.upload is not None
    assert (progress.upload.offset, progress.user_id, progress.protocol) == (40, "ann", "test")
    assert completed.file == await engine.files.describe(session.id, ANN)
    assert deleted.file is not None
    assert deleted.file.deleted_at is not None
    assert (deleted.user_id, deleted.protocol) == ("ann", "test")


async def test_ends_without_a_file_are_told(world: World) -> None:
    engine = world.engine
    async with listening(engine) as told:
        given_up, left = await begun(engine), await begun(engine)
        await engine.uploads.abort(given_up.id, ANN)
        world.clock.ahead += 2 * world.limits.upload_ttl
        await engine.sweeper.sweep()

        found = [await next_of(told) for _ in range(4)]

    assert [(event.kind, event.id) for event in found] == [
        (Kind.CREATED, given_up.id),
        (Kind.CREATED, left.id),
        (Kind.ABORTED, given_up.id),
        (Kind.EXPIRED, left.id),
    ]
    assert found[3].protocol == "sweeper"


async def test_who_begins_to_listen_hears_how_far_open_uploads_are(world: World) -> None:
    session = await begun(world.engine)
    await appended(world.engine, session, b"x" * 30)
    await stored(world.engine)

    async with listening(world.engine) as told:
        first = await next_of(told)
        await stored(world.engine)
        second = await next_of(told)

    assert (first.kind, first.id, first.upload and first.upload.offset) == (Kind.PROGRESS, session.id, 30)
    assert (second.kind, second.number) == (Kind.COMPLETED, 3)


async def test_who_comes_back_misses_nothing_and_hears_nothing_twice(world: World) -> None:
    async with listening(world.engine) as told:
        await stored(world.engine)
        first = await next_of(told)
    for _ in range(2 * events.PAGE + 7):
        await stored(world.engine)

    async with listening(world.start(), after=first.number) as told:  # another process
        found = await kinds_of(told, 2 * events.PAGE + 7)
        await stored(world.engine)
        last = await next_of(told)

    assert found == [("completed", number) for number in range(2, 2 * events.PAGE + 9)]
    assert last.number == 2 * events.PAGE + 9


@pytest.mark.parametrize(("after", "starts"), [(None, 2), (0, 0), (-1, 0), (1, 1), (2, 2), (3, 2), (2**63, 2)])
async def test_a_place_is_one_that_there_is(world: World, after: int | None, starts: int) -> None:
    await stored(world.engine)
    await stored(world.engine)

    assert (await world.engine.events.place(ANN, after=after)).number == starts


async def test_a_user_hears_of_its_own_things_only(world: World) -> None:
    nobody = Caller("", "test", "192.0.2.3")
    async with listening(world.engine) as ann, listening(world.engine, nobody) as anonymous:
        await appended(world.engine, await begun(world.engine, caller=BOB), b"x", BOB)
        of_anonymous = await stored(world.engine, nobody)
        of_ann = await stored(world.engine)

        assert (await next_of(anonymous)).id == of_anonymous.id
        assert (await next_of(ann)).id == of_ann.id


async def test_what_somebody_else_does_to_a_users_file_is_told_to_the_user(world: World) -> None:
    file = await stored(world.engine)

    async with listening(world.engine) as told:
        await world.engine.files.delete(file.id, Caller("", "http", "192.0.2.9"))
        event = await next_of(told)

    assert (event.kind, event.user_id, event.protocol) == (Kind.DELETED, "anonymous", "http")


async def test_progress_in_another_process_is_told(world: World) -> None:
    elsewhere = world.engine
    session = await begun(elsewhere)
    async with listening(world.start()) as told:
        assert (await next_of(told)).upload == session
        await appended(elsewhere, session, b"x" * 10)
        event = await next_of(told)

    assert (event.kind, event.upload and event.upload.offset) == (Kind.PROGRESS, 10)


async def test_of_many_steps_a_slow_listener_hears_the_last_and_of_an_ended_upload_none(world: World) -> None:
    session, other = await begun(world.engine), await begun(world.engine)
    async with listening(world.engine) as told:
        assert [(await next_of(told)).id for _ in range(2)] == [other.id, session.id]
        for _ in range(5):
            await appended(world.engine, session, b"x" * 10)
            await appended(world.engine, other, b"x" * 20)
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.1)

        found = [await next_of(told), await next_of(told)]
        await stored(world.engine)
        after = await next_of(told)

    assert (found[0].kind, found[0].id) == (Kind.COMPLETED, other.id)
    assert (found[1].kind, found[1].upload and found[1].upload.offset) == (Kind.PROGRESS, 50)
    assert after.kind is Kind.COMPLETED


async def test_silence_is_told_too(world: World) -> None:
    place = await world.engine.events.place(ANN, after=None)

    async with aclosing(world.engine.events.follow(place, idle_seconds=0.02)) as told:
        assert [await anext(told) for _ in range(3)] == [None] * 3


async def test_nobody_looks_while_nobody_listens(world: World) -> None:
    def pollers() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == "events"]

    assert not pollers()
    async with listening(world.engine) as one, listening(world.engine) as two:
        await stored(world.engine)
        await asyncio.gather(next_of(one), next_of(two))
        assert len(pollers()) == 1
        assert len(world.engine.events) == 2
    await asyncio.sleep(0)
    assert not pollers()
    assert len(world.engine.events) == 0
    async with listening(world.engine) as again:
        await stored(world.engine)
        assert (await next_of(again)).kind is Kind.COMPLETED


async def test_as_many_listen_as_can_be_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LISTENERS_MAX", 2)
    async with listening(world.engine) as one, listening(world.engine, BOB) as two:
        await stored(world.engine)
        await stored(world.engine, BOB)
        await asyncio.gather(next_of(one), next_of(two))

        with pytest.raises(TooManyListeners):
            await world.engine.events.place(ANN, after=None)

    await world.engine.events.place(ANN, after=None)


async def test_a_service_that_stops_lets_its_listeners_go(world: World) -> None:
    engine = world.engine
    place = await engine.events.place(ANN, after=None)
    late = engine.events.follow(place, idle_seconds=60)
    async with listening(engine) as told:
        waiting = asyncio.ensure_future(anext(told, None))
        await asyncio.sleep(0.05)

        engine.events.stop()
        engine.events.stop()

        assert await asyncio.wait_for(waiting, 5) is None
    assert [event async for event in late] == []
    with pytest.raises(Draining):
        await engine.events.place(ANN, after=None)


async def test_a_fault_that_passes_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = memory_world()
    newest = world.catalog.newest_events
    async with listening(world.engine) as told:
        await stored(world.engine)
        await next_of(told)

        async def fails(_: object) -> dict[str, int]:
            raise CatalogUnavailable

        monkeypatch.setattr(world.catalog, "newest_events", fails)
        await stored(world.engine)
        await asyncio.sleep(0.05)
        monkeypatch.setattr(world.catalog, "newest_events", newest)

        assert (await next_of(told)).number == 2


async def test_a_fault_that_nobody_foresaw_lets_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    world = memory_world()
    async with listening(world.engine) as told:
        await stored(world.engine)
        await next_of(told)

        async def fails(_: object) -> dict[str, int]:
            raise ZeroDivisionError

        (poller,) = [task for task in asyncio.all_tasks() if task.get_name() == "events"]
        with monkeypatch.context() as patched:
            patched.setattr(world.catalog, "newest_events", fails)
            with pytest.raises(StopAsyncIteration):
                await next_of(told)
        assert isinstance(poller.exception(), ZeroDivisionError)

    async with listening(world.engine, after=0) as again:
        assert (await next_of(again)).number == 1


async def test_what_is_told_is_bounded_by_the_newest_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "OPEN_MAX", 3)
    world = memory_world()
    sessions = [await begun(world.engine) for _ in range(5)]

    async with aclosing(
        Events(world.engine.ports, world.engine.uploads).follow(
            await world.engine.events.place(ANN, after=None), idle_seconds=0.1
        )
    ) as told:
        found = [await anext(told) for _ in range(4)]

    assert [event and event.id for event in found] == [*(session.id for session in sessions[:1:-1]), None]


# What is told of an upload


async def test_an_upload_that_has_ended_is_none_any_more(world: World) -> None:
    engine = world.start(limits=replace(world.limits, allowed_types=("image/*",)))
    async with listening(engine) as told:
        refused, given_up = await begun(engine), await begun(engine)
        with pytest.raises(TypeNotAllowed):
            await appended(engine, refused, b"text\n" * 20)
        await engine.uploads.abort(given_up.id, ANN)
        found = [await next_of(told) for _ in range(4)]

    ends = [(event.kind, event.id, event.upload) for event in found if event.kind is not Kind.CREATED]
    assert ends == [(Kind.REFUSED, refused.id, None), (Kind.ABORTED, given_up.id, None)]


async def test_an_upload_is_told_with_the_bytes_that_it_has_now(world: World) -> None:
    session = await begun(world.engine)
    await appended(world.engine, session, b"x" * 30)

    async with listening(world.engine, after=0) as told:
        created = await next_of(told)

    assert (created.kind, created.upload and created.upload.offset) == (Kind.CREATED, 30)


async def test_t26_a_partial_upload_is_told_of_nowhere(world: World) -> None:
    engine = world.engine
    said = replace(declared(3), is_partial=True)
    async with listening(engine) as told:
        one, two = [(await engine.uploads.create(said, ANN)).session for _ in range(2)]
        for part in (one, two):
            await appended(engine, part, b"abc")
        await engine.uploads.abort(two.id, ANN)
        file = (await engine.uploads.join(declared(None), ANN, [one.id])).file
        first = await next_of(told)
        await stored(engine)
        second = await next_of(told)

    assert file is not None
    assert [(event.kind, event.id == file.id) for event in (first, second)] == [
        (Kind.COMPLETED, True),
        (Kind.COMPLETED, False),
    ]


async def test_a_listener_that_does_not_listen_is_kept_no_more_for_than_there_can_be(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "OPEN_MAX", 3)
    engine = world.engine
    async with listening(engine) as told:
        await stored(engine)
        await next_of(told)
        (listener,) = engine.events._listeners
        for _ in range(4):
            batch = {one.id: one for one in [await begun(engine) for _ in range(3)]}
            await until(lambda: engine.events._seen.get("ann", {}).keys() == batch.keys())  # noqa: B023 - asked at once
            for session in batch.values():
                await appended(engine, session, b"x")
            await until(lambda: listener.progress.keys() >= batch.keys())  # noqa: B023
            for key in batch:
                await engine.uploads.abort(key, ANN)

        kept = set(listener.progress)

    assert kept == batch.keys()
