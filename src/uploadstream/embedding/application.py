"""The ASGI application: the service, started when it is first needed and stopped when its application stops.

Invariant: one service for one event loop, whoever asks first and however many ask at once. It has a task of its own, so
that no request that goes away takes it along.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Final, Self, Unpack

from starlette.types import ASGIApp, Receive, Scope, Send

from uploadstream.app import SWEEP_SECONDS, Service, http_app, service
from uploadstream.core.errors import Draining
from uploadstream.embedding.calls import Application
from uploadstream.embedding.hooks import Authenticate, BeforeCreate, Functions, Told
from uploadstream.embedding.options import Options, settings_of
from uploadstream.engine.sweeper import Sweep
from uploadstream.ports import Ports
from uploadstream.settings import Settings

# After the grace time: what was cut has so long to put away what it brought.
CUT_SECONDS: Final = 2.0

log = logging.getLogger("uploadstream")


class UploadStream:
    """Uploads and downloads over every HTTP protocol, to be mounted under any path of an ASGI application.

    It starts by its lifespan, by `async with`, or with the first request; and stops with its lifespan, by `async with`
    or `aclose()`, or with its event loop.
    """

    def __init__(
        self,
        *,
        authenticate: Authenticate | None = None,
        before_create: BeforeCreate | None = None,
        completed: Told | None = None,
        deleted: Told | None = None,
        hook_timeout: float = 10.0,
        **options: Unpack[Options],
    ) -> None:
        """Settings are given by their names, and not read from the environment. BadSettings.

        `authenticate` says which user sends a request, `before_create` whether and how an upload begins; `completed`
        and `deleted` are told of files. None of them may take longer than `hook_timeout` seconds.
        """
        self._functions: Final = Functions(authenticate, before_create, completed, deleted, hook_timeout)
        self._settings: Final = settings_of(**options)
        self._life: _Life | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        life = self._life_here()
        app = await life.app()
        with life.request():
            await app(scope, receive, send)

    async def start(self) -> Self:
        """Start now, unless it runs; what keeps it from that is raised. WrongStore, WrongSchema, Unavailable."""
        await self._life_here().app()
        return self

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Run inside: for an application around us that tells those it mounts nothing of its own life."""
        async with self:
            yield

    async def aclose(self) -> None:
        """End what is going on, after the grace time, and let everything go; what uploads brought is kept."""
        life = self._life
        if life is not None and life.loop is asyncio.get_running_loop():
            await life.end()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _life_here(self) -> _Life:
        """The service that runs, or a new one."""
        loop, life = asyncio.get_running_loop(), self._life
        if life is not None and life.loop is not loop and not life.loop.is_closed():
            message = "UploadStream runs in another event loop; give each its own"
            raise RuntimeError(message)
        if life is None or life.loop is not loop or life.is_over:
            life = self._life = _Life(self._settings, self._functions)
        return life

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan (ASGI, "Lifespan Protocol")."""
        await receive()
        try:
            await self.start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})


class _Life:
    """One service from its start to its end, in a task of its own."""

    def __init__(self, settings: Settings, functions: Functions) -> None:
        self.loop: Final = asyncio.get_running_loop()
        self._application: Application
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._settings = settings
        self._functions = functions
        self._app: asyncio.Future[ASGIApp] = self.loop.create_future()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="uploadstream")

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or failed to begin."""
        return self._task.done()

    async def app(self) -> ASGIApp:
        """The application, once it runs."""
        return await asyncio.shield(self._app)

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request that is served inside; the end waits for it for a while."""
        self._requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    async def end(self) -> None:
        """Stop, and wait for that."""
        self._stop.set()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async with service(self._settings, hooks_on=self._hooks_on) as running:
                self._app.set_result(self._app_of(running))
                sweeping = asyncio.create_task(running.sweeper.run(every_seconds=SWEEP_SECONDS, swept=_log_sweep))
                try:
                    await self._stop.wait()
                finally:
                    sweeping.cancel()
                    await asyncio.wait([sweeping])
                    await self._drain(running)
        except BaseException as error:
            if self._app.done():
                raise
            self._app.set_exception(error if isinstance(error, Exception) else Draining())
            self._app.exception()  # whoever asked is told; if nobody is left to ask, that is no fault

    def _hooks_on(self, ports: Ports) -> Application:
        self._application = Application(self._functions, ports)
        return self._application

    def _app_of(self, running: Service) -> ASGIApp:
        return http_app(
            running,
            is_draining=self._stop.is_set,
            cors_origins=self._settings.cors_origins,
            authenticate=self._application.authenticate(),
        )

    async def _drain(self, running: Service) -> None:
        """Let requests end by themselves for the grace time; then end their bodies, which keeps what they brought."""
        running.events.stop()
        grace = self._settings.drain_timeout.total_seconds() if self._stop.is_set() else 0.0
        for seconds in (grace, CUT_SECONDS):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            running.watch.stop_all(Draining())


def _log_sweep(done: Sweep) -> None:
    log.info("swept %s", dict(done))
