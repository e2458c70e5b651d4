"""HTTP/1.1: uvicorn, with a body that can be poured past it, and with bounds on everything that a client can stretch.

The protocol class adds `uploadstream.pour` to a request's extensions. A body of known length is then received straight
into the intake; of a chunked one uvicorn's parser keeps the framing, and its pieces go to the intake. Who does not pour
reads the body by `receive`, as ever. Before somebody asks for a body, no more of it is read than came with its head.

Invariant: the bytes behind a body are never taken for part of it, nor its bytes for the next request. A connection
whose input is not read to the end of the body is closed after the response, and the response says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from uploadstream.http import trailers
from uploadstream.http.callers import CERTIFICATE
from uploadstream.http.pour import EXTENSION, ClientGone, Intake, parted
from uploadstream.servers.answers import Answer, extensions
from uploadstream.servers.certificates import client_name
from uploadstream.servers.heads import Unparsable, read_head
from uploadstream.servers.pump import Body, Line, Pump

READ_SIZE: Final = 64 * 1024
CHUNKED_READ_SIZE: Final = 256 * 1024
PIPELINE_MAX: Final = 100
FEW_PIECES: Final = 8


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How far a client may stretch a connection."""

    head_size_max: int = 32 * 1024
    url_size_max: int = 8 * 1024
    trailers_size_max: int = 8 * 1024
    head_seconds: float = 15  # from connecting, or from the first byte of a next request
    body_seconds: float = 60  # without a byte of a body that is not poured (a poured one is the engine's)
    idle_seconds: int = 75
    send_seconds: float = 60  # without the client reading any of a response
    linger_seconds: float = 5
    look_seconds: float = 1  # how often all of them are looked at


