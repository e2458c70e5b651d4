"""Leases in PostgreSQL: among servers on several hosts, which may die, stand still, or lose the database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from tests import postgres
from tests.contracts.catalog import a_file, a_session, ended, of
from tests.contracts.leases import KEY, PATIENCE_SECONDS, LeasesContract, is_free
from uploadstream.adapters.catalog.leases import Fence, PostgresLeases
from uploadstream.adapters.catalog.postgres_schema import PostgresCatalog, open_postgres
from uploadstream.core.dsns import Dsn
from uploadstream.core.errors import Busy, CatalogUnavailable, StorageFull, TakenOver
from uploadstream.core.files import Action
from uploadstream.ports import Leases

LIFE_SECONDS = 1.0


@dataclass
class Process:
    """One among several that have a catalog."""

    catalog: PostgresCatalog
    leases: PostgresLeases


async def no_fence(key: str, check: Callable[[], None]) -> None:
    """Of a store that has nothing under the key."""


@pytest.fixture
async def dsn() -> str:
    return await postgres.empty_catalog()


@asynccontextmanager
async def process(dsn: str, fence: Fence = no_fence, *, life_seconds: float = 8) -> AsyncIterator[Process]:
    """What one more process has: a catalog, and leases in it."""
    catalog = await open_postgres(Dsn(dsn), connections=3, durable=False)
    leases = PostgresLeases(catalog.database, fence, life_seconds=life_seconds)
    catalog.claim_of = leases.claim_of
    try:
        yield Process(catalog, await leases.open())
    finally:
        await leases.close()
        await catalog.close()


@pytest.fixture
async def leases(dsn: str) -> AsyncIterator[PostgresLeases]:
    async with process(dsn) as opened:
        yield opened.leases


class TestPostgresLeasesOfOneProcess(LeasesContract):
    @pytest.fixture
    def rival(self, leases: Leases) -> Leases:
        return leases


class TestPostgresLeasesOfTwoProcesses(LeasesContract):
    @pytest.fixture
    async def rival(self, dsn: str) -> AsyncIterator[Leases]:
        async with process(dsn) as opened:
            yield opened.leases


class Store:
    """What fences: slowly, or not at all, as a test wants."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fenced: list[str] = []
        self.begun: list[str] = []
        self.may_end = asyncio.Event()
        self.fails = fails

    async def fence(self, key: str, check: Callable[[], None]) -> None:
        self.begun.append(key)
        if self.fails:
            raise StorageFull(free=0)
        await self.may_end.wait()
        check()
        self.fenced.append(key)


async def rows(dsn: str) -> list[str]:
    """The keys that are held, as the database has them."""
    connection = await asyncpg.connect(dsn)
    found = [key for (key,) in await connection.fetch("SELECT key FROM leases")]
    await connection.close()
    return found


async def stand_still(process: Process) -> None:
    """As one that is stopped: nothing is renewed any more."""
    assert process.leases._renewing is not None
    process.leases._renewing.cancel()
    await asyncio.sleep(LIFE_SECONDS * 1.1)


async def wake_up(process: Process) -> None:
    await process.leases._renew()


async def test_a_holder_that_stands_still_is_robbed_and_fenced_and_told_so_when_it_wakes_up(dsn: str) -> None:
    store = Store()
    store.may_end.set()
    asked: list[str] = []
    async with process(dsn, life_seconds=LIFE_SECONDS) as frozen, process(dsn, store.fence) as other:
        async with frozen.leases.hold(KEY, let_go=lambda: asked.append(KEY)) as lease:
            await stand_still(frozen)
            with pytest.raises(CatalogUnavailable):
                lease.check()

            async with other.leases.hold(KEY, patience_seconds=PATIENCE_SECONDS) as taken:
                assert store.fenced == [KEY]
                with pytest.raises(TakenOver):
                    await lease.give_back()
                taken.check()
                await taken.give_back()

        async with frozen.leases.hold("another"):
            pass


async def test_one_that_wakes_up_finds_out_which_of_its_leases_it_has_lost(dsn: str) -> None:
    store = Store()
    store.may_end.set()
    asked: list[str] = []
    async with process(dsn, life_seconds=LIFE_SECONDS) as frozen, process(dsn, store.fence) as other:
        async with (
            frozen.leases.hold(KEY, let_go=lambda: asked.append(KEY)) as lost,
            frozen.leases.hold("kept", let_go=lambda: asked.append("kept")) as kept,
        ):
            await stand_still(frozen)
            async with other.leases.hold(KEY, patience_seconds=PATIENCE_SECONDS):
                await wake_up(frozen)

                with pytest.raises(TakenOver):
                    lost.check()
            kept.check()
            await kept.give_back()
        assert asked == [KEY]


async def test_while_a_big_blob_is_fenced_requests_are_busy_and_a_later_one_goes_on(dsn: str) -> None:
    store = Store()
    async with (
        process(dsn, life_seconds=LIFE_SECONDS) as frozen,
        process(dsn, store.fence) as other,
        frozen.leases.hold(KEY),
    ):
        await stand_still(frozen)

        with pytest.raises(Busy):
            async with other.leases.hold(KEY, patience_seconds=0.1):
                pytest.fail("not fenced yet")
        with pytest.raises(Busy):
            async with other.leases.hold(KEY):
                pytest.fail("not fenced yet")
        store.may_end.set()

        async with other.leases.hold(KEY, patience_seconds=PATIENCE_SECONDS):
            assert (store.begun, store.fenced) == ([KEY], [KEY])


