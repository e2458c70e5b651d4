"""Cookies of browsers that have logged in: when one counts, and how it is set.

Invariant: a cookie counts only where the browser itself says that a page of ours asks. No page of another origin, be
it another port of this host, can make it ask in somebody's name; and none can read what is answered (http/cors.py).
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

# Of one host alone, which the prefix has browsers hold everybody to; it needs TLS (RFC 6265bis, section 4.1.3.2).
NAME: Final = "uploadstream"
SECURE_NAME: Final = f"__Host-{NAME}"
_READING: Final = frozenset({HTTPMethod.GET, HTTPMethod.HEAD})


def is_from_our_page(request: Request) -> bool:
    """Whether the browser says that a page of ours asks, or its user; nobody else can say so for it.

    Over plain HTTP browsers leave Sec-Fetch-Site out, unless it is to this machine. They send Origin with whatever
    changes anything; reading needs none, as nobody else could read the answer.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin" or (site == "none" and request.method in _READING)
    origin = request.headers.get("origin")
    if origin is not None:
        return origin == f"{request.url.scheme}://{request.headers.get('host', '')}".lower()
    return request.method in _READING


def cookie_of(request: Request) -> str:
    """What the browser was given when it logged in; "" if there is nothing, or it does not count here."""
    if "cookie" not in request.headers or not is_from_our_page(request):
        return ""
    return request.cookies.get(SECURE_NAME) or request.cookies.get(NAME, "")


def set_cookie(response: Response, value: str, *, request: Request, until: datetime | None) -> None:
    """Let the browser keep it until then; None: no more."""
    secure = _is_secure(request)
    name = SECURE_NAME if secure else NAME
    expires = "Thu, 01 Jan 1970 00:00:00 GMT" if until is None else until
    response.set_cookie(name, value, expires=expires, path="/", secure=secure, httponly=True, samesite="strict")


def _is_secure(request: Request) -> bool:
    """Whether the page came over TLS: it says so itself, where a proxy before us does not."""
    return request.headers.get("origin", str(request.url)).startswith("https://")
