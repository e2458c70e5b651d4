"""An HTTP/1.1 server for an event loop that serves other things as well."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from uploadstream.servers.certificates import Certificate
from uploadstream.servers.http1 import HttpLimits, HttpProtocol, Shared

CANCEL_SECONDS: Final = 2.0

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class HttpServer(uvicorn.Server):
    """Serves `app` in the running event loop, beside others, and leaves signals to whoever runs it.

    `serve(sockets)` returns when `should_exit` was set and the connections are done, at most `drain_seconds` later.
    """

    def __init__(
        self,
        app: App,
        *,
        drain_seconds: float = 25,
        limits: HttpLimits | None = None,
        certificate: Certificate | None = None,
        refusal_fields: Mapping[str, str] | None = None,
    ) -> None:
        """`refusal_fields`: what is said with refusals that do not reach the application."""
        self.limits = limits or HttpLimits()
        self._certificate = certificate
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=self.limits.idle_seconds,
            timeout_graceful_shutdown=math.ceil(drain_seconds),
            ssl_context_factory=self._front if certificate else None,
        )
        super().__init__(config)
        self._shared = Shared(self.limits, refusal_fields or {})
        self.server_state = self._shared
        self.ready = asyncio.Event()
        self.servers = []

    def renew_certificate(self, certificate: Certificate) -> None:
        """Show it to new connections from now on. OSError: it cannot be used, and nothing has changed."""
        self._newest = certificate.context()

    def _front(self, _config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """What connections begin with, only to be given the newest: a context that is loaded anew keeps the old key.

        It does so when the new one is of another kind, and a client may then be shown either.
        """
        assert self._certificate is not None  # noqa: S101 - asked for by a server with one only
        front = self._newest = self._certificate.context()
        front.sni_callback = self._show_newest
        return front

    def _show_newest(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        """OpenSSL asks for every connection, also where the client names no host."""
        connection.context = self._newest

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the business of the whole process."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on `sockets` until `should_exit`. Cancelled, it ends without waiting for anybody."""
        looking = asyncio.create_task(self._look())
        try:
            await super().serve(sockets)
        finally:
            looking.cancel()
            for listener in self.servers:
                listener.close()
            for connection in self._connections():
                connection.transport.abort()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, let responses be finished; those that take too long are cancelled, and end."""
        self._shared.draining = True  # for connections that are made only now: accepted, or shaking hands
        await super().shutdown(sockets)
        tasks = list(self.server_state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)

    async def _look(self) -> None:
        """Now and then close the connections whose client takes too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.limits.look_seconds)
            for connection in self._connections():
                connection.look(loop.time())

    def _connections(self) -> list[HttpProtocol]:
        return [connection for connection in self.server_state.connections if isinstance(connection, HttpProtocol)]