async def test_a_blob_that_could_not_be_fenced_is_by_whoever_comes_next(dsn: str) -> None:
    full, store = Store(fails=True), Store()
    store.may_end.set()
    async with (
        process(dsn, life_seconds=LIFE_SECONDS) as frozen,
        process(dsn, full.fence) as one,
        process(dsn, store.fence) as other,
        frozen.leases.hold(KEY),
    ):
        await stand_still(frozen)

        with pytest.raises(StorageFull):
            async with one.leases.hold(KEY, patience_seconds=PATIENCE_SECONDS):
                pytest.fail("not fenced")
        async with other.leases.hold(KEY, patience_seconds=PATIENCE_SECONDS):
            assert store.fenced == [KEY]


async def test_one_that_stops_while_it_fences_leaves_that_to_whoever_comes_next(dsn: str) -> None:
    slow, store = Store(), Store()
    store.may_end.set()
    async with (
        process(dsn, life_seconds=LIFE_SECONDS) as frozen,
        process(dsn, store.fence) as other,
        frozen.leases.hold(KEY),
    ):
        await stand_still(frozen)
        async with process(dsn, slow.fence) as one:
            with pytest.raises(Busy):
                async with one.leases.hold(KEY):
                    pytest.fail("not fenced yet")

        async with other.leases.hold(KEY, patience_seconds=PATIENCE_SECONDS):
            assert (slow.begun, slow.fenced, store.fenced) == ([KEY], [], [KEY])


async def test_what_is_done_by_a_lost_lease_changes_nothing_in_the_catalog(dsn: str) -> None:
    session = a_session()
    async with process(dsn, life_seconds=LIFE_SECONDS) as frozen, process(dsn) as other:
        await frozen.catalog.create_upload(session, of(session, Action.CREATE))
        file = a_file(file_id=session.id)
        async with frozen.leases.hold(session.id):
            await stand_still(frozen)
            async with other.leases.hold(session.id, patience_seconds=PATIENCE_SECONDS):
                pass

            for write in (
                frozen.catalog.declare_length(session, 77),
                frozen.catalog.publish(file, of(file, Action.COMPLETE)),
                frozen.catalog.end_upload(ended(session), of(session, Action.ABORT)),
            ):
                with pytest.raises(TakenOver):
                    await write

        assert await other.catalog.upload(session.id) == session
        assert await other.catalog.file(session.id) is None


async def test_a_lease_that_nobody_took_meanwhile_is_good_when_its_holder_wakes_up(dsn: str) -> None:
    session = a_session()
    async with process(dsn, life_seconds=LIFE_SECONDS) as frozen:
        await frozen.catalog.create_upload(session, of(session, Action.CREATE))
        async with frozen.leases.hold(session.id) as lease:
            await stand_still(frozen)
            await frozen.catalog.declare_length(session, 77)
            await lease.give_back()


async def test_a_new_key_costs_nothing_at_first_and_has_a_row_from_the_next_renewal_on(dsn: str) -> None:
    async with process(dsn) as one, process(dsn) as other:
        async with one.leases.hold(KEY, new=True) as lease:
            lease.check()
            assert await rows(dsn) == []
            await one.leases._renew()

            assert await rows(dsn) == [KEY]
            assert not await is_free(other.leases)
        assert await rows(dsn) == []


async def test_a_new_key_that_somebody_took_before_it_had_a_row_is_lost(dsn: str) -> None:
    async with (
        process(dsn) as one,
        process(dsn) as other,
        one.leases.hold(KEY, new=True) as lease,
        other.leases.hold(KEY),
    ):
        await one.leases._renew()

        with pytest.raises(TakenOver):
            lease.check()


async def test_a_new_key_is_good_for_a_minute_until_it_has_a_row(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_file()
    monkeypatch.setattr("uploadstream.adapters.catalog.leases.NEW_SECONDS_MAX", -1.0)
    async with process(dsn) as one, one.leases.hold(file.id, new=True):
        with pytest.raises(TakenOver):
            await one.catalog.publish(file, of(file, Action.COMPLETE))


async def test_what_a_request_could_not_give_back_is_given_back_at_the_next_renewal(dsn: str) -> None:
    async with process(dsn) as one, process(dsn) as other:
        async with one.leases.hold(KEY) as lease:
            one.leases._forget(lease)  # type: ignore[arg-type]
        assert not await is_free(other.leases)

        await one.leases._renew()
        async with other.leases.hold(KEY, patience_seconds=PATIENCE_SECONDS):
            pass


async def test_nothing_is_left_of_leases_that_were_closed(dsn: str) -> None:
    async with process(dsn) as one, process(dsn) as other, one.leases.hold(KEY):
        await one.leases.close()

        assert await is_free(other.leases)
