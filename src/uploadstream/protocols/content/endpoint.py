"""The endpoint, on Starlette's routes and ASGI's messages."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from uploadstream.core.access import Caller
from uploadstream.core.errors import BadField, Refusal
from uploadstream.core.files import File
from uploadstream.core.session import Session
from uploadstream.engine.contents import Opened
from uploadstream.engine.downloads import Downloads
from uploadstream.http.callers import caller_of
from uploadstream.http.fields import shown
from uploadstream.http.problems import refusal, unnamed_problem
from uploadstream.http.ranges import Span
from uploadstream.protocols.content.answers import OTHER_FILE, Answer, Following, answer_file, answer_upload
from uploadstream.protocols.content.openapi import PATH
from uploadstream.protocols.content.sending import PIECE_SIZE, Streaming, begun, messages, pieces_as_messages

METHODS: Final = ("GET", "HEAD")
_FLAGS: Final = {"": True, "1": True, "true": True, "0": False, "false": False}


def read_flag(request: Request, name: str) -> bool:
    """A parameter of the link that is there or not, or says so. BadField."""
    value = request.query_params.get(name, "0")
    if value.lower() not in _FLAGS:
        raise BadField(field=name, problem=f"must be true or false, is {shown(value)}")
    return _FLAGS[value.lower()]


def read_fields(request: Request) -> dict[str, str]:
    """The request's fields, the lines of a list as one (RFC 9110, section 5.3)."""
    return {name: ", ".join(request.headers.getlist(name)) for name in request.headers}


class Content:
    """An ASGI application, so that no method of its path is anybody else's."""

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application."""
        return [Route(PATH, self)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            response = await self._respond(Request(scope))
        except Refusal as error:
            response = refusal(error)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        if request.method not in METHODS:
            return unnamed_problem(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed", {"Allow": ", ".join(METHODS)})
        file_id, caller = request.path_params["file_id"], caller_of(request)
        inline, asked = read_flag(request, "inline"), read_fields(request)
        if read_flag(request, "follow"):
            found = await self._downloads.open_or_follow(file_id, caller)
            if found.file is None:
                following = answer_upload(found.session, asked)
                return _without_body(request, following.answer) or await self._follow(found.session, caller, following)
        file = await self._downloads.open(file_id, caller)
        answer = answer_file(file, asked, inline=inline, boundary=secrets.token_hex(16))
        return _without_body(request, answer) or await self._send(request.scope, caller, file, answer)

    async def _send(self, scope: Scope, caller: Caller, file: File, answer: Answer) -> ASGIApp:
        spans = [part for part in answer.body if isinstance(part, Span)]
        start = spans[0].start if spans else 0
        await self._downloads.begin(file, caller, start=start, count=sum(map(len, spans)))
        body = messages(scope, answer.body, read=partial(self._read, file), opened=partial(self._opened, file))
        return Streaming(answer, await begun(body))

    def _read(self, file: File, span: Span) -> AsyncIterator[bytes]:
        return self._downloads.read(file, start=span.start, stop=span.stop, piece_size=PIECE_SIZE)

    def _opened(self, file: File, span: Span) -> AsyncIterator[Opened] | None:
        return self._downloads.opened(file, start=span.start, stop=span.stop)

    async def _follow(self, session: Session, caller: Caller, following: Following) -> ASGIApp:
        start, stop = following.start, following.stop
        await self._downloads.begin(session, caller, start=start, count=None if stop is None else stop - start)
        pieces = self._downloads.follow(session.id, caller, start=start, stop=stop, piece_size=PIECE_SIZE)
        return Streaming(following.answer, pieces_as_messages(pieces))


def _without_body(request: Request, answer: Answer) -> Response | None:
    """The response, if it is complete without any of the file."""
    if answer.status is HTTPStatus.PRECONDITION_FAILED:
        return unnamed_problem(answer.status, OTHER_FILE, answer.fields)
    if answer.status is HTTPStatus.NOT_MODIFIED or request.method == "HEAD":
        return Response(None, answer.status, answer.fields)
    return None
