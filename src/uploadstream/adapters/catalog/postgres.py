"""A catalog in PostgreSQL: connections that heal themselves, transactions that are tried again, writes in groups.

Invariant: whoever asks has an answer or CatalogUnavailable within some 5 seconds, whatever becomes of the database or
of the network; and when they are back, so is the catalog.

An adapter with tables of its own in the same database (tables.py) runs what it does there by `transaction`, and what it
only reads by `look_up`: plain functions over a connection, as in writes.py and queries.py.
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import ARRAY, Connection, ExceptionContext, Integer, bindparam, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from uploadstream.adapters.catalog import lease_rows, writes
from uploadstream.adapters.catalog.catalog import Read
from uploadstream.adapters.catalog.commits import Commits, Write
from uploadstream.core.dsns import Dsn
from uploadstream.core.errors import CatalogUnavailable

ANSWER_SECONDS_MAX: Final = 5.0
# What the server itself ends, before nobody waits for it any more. A process that is frozen in a transaction would keep
# its locks: the server gives them to others before these give up.
_STATEMENT_SECONDS_MAX: Final = 4.5
_LOCK_SECONDS_MAX: Final = 4.0
_IDLE_SECONDS_MAX: Final = 3.0
# Before another try, while a connection is lost or two transactions were in each other's way.
_PAUSES: Final = (0.0, 0.05, 0.2, 0.5, 1.0)

# Some acts take several questions a row, and others wait for the owners that a group has locked.
GROUP_MAX: Final = 100
# While one group is being committed, the next is carried out.
_GROUPS: Final = 2
_LISTERS: Final = 2

_BUCKETS: Final = 128
# The name of a lock has two halves: one that says what it is for, and here the bucket.
_LOCK_OWNERS: Final = text(
    "SELECT pg_advisory_xact_lock(x'5550'::int, bucket) FROM unnest(:buckets) AS bucket"
).bindparams(bindparam("buckets", type_=ARRAY(Integer)))

# Classes and codes of SQLSTATE: what is over when it is tried again, with another connection if need be.
_COLLISIONS: Final = frozenset({"40001", "40P01"})
_AWAY: Final = frozenset({"53300", "57P01", "57P02", "57P03", "57P05", "25P03"})
_CONNECTION: Final = "08"
_READ_ONLY: Final = "25006"  # of a server that has become another's copy

Result = TypeVar("Result")
Asked = tuple[Write, "asyncio.Future[Any]"]
_FOREIGN: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class _CommitFailedError(Exception):
    """Nobody knows whether a transaction was committed: it must not be tried again."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """One that is let go at once when it is of no use any more, whether the network answers or not."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's signature
        if timeout is None:
            await super().close(timeout=ANSWER_SECONDS_MAX)
        else:  # SQLAlchemy hopes for a good-bye
            self.terminate()


