"""Leases among servers on several hosts that have one catalog in PostgreSQL.

A process that does not renew for LIFE_SECONDS may be robbed of its leases. Nobody can tell whether it is dead or stands
still, so the blob is fenced before somebody else goes on with it, which can take as long as copying it: that is done
beside the requests, which wait as long as their patience lasts. Of a process of the same machine the kernel says that
it is dead; nothing has to be waited for or fenced then.

Invariant: what a holder does after its lease was lost changes neither the blob (BlobStore.fence, Lease.check) nor the
catalog (`claim_of`, checked in the transaction that writes), and is not called a success (Lease.give_back).

An upload under a new key, which nobody else knows, has no row and costs no transaction until the next renewal. One that
ends before that has NEW_SECONDS_MAX by the database's clock: the sweeper leaves its bytes alone for longer.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self

from uploadstream.adapters.catalog import lease_rows
from uploadstream.adapters.catalog.commits import Write
from uploadstream.adapters.catalog.lease_rows import CHANNEL, Claim, Release, Rival, Tried
from uploadstream.adapters.catalog.liveness import Beacon, is_surely_dead
from uploadstream.adapters.catalog.postgres import PostgresDatabase
from uploadstream.adapters.catalog.postgres_line import Line
from uploadstream.core.errors import Busy, CatalogUnavailable, Refusal, TakenOver
from uploadstream.ports import Lease

LIFE_SECONDS: Final = 8.0
RENEWALS: Final = 4  # in a life
NEW_SECONDS_MAX: Final = 60.0
# A holder is asked to let go again and again, in case it had not heard; who waits is told when it has.
_ASK_EVERY_SECONDS: Final = 0.25
# So long even who has no patience waits for leases of the dead, which are had without fencing.
_ROBBERY_SECONDS: Final = 0.5
_GIVE_BACK_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0

# Fences the blob under a key, if there is anything that somebody may go on with.
Fence = Callable[[str, Callable[[], None]], Awaitable[None]]

_RENEW: Final = """
    INSERT INTO lease_holders (id, place, until) VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
    ON CONFLICT (id) DO UPDATE SET until = excluded.until
    RETURNING extract(epoch FROM clock_timestamp())::float8 AS now"""
_ADD_NEW: Final = """
    INSERT INTO leases (key, holder, number, dirty)
    SELECT key, $1, number, false FROM unnest($2::text[], $3::bigint[]) AS new (key, number) ORDER BY key
    ON CONFLICT (key) DO NOTHING"""
_MINE: Final = "SELECT number FROM leases WHERE holder = $1"


class HeldLease:
    """A lease of this process, or the wish for one."""

    def __init__(self, leases: PostgresLeases, key: str, number: int, let_go: Callable[[], None] | None) -> None:
        self.key: Final = key
        self.number: Final = number
        self.born: Final = leases.now()
        self.arrived: float | None = None  # when it was wanted, by the database's clock, which all processes have
        self.has_row = False
        self.is_lost = False
        self.was_asked = False
        self._leases: Final = leases
        self._let_go: Final = let_go
        self._given_back: asyncio.Task[bool] | None = None

    @property
    def claim(self) -> Claim:
        """What the catalog checks before something is done by this lease."""
        until = None if self.has_row else self.born + NEW_SECONDS_MAX
        return Claim(self.key, self._leases.holder, self.number, until)

    def asked(self) -> None:
        """Let go for one that came later."""
        self.was_asked = True
        if self._let_go is not None:
            self._let_go()

    def lose(self) -> None:
        """It is another's now."""
        self.is_lost = True
        if self._let_go is not None:
            self._let_go()

    def check(self) -> None:
        """See ports.Lease."""
        if self.is_lost:
            raise TakenOver(upload_id=self.key)
        if self.has_row and not self._leases.is_alive:
            raise CatalogUnavailable

    async def give_back(self) -> None:
        """See ports.Lease."""
        if not await asyncio.shield(self.going_back()):
            raise TakenOver(upload_id=self.key)

    def going_back(self) -> asyncio.Task[bool]:
        """What gives it back, and says whether it was held all the time. It goes on whatever becomes of who waits."""
        if self._given_back is None:
            self._given_back = self._leases.beside(self._leases.end(self))
        return self._given_back


