"""The bytes of a file at `/api/v1/files/{file_id}/content`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from uploadstream.core.errors import Refusal
from uploadstream.core.files import File
from uploadstream.core.sizes import KIB
from uploadstream.engine.downloads import Downloads
from uploadstream.http.callers import caller_of
from uploadstream.http.fields import attachment, http_date
from uploadstream.http.problems import refusal, unnamed_problem
from uploadstream.http.ranges import read_range, write_range

PATH: Final = "/api/v1/files/{file_id}/content"
PIECE_SIZE: Final = 256 * KIB
METHODS: Final = ("GET", "HEAD")


def write_content(file: File) -> dict[str, str]:
    """The fields of a download that do not depend on the range."""
    return {
        "Accept-Ranges": "bytes",
        "Content-Type": file.content_type,
        "ETag": f'"{file.id}"',
        "Last-Modified": http_date(file.uploaded_at),
        "Content-Disposition": attachment(file.filename),
        "X-Content-Type-Options": "nosniff",
    }


class Content:
    """The endpoint; an ASGI application, so that no method of its path is anybody else's."""

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application."""
        return [Route(PATH, self)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        response = await self._answer(Request(scope))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in METHODS:
            return unnamed_problem(
                HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed", fields={"Allow": ", ".join(METHODS)}
            )
        try:
            file = await self._downloads.open(request.path_params["file_id"], caller_of(request))
            status, start, stop, fields = self._part(request, file)
        except Refusal as error:
            return refusal(error)
        if request.method == "HEAD":
            return Response(None, status, fields)
        pieces = self._downloads.read(file, start=start, stop=stop, piece_size=PIECE_SIZE)
        return StreamingResponse(pieces, status, fields)

    def _part(self, request: Request, file: File) -> tuple[int, int, int, dict[str, str]]:
        """Status, first byte, the one behind the last, and fields."""
        fields = write_content(file)
        asked = read_range(request.headers.get("range"), size=file.size)
        start, stop = asked or (0, file.size)
        fields["Content-Length"] = str(stop - start)
        if asked is None:
            return HTTPStatus.OK, start, stop, fields
        fields["Content-Range"] = write_range(start, stop, size=file.size)
        return HTTPStatus.PARTIAL_CONTENT, start, stop, fields


def _operation(summary: str, name: str, *, body: bool) -> dict[str, Any]:
    text = {"type": "string"}
    content = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}} if body else {}
    return {
        "summary": summary,
        "operationId": name,
        "parameters": [
            {"name": "file_id", "in": "path", "required": True, "schema": text},
            {"name": "range", "in": "header", "required": False, "schema": text},
            {"name": "x-user-id", "in": "header", "required": False, "schema": text},
            {"name": "user_id", "in": "query", "required": False, "schema": text},
        ],
        "responses": {
            "200": {"description": "The file", **content},
            "206": {"description": "The range of it that was asked for", **content},
        },
    }


# As OpenAPI has it, for whoever documents the whole API.
OPENAPI: Final[dict[str, Any]] = {
    PATH: {
        "get": _operation("The file's bytes, or the range of them that `Range` names.", "content", body=True),
        "head": _operation("The fields that GET would answer.", "content_head", body=False),
    }
}
