"""tus 1.0.0 (tus.io): core, and the extensions that EXTENSIONS names.

The numbers T1 … T32 are those of the checklist that the tests name.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPMethod, HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from uploadstream.core.digests import ALGORITHMS, Digest, check_digest
from uploadstream.core.errors import (
    BadBodyType,
    BadField,
    BadInput,
    ChecksumMismatch,
    Gone,
    LengthMismatch,
    Refusal,
    Unavailable,
    UploadJoined,
)
from uploadstream.core.session import UNNAMED, Declared, Session, State
from uploadstream.engine.checking import Given
from uploadstream.engine.uploads import Uploaded, Uploads
from uploadstream.engine.watch import Incoming
from uploadstream.http.addresses import address
from uploadstream.http.callers import caller_of
from uploadstream.http.fields import check_single, essence, http_date, read_count, read_text, shown
from uploadstream.http.pour import ClientGone, body_of
from uploadstream.http.problems import STATUS, fields_of, status_of
from uploadstream.http.trailers import announced, are_given

PROTOCOL: Final = "tus"
VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum,concatenation"
CHECKSUM: Final = "Upload-Checksum"
CONCAT: Final = "Upload-Concat"
CHUNK_TYPE: Final = "application/offset+octet-stream"
METADATA_LENGTH_MAX: Final = 8 * 1024

TUS_STATUS: Final[Mapping[type[Refusal], int]] = {
    **STATUS,
    ChecksumMismatch: 460,
    LengthMismatch: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UploadJoined: HTTPStatus.FORBIDDEN,
}

Fields = Mapping[str, str]
Methods = Mapping[str, Callable[[Request], Awaitable[Response]]]


@dataclass(frozen=True, slots=True)
class Creation:
    """What a POST asks for; `count`: how many bytes it brings, if that is known; `parts`: which uploads are joined."""

    declared: Declared
    has_body: bool
    count: int
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Patch:
    """What a PATCH asks for: bytes at `offset`, `length` when it is told only now, `count` if that is known."""

    offset: int
    length: int | None
    count: int | None


def read_metadata(value: str | None) -> dict[str, str]:
    """Upload-Metadata (T16) as text; values that are no UTF-8 have their bad bytes replaced. BadField."""
    if not value:
        return {}
    if len(value) > METADATA_LENGTH_MAX:
        raise BadField("Upload-Metadata", f"must be up to {METADATA_LENGTH_MAX} bytes, has {len(value)}")
    pairs: dict[str, str] = {}
    for pair in value.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if not key or key in pairs:
            raise BadField("Upload-Metadata", f"needs keys that are not empty and not repeated, has {shown(key)}")
        try:
            pairs[key] = base64.b64decode(encoded, validate=True).decode(errors="replace")
        except (binascii.Error, ValueError):
            raise BadField("Upload-Metadata", f"value of {shown(key)} is not base64") from None
    return pairs


def read_creation(fields: Fields) -> Creation:
    """POST (T12, T16, T18, T26, T27); what is declared is not checked yet. BadField."""
    is_partial, parts = read_concat(fields.get("upload-concat"))
    length = read_length(fields, is_final=bool(parts))
    metadata = fields.get("upload-metadata", "")
    said = read_metadata(metadata)
    declared = Declared(
        user_id=read_text(fields.get("x-user-id", "")) or said.get("user_id", ""),
        filename=said.get("filename") or said.get("name") or UNNAMED,
        content_type=said.get("filetype") or said.get("content_type") or said.get("type") or "",
        length=length,
        metadata=metadata,
        is_partial=is_partial,
        joins=fields["upload-concat"] if parts else "",
    )
    count = read_count("Content-Length", fields.get("content-length"))
    has_body = bool(count) or "transfer-encoding" in fields
    if has_body and essence(fields.get("content-type")) != CHUNK_TYPE:
        raise BadBodyType(field="Content-Type", problem=f"must be {CHUNK_TYPE} for a body")
    if has_body and parts:
        raise BadField(CONCAT, "final takes its bytes from its parts, and no body")
    return Creation(declared, has_body, count or 0, parts)


def read_length(fields: Fields, *, is_final: bool) -> int | None:
    """The length that a POST declares, None if it is told later (T12) or is the sum of the parts (T27). BadField."""
    length = read_count("Upload-Length", fields.get("upload-length"))
    deferred = fields.get("upload-defer-length")
    if deferred not in {None, "1"}:
        raise BadField("Upload-Defer-Length", f"must be 1, is {shown(deferred or '')}")
    if is_final and (length is not None or deferred is not None):
        raise BadField("Upload-Length", "is the sum of the parts, and must not be given")
    if not is_final and (length is None) == (deferred is None):
        raise BadField("Upload-Length", "or Upload-Defer-Length must be given, and not both")
    return length


def read_concat(value: str | None) -> tuple[bool, tuple[str, ...]]:
    """Upload-Concat (T26, T27): whether the upload is a partial one, and the ids of those it is joined from. BadField.

    A URL's last segment is the upload; what is before it depends on what stands between the client and us.
    """
    if value in {None, "partial"}:
        return value is not None, ()
    kind, _, urls = (value or "").partition(";")
    if kind != "final" or not urls.split():
        raise BadField(CONCAT, f"must be partial, or final; and URLs with spaces between them, is {shown(value or '')}")
    try:
        return False, tuple(urlsplit(url).path.rstrip("/").rpartition("/")[2] for url in urls.split())
    except ValueError:
        raise BadField(CONCAT, f"has a part that is no URL: {shown(urls)}") from None


def read_patch(fields: Fields) -> Patch:
    """PATCH (T9, T17). BadField."""
    if essence(fields.get("content-type")) != CHUNK_TYPE:
        raise BadBodyType(field="Content-Type", problem=f"must be {CHUNK_TYPE}")
    offset = read_count("Upload-Offset", fields.get("upload-offset"))
    if offset is None:
        raise BadField("Upload-Offset", "is missing")
    length = read_count("Upload-Length", fields.get("upload-length"))
    return Patch(offset, length, read_count("Content-Length", fields.get("content-length")))


def read_checksum(fields: Fields) -> Digest | None:
    """Upload-Checksum (T22), None if it is absent. BadField, also for an algorithm that is not known here."""
    value = fields.get(CHECKSUM.lower())
    if value is None:
        return None
    algorithm, _, encoded = value.partition(" ")
    try:
        expected = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadField(CHECKSUM, f"must be an algorithm and a checksum in base64, is {shown(value)}") from None
    return check_digest(Digest(algorithm, expected), field=CHECKSUM)


def write_expiry(session: Session, expires_at: datetime) -> dict[str, str]:
    """When an upload ends if nobody comes back to it (T19)."""
    return {} if session.state is State.COMPLETE else {"Upload-Expires": http_date(expires_at)}


def write_offset(session: Session, expires_at: datetime) -> dict[str, str]:
    """The fields of an answer to a body (T9, T18, T19)."""
    return {"Upload-Offset": str(session.offset), **write_expiry(session, expires_at)}


def write_status(session: Session, expires_at: datetime) -> dict[str, str]:
    """The fields of an answer to HEAD (T8, T16, T17, T31)."""
    fields = {**write_offset(session, expires_at), "Cache-Control": "no-store"}
    if session.length is None:
        fields["Upload-Defer-Length"] = "1"
    else:
        fields["Upload-Length"] = str(session.length)
    if session.declared.metadata:
        fields["Upload-Metadata"] = session.declared.metadata
    if session.declared.is_partial or session.declared.joins:
        fields[CONCAT] = session.declared.joins or "partial"
    return fields


def read_method(method: str, fields: Fields) -> str:
    """The method that is meant (T6)."""
    return fields.get("x-http-method-override", method).upper()


def write_refusal(error: Refusal, method: str) -> int:
    """The status of an error. A fault that may pass must not make clients forget their upload: HEAD says 423 then."""
    if method == "HEAD" and isinstance(error, Unavailable):
        return HTTPStatus.LOCKED
    return status_of(error, TUS_STATUS)


class Tus:
    """The endpoints below `path`. `beside`: what OPTIONS says of another protocol there."""

    def __init__(self, uploads: Uploads, *, path: str = "/files", beside: Fields | None = None) -> None:
        self._uploads = uploads
        self._path = path
        self._beside = beside or {}

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application; with and without a slash at the end."""
        one = f"{self._path}/{{id}}"
        every = list(HTTPMethod)  # which of ours is meant, a field may say (T6); Allow has those of the path
        return [
            *(Route(path, self._serve_all, methods=every) for path in (self._path, f"{self._path}/")),
            *(Route(path, self._serve_one, methods=every) for path in (one, f"{one}/")),
        ]

    async def _serve_all(self, request: Request) -> Response:
        return await self._serve(request, {"OPTIONS": self.options, "POST": self.post})

    async def _serve_one(self, request: Request) -> Response:
        methods: Methods = {
            "OPTIONS": self.options,
            "HEAD": self.head,
            "PATCH": self.patch,
            "DELETE": self.delete,
        }
        return await self._serve(request, methods)

    async def _serve(self, request: Request, methods: Methods) -> Response:
        """One request, its version checked (T1) and its refusal spelled."""
        method = read_method(request.method, request.headers)
        if method not in methods:
            response = Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(methods)})
        elif method != "OPTIONS" and (said := request.headers.get("tus-resumable")) != VERSION:
            text = f"Tus-Resumable must be {VERSION}, is {'missing' if said is None else shown(said)}\n"
            response = Response(text, HTTPStatus.PRECONDITION_FAILED, {"Tus-Version": VERSION}, "text/plain")
        else:
            try:
                check_single(request.headers.items())
                response = await methods[method](request)
            except Refusal as error:
                fields = {**fields_of(error), **(await self._expiry(request) if method == HTTPMethod.PATCH else {})}
                response = Response(f"{error}\n", write_refusal(error, method), fields, "text/plain")
            except ClientGone:  # nobody is left to be answered
                response = Response(status_code=HTTPStatus.BAD_REQUEST)
        response.headers["Tus-Resumable"] = VERSION
        return response

    async def options(self, request: Request) -> Response:
        """What this server can do (T2 to T5, T21, T24)."""
        fields = {
            "Tus-Version": VERSION,
            "Tus-Extension": f"{EXTENSIONS},checksum-trailer" if are_given(request.scope) else EXTENSIONS,
            "Tus-Max-Size": str(self._uploads.limits.file_size_max),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
            **self._beside,
        }
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=fields)

    async def post(self, request: Request) -> Response:
        """Create an upload (T12 to T15), with its first bytes if there are any (T18), or join others (T27)."""
        creation, digest = read_creation(request.headers), digest_of(request)
        caller = caller_of(request, PROTOCOL, named=creation.declared.user_id)
        if creation.parts:
            uploaded = await self._uploads.join(creation.declared, caller, creation.parts)
        else:
            uploaded = await self._uploads.create(creation.declared, caller, count=creation.count)
        if creation.has_body:
            upload_id = uploaded.session.id
            try:
                incoming = Incoming(body_of(request), at=0, digest=digest)
                uploaded = await self._uploads.append(upload_id, caller, incoming)
            except (ChecksumMismatch, BadInput):  # nobody is told where the upload is
                with suppress(Gone):
                    await self._uploads.abort(upload_id, caller)
                raise
        fields = {"Location": address(request.scope, f"{self._path}/{uploaded.session.id}"), **self._offset(uploaded)}
        return Response(status_code=HTTPStatus.CREATED, headers=fields)

    async def head(self, request: Request) -> Response:
        """Where the upload stands (T8)."""
        found = await self._uploads.standing(request.path_params["id"], caller_of(request, PROTOCOL))
        fields = write_status(found.session, self._uploads.expires_at(found.session))
        return Response(status_code=HTTPStatus.OK, headers=fields)

    async def patch(self, request: Request) -> Response:
        """Append bytes (T9, T10); with a checksum, all of the body or nothing (T22, T23)."""
        patch, digest = read_patch(request.headers), digest_of(request)
        incoming = Incoming(body_of(request), patch.offset, patch.length, patch.count, digest=digest)
        uploaded = await self._uploads.append(request.path_params["id"], caller_of(request, PROTOCOL), incoming)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=self._offset(uploaded))

    async def delete(self, request: Request) -> Response:
        """End an upload, or delete its file (T25)."""
        await self._uploads.abort(request.path_params["id"], caller_of(request, PROTOCOL))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _expiry(self, request: Request) -> dict[str, str]:
        """When the upload of a refused PATCH ends, if it is still going on (T19: in every answer)."""
        try:
            session = (await self._uploads.status(request.path_params["id"], caller_of(request))).session
        except Refusal:
            return {}
        return write_expiry(session, self._uploads.expires_at(session))

    def _offset(self, uploaded: Uploaded) -> dict[str, str]:
        return write_offset(uploaded.session, self._uploads.expires_at(uploaded.session))


def digest_of(request: Request) -> Given | None:
    """The checksum of a request's body, or, if it comes behind that, what gives it then (T22, T24). BadField."""
    trailers = announced(CHECKSUM, request.scope, request.headers)
    return read_checksum(request.headers) if trailers is None else lambda: read_checksum(trailers)
