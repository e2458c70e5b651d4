"""Protocols on a real engine in memory, spoken to without a socket."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

Message = MutableMapping[str, Any]
BASE_URL = "http://service.test"


@asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application; an error that is none of HTTP comes out of its requests."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE_URL) as client:
        yield client


async def cut_request(
    app: ASGIApp, method: str, path: str, fields: dict[str, str], *chunks: bytes, then: Callable[[], Awaitable[None]]
) -> list[Message]:
    """A request whose connection is lost after some chunks of its body; what the application sent."""
    sent: list[Message] = []
    messages = iter(chunks)

    async def receive() -> Message:
        chunk = next(messages, None)
        if chunk is None:
            await then()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        "client": ("192.0.2.1", 1),
        "server": ("service.test", 80),
    }
    await app(scope, receive, send)
    return sent


async def at_once() -> None:
    """Nothing happens before the connection is lost."""


def assert_problem(answer: httpx.Response, status: int, kind: str) -> None:
    """It is a refusal of this kind, as problem details."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (f"urn:uploadstream:{kind}", status)
    assert problem["title"]
    assert problem["detail"]


@dataclass(frozen=True)
class Heard:
    """What a client hears of one request: interim responses, in their order, and the final one."""

    interims: list[tuple[int, dict[str, str]]]
    status: int
    fields: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def hear(
    app: ASGIApp,
    method: str,
    target: str,
    fields: Mapping[str, str],
    chunks: AsyncIterator[bytes] | bytes = b"",
    *,
    is_sized: bool = True,
    can_interim: bool = True,
) -> Heard:
    """One whole request, sized or in chunks, to a server that can send interim responses, or cannot."""
    sent: list[Message] = []
    rest = one_piece(chunks) if isinstance(chunks, bytes) else chunks

    async def receive() -> Message:
        chunk = await anext(rest, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def send(message: Message) -> None:
        sent.append(message)

    size = {"Content-Length": str(len(chunks))} if is_sized and isinstance(chunks, bytes) else {}
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in {**size, **fields}.items()],
        "client": ("192.0.2.1", 1),
        "server": ("service.test", 80),
        "extensions": {"uploadstream.interim": {}} if can_interim else {},
    }
    await app(scope, receive, send)
    interims = [(one["status"], spelled_out(one)) for one in sent if one["type"] == "uploadstream.interim"]
    start = next(one for one in sent if one["type"] == "http.response.start")
    after = sent[sent.index(start) + 1 :]
    assert all(one["type"] == "http.response.body" for one in after), "something came behind the final response"
    return Heard(interims, start["status"], spelled_out(start), b"".join(one.get("body", b"") for one in after))


async def one_piece(body: bytes) -> AsyncIterator[bytes]:
    """A body that comes at once."""
    if body:
        yield body


def spelled_out(message: Message) -> dict[str, str]:
    """A response's fields by lower-case names."""
    return {name.decode(): value.decode("latin-1") for name, value in message["headers"]}


def with_trailers(app: ASGIApp, fields: Mapping[str, str]) -> ASGIApp:
    """The application on a server that gives the fields behind a body when that has ended."""

    async def serving(scope: Scope, receive: Receive, send: Send) -> None:
        trailers: dict[str, str] = {}

        async def receiving() -> Message:
            message = await receive()
            if not message.get("more_body", False):
                trailers.update({name.lower(): value for name, value in fields.items()})
            return message

        extensions = {**scope.get("extensions", {}), "uploadstream.trailers": trailers}
        await app({**scope, "extensions": extensions}, receiving, send)

    return serving
