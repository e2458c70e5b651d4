"""The API's endpoints, on FastAPI."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import partial
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic.config import JsonDict
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

from uploadstream.core.access import USER_LENGTH_MAX, Caller
from uploadstream.core.checks import together
from uploadstream.core.errors import BadField, NoThumbnail, Refusal
from uploadstream.engine.events import Events
from uploadstream.engine.files import Files
from uploadstream.engine.passes import Passes
from uploadstream.engine.uploads import Uploads
from uploadstream.http.callers import caller_of, check_still
from uploadstream.http.problems import failed, refusal, unnamed_problem
from uploadstream.protocols.rest import documentation
from uploadstream.protocols.rest.events import IDLE_SECONDS, EventStream, as_long_as, read_after, write_events
from uploadstream.protocols.rest.passes import TokenOut, read_wish, write_pass
from uploadstream.protocols.rest.queries import NOT_NEGATIVE, ROWS, FilesQuery
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

AN_ID: Final[JsonDict] = {"format": "uuid"}
NAMED: Final[JsonDict] = {"maxLength": USER_LENGTH_MAX}
A_NUMBER: Final[JsonDict] = {"pattern": "^[0-9]*$", "maxLength": 19}
# Where the response to GET has no end, nor would that to HEAD.
ENDLESS: Final = "/api/v1/events"


class ThumbnailSize(enum.StrEnum):
    """Which of a file's small pictures."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


def read_caller(
    request: Request,
    x_user_id: Annotated[  # noqa: ARG001 - both parameters are there to be described
        str,
        Header(description="the user that asks; none is named: anything is reached by its id", json_schema_extra=NAMED),
    ] = "",
    user_id: Annotated[str, Query(description="the user that asks, for a link", json_schema_extra=NAMED)] = "",  # noqa: ARG001
) -> Caller:
    """Who asks. BadField, also of any other field that is there twice."""
    return caller_of(request)


FileId = Annotated[str, Path(description="the file, or the upload that became it", json_schema_extra=AN_ID)]
UploadId = Annotated[str, Path(description="the upload, also when it has become a file", json_schema_extra=AN_ID)]
PictureSize = Annotated[ThumbnailSize, Path(description="which of its pictures")]
Who = Annotated[Caller, Depends(read_caller)]
PageSize = Annotated[int, Query(description=ROWS, json_schema_extra=NOT_NEGATIVE)]
PageToken = Annotated[str, Query(description="next_page_token of the page before")]
LastEvent = Annotated[
    str,
    Header(description="go on behind the event of this id; browsers send it by themselves", json_schema_extra=A_NUMBER),
]
After = Annotated[str, Query(alias="last_event_id", description="the same, for a link", json_schema_extra=A_NUMBER)]


async def refused(_: Request, error: Exception) -> Response:
    """A refusal as problem details."""
    if not isinstance(error, Refusal):
        raise error
    return refusal(error)


async def misunderstood(request: Request, error: Exception) -> Response:
    """A parameter that cannot be read, as any other bad field."""
    if not isinstance(error, RequestValidationError):
        raise error
    said = ((one["loc"][-1], one["msg"].replace("Input should be", "must be")) for one in error.errors())
    bad = [BadField(field=str(field), problem=problem) for field, problem in said]
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
        return documentation.completed(super().openapi(), self._beside)


