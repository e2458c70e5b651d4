"""Server-sent events (HTML standard, section 9.2): the lines on the wire, and a response that lasts.

An event of the trail has its number for an id, which a browser sends back as `Last-Event-ID` when it comes again;
progress has none, so that the id stays that of the trail.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Final

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from uploadstream.core.errors import Refusal
from uploadstream.core.session import Session
from uploadstream.engine.events import Event, Place
from uploadstream.http.fields import read_count
from uploadstream.protocols.rest.spellings import write_event, write_upload

# A comment after so long a silence tells everybody on the way, and ourselves, that the connection is alive.
IDLE_SECONDS: Final = 15.0
RETRY_MILLISECONDS: Final = 2000
# Proxies that collect a response before they hand it on would keep events back.
FIELDS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """A response that gives its listener up at once when the client goes, and not when memory is tidied.

    The framework's own, which is for endpoints that are generators, refuses nothing any more once it has begun.
    """

    media_type = "text/event-stream"

    def __init__(self, lines: AsyncGenerator[bytes]) -> None:
        super().__init__(lines, headers=FIELDS)
        self._lines: Final = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        async with aclosing(self._lines):
            await super().__call__(scope, receive, send)


def read_after(field: str, asked: str) -> int | None:
    """The number to go on behind; None if there is none. BadField.

    The field wins: a browser that comes again has it from us, and its link is still the one it began with.
    """
    return read_count("Last-Event-ID", field or asked or None)


async def as_long_as(
    check: Callable[[], Awaitable[None]], events: AsyncGenerator[Event | None]
) -> AsyncGenerator[Event | None]:
    """The events until `check` refuses: whose key is revoked is told nothing more."""
    async with aclosing(events):
        async for event in events:
            await check()
            yield event


async def write_events(
    place: Place, events: AsyncGenerator[Event | None], expires_at: Callable[[Session], datetime]
) -> AsyncGenerator[bytes]:
    """The lines: first the place, for who is cut before anything happens; then events, comments in silence."""
    yield format_sse_event(id=str(place.number), retry=RETRY_MILLISECONDS)
    async with aclosing(events):
        try:
            async for event in events:
                yield KEEPALIVE_COMMENT if event is None else write_lines(event, expires_at)
        except Refusal:  # a fault that may pass: the client comes again and goes on behind the last event
            return


def write_lines(event: Event, expires_at: Callable[[Session], datetime]) -> bytes:
    """One event, up to the empty line behind it."""
    upload = write_upload(event.upload, expires_at(event.upload)) if event.upload else None
    return format_sse_event(
        event=event.kind.value,
        data_str=write_event(event, upload).model_dump_json(),
        id=None if event.number is None else str(event.number),
    )
