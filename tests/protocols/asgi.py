"""Protocols on a real engine in memory, spoken to without a socket."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

Message = MutableMapping[str, Any]
BASE_URL = "http://service.test"


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application; an error that is none of HTTP comes out of its requests."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE_URL) as client:
        yield client


async def cut_request(
    app: Starlette, method: str, path: str, fields: dict[str, str], *chunks: bytes, then: Callable[[], Awaitable[None]]
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

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
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
