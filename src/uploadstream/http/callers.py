"""Who sent a request: by what somebody has found out about it, or by what it says of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from http import HTTPMethod
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from uploadstream.core.access import (
    Caller,
    Credentials,
    Identify,
    Identity,
    Unauthenticated,
    WrongCredentials,
    caller_as,
    check_user,
)
from uploadstream.core.errors import Refusal
from uploadstream.http.browsers import cookie_of
from uploadstream.http.fields import check_single, read_text
from uploadstream.http.rate_limits import hears

# Where a request has the identity that was found, or None, or the refusal to let it in.
KNOWN: Final = "uploadstream.identity"

# Where it has what finds that out again.
AGAIN: Final = "uploadstream.identity.again"

# The extension of a connection's server that says whom the client's certificate names.
CERTIFICATE: Final = "uploadstream.certificate"

# Gives a user's id, or refuses.
Authenticate = Callable[[Request], Awaitable[str]]


class Asked:
    """An application for whose requests it is found out who sent them: by `authenticate` alone if there is that.

    A refusal is kept until a protocol asks for the caller: it is that which has words for it. A preflight has no
    credentials, and OPTIONS is answered to anybody; what a field makes of OPTIONS is refused.
    """

    def __init__(self, app: ASGIApp, identify: Identify, authenticate: Authenticate | None = None) -> None:
        self._app = app
        self._identify = identify
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            request = Request(scope)
            scope = {**scope, KNOWN: await self._found(request)}
            if self._authenticate is None:  # what is around us is asked once a request
                scope[AGAIN] = partial(self._found, request)
        await self._app(scope, receive, send)

    async def _found(self, request: Request) -> Identity | Refusal | None:
        try:
            check_single(request.headers.items())
            if self._authenticate is None:
                return await self._identify(credentials_of(request))
            if request.method == HTTPMethod.OPTIONS:
                return Unauthenticated("OPTIONS is no way to anybody's uploads and files")
            return Identity(check_user(await self._authenticate(request)))
        except Refusal as error:
            return error


async def check_still(request: Request) -> None:
    """Raise Unauthenticated if the request's sender would not be let in as the same user any more."""
    if AGAIN in request.scope:
        before, now = request.scope[KNOWN], await request.scope[AGAIN]()
        if isinstance(now, Refusal):
            raise now
        if (before and before.user_id) != (now and now.user_id):
            raise WrongCredentials("These credentials are not valid any more")


def credentials_of(request: Request) -> Credentials:
    """What a request brings to say who sends it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return Credentials(
        bearer=bearer,
        api_key=request.headers.get("x-api-key", "").strip(),
        cookie=cookie_of(request),
        certificate=request.scope.get("extensions", {}).get(CERTIFICATE, ""),
    )


def caller_of(request: Request, protocol: str = "http", *, named: str = "") -> Caller:
    """Who was found out, or else the user `named`, or that X-User-Id or the link names; and the address.

    BadField, also of any field there twice; whatever refusal was found.
    """
    caller = _caller_of(request, protocol, named=named)
    told = hears(request.scope)
    return caller if told is None else replace(caller, told=told)


def _caller_of(request: Request, protocol: str, *, named: str) -> Caller:
    check_single(request.headers.items())
    address = request.client.host if request.client else ""
    known = request.scope.get(KNOWN)
    if isinstance(known, Refusal):
        raise known
    if known is not None and not known.is_admin:
        return caller_as(known, "", protocol, address)
    if named:  # in what is declared, all of which is checked at once
        return Caller(named, protocol, address, known)
    user_id = read_text(request.headers.get("x-user-id", "")) or request.query_params.get("user_id", "")
    return caller_as(known, user_id, protocol, address)
