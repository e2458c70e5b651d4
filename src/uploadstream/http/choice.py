"""Which of the protocols that share an address a request speaks, and routes that serve one of them only."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from uploadstream.http.fields import essence


class Choice(enum.Enum):
    """The protocols of `/files`."""

    TUS = "tus"
    IETF = "ietf"


# What only one of the two says. tus's come first: a client of the draft never names a version of tus.
_OF_TUS: Final = ("tus-resumable", "upload-metadata", "upload-defer-length", "upload-concat", "x-http-method-override")
_OF_IETF: Final = ("upload-complete", "upload-incomplete", "upload-draft-interop-version")
_CHUNK_OF_TUS: Final = "application/offset+octet-stream"
# A method that both have, in a request without signs: tus 1.0.0 wants its version in everything but OPTIONS.
_UNSIGNED: Final = {"OPTIONS": Choice.TUS, "PATCH": Choice.TUS}


def choice_of(method: str, fields: Mapping[str, str]) -> Choice:
    """The protocol of a request; `fields` by lower-case names. Whole bodies of clients that know neither are IETF's."""
    if any(name in fields for name in _OF_TUS):
        return Choice.TUS
    if any(name in fields for name in _OF_IETF):
        return Choice.IETF
    if essence(fields.get("content-type")) == _CHUNK_OF_TUS or (method == "POST" and "upload-length" in fields):
        return Choice.TUS
    if method == "PATCH" and "content-type" in fields:
        return Choice.IETF
    return _UNSIGNED.get(method, Choice.IETF)


class ChosenRoute(BaseRoute):
    """A route that is there for requests of one protocol only."""

    def __init__(self, choice: Choice, route: BaseRoute) -> None:
        self._choice = choice
        self._route = route

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As the route does, for its protocol."""
        if scope["type"] != "http" or choice_of(scope["method"], Headers(scope=scope)) is not self._choice:
            return Match.NONE, {}
        return self._route.matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the route does."""
        await self._route.handle(scope, receive, send)


def only(choice: Choice, routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """These routes, for requests of one protocol."""
    return [ChosenRoute(choice, route) for route in routes]
