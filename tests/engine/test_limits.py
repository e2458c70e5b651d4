"""What one user may have, whatever it sends and however that ends."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.engine.world import ANN, BOB, Engine, World, blob_keys, body, declared, memory_world
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.allowances import Allowance, QuotaExceeded, RateLimited, Standing, TooManyActive, Usage
from uploadstream.core.errors import NotFound, OffsetMismatch, TooLarge
from uploadstream.core.files import Action
from uploadstream.core.ratelimit import Rate
from uploadstream.core.session import Declared, Limits
from uploadstream.engine.intake import Intake
from uploadstream.engine.watch import Incoming


def limited(**limits: object) -> tuple[World, Engine]:
    world = memory_world()
    return world, world.start(limits=Limits(file_size_max=1000), allowance=Allowance(**limits))  # type: ignore[arg-type]


async def counted(world: World) -> Usage:
    usage = await world.catalog.usage("ann")
    return Usage(usage.stored_bytes, usage.declared_bytes, usage.open_uploads)


async def test_uploads_of_all_kinds_take_a_token_each() -> None:
    _, engine = limited(rate_uploads=Rate(3, 60, 3))
    await engine.uploads.create(declared(5), ANN)
    await engine.uploads.create(declared(0), ANN)
    await engine.uploads.store_whole(declared(5), ANN, body(b"hello"))

    for act in (
        engine.uploads.create(declared(5), ANN),
        engine.uploads.create(declared(0), ANN),
        engine.uploads.store_whole(declared(5), ANN, body(b"hello")),
    ):
        with pytest.raises(RateLimited, match=r"^Rate limit: 3 uploads a minute; retry in 20 s$"):
            await act
    await engine.uploads.create(declared(5), BOB)


async def test_nothing_is_left_of_what_may_not_begin() -> None:
    world, engine = limited(max_active_uploads=1)
    upload = (await engine.uploads.create(declared(5), ANN)).session

    async def never(_: object) -> None:
        pytest.fail("no byte is asked for")

    with pytest.raises(TooManyActive):
        await engine.uploads.store_whole(declared(5), ANN, never)
    with pytest.raises(TooManyActive):
        await engine.uploads.create(declared(5), ANN)

    assert await blob_keys(world) == set()
    assert [one.id for one in (await engine.uploads.list(ANN)).rows] == [upload.id]


async def test_a_whole_upload_is_counted_while_it_comes_and_known_to_nobody() -> None:
    world, engine = limited(max_active_uploads=1)
    comes, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(intake: Intake) -> None:
        await body(b"he")(intake)
        comes.set()
        await goes_on.wait()
        await body(b"llo")(intake)

    storing = asyncio.create_task(engine.uploads.store_whole(declared(5), ANN, slow))
    await comes.wait()

    assert await counted(world) == Usage(0, 5, 1)
    (key,) = await blob_keys(world)
    for act in (engine.uploads.status(key, ANN), engine.uploads.abort(key, ANN)):
        with pytest.raises(NotFound):
            await act
    assert (await engine.uploads.list(ANN)).rows == []
    assert await world.catalog.audit(key, after=None, limit=9) == []
    assert (await engine.sweeper.sweep())["orphan blobs"] == 0
    goes_on.set()
    assert (await storing).size == 5
    assert await counted(world) == Usage(5, 0, 0)


@pytest.mark.parametrize("ends_by", ["cut", "cancel", "quota"])
async def test_a_whole_upload_that_is_cut_gives_its_room_back(ends_by: str) -> None:
    world, engine = limited(max_active_uploads=1, quota_bytes=10)
    comes = asyncio.Event()

    async def slow(intake: Intake) -> None:
        await body(b"he" if ends_by != "quota" else b"x" * 11)(intake)
        comes.set()
        await asyncio.sleep(0 if ends_by == "cut" else 60)
        raise ConnectionResetError

    storing = asyncio.create_task(engine.uploads.store_whole(declared(None), ANN, slow))
    if ends_by == "cancel":
        await comes.wait()
        storing.cancel()
    (error,) = await asyncio.gather(storing, return_exceptions=True)

    expected = {"cut": ConnectionResetError, "cancel": asyncio.CancelledError, "quota": QuotaExceeded}
    assert isinstance(error, expected[ends_by])
    assert await counted(world) == Usage()
    assert await blob_keys(world) == set()


async def test_what_a_killed_server_leaves_of_a_whole_upload_is_counted_until_the_next_sweep() -> None:
    world, engine = limited(max_active_uploads=1)
    comes = asyncio.Event()

    async def for_ever(intake: Intake) -> None:
        await body(b"he")(intake)
        comes.set()
        await asyncio.sleep(60)

    storing = asyncio.create_task(engine.uploads.store_whole(declared(5), ANN, for_ever))
    await comes.wait()

    again = world.start()  # leases of its own, as another process has that was started after a kill
    await again.sweeper.sweep(thorough=False)

    assert await counted(world) == Usage()
    assert await blob_keys(world) == set()
    await again.uploads.create(declared(5), ANN)
    storing.cancel()
    await asyncio.gather(storing, return_exceptions=True)


async def test_room_comes_back_when_an_upload_is_aborted_or_expires() -> None:
    world, engine = limited(max_active_uploads=2, quota_bytes=10)
    first = (await engine.uploads.create(declared(5), ANN)).session
    await engine.uploads.create(declared(5), ANN)
    with pytest.raises(QuotaExceeded):
        await engine.uploads.create(declared(1), ANN)

    await engine.uploads.abort(first.id, ANN)
    assert await counted(world) == Usage(0, 5, 1)
    world.clock.ahead += timedelta(days=2)
    await engine.sweeper.sweep(thorough=False)

    assert await counted(world) == Usage()


async def test_the_trash_counts_against_the_quota() -> None:
    world, engine = limited(quota_bytes=10)
    file = await engine.uploads.store_whole(declared(10), ANN, body(b"x" * 10))

    await engine.files.delete(file.id, ANN)

    assert await counted(world) == Usage(10, 0, 0)
    with pytest.raises(QuotaExceeded, match="what is in the trash counts until purged"):
        await engine.uploads.create(declared(1), ANN)
    await engine.files.restore(file.id, ANN)
    assert await counted(world) == Usage(10, 0, 0)


async def test_of_an_upload_of_unknown_length_as_much_is_taken_as_the_quota_leaves() -> None:
    world, engine = limited(quota_bytes=100)
    await engine.uploads.store_whole(declared(60), ANN, body(b"x" * 60))
    upload_id = (await engine.uploads.create(declared(None), ANN)).session.id

    with pytest.raises(QuotaExceeded) as refused:
        await engine.uploads.append(upload_id, ANN, Incoming(body(b"y" * 30, b"z" * 30), at=0))

    assert refused.value.numbers == {"size": 60, "used": 60, "limit": 100}
    at = (await engine.uploads.status(upload_id, ANN)).session.offset
    assert at == 30
    with pytest.raises(QuotaExceeded):
        await engine.uploads.append(upload_id, ANN, Incoming(body(), at=at, length=41))
    with pytest.raises(QuotaExceeded):
        await engine.uploads.create(declared(None), ANN, count=41)
    done = await engine.uploads.append(upload_id, ANN, Incoming(body(b"z" * 10), at=at, complete=True))
    assert done.file is not None
    assert await counted(world) == Usage(100, 0, 0)


async def test_the_store_has_the_last_word_on_bytes_that_nobody_declared() -> None:
    """Two that come at once both find room; the one that is complete later does not fit, and can be once it does."""
    world, engine = limited(quota_bytes=100)
    one, other = [(await engine.uploads.create(declared(None), ANN)).session.id for _ in range(2)]
    await engine.uploads.append(one, ANN, Incoming(body(b"x" * 60), at=0))
    await engine.uploads.append(other, ANN, Incoming(body(b"x" * 60), at=0))
    first = (await engine.uploads.append(one, ANN, Incoming(body(), at=60, complete=True))).file
    assert first is not None

    with pytest.raises(QuotaExceeded):
        await engine.uploads.append(other, ANN, Incoming(body(), at=60, complete=True))
    assert (await engine.uploads.status(other, ANN)).session.offset == 60

    world.start(allowance=Allowance(quota_bytes=120))
    done = await world.engine.uploads.append(other, ANN, Incoming(body(), at=60, complete=True))
    assert done.file is not None
    assert await counted(world) == Usage(120, 0, 0)


async def test_the_largest_file_is_still_the_largest() -> None:
    _, engine = limited(quota_bytes=10_000)
    upload_id = (await engine.uploads.create(declared(None), ANN)).session.id

    with pytest.raises(TooLarge):
        await engine.uploads.append(upload_id, ANN, Incoming(body(b"x" * 1001), at=0))
    with pytest.raises(OffsetMismatch):
        await engine.uploads.append(upload_id, ANN, Incoming(body(), at=7))


async def test_the_bytes_of_a_joined_file_are_counted_once() -> None:
    world, engine = limited(rate_uploads=Rate(9, 60, 9), max_active_uploads=2, quota_bytes=10)
    parts = []
    for _ in range(2):
        part = Declared("", "part", length=5, is_partial=True)
        parts.append((await engine.uploads.create(part, ANN)).session.id)
        await engine.uploads.append(parts[-1], ANN, Incoming(body(b"x" * 5), at=0))

    joined = await engine.uploads.join(declared(None), ANN, parts)

    assert joined.file is not None
    assert await counted(world) == Usage(10, 0, 0)
    with pytest.raises(QuotaExceeded):
        await engine.uploads.join(declared(None), ANN, parts)
    world.clock.ahead += timedelta(days=2)
    sweep = await engine.sweeper.sweep(thorough=False)
    assert sweep[Action.EXPIRE.value] == 2
    await engine.gatherer.gather()
    assert await counted(world) == Usage(10, 0, 0)


async def test_whoever_asks_is_told_what_its_user_may_and_has() -> None:
    allowance = Allowance(Rate(60, 60, 2), max_active_uploads=5, quota_bytes=100)
    _, engine = limited(rate_uploads=allowance.rate_uploads, max_active_uploads=5, quota_bytes=100)
    told: list[Standing] = []
    caller = type(ANN)("ann", "test", "192.0.2.1", told=told.append)

    await engine.uploads.create(declared(40), caller)
    await engine.uploads.store_whole(declared(10), caller, body(b"x" * 10))
    with pytest.raises(RateLimited):
        await engine.uploads.create(declared(10), caller)

    assert [one.allowance for one in told] == [allowance] * 3
    assert [(one.usage.declared_bytes, one.usage.open_uploads) for one in told] == [(40, 1), (50, 2), (40, 1)]
    assert [one.usage.bucket and one.usage.bucket.level // 10**6 for one in told[:2]] == [1, 0]


async def test_without_a_limit_nothing_is_counted_and_nobody_told() -> None:
    world, engine = limited()
    told: list[Standing] = []
    caller = type(ANN)("ann", "test", told=told.append)

    await engine.uploads.create(declared(40), caller)
    await engine.uploads.store_whole(declared(None), caller, body(b"x" * 10))

    assert told == []
    assert await world.catalog.usages(after=None, limit=9) == []


async def test_a_thorough_sweep_mends_what_was_counted_wrongly() -> None:
    class Drifting(MemoryCatalog):
        """One whose counters are wrong until they are summed up again."""

        def __init__(self) -> None:
            super().__init__()
            self.kept = {"ann": Usage(7), "bob": Usage()}

        async def usages(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Usage, Usage]]:
            rows = [(user, kept, Usage()) for user, kept in self.kept.items() if after is None or user > after]
            return rows[:limit]

        async def recount(self, user_id: str, *, keep: bool = True) -> None:
            assert keep
            self.kept[user_id] = Usage()

    world = memory_world()
    world.catalog = catalog = Drifting()
    engine = world.start(allowance=Allowance(quota_bytes=10))

    assert (await engine.sweeper.sweep(thorough=True))["usages corrected"] == 1
    assert catalog.kept["ann"] == Usage()
    assert (await engine.sweeper.sweep(thorough=True))["usages corrected"] == 0


async def test_who_is_not_limited_any_more_is_counted_no_more() -> None:
    world, engine = limited(quota_bytes=10)
    await engine.uploads.create(declared(5), ANN)
    await engine.uploads.create(declared(5), BOB)
    await world.catalog.set_overrides("bob", {"quota_bytes": "1GB"})

    await world.start(allowance=Allowance()).sweeper.sweep(thorough=True)

    assert [user for user, *_ in await world.catalog.usages(after=None, limit=9)] == ["bob"]
