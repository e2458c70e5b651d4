"""Calls of an application's functions: never on the event loop's time, never for ever, their failures never silent.

Invariant: what is asked (authenticate, before_create) and what is told (completed, deleted) have threads of their own:
however slow the application is to hear, it is asked without delay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from uploadstream.core.access import Caller, Forbidden, Unauthenticated
from uploadstream.core.errors import HookFailed, Refusal
from uploadstream.core.files import Action, Audit, File
from uploadstream.embedding.hooks import Functions, Told, file_of, terms_of, upload_of
from uploadstream.engine.hooks import Terms
from uploadstream.http.callers import Authenticate
from uploadstream.ports import Ports

THREADS: Final = 16
# What is to be told waits in memory up to here; then files wait for their publishing to be told.
WAITING_MAX: Final = 1000
PROTOCOL: Final = "hook"
_REFUSALS: Final = {401: Unauthenticated, 403: Forbidden}

log = logging.getLogger("uploadstream")


class Calls:
    """Calls of functions that may block, in so many threads, and for so long at most."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"uploadstream-{name}")
        self._seconds = seconds

    async def call(self, function: Callable[..., Any], *args: object) -> Any:
        """What it gives, or raises; TimeoutError. A thread that is waited for no more goes on by itself."""
        async with asyncio.timeout(self._seconds):
            if iscoroutinefunction(function):
                return await function(*args)
            work = partial(copy_context().run, function, *args)
            given = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            return await given if isawaitable(given) else given

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Application:
    """The application's functions as the service calls them: engine.hooks.Hooks, and who asks."""

    def __init__(self, functions: Functions, ports: Ports) -> None:
        self._functions = functions
        self._catalog = ports.catalog
        self._clock = ports.clock
        self._asking = Calls("asking", seconds=functions.seconds)
        self._telling = Calls("telling", seconds=functions.seconds)
        self._turns = asyncio.Semaphore(THREADS)
        self._room = asyncio.Semaphore(WAITING_MAX)
        self._told: set[asyncio.Task[None]] = set()

    def authenticate(self) -> Authenticate | None:
        """What finds out who sends a request, if the application knows that. Unauthenticated, Forbidden, HookFailed."""
        function = self._functions.authenticate
        if function is None:
            return None

        async def authenticate(request: Request) -> str:
            user_id = await self._ask("authenticate", function, request)
            if not user_id:
                raise Unauthenticated("Credentials are missing or not valid")
            return str(user_id)

        return authenticate

    async def before_create(self, terms: Terms, caller: Caller) -> Terms:
        """The terms on which an upload begins. Any refusal; HookFailed."""
        if self._functions.before_create is None:
            return terms
        shown = upload_of(terms, caller)
        changed = await self._ask("before_create", self._functions.before_create, shown)
        if changed is None:
            return terms
        try:
            return terms_of(changed, shown, terms)
        except Exception as error:
            log.exception("before_create gave what cannot be")
            raise HookFailed("before_create") from error

    async def completed(self, file: File) -> None:
        """Tell of a file."""
        await self._tell("completed", self._functions.completed, file)

    async def deleted(self, file: File) -> None:
        """Tell of a file that went to the trash."""
        await self._tell("deleted", self._functions.deleted, file)

    async def close(self) -> None:
        """Wait until all is told, or has taken too long."""
        if self._told:
            _, late = await asyncio.wait(self._told, timeout=self._functions.seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._asking.close()
        self._telling.close()

    async def _ask(self, name: str, function: Callable[..., Any], said: object) -> Any:
        try:
            return await self._asking.call(function, said)
        except Refusal:
            raise
        except HTTPException as error:  # of who uses the same function elsewhere
            if error.status_code in _REFUSALS:
                raise _REFUSALS[error.status_code](error.detail) from error
            log.exception("%s failed", name)
            raise HookFailed(name) from error
        except Exception as error:
            log.exception("%s failed", name)
            raise HookFailed(name) from error

    async def _tell(self, name: str, function: Told | None, file: File) -> None:
        if function is None:
            return
        await self._room.acquire()
        task = asyncio.create_task(self._tell_now(name, function, file), name=f"uploadstream {name}")
        self._told.add(task)
        task.add_done_callback(self._is_told)

    def _is_told(self, task: asyncio.Task[None]) -> None:
        self._told.discard(task)
        self._room.release()

    async def _tell_now(self, name: str, function: Told, file: File) -> None:
        try:
            async with self._turns:
                await self._telling.call(function, file_of(file))
        except BaseException as error:
            log.exception("%s failed: file %s", name, file.id)
            audit = Audit(file.id, Action.HOOK_FAIL, file.user_id, self._clock.now(), PROTOCOL, "", {"hook": name})
            with suppress(Refusal):
                await self._catalog.record(audit)
            if not isinstance(error, Exception):
                raise
