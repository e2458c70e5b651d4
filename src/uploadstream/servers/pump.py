"""The receiving end of an HTTP/1.1 connection: every byte that comes from its socket is put somewhere from here.

Heads, and whatever else has to be parsed, are received into memory that all connections share and handed on at once. A
body whose length is known goes straight into an intake's memory, and not one byte further: what follows it stays in
the socket. A connection that is closed with input left unread lingers: the rest is received into nowhere, within
bounds, because a reset would destroy the answer before the client has read it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

from uploadstream.http.pour import Intake, parted
from uploadstream.servers.sendfile import FileSending

LINGER_BYTES: Final = 16 * 1024 * 1024


class Valve(Protocol):
    """Starts and stops the reading from a connection."""

    def pause_reading(self) -> None:
        """Leave the bytes in the socket."""
        ...

    def resume_reading(self) -> None:
        """Go on."""
        ...


class Outflow(Protocol):
    """Knows whether the client keeps up with what is written to it."""

    async def drain(self) -> None:
        """Wait until it has caught up, or is gone."""
        ...


class Owner(Protocol):
    """The protocol on top: gets what has to be parsed, and all that happens to the connection."""

    @property
    def has_unread_input(self) -> bool:
        """The client is, or may be, sending what nobody is going to read."""
        ...

    def data_received(self, data: memoryview) -> None:
        """Parse `data`, which is overwritten afterwards."""
        ...

    def body_received(self) -> None:
        """The last byte of the sized body is in the intake."""
        ...

    def ended(self) -> bool:
        """The client sends no more; False: close."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        ...

    def pause_writing(self) -> None:
        """The client is slow to read."""
        ...

    def resume_writing(self) -> None:
        """It has caught up."""
        ...