class Rest:
    """The API's endpoints."""

    def __init__(
        self, files: Files, uploads: Uploads, events: Events, passes: Passes, *, grpc_port: int | None = None
    ) -> None:
        """`grpc_port`: where gRPC listens on the same host, if it does."""
        self._files = files
        self._uploads = uploads
        self._events = events
        self._passes = passes
        self._grpc_port = grpc_port

    def app(self, *, title: str, version: str, beside: Mapping[str, Any] | None = None) -> FastAPI:
        """The API, described at /openapi.json; `beside`: the paths that others serve."""
        about = {"title": title, "version": version, "openapi_tags": documentation.TAGS}
        app = Documented(**about, docs_url=None, redoc_url=None, redirect_slashes=False, beside=beside or {})
        app.add_exception_handler(Refusal, refused)
        app.add_exception_handler(RequestValidationError, misunderstood)
        app.add_exception_handler(HTTPException, unserved)
        app.add_exception_handler(Exception, failed)
        app.include_router(self._router())
        return app

    def _router(self) -> APIRouter:
        router = APIRouter(prefix="/api/v1", generate_unique_id_function=lambda route: route.name)
        get, add = partial(router.add_api_route, methods=["GET"]), router.add_api_route
        get("/files", self.list_files, **documentation.LIST_FILES)
        get("/files/{file_id}", self.describe_file, **documentation.DESCRIBE)
        add("/files/{file_id}", self.delete_file, methods=["DELETE"], **documentation.DELETE)
        add("/files/{file_id}/restore", self.restore_file, methods=["POST"], **documentation.RESTORE)
        get("/files/{file_id}/audit", self.audit, **documentation.AUDIT)
        get("/files/{file_id}/thumbnails/{size}", self.thumbnail, response_class=Response, **documentation.THUMBNAIL)
        get("/uploads", self.list_uploads, **documentation.LIST_UPLOADS)
        get("/uploads/{upload_id}", self.describe_upload, **documentation.UPLOAD)
        add("/uploads/{upload_id}", self.end_upload, methods=["DELETE"], **documentation.END_UPLOAD)
        add("/tokens", self.make_token, methods=["POST"], **documentation.TOKEN)
        get("/stats/deletions", self.deletions, **documentation.DELETIONS)
        get("/events", self.events, response_class=EventStream, **documentation.EVENTS)
        return router

    async def list_files(self, caller: Who, query: Annotated[FilesQuery, Query()]) -> FilesOut:
        """The user's files, the newest first; a page that is not full may have a next one all the same."""
        page = await self._files.list(caller, query.wanted(), page_size=query.page_size, page_token=query.page_token)
        return FilesOut(files=[write_file(file) for file in page.rows], next_page_token=page.next_token)

    async def describe_file(self, file_id: FileId, caller: Who) -> FileOut:
        """One file."""
        return write_file(await self._files.describe(file_id, caller))

    async def delete_file(self, file_id: FileId, caller: Who) -> None:
        """Put a file in the trash."""
        await self._files.delete(file_id, caller)

    async def restore_file(self, file_id: FileId, caller: Who) -> FileOut:
        """Take a file out of the trash."""
        return write_file(await self._files.restore(file_id, caller))

    async def audit(
        self, file_id: FileId, caller: Who, page_size: PageSize = 0, page_token: PageToken = ""
    ) -> AuditPageOut:
        """What happened to an upload or file, the oldest first."""
        page = await self._files.audit(file_id, caller, page_size=page_size, page_token=page_token)
        return AuditPageOut(audit=[write_audit(entry) for entry in page.rows], next_page_token=page.next_token)

    async def list_uploads(self, caller: Who, page_size: PageSize = 0, page_token: PageToken = "") -> UploadsOut:
        """The user's uploads in progress, the newest first."""
        page = await self._uploads.list(caller, page_size=page_size, page_token=page_token)
        rows = [write_upload(session, self._uploads.expires_at(session)) for session in page.rows]
        return UploadsOut(uploads=rows, next_page_token=page.next_token)

    async def describe_upload(self, request: Request, upload_id: UploadId, caller: Who) -> UploadStatusOut:
        """One upload, and how it can be continued over each protocol."""
        found = await self._uploads.status(upload_id, caller)
        session = found.session
        upload = write_upload(session, self._uploads.expires_at(session))
        ways = write_ways(session, scope=request.scope, host=request.url.hostname, grpc_port=self._grpc_port)
        return UploadStatusOut(**dict(upload), complete=found.file is not None, ways=ways)

    async def end_upload(self, upload_id: UploadId, caller: Who) -> None:
        """End an upload, nothing of it is left; or put its file in the trash."""
        await self._uploads.abort(upload_id, caller)

    async def make_token(self, request: Request, caller: Who) -> TokenOut:
        """A token for a browser or another stranger: for one upload, or for new ones within bounds, and for a while."""
        bounds, seconds = await read_wish(request)
        given = self._passes.for_uploads(caller, bounds, seconds=seconds)
        if bounds.upload_id:
            await self._uploads.status(bounds.upload_id, caller)
        return write_pass(given)

    async def thumbnail(self, file_id: FileId, size: PictureSize, caller: Who) -> None:
        """A small picture of the file, once there is one."""
        file = await self._files.describe(file_id, caller)
        raise NoThumbnail(kind="file", id=file.id, size=size.value, processing_status=file.processing_status.name)

    async def deletions(self, caller: Who) -> DeletionStatsOut:
        """What the user deletes, when, how old it was, and how much of it comes back."""
        return write_stats(await self._files.deletion_stats(caller))

    async def events(self, request: Request, caller: Who, last_event_id: LastEvent = "", after: After = "") -> Response:
        """What goes on with the user's uploads and files, as server-sent events, until the client or server ends it."""
        place = await self._events.place(caller, after=read_after(last_event_id, after))
        told = as_long_as(partial(check_still, request), self._events.follow(place, idle_seconds=IDLE_SECONDS))
        return EventStream(write_events(place, told, self._uploads.expires_at))
