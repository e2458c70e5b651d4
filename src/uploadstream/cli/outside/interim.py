"""Whether the interim response 104, which names an upload before its body is through, gets to a client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.deployment import Deployment, Unexpected, Upload
from uploadstream.cli.outside.directives import Trouble, what_to_set
from uploadstream.cli.outside.exchange import Answer, Broken, Exchange

INTERIM: Final = "104 responses"
RESUMPTION_SUPPORTED: Final = 104
CREATION: Final = {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?0"}


def check_interim(there: Deployment) -> Iterator[Finding]:
    """Begin an upload as clients of the IETF's protocol do, over HTTP/1.1."""
    with closing(there.exchange()) as exchange:
        there.begin(exchange, "POST", "/files", {**CREATION, "Content-Length": "1"})
        exchange.send(b"x")
        exchange.end()
        interim, final = _answers(exchange, there.prompt_seconds)
    if final is None:
        _tidy(there, interim)
        found = "a request that asks for it gets 104 and then no answer at all" if interim else "no answer at all"
        yield Finding(INTERIM, Level.FAIL, found, what_to_set(Trouble.BREAKS_104, there.server))
        return
    if not final.is_success:
        raise Unexpected("POST", "/files", final)
    _tidy(there, final)
    if interim is None:
        found = "swallowed: clients of the IETF's protocol hear of an upload's address only after its body"
        yield Finding(INTERIM, Level.OK, f"{found}; all others are as well off")
    else:
        yield Finding(INTERIM, Level.OK, f"come through: {interim.get('location')} was known before the answer")


def _answers(exchange: Exchange, seconds: float) -> tuple[Answer | None, Answer | None]:
    """The 104 and the final response, as far as they come."""
    interim = None
    deadline = time.monotonic() + seconds
    try:
        while answer := exchange.head(deadline - time.monotonic()):
            if answer.status == RESUMPTION_SUPPORTED:
                interim = answer
            elif answer.status >= 200:  # noqa: PLR2004 - a final one
                return interim, answer
    except Broken:
        pass  # half of what was to come, which is a finding
    return interim, None


def _tidy(there: Deployment, answer: Answer | None) -> None:
    if answer and (location := answer.get("location")):
        there.remove(Upload(there, urlsplit(location).path).path)
