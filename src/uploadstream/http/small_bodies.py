"""Small JSON objects as bodies: read to a bound, whatever is said of their length."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from uploadstream.core.errors import BadBodyType, BadField

SIZE_MAX: Final = 16 * 1024
JSON: Final = "application/json"


async def read_object(request: Request) -> dict[str, Any]:
    """The object that a request's body is. BadBodyType, BadField."""
    said = request.headers.get("content-type", "")
    if said.partition(";")[0].strip().lower() != JSON:  # a form, which any page may send, is none
        raise BadBodyType("Content-Type", f"must be {JSON}")
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > SIZE_MAX:
                raise BadField("body", f"must be up to {SIZE_MAX} bytes, has more")
    except ClientDisconnect:
        raise BadField("body", "ended before it was all there") from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise BadField("body", "must be JSON") from None
    if not isinstance(found, dict):
        raise BadField("body", "must be an object")
    return found
