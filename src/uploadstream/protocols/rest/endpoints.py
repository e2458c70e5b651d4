"""The API's endpoints, on FastAPI."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from uploadstream.core.access import Caller
from uploadstream.core.errors import BadField, Refusal, together
from uploadstream.engine.events import Events
from uploadstream.engine.files import Files
from uploadstream.engine.uploads import Uploads
from uploadstream.http.callers import caller_of
from uploadstream.http.problems import refusal, unnamed_problem
from uploadstream.protocols.rest.events import IDLE_SECONDS, EventStream, read_after, write_events
from uploadstream.protocols.rest.spellings import (
    AuditPageOut,
    DeletionStatsOut,
    FileOut,
    FilesOut,
    UploadsOut,
    write_audit,
    write_file,
    write_stats,
    write_upload,
)


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
    return [
        method.value
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method.value})[0] is Match.FULL for route in routes)
    ]


class Documented(FastAPI):
    """An application whose documentation has more paths than its own, as OpenAPI describes them."""

    def __init__(self, *, beside: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self._beside = beside

    def openapi(self) -> dict[str, Any]:
        """The description of all paths."""
        schema = super().openapi()
        schema["paths"].update(self._beside)
        return schema


class Rest:
    """The API's endpoints."""

    def __init__(self, files: Files, uploads: Uploads, events: Events) -> None:
        self._files = files
        self._uploads = uploads
        self._events = events

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
        router.add_api_route("/files", self.list_files, methods=["GET"])
        router.add_api_route("/files/{file_id}", self.describe, methods=["GET"])
        router.add_api_route("/files/{file_id}", self.delete, methods=["DELETE"], status_code=HTTPStatus.NO_CONTENT)
        router.add_api_route("/files/{file_id}/restore", self.restore, methods=["POST"])
        router.add_api_route("/files/{file_id}/audit", self.audit, methods=["GET"])
        router.add_api_route("/uploads", self.list_uploads, methods=["GET"])
        router.add_api_route("/stats/deletions", self.deletions, methods=["GET"])
        router.add_api_route(
            "/events", self.events, methods=["GET"], status_code=HTTPStatus.OK, response_class=EventStream
        )
        return router

    async def list_files(
        self, caller: Who, page_size: PageSize = 0, page_token: PageToken = "", *, deleted: bool = False
    ) -> FilesOut:
        """The user's files, the newest first; those in the trash with `deleted=true`."""
        page = await self._files.list(caller, deleted=deleted, page_size=page_size, page_token=page_token)
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

    async def deletions(self, caller: Who) -> DeletionStatsOut:
        """What the user deletes, when, how old it was, and how much of it comes back."""
        return write_stats(await self._files.deletion_stats(caller))

    async def events(self, caller: Who, last_event_id: LastEvent = "", after: After = "") -> Response:
        """What goes on with the user's uploads and files, as server-sent events, until the client or server ends it."""
        place = await self._events.place(caller, after=read_after(last_event_id, after))
        told = self._events.follow(place, idle_seconds=IDLE_SECONDS)
        return EventStream(write_events(place, told, self._uploads.expires_at))
