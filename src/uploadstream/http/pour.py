"""What a protocol calls to move a request's body into an intake, whatever server carries it.

Where the server offers the extension `uploadstream.pour`, the bytes go from its socket into the intake's memory and
never pass here. On any other ASGI server they come by `receive`. Either way the intake gets the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final, Protocol

from starlette.requests import Request

EXTENSION: Final = "uploadstream.pour"

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(ConnectionError):
    """The connection ended before the body did; nobody is left to be answered."""


class Intake(Protocol):
    """What a body is poured into: the engine's intake, as far as a server needs to know it.

    `received` and `feed` answer None: go on; or a future: come back when it is done. What they raise ends the pouring.
    """

    @property
    def room(self) -> int:
        """How many more bytes it takes."""
        ...

    def get_buffer(self, limit: int) -> memoryview:
        """Memory for at most `limit` bytes, to be filled and reported by `received` before anything else runs."""
        ...

    def received(self, count: int) -> asyncio.Future[None] | None:
        """That many bytes are in what `get_buffer` gave."""
        ...

    def feed(self, data: bytes | memoryview) -> asyncio.Future[None] | None:
        """Take `data` by reference: its memory never changes again."""
        ...


Pour = Callable[[Intake], Awaitable[None]]
Piece = bytes | memoryview


async def pour_body(scope: Scope, receive: Receive, intake: Intake) -> None:
    """Move a request's whole body into `intake`. ClientGone, and whatever the intake raises."""
    pour: Pour | None = (scope.get("extensions") or {}).get(EXTENSION)
    if pour is not None:
        await pour(intake)
        return
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client went away before the end of its body")
        for piece in parted(message.get("body", b""), room=intake.room):
            busy = intake.feed(piece)
            if busy is not None:
                await busy
        more = message.get("more_body", False)


def body_of(request: Request) -> Pour:
    """A request's body, on its way into an intake."""
    return partial(pour_body, request.scope, request.receive)


def parted(piece: Piece, *, room: int) -> tuple[Piece, ...]:
    """A piece of a body, or, where only its beginning fits, the beginning and the rest, which will be refused.

    How the body was cut on its way means nothing, so what fits of it is kept, as of every body that ends badly.
    """
    return (piece,) if len(piece) <= room or not room else (piece[:room], piece[room:])
