"""What an answer tells of its user's limits (draft-ietf-httpapi-ratelimit-headers-11).

A policy is a limit that holds: `RateLimit-Policy` has them all, `RateLimit` what is left of each. Both are told where
the limits were compared with what the user has, which is where an upload begins, whether it may or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from uploadstream.core.allowances import ACTIVE, STORED, UPLOADS, Standing
from uploadstream.http.structured import Members, write_list

# Where a request has what hears of its user's standing.
HEARS: Final = "uploadstream.standing"
# RFC 9651, section 3.3.1: of 15 digits.
_MOST: Final = 10**15 - 1
_GET: Final = "GET"  # nothing begins by it, and its answers have many messages


class Telling:
    """An application whose answers tell of their users' limits, where a caller was told of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] == _GET:
            await self._app(scope, receive, send)
            return
        heard: list[Standing] = []

        async def tell(message: Message) -> None:
            if heard and message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(write_standing(heard[-1]))
            await send(message)

        await self._app({**scope, HEARS: heard.append}, receive, tell)


def hears(scope: Scope) -> Callable[[Standing], None] | None:
    """What hears of the standing of a request's user, if anything does."""
    found: Callable[[Standing], None] | None = scope.get(HEARS)
    return found


def write_standing(standing: Standing) -> dict[str, str]:
    """Both fields; none where nothing is limited that is counted."""
    policies = dict(_policies(standing))
    if not policies:
        return {}
    return {"RateLimit-Policy": write_list(policies), "RateLimit": write_list(dict(_limits(standing)))}


def _policies(standing: Standing) -> Iterator[tuple[str, Members]]:
    """A bucket is a quota of its burst, in the time in which that comes back."""
    may = standing.allowance
    if (rate := may.rate_uploads) is not None:
        yield UPLOADS, {"q": rate.burst, "w": math.ceil(rate.burst * rate.seconds / rate.count)}
    if may.max_active_uploads is not None:
        yield ACTIVE, {"q": may.max_active_uploads, "qu": "concurrent-requests"}
    if may.quota_bytes is not None:
        yield STORED, {"q": min(may.quota_bytes, _MOST), "qu": "content-bytes"}


def _limits(standing: Standing) -> Iterator[tuple[str, Members]]:
    """What is left; of a bucket, also how long there is no more than that."""
    may, has = standing.allowance, standing.usage
    if (rate := may.rate_uploads) is not None:
        until_more = rate.until_more(has.bucket, standing.at).total_seconds()
        window: Members = {"t": math.ceil(until_more)} if until_more else {}
        yield UPLOADS, {"r": rate.tokens(has.bucket, standing.at), **window}
    if may.max_active_uploads is not None:
        yield ACTIVE, {"r": max(0, may.max_active_uploads - has.open_uploads)}
    if (quota := has.quota(may)) is not None:
        yield STORED, {"r": min(max(0, quota.left), _MOST)}
