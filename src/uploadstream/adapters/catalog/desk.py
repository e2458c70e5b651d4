"""Threads of our own in front of a database whose calls block.

Invariant: nothing runs on the event loop but handing over a task and setting its future.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from uploadstream.core.errors import CatalogUnavailable

Task = TypeVar("Task")
Asked = tuple[Task, asyncio.Future[Any]]


class Desk(Generic[Task]):
    """Takes tasks from one event loop and answers each with its result or its error.

    Each thread has a connection, which it replaces after an error that came out of `serve`. `serve` gets what is
    waiting, at most `batch_max` tasks, and gives an outcome for each: a result, or an Exception to be raised.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        batch_max: int,
        connect: Callable[[], Connection],
        serve: Callable[[Connection, Sequence[Task]], Sequence[Any]],
    ) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._queue: Final[SimpleQueue[Asked[Task] | None]] = SimpleQueue()
        self._batch_max: Final = batch_max
        self._connect: Final = connect
        self._serve: Final = serve
        self._closed = False
        # Daemons: a process that ends without closing loses nothing that was answered.
        self._threads: Final = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, task: Task) -> asyncio.Future[Any]:
        """The task's outcome. A caller that stops waiting leaves its task undone or done, and disturbs no other."""
        if self._closed:
            raise CatalogUnavailable
        future = self._loop.create_future()
        self._queue.put((task, future))
        return future

    async def close(self) -> None:
        """Do what is waiting, then end the threads; closing again is fine."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        for thread in self._threads:
            await self._loop.run_in_executor(None, thread.join)

    def _run(self) -> None:
        connection: Connection | None = None
        while asked := self._take():
            try:
                connection = connection or self._connect()
                outcomes = self._serve(connection, [task for task, _ in asked])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who asked must hear of it
                outcomes = [error] * len(asked)
                _discard(connection)
                connection = None
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                self._loop.call_soon_threadsafe(_answer, [future for _, future in asked], outcomes)
            del asked, outcomes  # a result lives no longer than its caller needs it
        _discard(connection)

    def _take(self) -> list[Asked[Task]]:
        """At least one task whose caller still waits, and others that wait; nothing when the desk is closing."""
        taken: list[Asked[Task]] = []
        while not taken:
            asked = self._queue.get()
            with contextlib.suppress(Empty):
                while asked is not None:
                    if not asked[1].cancelled():
                        taken.append(asked)
                    if len(taken) >= self._batch_max:
                        return taken
                    asked = self._queue.get_nowait()
            if asked is None:
                self._queue.put(None)  # for the next turn, and for the other threads
                break
        return taken


def _answer(futures: Sequence[asyncio.Future[Any]], outcomes: Sequence[Any]) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(translated(outcome))
        else:
            future.set_result(outcome)


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
            connection.close()


def translated(error: Exception) -> Exception:
    """The error as those above the catalog know it; one that is not the database's stays what it is."""
    if not isinstance(error, SQLAlchemyError | sqlite3.Error):
        return error
    unavailable = CatalogUnavailable()
    unavailable.__cause__ = error
    return unavailable
