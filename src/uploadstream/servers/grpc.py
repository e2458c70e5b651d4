"""The gRPC server: a socket and its limits, health and reflection, and the edge that every call goes through.

Memory stays flat because the windows do: without BDP probing they never grow beyond the look-ahead, or the message
that is being read. Measured with 16 uploads at once, in MiB above idle: 33 with messages of 64 KiB, 50 with 512 KiB,
70 with 1 MiB; the last was 97 with grpc's own reads, which grow to 4 MiB. Half the look-ahead saves 5 more, and halves
what a client with small messages gets over a long line.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import grpc
import structlog
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from uploadstream.core.errors import Draining, Refusal
from uploadstream.core.sizes import KIB
from uploadstream.servers.certificates import Certificate

log = structlog.get_logger()

LOOKAHEAD_BYTES: Final = 512 * KIB
READ_BYTES: Final = 64 * KIB  # from a socket at once
STREAMS_MAX: Final = 1000  # of one connection
METADATA_BYTES_MAX: Final = 16 * KIB
# A chunk over the limit is refused in our words, so it has to come through; what is larger still is refused in grpc's.
MESSAGE_SIZE_FACTOR: Final = 4
HANDSHAKE_SECONDS: Final = 20
IDLE_SECONDS: Final = 600  # of a connection without a call
PING_SECONDS: Final = 20  # without a byte from the client
PONG_SECONDS: Final = 20
CUT_SECONDS: Final = 5.0
TOLD_SECONDS: Final = 1.0  # for those who watch the health to hear that it ends
_M_ARENA_MAX: Final = -8  # malloc.h

Call = Callable[[Any, Any], Awaitable[Any]]
Guard = Callable[[str, Call], Call]


class Service(Protocol):
    """A gRPC service to be carried: its full name, and its methods, each to be wrapped by `guard(name, method)`."""

    @property
    def name(self) -> str:
        """As in `package.Service`."""
        ...

    def handler(self, guard: Guard) -> grpc.GenericRpcHandler:
        """Its methods."""
        ...


@dataclass(frozen=True, slots=True)
class Socket:
    """Where a server listens. Port 0: any free one. `reuse_port`: other processes listen there as well."""

    host: str
    port: int
    reuse_port: bool = False
    tls: Certificate | None = None

    @property
    def address(self) -> str:
        """As gRPC writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Edge:
    """What every call goes through: errors become statuses, and a stop knows what runs."""

    def __init__(self, status_of: Callable[[Refusal], grpc.Status]) -> None:
        self._status_of = status_of
        self._running: set[asyncio.Task[Any]] = set()
        self._is_cut = False

    def guard(self, name: str, call: Call) -> Call:
        """`call`, whose errors are said as gRPC says them."""

        async def guarded(request: Any, context: Any) -> Any:
            task = cast("asyncio.Task[Any]", asyncio.current_task())  # grpc.aio runs every call in a task of its own
            self._running.add(task)
            try:
                return await self._answer(name, call, request, context)
            finally:
                self._running.discard(task)

        return guarded

    async def _answer(self, name: str, call: Call, request: Any, context: Any) -> Any:
        try:
            if self._is_cut:
                raise Draining
            return await call(request, context)
        except Refusal as error:
            await self._refuse(context, error)
        except asyncio.CancelledError:
            if self._is_cut:
                await self._refuse(context, Draining())
            raise
        except aio.InternalError:  # a message could not be sent: the client has gone, which is no fault to be logged
            with suppress(aio.InternalError):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Connection was lost")
            raise asyncio.CancelledError from None
        except aio.BaseError:  # the call has ended, and grpc knows how
            raise
        except Exception:
            log.exception("grpc call failed", method=name)
            await context.abort(grpc.StatusCode.INTERNAL, "Internal error; the server's log says more")

    async def _refuse(self, context: Any, error: Refusal) -> None:
        status = self._status_of(error)
        await context.abort(status.code, status.details, status.trailing_metadata)

    async def finish(self, grace_seconds: float) -> None:
        """Wait until no call runs; those that still do after the grace are ended, what they brought is kept."""
        if await self._finished(grace_seconds):
            return
        self._is_cut = True
        for task in self._running:
            task.cancel()
        await self._finished(CUT_SECONDS)

    async def _finished(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running:
                    await asyncio.wait(self._running)
        return not self._running


class _Health(health.aio.HealthServicer):
    """The standard service, which tells all who watch that it ends before they are cut off."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: set[_Watcher] = set()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802 - the protocol's name
        """See health.proto."""
        watcher = _Watcher(context)
        self._watchers.add(watcher)
        try:
            await super().Watch(request, cast("Any", watcher))
        finally:
            self._watchers.discard(watcher)
            watcher.is_told.set()

    async def end(self) -> None:
        """No service serves any more; returns when all who watch have been sent that, or do not read."""
        await self.enter_graceful_shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(TOLD_SECONDS):
                for watcher in [*self._watchers]:
                    await watcher.is_told.wait()


class _Watcher:
    """The side of a watching call that the standard service writes to."""

    def __init__(self, context: Any) -> None:
        self.is_told = asyncio.Event()  # that nothing serves, or that there is no such service
        self._context = context

    async def write(self, response: health_pb2.HealthCheckResponse) -> None:
        """Send a state."""
        await self._context.write(response)
        if response.status != health_pb2.HealthCheckResponse.SERVING:
            self.is_told.set()


class _Certificates:
    """Which certificate new connections are shown; grpc asks from threads of its own."""

    def __init__(self, tls: Certificate) -> None:
        self.newest = tls
        self._shown = tls
        # grpc cannot ask for a certificate without insisting on one
        self.credentials: Final = grpc.dynamic_ssl_server_credentials(
            _configuration(tls), cast("Any", self._fetch), require_client_authentication=bool(tls.client_ca)
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The newest if it has not been shown yet; None: go on with what was."""
        newest = self.newest
        if newest is self._shown:
            return None
        self._shown = newest
        return _configuration(newest)


def _configuration(tls: Certificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.chain)], tls.client_ca or None)