class Body:
    """One body on its way into an intake: `left` bytes from the socket, or pieces until `end`.

    Invariant: the intake is never called while it is busy; until then nothing is read.
    """

    def __init__(self, intake: Intake, valve: Valve, *, left: int = 0) -> None:
        self.intake = intake
        self.left = left
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._valve = valve
        self._pieces: deque[bytes | memoryview] = deque()
        self._ended = False
        self._busy = False

    def received(self, count: int) -> None:
        """Take `count` bytes, which are in the intake's buffer."""
        self.left -= count
        try:
            busy = self.intake.received(count)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the pouring
            self.fail(error)
            return
        if busy is not None:
            self._wait(busy)

    def give(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Take pieces that were received elsewhere; those that the intake has no time for wait here."""
        self._pieces.extend(pieces)
        self._go_on()

    def end(self) -> None:
        """Nothing follows; done when the intake has taken what there is."""
        self._ended = True
        self._go_on()

    def fail(self, error: Exception) -> None:
        """End with `error`, and read nothing more."""
        self._valve.pause_reading()
        if not self.done.done():
            self.done.set_exception(error)

    def _wait(self, busy: asyncio.Future[None]) -> None:
        self._busy = True
        self._valve.pause_reading()
        busy.add_done_callback(self._free)

    def _free(self, busy: asyncio.Future[None]) -> None:
        """The intake can take more, or the store has failed."""
        error = None if busy.cancelled() else busy.exception()
        if self.done.done():
            return
        if isinstance(error, Exception):
            self.fail(error)
            return
        self._busy = False
        self._go_on()

    def _go_on(self) -> None:
        """Hand over the pieces that wait, as long as the intake takes them."""
        while self._pieces and not self._busy and not self.done.done():
            piece, *rest = parted(self._pieces.popleft(), room=self.intake.room)
            self._pieces.extendleft(rest)
            try:
                busy = self.intake.feed(piece)
            except Exception as error:  # noqa: BLE001 - as above
                self.fail(error)
                return
            if busy is not None:
                self._wait(busy)
        if self._busy or self.done.done():
            return
        self._valve.resume_reading()
        if self._ended:
            self.done.set_result(None)


class Pump(asyncio.BufferedProtocol):
    """What the socket's transport talks to, from the first byte of a connection to its end."""

    def __init__(self, owner: Owner, transport: asyncio.Transport, scratch: memoryview) -> None:
        self.body: Body | None = None
        self.scratch = scratch
        self.line = Line(transport, self)
        self._owner = owner
        self._lingering = False
        self._drained = 0

    @property
    def has_unread_input(self) -> bool:
        """The client may be sending what nobody is going to read."""
        return self._owner.has_unread_input

    def linger(self) -> None:
        """From now on, what comes is of no interest."""
        self._lingering = True
        self.line.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's hint is always -1
        """Where the next bytes go."""
        body = self.body
        return self.scratch if body is None else body.intake.get_buffer(body.left)

    def buffer_updated(self, nbytes: int) -> None:
        """They are there."""
        body = self.body
        if body is not None:
            body.received(nbytes)
            if not body.left:
                self.body = None
                self._owner.body_received()
        elif self._lingering:
            self._drained += nbytes
            if self._drained >= LINGER_BYTES:
                self.line.pause_reading()
        else:
            self._owner.data_received(self.scratch[:nbytes])

    def eof_received(self) -> bool:
        """The client sends no more: the transport closes itself, unless there are answers to be sent."""
        return self._owner.ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        self._owner.connection_lost(exc)
        self.line.lose()

    def pause_writing(self) -> None:
        """The client is slow to read."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._owner.resume_writing()


class Line(asyncio.Transport):
    """The transport as the protocol on top sees it: `close` closes it so that what was written arrives."""

    def __init__(self, transport: asyncio.Transport, pump: Pump) -> None:
        super().__init__()
        self._closing = False
        self._lingers = False
        self._sending: FileSending | None = None
        self._progress = (-1, 0)  # unsent in memory, and sent of a file, when last looked at; at first: never
        self._still_since = 0.0
        self._transport = transport
        self._pump = pump

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the socket's transport has it."""
        return self._transport.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, unless the line is closing."""
        if not self._closing:
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Nothing can be sent any more."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Send what was written, then close; with unread input, only after the client had time to read it."""
        if self._closing:
            return
        self._closing = True
        if self._transport.is_closing() or not self._pump.has_unread_input:
            self._transport.close()
            return
        self._lingers = True
        if self._transport.can_write_eof():
            with suppress(OSError):  # the client has reset the connection this very moment
                self._transport.write_eof()
        self._pump.linger()

    def look(self, now: float, *, send_seconds: float, linger_seconds: float) -> None:
        """Abort when nothing moves: the client does not read, or it had its time to read while we linger."""
        unsent, sending = self.get_write_buffer_size(), self._sending
        progress = (unsent, sending.sent if sending else 0)
        if progress != self._progress or not (unsent or sending or self._closing):
            self._progress, self._still_since = progress, now
        elif now - self._still_since > (linger_seconds if self._lingers and not unsent else send_seconds):
            self.abort()

    def get_write_buffer_size(self) -> int:
        """How many bytes wait in memory for the client to read."""
        return self._transport.get_write_buffer_size()

    @property
    def can_send_files(self) -> bool:
        """Whether the kernel can put a file's bytes on this line: not through TLS, and not past uvloop's own queue."""
        transport: object = self._transport
        return isinstance(transport, asyncio.Transport) and transport.get_extra_info("ssl_object") is None

    async def send_file(self, source: int, *, at: int, count: int, outflow: Outflow) -> int:
        """Send what was written, then bytes of a file past the transport; how many. ConnectionError, OSError."""
        self._transport.set_write_buffer_limits(high=0)  # until all is in the socket, the outflow counts as paused
        try:
            await outflow.drain()
        finally:
            self._transport.set_write_buffer_limits()
        if self.is_closing():
            raise ConnectionAbortedError
        target = self._transport.get_extra_info("socket").fileno()
        self._sending = FileSending(target, source, at=at, count=count)
        try:
            return await self._sending.run()
        finally:
            self._sending = None

    def lose(self) -> None:
        """The connection is no more."""
        if self._sending is not None:
            self._sending.lose()

    def can_write_eof(self) -> bool:
        """Whether one direction can be closed without the other."""
        return self._transport.can_write_eof()

    def abort(self) -> None:
        """Close now; what was not sent yet is lost."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Leave the bytes in the socket."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        self._transport.resume_reading()