class Shared(ServerState):
    """What all connections of a server have in common."""

    def __init__(self, limits: HttpLimits, refusal_fields: Mapping[str, str]) -> None:
        super().__init__()
        self.limits = limits
        self.refusal_fields = [(name.lower().encode(), value.encode()) for name, value in refusal_fields.items()]
        self.scratch = memoryview(bytearray(CHUNKED_READ_SIZE))
        self.draining = False


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    uvicorn's parser callbacks make a cycle of each request; `self.cycle` is the one that was parsed last, which is not
    the running one when requests are pipelined. A cycle whose body is incomplete is always the last.
    """

    transport: Line

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(server_state, Shared)  # noqa: S101 - uvicorn hands on what HttpServer gave it
        self._shared = server_state
        self._limits = server_state.limits
        self._running: RequestResponseCycle | None = None
        self._doomed = False  # nothing of what the client sends from now on is read
        # of the request being parsed
        self._in_head = False
        self._head_size = 0
        self._length: int | None = None  # None: chunked
        self._taken = 0
        self._receiving = False  # between head and end of body
        self._keep_alive = False
        self._body: Body | None = None
        self._pieces: list[bytes] = []
        self._trailers: list[tuple[bytes, bytes]] = []
        # for the limits
        self._fruitless = 0  # bytes since the parser last had a result
        self._head_since: float | None = None
        self._heard_at = 0.0

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Receive through a pump from now on; uvicorn gets its line for a transport."""
        stream = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._pump = Pump(self, stream, self._shared.scratch[:READ_SIZE])
        stream.set_protocol(self._pump)
        self._client_name = client_name(stream.get_extra_info("peercert"))
        super().connection_made(self._pump.line)
        self._head_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is going on; the one that writes, too, when it is not the last."""
        super().connection_lost(exc)
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        self._cut()

    def ended(self) -> bool:
        """Whether to stay and answer what has come: a client may say that it sends no more before it reads.

        A body that is not complete now will not be; and the answer to the last request ends the connection.
        """
        self._cut()
        if self._receiving or self._is_idle or self.transport.is_closing():
            return False
        self.cycle.keep_alive = False
        return self.transport.can_write_eof()  # TLS cannot be closed by halves

    def _cut(self) -> None:
        if self._body is not None:
            self._body.fail(ClientGone("The connection ended before the body did"))

    def shutdown(self) -> None:
        """Let the response that is going on be the last of this connection."""
        self._keep_alive = False
        super().shutdown()

    @property
    def has_unread_input(self) -> bool:
        """The client is, or may be, sending what nobody is going to read."""
        return self._doomed or self._receiving

    def look(self, now: float) -> None:
        """Close the connection if its client takes too long over anything."""
        limits, line = self._limits, self.transport
        line.look(now, send_seconds=limits.send_seconds, linger_seconds=limits.linger_seconds)
        if line.is_closing():
            return
        if self._head_since is not None and now - self._head_since > limits.head_seconds:
            if self._fruitless:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            else:
                line.close()
        elif self._is_reading_for_receive and now - self._heard_at > limits.body_seconds:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    @property
    def _is_reading_for_receive(self) -> bool:
        return self._receiving and self._body is None and not self.flow.read_paused

    # From the pump

    def data_received(self, data: bytes | memoryview) -> None:
        """Parse a piece of the stream: heads, chunked bodies, sized ones that nobody pours (yet)."""
        if self._doomed:
            self.flow.pause_reading()
            return
        self._unset_keepalive_if_required()
        self._heard_at = self.loop.time()
        self._fruitless += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            why = error.__context__
            self._refuse(why.status if isinstance(why, Unparsable) else HTTPStatus.BAD_REQUEST)
        else:
            self._after_parsing()

    def _parse(self, data: bytes | memoryview) -> None:
        """Feed the parser. A head that asks for another protocol is fed again without that wish (RFC 9110, 7.8)."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
                head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode()]
                for name, value in self.headers:
                    head += [] if name == b"upgrade" else [b"\r\n", name, b": ", value]
                self.parser.feed_data(b"".join([*head, b"\r\n\r\n"]))
            else:
                return

    def _renew_parser(self) -> None:
        """Start at the beginning of a head, as the constructor of uvicorn's protocol does."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _after_parsing(self) -> None:
        """Hand on what the parser gave, and see where it stands."""
        if self._body is not None:
            self._hand_on(self._body)
        if self._receiving and self._body is None and self.cycle.body:
            self.flow.pause_reading()  # until somebody asks for the rest of the body
        if self._fruitless > self._limits.head_size_max:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._in_head else HTTPStatus.BAD_REQUEST)
        elif self._head_since is None and self._is_idle:
            self._head_since = self.loop.time()

    @property
    def _is_idle(self) -> bool:
        return not self._receiving and (self._running is None or self._running.response_complete)

    def _hand_on(self, body: Body) -> None:
        """The pieces of a chunked body go to the intake, many small ones as one."""
        pieces, self._pieces = self._pieces, []
        body.give(pieces if len(pieces) <= FEW_PIECES else [b"".join(pieces)])

    def body_received(self) -> None:
        """The pump has the last byte of a sized body; what comes next is a head."""
        self._renew_parser()
        self.on_message_complete()

    def _refuse(self, status: HTTPStatus) -> None:
        """The client's stream makes no sense from here on: answer what came before, say so, and close."""
        self._doomed = True
        self._head_since = None
        self.flow.pause_reading()
        broken = self.cycle if self._receiving else None
        if broken is not None and self.pipeline and self.pipeline[0][0] is broken:
            self.pipeline.popleft()  # it has not begun, and will not
            broken = None
        outstanding = self.pipeline[0][0] if self.pipeline else self._running
        if broken is not None:
            if self._body is not None:
                self._hand_on(self._body)
                self._cut()
            broken.disconnected = True
            broken.message_event.set()
        elif outstanding is not None and not outstanding.response_complete:
            outstanding.keep_alive = False
            return
        if broken is None or not broken.response_started:
            self._write_refusal(status)
        self.transport.close()

    def _write_refusal(self, status: HTTPStatus) -> None:
        text = f"{status.phrase}\n".encode()
        fields = [
            *self.server_state.default_headers,
            *self._shared.refusal_fields,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % field for field in fields]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", text]))

    # From the parser

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        super().on_url(url)
        if len(self.url) > self._limits.url_size_max:
            raise Unparsable(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or one behind a chunked body, which never becomes one of the head."""
        self._head_size += len(name) + len(value) + len(b": \r\n")
        if not self._in_head:
            if self._head_size > self._limits.trailers_size_max or trailers.is_framing(name):
                raise Unparsable(HTTPStatus.BAD_REQUEST)
            self._trailers.append((name, value))
            return
        if self._head_size + len(self.url) > self._limits.head_size_max:
            raise Unparsable(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request begins. Until all of its body is there, its response will be the connection's last."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # it is fed again
        if len(self.pipeline) >= PIPELINE_MAX:
            raise Unparsable(HTTPStatus.SERVICE_UNAVAILABLE)
        self._in_head = False
        self._head_size = 0  # of the trailers from here on
        self._trailers = []
        self._fruitless = 0
        self._head_since = None
        self._taken = 0
        version = self.parser.get_http_version()
        head = read_head(version, self.parser.get_method(), self.url, self.headers)
        self.url, self._length = head.target, head.length
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, section 10.1.1
        super().on_headers_complete()
        offered = {EXTENSION: partial(self.pour, self.cycle), **extensions(self.scope, self.transport)}
        if self._length is None:
            offered[trailers.EXTENSION] = {}
        if self._client_name:
            offered[CERTIFICATE] = self._client_name
        self.scope["extensions"] = offered
        self._receiving = True
        self._keep_alive = self.cycle.keep_alive and not self._shared.draining
        self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._fruitless = 0
        self._taken += len(body)
        if self._body is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The request is there to its end."""
        if self.parser.should_upgrade():
            return  # the head is fed again
        self._fruitless = 0
        self._receiving = False
        if self._trailers:
            self.scope["extensions"][trailers.EXTENSION].update(trailers.read_trailers(self._trailers))
        body, self._body = self._body, None
        if body is not None:
            self._hand_on(body)
            body.end()
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, Answer(app, cycle))

    # The extension

    async def pour(self, cycle: RequestResponseCycle, intake: Intake) -> None:
        """Move the body of `cycle` into `intake`. ClientGone, and whatever the intake raises.

        Cancelled or failed, it leaves the rest of the body in the socket, and the connection ends with the response.
        """
        early, cycle.body = memoryview(cycle.body), bytearray()  # ours alone now: nothing changes it any more
        if not cycle.more_body:
            for piece in parted(early, room=intake.room) if early else ():
                busy = intake.feed(piece)
                if busy is not None:
                    await busy
            return
        if cycle.disconnected or self.transport.is_closing():
            raise ClientGone("The connection ended before the body did")
        self._say_continue(cycle)
        body = self._body = Body(intake, self.flow, left=0 if self._length is None else self._length - self._taken)
        try:
            if self._length is None:
                self._pump.scratch = self._shared.scratch
            else:
                self._pump.body = body
            body.give([early] if early else [])
            await body.done
        finally:
            self._body, self._pump.body = None, None
            self._pump.scratch = self._shared.scratch[:READ_SIZE]
            if cycle.more_body:
                self._doomed = True
                self.flow.pause_reading()

    def _say_continue(self, cycle: RequestResponseCycle) -> None:
        """Ask for the body of a client that waits to be asked, unless it did not wait (RFC 9110, section 10.1.1)."""
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            if not self._taken:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
