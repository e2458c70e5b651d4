"""A web server that does to whoever asks it what a test wants, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from uploadstream.core.addresses import Address, is_public

HOST = "127.0.0.2"  # stands for the internet in these tests; 127.0.0.1 is this machine, as it is everywhere

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Origin:
    """Where it is, and what it was asked."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/files/a.bin", *, host: str = "origin.test", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def origin(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    """A server that gives each connection the next answer, and the last one for ever."""
    found = Origin()
    tasks: set[asyncio.Task[object]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        task.add_done_callback(lambda _: writer.transport.abort())  # whether it had begun or not
        tasks.add(task)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = answers[min(len(found.requests), len(answers) - 1)]
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            found.requests.append(await reader.readuntil(b"\r\n\r\n"))
            try:
                await answer(writer)
                writer.close()
                await writer.wait_closed()
            except ConnectionError:
                found.gone.set()

    server = await asyncio.start_server(connected, HOST, 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # for the transports to end


def says(*lines: str, body: bytes = b"", status: str = "200 OK") -> Answer:
    """An answer with these header lines."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines))
        writer.write(head.encode("latin-1") + b"\r\n" + body)
        await writer.drain()

    return answer


def sends(body: bytes, *lines: str) -> Answer:
    """A file with its length."""
    return says(f"Content-Length: {len(body)}", *lines, body=body)


def redirects(to: str, status: str = "302 Found") -> Answer:
    return says(f"Location: {to}", "Content-Length: 0", status=status)


def in_the_test(address: Address) -> bool:
    """What is public in these tests."""
    return address == ip_address(HOST) or is_public(address)


class Names:
    """A resolver that knows a few names; of several answers for one, each is given once, and the last for ever."""

    def __init__(self, **known: str | Sequence[Sequence[str]]) -> None:
        self.asked: list[str] = []
        self._known = {f"{name.replace('_', '-')}.test": _answers(answers) for name, answers in known.items()}
        self._known["origin.test"] = [[HOST]]

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        with suppress(ValueError):
            return [ip_address(host)]
        answers = self._known.get(host)
        if answers is None:
            raise OSError("no such name")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(one) for one in found]


def _answers(answers: str | Sequence[Sequence[str]]) -> list[Sequence[str]]:
    return [[answers]] if isinstance(answers, str) else list(answers)
