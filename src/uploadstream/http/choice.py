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


# What only one of the two says, in the order of their weight: tus-js-client sends metadata of tus in its modes for the
# draft as well.
_SIGNS: Final = (
    (Choice.TUS, ("tus-resumable",)),
    (Choice.IETF, ("upload-complete", "upload-incomplete", "upload-draft-interop-version")),
    (Choice.TUS, ("upload-metadata", "upload-defer-length", "upload-concat", "x-http-method-override")),
)
_CHUNK_OF_TUS: Final = "application/offset+octet-stream"
# A method that both have, in a request without signs: tus 1.0.0 wants its version in everything but OPTIONS.
_UNSIGNED: Final = {"OPTIONS": Choice.TUS, "PATCH": Choice.TUS}


def choice_of(method: str, fields: Mapping[str, str]) -> Choice:
    """The protocol of a request; `fields` by lower-case names. Whole bodies of clients that know neither are IETF's."""
    for choice, names in _SIGNS:
        if any(name in fields for name in names):
            return choice
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
