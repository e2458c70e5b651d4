"""Who sent a request: by what somebody has found out about it, or by what it says of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPMethod
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from uploadstream.core.access import Caller, check_user
from uploadstream.core.errors import Refusal
from uploadstream.http.fields import check_single, read_text

# Where a request has the user that was found out, or the refusal to let it in.
KNOWN: Final = "uploadstream.user"

# Gives a user's id, or refuses.
Authenticate = Callable[[Request], Awaitable[str]]


class Asked:
    """An application for whose requests it is found out who sent them.

    A refusal is kept until a protocol asks for the caller: it is that which has words for it. A preflight has no
    credentials, and OPTIONS is answered to anybody.
    """

    def __init__(self, app: ASGIApp, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["method"] != HTTPMethod.OPTIONS:
            scope = {**scope, KNOWN: await self._found(Request(scope))}
        await self._app(scope, receive, send)

    async def _found(self, request: Request) -> str | Refusal:
        try:
            return check_user(await self._authenticate(request))
        except Refusal as error:
            return error


def caller_of(request: Request, protocol: str = "http", *, named: str = "") -> Caller:
    """The user that is known, or else `named`, or that X-User-Id or the link names; and the address.

    BadField, also of any field there twice; whatever refusal was found.
    """
    check_single(request.headers.items())
    address = request.client.host if request.client else ""
    known = request.scope.get(KNOWN)
    if isinstance(known, Refusal):
        raise known
    if known is not None:
        return Caller(known, protocol, address, is_known=True)
    if named:  # in what is declared, all of which is checked at once
        return Caller(named, protocol, address)
    user_id = read_text(request.headers.get("x-user-id", "")) or request.query_params.get("user_id", "")
    return Caller(check_user(user_id), protocol, address)
