"""Everything that is looked at from outside, in the order in which it makes sense to mend it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from http import HTTPStatus
from typing import Final

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.bodies import SIZE, STREAMED, check_bodies, check_sizes
from uploadstream.cli.outside.cross_origin import PREFLIGHT, check_cross_origin
from uploadstream.cli.outside.deployment import Deployment, Unexpected
from uploadstream.cli.outside.exchange import Answer, Broken
from uploadstream.cli.outside.forwarding import LOCATION, check_addresses
from uploadstream.cli.outside.http2 import NEGOTIATED, check_http2
from uploadstream.cli.outside.interim import INTERIM, check_interim
from uploadstream.cli.outside.responses import EVENTS, check_responses
from uploadstream.cli.outside.tls import check_tls
from uploadstream.client.endpoint import Endpoint

SERVER: Final = "server"
READY: Final = "ready"

_CHECKS: Final[Mapping[str, Callable[[Deployment], Iterator[Finding]]]] = {
    LOCATION: check_addresses,
    STREAMED: check_bodies,
    SIZE: check_sizes,
    EVENTS: check_responses,
    INTERIM: check_interim,
    NEGOTIATED: check_http2,
}
_LET_THROUGH: Final = "let every method, path and field through to UploadStream"
_NAME_YOURSELF: Final = "say who asks, with --api-key or --user"


def visit(address: Endpoint, *, who: Mapping[str, str], origin: str, now: datetime) -> Iterator[Finding]:
    """What is found at the address, by a user, for pages of an origin (`origin` empty: of any)."""
    try:
        tls, context = check_tls(address, now)
    except OSError as error:
        yield Finding(SERVER, Level.FAIL, f"{address}: {error.strerror or error}", "start it, or correct the address")
        return
    with closing(Deployment(address, who, context)) as there:
        server = _identify(there)
        yield server
        yield tls
        if server.level is Level.FAIL:
            return
        yield from _run(READY, check_ready, there)
        yield from _run(PREFLIGHT, lambda there: check_cross_origin(there, origin), there)
        for name, check in _CHECKS.items():
            yield from _run(name, check, there)


def _run(name: str, check: Callable[[Deployment], Iterator[Finding]], there: Deployment) -> Iterator[Finding]:
    """A check that may meet what it is not made for, which is a finding as well."""
    try:
        yield from check(there)
    except Unexpected as error:
        advice = _NAME_YOURSELF if error.status == HTTPStatus.UNAUTHORIZED else _LET_THROUGH
        yield Finding(name, Level.FAIL, str(error), advice)
    except (OSError, Broken, ValueError, KeyError) as error:
        yield Finding(name, Level.FAIL, f"broke off: {error}", "look into the log of what stands before UploadStream")


def _identify(there: Deployment) -> Finding:
    """Whether UploadStream answers, and which version."""
    began = time.monotonic()
    try:
        answer = there.ask("GET", "/openapi.json")
    except (OSError, Broken) as error:
        return Finding(SERVER, Level.FAIL, f"{there.url}: {error}", "start it, or correct the address")
    seconds = time.monotonic() - began
    there.allow_for(seconds)
    there.server = answer.server
    if location := answer.get("location"):
        return Finding(SERVER, Level.FAIL, f"{there.url} redirects to {location}", "ask there")
    name = _name_of(answer)
    if not name.startswith("UploadStream "):
        found = f"{there.url} is not UploadStream: /openapi.json is answered {answer.status}"
        found += f" from {answer.server}" if answer.server else ""
        return Finding(SERVER, Level.FAIL, found, "correct the address, or what it leads to")
    behind = f" behind {answer.server}" if answer.server else ""
    return Finding(SERVER, Level.OK, f"{name}{behind} answers in {seconds * 1000:.0f} ms")


def _name_of(answer: Answer) -> str:
    try:
        said = json.loads(answer.body)["info"]
        return f"{said['title']} {said['version']}"
    except (ValueError, KeyError, TypeError):
        return ""


def check_ready(there: Deployment) -> Iterator[Finding]:
    """Whether the service says that it can work."""
    answer = there.ask("GET", "/readyz")
    if answer.is_success:
        yield Finding(READY, Level.OK, "catalog and storage answer")
    else:
        said = answer.body.decode(errors="replace").strip()
        yield Finding(READY, Level.FAIL, f"/readyz is answered {answer.status}: {said[:200]}", "mend what it names")
