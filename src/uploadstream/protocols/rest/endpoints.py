"""The API's endpoints, on FastAPI."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

from uploadstream.core.access import Caller
from uploadstream.core.checks import together
from uploadstream.core.errors import BadField, Refusal
from uploadstream.engine.events import Events
from uploadstream.engine.files import Files
from uploadstream.engine.uploads import Uploads
from uploadstream.http.callers import caller_of
from uploadstream.http.problems import PROBLEM_JSON, refusal, unnamed_problem
from uploadstream.protocols.rest.documentation import EVENTS, completed, refusals
from uploadstream.protocols.rest.events import IDLE_SECONDS, EventStream, read_after, write_events
from uploadstream.protocols.rest.queries import FilesQuery
from uploadstream.protocols.rest.spellings import (
    AuditPageOut,
    DeletionStatsOut,
    FileOut,
    FilesOut,
    UploadsOut,
    UploadStatusOut,
    write_audit,
    write_file,
    write_stats,
    write_upload,
)
from uploadstream.protocols.rest.ways import write_ways

# Where the response to GET has no end, nor would that to HEAD.
ENDLESS: Final = "/api/v1/events"


def read_caller(
    request: Request,
    x_user_id: Annotated[  # noqa: ARG001 - both parameters are there to be described
        str, Header(description="the user that asks; none is named: anything is reached by its id")
    ] = "",
    user_id: Annotated[str, Query(description="the same, for a link")] = "",  # noqa: ARG001
) -> Caller:
    """Who asks. BadField, also of any other field that is there twice."""
    return caller_of(request)


Who = Annotated[Caller, Depends(read_caller)]
PageSize = Annotated[int, Query(description="rows a page; 0 means 20, at most 1000")]
PageToken = Annotated[str, Query(description="next_page_token of the page before")]
LastEvent = Annotated[str, Header(description="go on behind the event of this id; browsers send it by themselves")]
After = Annotated[str, Query(alias="last_event_id", description="the same, for a link")]


async def refused(_: Request, error: Exception) -> Response:
    """A refusal as problem details."""
    if not isinstance(error, Refusal):
        raise error
    return refusal(error)


async def misunderstood(request: Request, error: Exception) -> Response:
    """A parameter that cannot be read, as any other bad field."""
    if not isinstance(error, RequestValidationError):
        raise error
    bad = [BadField(field=str(one["loc"][-1]), problem=str(one["msg"])) for one in error.errors()]
    return await refused(request, together(bad))


async def unserved(request: Request, error: Exception) -> Response:
    """What no endpoint serves, as a problem."""
    if not isinstance(error, HTTPException):
        raise error
    fields = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # the framework has asked one route of several
        fields["Allow"] = ", ".join(methods_of(request))
    return unnamed_problem(error.status_code, error.detail, fields)


def methods_of(request: Request) -> list[str]:
    """Every method that the path of `request` is served with."""
    routes: list[BaseRoute] = request.app.routes
    methods = [
        method.value
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method.value})[0] is Match.FULL for route in routes)
    ]
    is_head_served = "GET" in methods and "HEAD" not in methods and not request.url.path.endswith(ENDLESS)
    return [*methods, "HEAD"] if is_head_served else methods


def _without_body(send: Send) -> Send:
    """`send` for HEAD: what the response says of its body stays, the body is left out."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


class ThumbnailSize(enum.StrEnum):
    """Which of a file's small pictures."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Documented(FastAPI):
    """An application whose documentation has more paths than its own, as OpenAPI describes them."""

    def __init__(self, *, beside: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self._beside = beside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; HEAD is GET without its body, where that ends."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].endswith(ENDLESS):
            await super().__call__({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The description of all paths."""
        schema = completed(super().openapi())
        schema["paths"].update(self._beside)
        return schema