class PostgresDatabase:
    """A database, used by one event loop over at most so many connections."""

    def __init__(self, dsn: Dsn, *, connections: int, durable: bool) -> None:
        self.dsn: Final = dsn
        self._engine: Final = open_engine(dsn, connections=connections, durable=durable)
        self._reading: Final = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._listers: Final = asyncio.Semaphore(max(1, min(_LISTERS, connections - _GROUPS)))
        self._groups: Final = Groups(self._commit, at_once=_GROUPS if connections > _GROUPS else 1)
        self._commits: Final = Commits(begin, writes.IN_ORDER, is_passing=is_passing)
        self._tasks: Final[set[asyncio.Task[Any]]] = set()
        self._closed = False

    async def transaction(self, act: Callable[[Connection], Result]) -> Result:
        """Carry out `act` in a transaction of its own, and commit it. CatalogUnavailable.

        READ COMMITTED. `act` depends on the database alone, as it is carried out again when it collides with another,
        or when the connection is lost before the commit. What it raises besides the database's errors undoes it.
        """
        return await self._on_its_own(functools.partial(self._transaction, act))

    def write(self, write: Write) -> asyncio.Future[Any]:
        """Carry out an act with others that wait, and commit them."""
        if self._closed:
            raise CatalogUnavailable
        return self._groups.ask(write)

    async def look_up(self, read: Callable[[Connection], Result]) -> Result:
        """Run a query for a row; nothing that it writes would be undone."""
        return await self._on_its_own(functools.partial(self._read, read))

    async def list(self, read: Read) -> Any:
        """Run a query for many rows; so few at once that others find connections."""
        return await self._on_its_own(functools.partial(self._read_in_turn, read))

    async def close(self) -> None:
        """Do what was asked for, then let go of the connections."""
        self._closed = True
        await self._groups.drain()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(*_FOREIGN, TimeoutError):
            await self._engine.dispose()

    async def _on_its_own(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """In a task that goes on when its caller has gone: a query that is cut short would cost its connection."""
        if self._closed:
            raise CatalogUnavailable
        task = asyncio.create_task(insist(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # which nobody may have waited for

    async def _transaction(self, act: Callable[[Connection], Result]) -> Result:
        async with self._engine.connect() as connection:
            result = await connection.run_sync(act)
            try:
                await connection.commit()
            except _FOREIGN as error:
                raise _CommitFailedError from error
            return result

    async def _commit(self, group: Sequence[Write]) -> Sequence[Any]:
        return await insist(lambda: self._transaction(lambda connection: self._commits.carry_out(connection, group)))

    async def _read(self, read: Callable[[Connection], Result]) -> Result:
        async with self._reading.connect() as connection:
            return await connection.run_sync(read)

    async def _read_in_turn(self, read: Read) -> Any:
        async with self._listers:
            return await self._read(read)


class Groups:
    """Writes in groups, so many groups at once."""

    def __init__(self, commit: Callable[[Sequence[Write]], Awaitable[Sequence[Any]]], *, at_once: int) -> None:
        self._commit: Final = commit
        self._at_once: Final = at_once
        self._waiting: list[Asked] = []
        self._running: Final[set[asyncio.Task[None]]] = set()

    def ask(self, write: Write) -> asyncio.Future[Any]:
        """The write's outcome. A caller that stops waiting leaves it undone or done, and disturbs no other."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((write, future))
        if len(self._running) < self._at_once:
            task = asyncio.create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return future

    async def drain(self) -> None:
        """Until nothing waits."""
        while self._running:
            await asyncio.wait(self._running)

    async def _run(self) -> None:
        while group := self._take(GROUP_MAX):
            try:
                outcomes = await self._commit([write for write, _ in group])
            except CatalogUnavailable as error:
                if not sqlstate(error):  # no server said so: what waits behind this group has waited as long for one
                    group += self._take(len(self._waiting))
                outcomes = [error] * len(group)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who asked must hear of it
                outcomes = [error] * len(group)
            _answer(group, outcomes)

    def _take(self, count: int) -> list[Asked]:
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return [asked for asked in taken if not asked[1].cancelled()] or (self._take(count) if taken else [])


def _answer(group: Sequence[Asked], outcomes: Sequence[Any]) -> None:
    for (_, future), outcome in zip(group, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(translated(outcome))
        else:
            future.set_result(outcome)


def open_engine(dsn: Dsn, *, connections: int, durable: bool, statement_seconds: float = 0.0) -> AsyncEngine:
    """Connections to the database, at most so many; each is made when it is needed first.

    Durable: an answer to a write is on the server's disk. `statement_seconds`: how long a statement may take.
    """
    settings = _server_settings(durable=durable, statement_seconds=statement_seconds or _STATEMENT_SECONDS_MAX)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=functools.partial(
            asyncpg.connect,
            dsn.secret,
            timeout=dsn.connect_seconds,
            connection_class=_Connection,
            server_settings=settings,
        ),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=ANSWER_SECONDS_MAX,
        pool_use_lifo=True,
    )
    event.listen(engine.sync_engine, "handle_error", _distrust)
    return engine


def _server_settings(*, durable: bool, statement_seconds: float) -> dict[str, str]:
    """What each connection asks of the server; times in milliseconds."""
    return {
        "application_name": "uploadstream",
        "default_transaction_isolation": "read committed",
        "timezone": "UTC",
        "jit": "off",  # whose planning takes longer than our queries
        "synchronous_commit": "on" if durable else "off",
        "statement_timeout": f"{statement_seconds * 1000:.0f}",
        "lock_timeout": f"{_LOCK_SECONDS_MAX * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS_MAX * 1000:.0f}",
        # A client that is gone without a word is forgotten, and what is between keeps the connection open.
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }


def _distrust(context: ExceptionContext) -> None:
    """Where one connection had no answer in time, or only a server that does not write, the others would not either."""
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.invalidate_pool_on_disconnect = True
    elif sqlstate(context.original_exception) == _READ_ONLY:
        context.is_disconnect = True


def begin(connection: Connection, group: Sequence[Write]) -> Mapping[int, Exception]:
    """Lock what the group goes by; what is done by a lease that was lost is refused."""
    lock_owners(connection, group)
    claims = {write.claim for write in group if write.claim is not None}
    lost = lease_rows.lost(connection, claims) if claims else set()
    return {place: lease_rows.refused(write.claim) for place, write in enumerate(group) if write.claim in lost}


def lock_owners(connection: Connection, group: Sequence[Write]) -> None:
    """Until the transaction ends, nobody else adds to the trails of these owners, whose rows are numbered.

    Always in the same order, and all at once, before anything else is locked: two groups cannot wait for each other.
    """
    buckets = sorted({zlib.crc32(write.owner.encode()) % _BUCKETS for write in group if write.owner})
    if buckets:
        connection.execute(_LOCK_OWNERS, {"buckets": buckets})


async def insist(attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Try, and try again while what is in the way may pass. CatalogUnavailable."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            for pause in _PAUSES:
                try:
                    return await attempt()
                except _FOREIGN as error:
                    if not is_passing(error):
                        raise
                await asyncio.sleep(pause)
            return await attempt()
    except (*_FOREIGN, TimeoutError, _CommitFailedError) as error:
        raise translated(error) from error


def is_passing(error: Exception) -> bool:
    """Whether the same may well succeed in a moment."""
    if isinstance(error, TimeoutError):
        return False
    if isinstance(error, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return True
    state = sqlstate(error)
    return state in _COLLISIONS or state in _AWAY or state.startswith(_CONNECTION) or _is_outdated(error)


def _is_outdated(error: Exception) -> bool:
    """A statement was prepared before a migration; those that were are forgotten now."""
    return isinstance(getattr(error, "orig", error).__cause__, asyncpg.InvalidCachedStatementError)


def sqlstate(error: BaseException | None) -> str:
    """The code that the server gave to an error; "" if it is none of the server's."""
    while error is not None:
        if state := getattr(error, "sqlstate", None):
            return str(state)
        error = getattr(error, "orig", None) or error.__cause__
    return ""


def translated(error: Exception) -> Exception:
    """The error as those above the catalog know it; one that is not the database's stays what it is."""
    if not isinstance(error, (*_FOREIGN, TimeoutError, _CommitFailedError)):
        return error
    unavailable = CatalogUnavailable()
    unavailable.__cause__ = error
    return unavailable
