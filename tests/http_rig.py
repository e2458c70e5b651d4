"""What the tests of the HTTP server stand on: an intake whose pace a test sets, and a server on a free port."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from uploadstream.servers.certificates import Certificate
from uploadstream.servers.http1 import HttpLimits
from uploadstream.servers.http1_server import HttpServer
from uploadstream.servers.listening import listen, port_of

BUFFER_SIZE = 1024 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class FakeIntake:
    """Keeps what it gets. `busy_after`: from so many bytes on, each piece makes it busy until `free`."""

    def __init__(self, *, busy_after: int | None = None, refuse_after: int | None = None) -> None:
        self.content = bytearray()
        self.touched = asyncio.Event()
        self.waiting: asyncio.Future[None] | None = None
        self._busy_after = busy_after
        self._refuse_after = refuse_after
        self._buffer = memoryview(bytearray(BUFFER_SIZE))

    @property
    def room(self) -> int:
        return BUFFER_SIZE**2 if self._refuse_after is None else self._refuse_after - len(self.content)

    def get_buffer(self, limit: int) -> memoryview:
        assert limit > 0
        return self._buffer[:limit]

    def received(self, count: int) -> asyncio.Future[None] | None:
        assert count > 0
        return self._take(self._buffer[:count])

    def feed(self, data: bytes | memoryview) -> asyncio.Future[None] | None:
        return self._take(data)

    def _take(self, data: bytes | memoryview) -> asyncio.Future[None] | None:
        assert self.waiting is None, "called while it was busy"
        self.touched.set()
        if self._refuse_after is not None and len(self.content) + len(data) > self._refuse_after:
            raise ValueError("refused")
        self.content += data
        if self._busy_after is not None and len(self.content) >= self._busy_after:
            self.waiting = asyncio.get_running_loop().create_future()
        return self.waiting

    def free(self, error: Exception | None = None, *, for_good: bool = False) -> None:
        """What it was busy with is done."""
        if for_good:
            self._busy_after = None
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        if waiting.done():
            return
        if error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(error)


async def respond(send: Send, status: int = 200, body: bytes = b"", *, headers: dict[str, str] | None = None) -> None:
    """One whole response."""
    fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    fields.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Answer:
    """A response as the client sees it."""

    status: int
    fields: dict[str, str]
    body: bytes


@dataclass
class Client:
    """A connection that says exactly what it is told."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        """Piece by piece, with time for the server to read each."""
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.01)
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self) -> Answer:
        """The next response."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return Answer(int(first.split()[1]), fields, body)

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await self.reader.read()

    @property
    def socket(self) -> socket.socket:
        found: socket.socket = self.writer.get_extra_info("socket")
        return found

    def reset(self) -> None:
        """End the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


@dataclass
class Serving:
    """A running server and the clients a test opened."""

    server: HttpServer
    port: int
    task: asyncio.Task[None]
    clients: list[Client] = field(default_factory=list)

    async def connect(self, **options: Any) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(
    app: App,
    *,
    limits: HttpLimits | None = None,
    drain_seconds: float = 1,
    certificate: Certificate | None = None,
    refusal_fields: Mapping[str, str] | None = None,
    send_buffer_size: int | None = None,
) -> AsyncIterator[Serving]:
    """A server of `app` on a free port of 127.0.0.1. `send_buffer_size`: what the kernel keeps of a response."""
    sockets = listen("127.0.0.1", 0)
    if send_buffer_size is not None:
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_size)
    server = HttpServer(
        app, drain_seconds=drain_seconds, limits=limits, certificate=certificate, refusal_fields=refusal_fields
    )
    task = asyncio.create_task(server.serve(sockets))
    running = Serving(server, port_of(sockets[0]), task)
    await server.ready.wait()
    try:
        yield running
    finally:
        for client in running.clients:
            client.writer.transport.abort()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass
class Poured:
    """What became of one pouring."""

    intake: FakeIntake
    error: BaseException | None = None
    scope: Scope = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[Any] | None = None


class PouringApp:
    """Pours every body by `pour` into an intake of `make`, and answers with what came of it."""

    def __init__(
        self,
        pour: Callable[[Scope, Receive, FakeIntake], Awaitable[None]],
        make: Callable[[], FakeIntake] = FakeIntake,
    ) -> None:
        self.poured: list[Poured] = []
        self.begun = asyncio.Event()
        self._pour = pour
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        one = Poured(self._make(), scope=scope, task=asyncio.current_task())
        self.poured.append(one)
        self.begun.set()
        try:
            await self._pour(scope, receive, one.intake)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            one.error = error
        one.ended.set()
        text = type(one.error).__name__ if one.error else str(len(one.intake.content))
        await respond(send, 400 if one.error else 200, f"{scope['path']} {text}".encode())

    @classmethod
    def into(cls, pour: Callable[[Scope, Receive, FakeIntake], Awaitable[None]], **options: int) -> Self:
        """Into intakes made with `options`."""
        return cls(pour, lambda: FakeIntake(**options))


def sized(body: bytes, path: str = "/", *fields: str) -> bytes:
    """A request whose length is told."""
    lines = [f"PATCH {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(body: bytes, path: str = "/", *fields: str, chunk_size: int = 40_000, trailer: str = "") -> bytes:
    """The same in chunks."""
    lines = [f"PATCH {path} HTTP/1.1", "Host: here", "Transfer-Encoding: chunked", *fields]
    chunks = [body[start : start + chunk_size] for start in range(0, len(body), chunk_size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return "\r\n".join([*lines, "", ""]).encode() + framed + b"0\r\n" + trailer.encode() + b"\r\n"
