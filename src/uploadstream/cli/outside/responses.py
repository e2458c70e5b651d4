"""How responses come through that have no end yet: events, and an upload that is read while it is written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.bodies import PIECE
from uploadstream.cli.outside.deployment import Deployment, Unexpected, Upload
from uploadstream.cli.outside.directives import Trouble, what_to_set
from uploadstream.cli.outside.exchange import Exchange

EVENTS: Final = "events"
FOLLOWED: Final = "followed downloads"


def check_responses(there: Deployment) -> Iterator[Finding]:
    """An event is to be here at once, and so are the bytes of an upload that goes on."""
    yield _judge_events(there)
    yield _judge_followed(there)


def _judge_events(there: Deployment) -> Finding:
    advice = what_to_set(Trouble.KEEPS_RESPONSES, there.server)
    with closing(there.exchange()) as exchange:
        there.begin(exchange, "GET", "/api/v1/events", {"Accept": "text/event-stream"})
        exchange.end()
        if not _begins(there, exchange, "/api/v1/events"):
            return Finding(EVENTS, Level.FAIL, f"the stream has not begun after {there.prompt_seconds:g} s", advice)
        with there.upload(1) as upload:
            milliseconds = _milliseconds_until(there, exchange, upload.id.encode())
        if milliseconds is None:
            return Finding(EVENTS, Level.FAIL, f"none has come in {there.prompt_seconds:g} s", advice)
        return Finding(EVENTS, Level.OK, f"the first came after {milliseconds:.0f} ms")


def _judge_followed(there: Deployment) -> Finding:
    with there.upload(4 * PIECE) as upload, closing(there.exchange()) as exchange:
        upload.append(b"followed")
        path = f"/api/v1/files/{upload.id}/content?follow=true"
        there.begin(exchange, "GET", path, {})
        exchange.end()
        milliseconds = _milliseconds_until(there, exchange, b"followed") if _begins(there, exchange, path) else None
        if milliseconds is None:
            found = f"bytes that were stored had not come after {there.prompt_seconds:g} s: responses are kept back"
            return Finding(FOLLOWED, Level.FAIL, found, what_to_set(Trouble.KEEPS_RESPONSES, there.server))
        return _judge_next(there, exchange, upload, len(b"followed"))


def _judge_next(there: Deployment, exchange: Exchange, upload: Upload, at: int) -> Finding:
    upload.append(b"more", at=at)
    milliseconds = _milliseconds_until(there, exchange, b"more")
    if milliseconds is None:
        found = f"bytes that came later were not here after {there.prompt_seconds:g} s: responses are kept back"
        return Finding(FOLLOWED, Level.FAIL, found, what_to_set(Trouble.KEEPS_RESPONSES, there.server))
    return Finding(FOLLOWED, Level.OK, f"bytes that were appended were here after {milliseconds:.0f} ms")


def _begins(there: Deployment, exchange: Exchange, path: str) -> bool:
    answer = exchange.head(there.prompt_seconds)
    if answer is not None and not answer.is_success:
        raise Unexpected("GET", path, answer)
    return answer is not None


def _milliseconds_until(there: Deployment, exchange: Exchange, wanted: bytes) -> float | None:
    """How long it takes until the body has these bytes; None if it ends, or they do not come in time."""
    began, seen = time.monotonic(), b""
    while wanted not in seen:
        piece = exchange.piece(there.prompt_seconds - (time.monotonic() - began))
        if not piece:
            return None
        seen += piece
    return (time.monotonic() - began) * 1000
