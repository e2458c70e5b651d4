"""/session: who is at the page, for browsers, which keep a cookie that no script can read once a key was shown."""

from __future__ import annotations

from http import HTTPMethod, HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from uploadstream.core.access import Forbidden
from uploadstream.core.errors import BadField, Refusal
from uploadstream.engine.passes import Passes
from uploadstream.http.browsers import is_from_our_page, set_cookie
from uploadstream.http.callers import caller_of
from uploadstream.http.problems import refusal
from uploadstream.http.small_bodies import read_object

PATH: Final = "/session"
METHODS: Final = (HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.DELETE)
_FIELDS: Final = {"Cache-Control": "no-store"}


class Login:
    """`required`: whether who is not known is let in nowhere, so that it helps to log in."""

    def __init__(self, passes: Passes, *, required: bool) -> None:
        self._passes = passes
        self._required = required

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application."""
        return [Route(PATH, self.answer, methods=[*METHODS])]

    async def answer(self, request: Request) -> Response:
        """One request."""
        try:
            if request.method == HTTPMethod.POST:
                return await self._log_in(request)
            return self._log_out(request) if request.method == HTTPMethod.DELETE else self._tell(request)
        except Refusal as error:
            return refusal(error)

    def _tell(self, request: Request) -> Response:
        """Who asks. That it is nobody who is known is no refusal: a page is to ask before it is refused."""
        try:
            identity = caller_of(request).identity
        except Forbidden:
            identity = None
        user_id = identity.user_id if identity else None
        return JSONResponse({"user_id": user_id, "required": self._required}, headers=_FIELDS)

    async def _log_in(self, request: Request) -> Response:
        _check_page(request)
        api_key = (await read_object(request)).get("api_key")
        if not isinstance(api_key, str):
            raise BadField("api_key", "must be text")
        given = await self._passes.log_in(api_key)
        told = {"user_id": given.identity.user_id, "expires_at": given.expires_at.isoformat()}
        response = JSONResponse(told, headers=_FIELDS)
        set_cookie(response, given.text, request=request, until=given.expires_at)
        return response

    def _log_out(self, request: Request) -> Response:
        _check_page(request)
        response = Response(status_code=HTTPStatus.NO_CONTENT, headers=_FIELDS)
        set_cookie(response, "", request=request, until=None)
        return response


def _check_page(request: Request) -> None:
    """Nobody else's page logs anybody in, as somebody else, or out."""
    if not is_from_our_page(request):
        raise Forbidden("Only a page of this service may log in or out; other clients send their key with each request")