class Rest:
    """The API's endpoints."""

    def __init__(self, files: Files, uploads: Uploads, events: Events, *, grpc_port: int | None = None) -> None:
        """`grpc_port`: where gRPC listens on the same host, if it does."""
        self._files = files
        self._uploads = uploads
        self._events = events
        self._grpc_port = grpc_port

    def app(self, *, title: str, version: str, beside: Mapping[str, Any] | None = None) -> FastAPI:
        """The API with its documentation at /docs and /openapi.json; `beside`: the paths that others serve."""
        app = Documented(title=title, version=version, redoc_url=None, beside=beside or {})
        app.add_exception_handler(Refusal, refused)
        app.add_exception_handler(RequestValidationError, misunderstood)
        app.add_exception_handler(HTTPException, unserved)
        app.include_router(self._router())
        return app

    def _router(self) -> APIRouter:
        router = APIRouter(prefix="/api/v1")
        none, one = refusals(), refusals(HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
        busy = {**one, **refusals(HTTPStatus.LOCKED)}
        add, gone = router.add_api_route, HTTPStatus.NO_CONTENT
        add("/files", self.list_files, methods=["GET"], responses=none)
        add("/files/{file_id}", self.describe, methods=["GET"], responses=one)
        add("/files/{file_id}", self.delete, methods=["DELETE"], status_code=gone, responses=one)
        add("/files/{file_id}/restore", self.restore, methods=["POST"], responses=one)
        add("/files/{file_id}/audit", self.audit, methods=["GET"], responses=one)
        add("/files/{file_id}/thumbnails/{size}", self.thumbnail, methods=["GET"], responses=one)
        add("/uploads", self.list_uploads, methods=["GET"], responses=none)
        add("/uploads/{upload_id}", self.upload, methods=["GET"], responses=one)
        add("/uploads/{upload_id}", self.end_upload, methods=["DELETE"], status_code=gone, responses=busy)
        add("/stats/deletions", self.deletions, methods=["GET"], responses=none)
        add(
            "/events",
            self.events,
            methods=["GET"],
            status_code=HTTPStatus.OK,
            response_class=EventStream,
            responses={**EVENTS, **none},
        )
        return router

    async def list_files(self, caller: Who, query: Annotated[FilesQuery, Query()]) -> FilesOut:
        """The user's files, the newest first; a page that is not full may have a next one all the same."""
        page = await self._files.list(caller, query.wanted(), page_size=query.page_size, page_token=query.page_token)
        return FilesOut(files=[write_file(file) for file in page.rows], next_page_token=page.next_token)

    async def describe(self, file_id: str, caller: Who) -> FileOut:
        """One file."""
        return write_file(await self._files.describe(file_id, caller))

    async def delete(self, file_id: str, caller: Who) -> None:
        """Put a file in the trash."""
        await self._files.delete(file_id, caller)

    async def restore(self, file_id: str, caller: Who) -> FileOut:
        """Take a file out of the trash."""
        return write_file(await self._files.restore(file_id, caller))

    async def audit(
        self, file_id: str, caller: Who, page_size: PageSize = 0, page_token: PageToken = ""
    ) -> AuditPageOut:
        """What happened to an upload or file, the oldest first."""
        page = await self._files.audit(file_id, caller, page_size=page_size, page_token=page_token)
        return AuditPageOut(audit=[write_audit(entry) for entry in page.rows], next_page_token=page.next_token)

    async def list_uploads(self, caller: Who, page_size: PageSize = 0, page_token: PageToken = "") -> UploadsOut:
        """The user's uploads in progress, the newest first."""
        page = await self._uploads.list(caller, page_size=page_size, page_token=page_token)
        rows = [write_upload(session, self._uploads.expires_at(session)) for session in page.rows]
        return UploadsOut(uploads=rows, next_page_token=page.next_token)

    async def upload(self, request: Request, upload_id: str, caller: Who) -> UploadStatusOut:
        """One upload, and how it can be continued over each protocol."""
        found = await self._uploads.status(upload_id, caller)
        session = found.session
        upload = write_upload(session, self._uploads.expires_at(session))
        ways = write_ways(request, session, grpc_port=self._grpc_port)
        return UploadStatusOut(**dict(upload), complete=found.file is not None, ways=ways)

    async def end_upload(self, upload_id: str, caller: Who) -> None:
        """End an upload, nothing of it is left; or put its file in the trash."""
        await self._uploads.abort(upload_id, caller)

    async def thumbnail(self, file_id: str, size: ThumbnailSize, caller: Who) -> Response:
        """A small picture of the file, once there is one."""
        file = await self._files.describe(file_id, caller)
        status = HTTPStatus.NOT_FOUND
        problem = {
            "type": "urn:uploadstream:no-thumbnail",
            "title": status.phrase,
            "status": status,
            "detail": f"No {size.value} thumbnail of file {file.id} yet",
            "processing_status": file.processing_status.name,
        }
        return JSONResponse(problem, status, {"Cache-Control": "no-store"}, PROBLEM_JSON)

    async def deletions(self, caller: Who) -> DeletionStatsOut:
        """What the user deletes, when, how old it was, and how much of it comes back."""
        return write_stats(await self._files.deletion_stats(caller))

    async def events(self, caller: Who, last_event_id: LastEvent = "", after: After = "") -> Response:
        """What goes on with the user's uploads and files, as server-sent events, until the client or server ends it."""
        place = await self._events.place(caller, after=read_after(last_event_id, after))
        told = self._events.follow(place, idle_seconds=IDLE_SECONDS)
        return EventStream(write_events(place, told, self._uploads.expires_at))
