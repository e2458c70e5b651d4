"""The REST API `/api/v1`: finished files, their bytes, uploads in progress, deletion analytics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from uploadstream.core.access import Caller, check_user
from uploadstream.core.digests import spelled
from uploadstream.core.errors import BadField, Refusal, together
from uploadstream.core.files import Audit, File
from uploadstream.core.session import Session
from uploadstream.core.sizes import KIB
from uploadstream.core.stats import DeletionStats
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.files import Files
from uploadstream.engine.uploads import Uploads
from uploadstream.http.fields import attachment, check_single, http_date, read_text
from uploadstream.http.problems import PROBLEM_JSON, fields_of, problem_of, status_of
from uploadstream.http.ranges import read_range, write_range

PIECE_SIZE: Final = 256 * KIB


class FileOut(BaseModel):
    """A finished file."""

    file_id: str
    user_id: str
    filename: str
    size: int
    content_type: str
    crc32c: str = Field(description="eight hexadecimal digits")
    sha256: str | None
    uploaded_at: datetime
    deleted_at: datetime | None
    processing_status: str
    processing_result: None = None


class FilesOut(BaseModel):
    """A page of files."""

    files: list[FileOut]
    next_page_token: str


class UploadOut(BaseModel):
    """An upload in progress. `size` is null until it is known."""

    upload_id: str
    user_id: str
    filename: str
    size: int | None
    offset: int
    protocol: str
    created_at: datetime
    expires_at: datetime


class UploadsOut(BaseModel):
    """A page of uploads in progress."""

    uploads: list[UploadOut]
    next_page_token: str


class AuditOut(BaseModel):
    """One thing that happened to an upload or file."""

    file_id: str
    action: str
    user_id: str
    at: datetime
    protocol: str
    address: str
    details: dict[str, str]


class AuditPageOut(BaseModel):
    """A page of what happened, the oldest first."""

    audit: list[AuditOut]
    next_page_token: str


class DeletionStatsOut(BaseModel):
    """Soft deletions of a user's files."""

    deleted: int
    restored: int
    restored_share: float
    by_day: dict[str, int]
    by_type: dict[str, int]
    age_seconds_mean: float
    age_seconds_max: float


def write_file(file: File) -> FileOut:
    """A file as the API spells it."""
    return FileOut(
        file_id=file.id,
        user_id=file.user_id,
        filename=file.filename,
        size=file.size,
        content_type=file.content_type,
        crc32c=spelled(file.crc32c),
        sha256=file.sha256,
        uploaded_at=file.uploaded_at,
        deleted_at=file.deleted_at,
        processing_status=file.processing_status.name,
    )


def write_upload(session: Session, expires_at: datetime) -> UploadOut:
    """An open upload as the API spells it."""
    return UploadOut(
        upload_id=session.id,
        user_id=session.declared.user_id,
        filename=session.declared.filename,
        size=session.length,
        offset=session.offset,
        protocol=session.protocol,
        created_at=session.created_at,
        expires_at=expires_at,
    )


def write_audit(entry: Audit) -> AuditOut:
    """A row of the trail as the API spells it."""
    return AuditOut(
        file_id=entry.file_id,
        action=entry.action.value,
        user_id=entry.user_id,
        at=entry.at,
        protocol=entry.protocol,
        address=entry.address,
        details=dict(entry.details),
    )


def write_stats(stats: DeletionStats) -> DeletionStatsOut:
    """Deletion analytics as the API spells them."""
    return DeletionStatsOut(
        deleted=stats.deleted,
        restored=stats.restored,
        restored_share=stats.restored_share,
        by_day=dict(stats.by_day),
        by_type=dict(stats.by_type),
        age_seconds_mean=stats.age_seconds_mean,
        age_seconds_max=stats.age_seconds_max,
    )


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


def read_caller(
    request: Request,
    x_user_id: Annotated[
        str, Header(description="the user that asks; none is named: anything is reached by its id")
    ] = "",
    user_id: Annotated[str, Query(description="the same, for a link")] = "",
) -> Caller:
    """Who asks. BadField, also of any other field that is there twice."""
    check_single(request.headers.items())
    address = request.client.host if request.client else ""
    return Caller(check_user(read_text(x_user_id) or user_id), "http", address)


Who = Annotated[Caller, Depends(read_caller)]
PageSize = Annotated[int, Query(description="rows a page; 0 means 20, at most 1000")]
PageToken = Annotated[str, Query(description="next_page_token of the page before")]


async def refused(_: Request, error: Exception) -> Response:
    """A refusal as problem details."""
    if not isinstance(error, Refusal):
        raise error
    return JSONResponse(problem_of(error), status_of(error), fields_of(error), PROBLEM_JSON)


async def misunderstood(request: Request, error: Exception) -> Response:
    """A parameter that cannot be read, as any other bad field."""
    if not isinstance(error, RequestValidationError):
        raise error
    bad = [BadField(field=str(one["loc"][-1]), problem=str(one["msg"])) for one in error.errors()]
    return await refused(request, together(bad))


async def unserved(request: Request, error: Exception) -> Response:
    """What no endpoint serves, as a problem that has no type of its own (RFC 9457, section 4.2.1)."""
    if not isinstance(error, HTTPException):
        raise error
    title = HTTPStatus(error.status_code).phrase
    problem = {"type": "about:blank", "title": title, "status": error.status_code, "detail": error.detail}
    fields = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # the framework has asked one route of several
        fields["Allow"] = ", ".join(methods_of(request))
    return JSONResponse(problem, error.status_code, fields, PROBLEM_JSON)


def methods_of(request: Request) -> list[str]:
    """Every method that the path of `request` is served with."""
    routes: list[BaseRoute] = request.app.routes
    return [
        method.value
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method.value})[0] is Match.FULL for route in routes)
    ]


class Rest:
    """The API's endpoints."""

    def __init__(self, files: Files, uploads: Uploads, downloads: Downloads) -> None:
        self._files = files
        self._uploads = uploads
        self._downloads = downloads

    def app(self, *, title: str, version: str) -> FastAPI:
        """The API with its documentation at /docs and /openapi.json."""
        app = FastAPI(title=title, version=version, redoc_url=None)
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
        content = "/files/{file_id}/content"
        router.add_api_route(content, self.content, methods=["GET"], response_class=StreamingResponse)
        router.add_api_route(content, self.content_head, methods=["HEAD"], response_class=Response)
        router.add_api_route("/uploads", self.list_uploads, methods=["GET"])
        router.add_api_route("/stats/deletions", self.deletions, methods=["GET"])
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

    async def content(self, request: Request, file_id: str, caller: Who) -> Response:
        """The file's bytes, or the range of them that `Range` names."""
        file = await self._downloads.open(file_id, caller)
        status, start, stop, fields = self._part(request, file)
        pieces: AsyncIterator[bytes] = self._downloads.read(file, start=start, stop=stop, piece_size=PIECE_SIZE)
        return StreamingResponse(pieces, status, fields)

    async def content_head(self, request: Request, file_id: str, caller: Who) -> Response:
        """The fields that GET would answer."""
        file = await self._downloads.open(file_id, caller)
        status, _, _, fields = self._part(request, file)
        return Response(None, status, fields)

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
