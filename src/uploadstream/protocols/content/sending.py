"""Bodies on their way out: messages made of a file's spans, and a client that may leave at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from uploadstream.core.errors import Gone, NotFound
from uploadstream.core.sizes import KIB
from uploadstream.engine.contents import Opened
from uploadstream.http.ranges import Span
from uploadstream.http.zero_copy import EXTENSION as ZERO_COPY
from uploadstream.protocols.content.answers import Answer

PIECE_SIZE: Final = 256 * KIB
BODY: Final = "http.response.body"

Read = Callable[[Span], AsyncIterator[bytes]]
Open = Callable[[Span], AsyncIterator[Opened] | None]


async def messages(scope: Scope, body: Sequence[bytes | Span], *, read: Read, opened: Open) -> AsyncGenerator[Message]:
    """A body as ASGI messages; what is larger than a piece is left to the server to send, if it and the store can."""
    is_large = any(isinstance(part, Span) and len(part) > PIECE_SIZE for part in body)
    by_server = is_large and ZERO_COPY in (scope.get("extensions") or {})
    for part in body:
        if isinstance(part, bytes):
            yield _piece(part)
        elif by_server and (files := opened(part)) is not None:
            async with aclosing(files):  # type: ignore[type-var]
                async for one in files:
                    count = one.stop - one.start
                    yield {"type": ZERO_COPY, "file": one.file, "offset": one.start, "count": count, "more_body": True}
        else:
            async for piece in read(part):
                yield _piece(piece)


async def pieces_as_messages(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Message]:
    """A body that comes in pieces."""
    async for piece in pieces:
        yield _piece(piece)


async def begun(sent: AsyncGenerator[Message]) -> AsyncGenerator[Message]:
    """The same messages, the first of them made now: what keeps it from being made can still be answered."""
    first = await anext(sent, None)

    async def all_of_them() -> AsyncGenerator[Message]:
        async with aclosing(sent):
            if first is not None:
                yield first
            async for message in sent:
                yield message

    return all_of_them()


class Streaming:
    """A response whose body is messages.

    An error in the middle of it cuts the connection, so that nobody takes what came for the whole. So does an upload
    that will be no file, which is no error of ours: the response is left without its end.
    """

    def __init__(self, answer: Answer, body: AsyncGenerator[Message]) -> None:
        self._answer = answer
        self._body = body

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        with suppress(Gone, NotFound):
            await while_there(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in self._answer.fields.items()]
        async with aclosing(self._body) as body:
            await send({"type": "http.response.start", "status": int(self._answer.status), "headers": fields})
            async for message in body:
                await send(message)
            await send({"type": BODY, "body": b"", "more_body": False})


async def while_there(receive: Receive, sending: Coroutine[Any, Any, None]) -> None:
    """Send until it is done or the client is gone. Whatever `sending` raises."""
    task = asyncio.create_task(sending)
    watch = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.wait({task, watch})
    if not task.cancelled():
        task.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _piece(body: bytes) -> Message:
    return {"type": BODY, "body": body, "more_body": True}