class GrpcServer:
    """A server of grpc.aio with our services. `chunk_size_max`: the most bytes that one message may carry."""

    def __init__(
        self,
        services: Sequence[Service],
        socket: Socket,
        *,
        status_of: Callable[[Refusal], grpc.Status],
        chunk_size_max: int,
    ) -> None:
        """To be called in the loop that the server is to run in."""
        use_one_heap()
        self._socket = socket
        self._certificates = _Certificates(socket.tls) if socket.tls else None
        self._edge = Edge(status_of)
        self._health = _Health()
        self._names = [service.name for service in services]
        self._server = aio.server(
            handlers=[service.handler(self._edge.guard) for service in services],
            options=options_of(socket, chunk_size_max),
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        shown = [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(shown, self._server)

    async def start(self) -> int:
        """Listen, and answer the port. OSError if that cannot be."""
        address = self._socket.address
        try:
            if self._certificates is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._certificates.credentials)
        except RuntimeError:
            raise OSError(errno.EADDRINUSE, f"gRPC cannot listen on {address}") from None
        await self._server.start()
        await self.set_serving(is_serving=True)
        return port

    def renew_certificate(self, tls: Certificate) -> None:
        """Show it to new connections."""
        assert self._certificates is not None  # noqa: S101 - a server without TLS has none to renew
        self._certificates.newest = tls

    async def set_serving(self, *, is_serving: bool) -> None:
        """What health checks are told from now on."""
        states = health_pb2.HealthCheckResponse
        for name in ["", *self._names]:
            await self._health.set(name, states.SERVING if is_serving else states.NOT_SERVING)

    async def stop(self, *, grace_seconds: float) -> None:
        """Take no more calls, give those that run the grace, then end them; returns when all have ended."""
        await self._health.end()
        closing = asyncio.create_task(self._server.stop(grace_seconds + CUT_SECONDS))
        await self._edge.finish(grace_seconds)
        closing.cancel()  # those who watch the health would be waited for
        await asyncio.wait([closing])
        await self._server.stop(None)


def use_one_heap() -> None:
    """Let glibc give grpc's threads no heaps of their own, each of which would keep its peak (mallopt(3))."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def options_of(socket: Socket, chunk_size_max: int) -> list[tuple[str, int]]:
    """The server's channel arguments (gRPC Core, channel_arg_names.h)."""
    return [
        ("grpc.so_reuseport", int(socket.reuse_port)),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", LOOKAHEAD_BYTES),
        ("grpc.experimental.tcp_read_chunk_size", READ_BYTES),
        ("grpc.experimental.tcp_min_read_chunk_size", READ_BYTES),
        ("grpc.experimental.tcp_max_read_chunk_size", READ_BYTES),
        ("grpc.max_receive_message_length", MESSAGE_SIZE_FACTOR * chunk_size_max + 64 * KIB),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.max_concurrent_streams", STREAMS_MAX),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
        ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1000),
        # a peer that is gone without a word is found out, call or not
        ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", PONG_SECONDS * 1000),
        ("grpc.http2.ping_timeout_ms", PONG_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # and clients may ask as often as they like whether we are there
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
