"""What all leases promise."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from uploadstream.core.errors import Busy
from uploadstream.ports import Leases

KEY = "5f0c1a2b-0000-4000-8000-00000000000a"
PATIENCE_SECONDS = 30.0  # of those who are to get it, however busy the machine is


def stay() -> None:
    """The answer of a holder that does not let go."""


@asynccontextmanager
async def holder(leases: Leases, key: str = KEY, *, obedient: bool = True) -> AsyncIterator[list[str]]:
    """Another request that holds `key`; what it was asked is listed. An obedient one lets go when it is."""
    asked: list[str] = []
    holds, let_go = asyncio.Event(), asyncio.Event()

    def ask() -> None:
        asked.append(key)
        if obedient:
            let_go.set()

    async def hold() -> None:
        async with leases.hold(key, let_go=ask):
            holds.set()
            await let_go.wait()

    task = asyncio.create_task(hold())
    await holds.wait()
    try:
        yield asked
    finally:
        let_go.set()
        await task


async def is_free(leases: Leases, key: str = KEY) -> bool:
    try:
        async with leases.hold(key, let_go=stay):
            return True
    except Busy:
        return False


class LeasesContract:
    """To be inherited with the fixtures `leases` and `rival`: two processes' leases, or twice the same."""

    async def test_a_key_is_held_by_one_at_a_time(self, leases: Leases, rival: Leases) -> None:
        async with leases.hold(KEY, let_go=stay):
            with pytest.raises(Busy) as caught:
                async with rival.hold(KEY, let_go=stay):
                    pytest.fail("two hold it")

            assert caught.value.upload_id == KEY
            assert not await is_free(leases)

        assert await is_free(rival)

    async def test_without_patience_the_holder_is_not_asked(self, leases: Leases, rival: Leases) -> None:
        async with holder(leases) as asked:
            assert not await is_free(rival)
            await asyncio.sleep(0.02)

            assert asked == []

    async def test_with_patience_the_holder_is_asked_and_lets_go(self, leases: Leases, rival: Leases) -> None:
        async with holder(leases) as asked, rival.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
            assert KEY in asked
            assert not await is_free(leases)

    async def test_a_holder_that_does_not_let_go_makes_the_other_give_up(self, leases: Leases, rival: Leases) -> None:
        loop = asyncio.get_running_loop()
        async with holder(leases, obedient=False) as asked:
            start = loop.time()

            with pytest.raises(Busy):
                async with rival.hold(KEY, let_go=stay, patience_seconds=0.15):
                    pytest.fail("two hold it")

            assert 0.14 <= loop.time() - start < PATIENCE_SECONDS / 2
            assert asked

    async def test_of_several_that_wait_the_newest_gets_it(self, leases: Leases, rival: Leases) -> None:
        got: list[str] = []
        newer_has_it = asyncio.Event()

        async def want_first() -> None:
            let_go = asyncio.Event()
            try:
                async with rival.hold(KEY, let_go=let_go.set, patience_seconds=0.4):
                    got.append("older")
                    await let_go.wait()
            except Busy:
                got.append("older is busy")

        async def want_later() -> None:
            async with leases.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
                got.append("newer")
                newer_has_it.set()
                await asyncio.sleep(3600)

        async with holder(leases, obedient=False):
            older = asyncio.create_task(want_first())
            await asyncio.sleep(0.02)
            newer = asyncio.create_task(want_later())
            await asyncio.sleep(0.02)
        await asyncio.wait([older])
        async with asyncio.timeout(PATIENCE_SECONDS):
            await newer_has_it.wait()
        newer.cancel()
        await asyncio.wait([newer])

        assert got == ["older", "newer"] or sorted(got) == ["newer", "older is busy"]

    async def test_who_was_asked_while_holding_is_not_asked_afterwards(self, leases: Leases, rival: Leases) -> None:
        async with holder(leases) as asked:
            async with rival.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
                times = len(asked)
                with pytest.raises(Busy):
                    async with leases.hold(KEY, let_go=stay, patience_seconds=0.05):
                        pytest.fail("two hold it")

            assert len(asked) == times

    async def test_a_holder_that_fails_lets_go(self, leases: Leases, rival: Leases) -> None:
        with pytest.raises(ZeroDivisionError):
            async with leases.hold(KEY, let_go=stay):
                raise ZeroDivisionError

        assert await is_free(rival)

    async def test_a_holder_that_is_cancelled_lets_go(self, leases: Leases, rival: Leases) -> None:
        holds = asyncio.Event()

        async def hold() -> None:
            async with leases.hold(KEY, let_go=stay):
                holds.set()
                await asyncio.sleep(3600)

        task = asyncio.create_task(hold())
        await holds.wait()
        task.cancel()
        await asyncio.wait([task])

        assert await is_free(rival)

    async def test_a_waiter_that_is_cancelled_leaves_the_lease_where_it_is(self, leases: Leases, rival: Leases) -> None:
        async def wait() -> None:
            async with rival.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
                pytest.fail("two hold it")

        async with holder(leases, obedient=False):
            task = asyncio.create_task(wait())
            await asyncio.sleep(0.03)
            task.cancel()
            await asyncio.wait([task])

            assert task.cancelled()
            assert not await is_free(rival)
        assert await is_free(rival)

    async def test_a_lease_that_is_given_back_is_free_before_its_holder_has_ended(
        self, leases: Leases, rival: Leases
    ) -> None:
        async with leases.hold(KEY, let_go=stay) as lease:
            lease.check()
            await lease.give_back()

            async with rival.hold(KEY, let_go=stay):
                assert not await is_free(leases)
            assert await is_free(rival)

    async def test_a_key_that_nobody_else_knows_is_held_like_another(self, leases: Leases) -> None:
        async with leases.hold(KEY, let_go=stay, new=True) as lease:
            lease.check()
            assert not await is_free(leases)

        assert await is_free(leases)

    async def test_keys_do_not_mind_each_other(self, leases: Leases, rival: Leases) -> None:
        keys = [f"key {number}" for number in range(300)]
        together = asyncio.Barrier(len(keys))

        async def hold(key: str, *, who: Leases) -> None:
            async with who.hold(key, let_go=stay):
                await together.wait()

        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            for number, key in enumerate(keys):
                group.create_task(hold(key, who=(leases, rival)[number % 2]))

        assert all(await asyncio.gather(*(is_free(leases, key) for key in keys)))

    async def test_of_many_that_want_a_key_each_gets_it_alone(self, leases: Leases, rival: Leases) -> None:
        inside = 0
        turns: list[int] = []

        async def take_turn(number: int, *, who: Leases) -> None:
            nonlocal inside
            let_go = asyncio.Event()
            async with who.hold(KEY, let_go=let_go.set, patience_seconds=60):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.001)
                turns.append(number)
                inside -= 1

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(take_turn(number, who=(leases, rival)[number % 2]))

        assert sorted(turns) == list(range(20))

    async def test_a_lease_may_be_taken_again_and_again(self, leases: Leases, rival: Leases) -> None:
        assert [await is_free(who) for who in (leases, rival, leases, leases, rival, rival)] == [True] * 6