class PostgresLeases:
    """The leases of one process."""

    def __init__(self, database: PostgresDatabase, fence: Fence, *, life_seconds: float = LIFE_SECONDS) -> None:
        self.holder: Final = str(uuid.uuid4())
        self._database: Final = database
        self._fence: Final = fence
        self._life_seconds: Final = life_seconds
        self._beacon: Final = Beacon(self.holder)
        self._line: Final = Line(database.dsn, CHANNEL, self._hear, answer_seconds=_ANSWER_SECONDS)
        self._numbers: Final = itertools.count(1)
        self._alive_until = 0.0  # by this machine's clock; never later than the database says
        self._ahead = 0.0  # of this machine's clock: the database's
        self._live: Final[dict[int, HeldLease]] = {}
        self._held: Final[dict[str, HeldLease]] = {}
        self._taking: Final[set[str]] = set()
        self._robberies: Final[dict[str, asyncio.Task[None]]] = {}
        self._waiting: Final[dict[str, set[asyncio.Future[None]]]] = {}
        self._tasks: Final[set[asyncio.Task[Any]]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def open(self) -> Self:
        """Begin to renew, and to hear others ask. CatalogUnavailable."""
        await self._renew()
        self._renewing = asyncio.create_task(self._renew_on_and_on())
        return self

    async def close(self) -> None:
        """Let everything go."""
        if self._renewing is not None:
            self._renewing.cancel()
        for lease in self._live.values():
            lease.is_lost = True
        for robbery in self._robberies.values():
            robbery.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(CatalogUnavailable):  # else others wait until this process is taken for dead
            await self._database.transaction(functools.partial(lease_rows.drop, holder=self.holder))
        await self._line.close()
        self._beacon.close()

    @property
    def is_alive(self) -> bool:
        """Whether nobody can have taken this process for dead."""
        return _clock() < self._alive_until

    def now(self) -> float:
        """The time by the database's clock, in seconds since 1970; a bit early, if anything."""
        return _clock() + self._ahead

    def claim_of(self, key: str) -> Claim | None:
        """By which lease this process does something to an upload now; None: by none."""
        lease = self._held.get(key)
        return None if lease is None else lease.claim

    @asynccontextmanager
    async def hold(
        self, key: str, *, let_go: Callable[[], None] | None = None, patience_seconds: float = 0, new: bool = False
    ) -> AsyncIterator[Lease]:
        """See ports.Leases."""
        lease = HeldLease(self, key, next(self._numbers), let_go)
        self._live[lease.number] = lease
        try:
            if new:
                self._held[key] = lease
            elif (rival := await self._take(lease)) is not None:
                await self._wait(lease, rival, patience_seconds)
            yield lease
        finally:
            if self._held.get(key) is lease:
                await asyncio.wait({lease.going_back()}, timeout=_GIVE_BACK_SECONDS)
            else:
                self._live.pop(lease.number, None)

    async def end(self, lease: HeldLease) -> bool:
        """Give a lease back; whether it was held all the time."""
        try:
            if not lease.has_row:
                return not lease.is_lost
            return bool(await self._database.write(Write(lease_rows.release, Release(lease.claim, lease.was_asked))))
        finally:
            self._forget(lease)

    def beside(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something that goes on when whoever wants it has gone."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # which nobody may have waited for

    def _forget(self, lease: HeldLease) -> None:
        self._live.pop(lease.number, None)
        if self._held.get(lease.key) is lease:
            del self._held[lease.key]
        self._tell(lease.key)

    async def _take(self, lease: HeldLease) -> Rival | None:
        """Take a lease, if nobody has it; else who does."""
        key = lease.key
        if key in self._held or key in self._taking:
            return Rival(self.holder, self._beacon.place, is_alive=True)
        self._taking.add(key)
        try:
            claim = Claim(key, self.holder, lease.number)
            tried: Tried = await self._database.write(Write(lease_rows.take, claim))
            lease.arrived = lease.arrived or tried.at
            if tried.rival is None:
                lease.has_row = True
                self._held[key] = lease
            return tried.rival
        finally:
            self._taking.discard(key)
            if key not in self._held:
                self._tell(key)

    async def _wait(self, lease: HeldLease, rival: Rival, patience_seconds: float) -> None:
        """Until the lease is had: from who lets it go, or from who cannot any more. Busy, StorageUnavailable."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + patience_seconds
        robbed = False
        while True:
            left = give_up_at - loop.time()
            robbery = self._robberies.get(lease.key) or (None if robbed else self._robbery(lease.key, rival))
            if robbery is not None:
                robbed = patience_seconds <= 0
                await asyncio.wait({robbery}, timeout=max(left, _ROBBERY_SECONDS))
                if not robbery.done():
                    raise Busy(upload_id=lease.key)
                _raise_refusal(robbery)
            elif left <= 0:
                raise Busy(upload_id=lease.key)
            else:
                await self._ask(lease)
                await self._freed(lease.key, min(left, _ASK_EVERY_SECONDS))
            taken_by = await self._take(lease)
            if taken_by is None:
                return
            rival = taken_by

    async def _ask(self, lease: HeldLease) -> None:
        """Ask who holds a lease to let go of it."""
        holder = self._held.get(lease.key)
        if holder is not None:
            if lease.number > holder.number:
                holder.asked()
        elif lease.key not in self._taking and lease.arrived is not None:
            words = [f"ask {lease.key} {lease.arrived!r}"]
            await self._database.transaction(functools.partial(lease_rows.tell, words=words))

    async def _freed(self, key: str, seconds: float) -> None:
        """Until somebody lets go of a lease, but not for longer."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            self._waiting[key].discard(waiter)
            if not self._waiting[key]:
                del self._waiting[key]

    def _tell(self, key: str) -> None:
        for waiter in self._waiting.get(key, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _hear(self, words: str) -> None:
        match words.split(" "):
            case ["free", key]:
                self._tell(key)
            case ["ask", key, arrived]:
                holder, came = self._held.get(key), _number(arrived)
                if holder is not None and holder.arrived is not None and came > holder.arrived:
                    holder.asked()

    def _robbery(self, key: str, rival: Rival) -> asyncio.Task[None] | None:
        """What makes a lease free whose holder cannot give it back; None if it can."""
        if rival.holder == self.holder:
            return None
        dead = rival.holder if is_surely_dead(rival.place) else None
        if rival.is_alive and dead is None:
            return None
        task = self._robberies[key] = self.beside(self._rob(key, dead))
        task.add_done_callback(lambda _: self._robberies.pop(key, None))
        return task

    async def _rob(self, key: str, dead: str | None) -> None:
        lease = HeldLease(self, key, next(self._numbers), None)
        self._live[lease.number] = lease
        try:
            must_fence = await self._database.transaction(
                functools.partial(lease_rows.rob, claim=Claim(key, self.holder, lease.number), dead=dead)
            )
            if must_fence is None:
                return
            lease.has_row = True
            if must_fence:
                await self._fence(key, lease.check)
            await self._database.write(Write(lease_rows.release, Release(lease.claim, tell=True)))
        except BaseException:
            lease.is_lost = True  # a thread may still be fencing
            if lease.has_row:
                _ = self.beside(self._drop([lease.number]))
            raise
        finally:
            self._forget(lease)

    async def _drop(self, numbers: list[int]) -> None:
        with suppress(CatalogUnavailable):  # else at the next renewal
            await self._database.transaction(functools.partial(lease_rows.drop, holder=self.holder, numbers=numbers))

    async def _renew_on_and_on(self) -> None:
        pause = self._life_seconds / RENEWALS
        while True:
            await asyncio.sleep(pause if self.is_alive else pause / RENEWALS)
            with suppress(CatalogUnavailable):
                await self._renew()

    async def _renew(self) -> None:
        """Say that this process lives, and find out which of its leases it still has."""
        asked_at = _clock()
        new = {lease.number: lease for lease in self._held.values() if not lease.has_row}
        held = {number: lease for number, lease in self._live.items() if lease.has_row}
        (((now,),), _, rows) = await self._line.ask(
            (_RENEW, (self.holder, self._beacon.place, self._life_seconds)),
            (_ADD_NEW, (self.holder, [lease.key for lease in new.values()], list(new))),
            (_MINE, (self.holder,)),
        )
        self._alive_until = asked_at + self._life_seconds
        self._ahead = now - _clock()
        mine = {number for (number,) in rows}
        for number, lease in {**held, **new}.items():
            if number not in mine and number in self._live:
                lease.lose()
        for number in new.keys() & mine:
            new[number].has_row = True
        left_over = [number for number in mine if number not in self._live]
        if left_over:  # of requests that have ended, and could not say so
            _ = self.beside(self._drop(left_over))


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return 0.0


def _raise_refusal(task: asyncio.Task[None]) -> None:
    """What kept a lease from being had, unless that may be over by now."""
    if task.cancelled():
        raise CatalogUnavailable
    error = task.exception()
    if error is not None and not isinstance(error, TakenOver):
        raise error if isinstance(error, Refusal) else CatalogUnavailable from error


def _clock() -> float:
    """The time since this machine was started, also while it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
