"""What the API's documentation says beside the shapes of its answers: examples, refusals, which operation is whose.

Invariant: an example is what the API would answer about the file and the uploads here, written by what writes answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from uploadstream.core.access import Bounds, Identity, ScopeMissing, Unauthenticated
from uploadstream.core.errors import (
    BadBodyType,
    BadField,
    Busy,
    Draining,
    Gone,
    NotFound,
    NoThumbnail,
    Refusal,
    TooManyListeners,
)
from uploadstream.core.files import Action, Audit
from uploadstream.core.session import Declared, Session
from uploadstream.core.stats import DeletionStats
from uploadstream.engine.events import LISTENERS_MAX, Event, Kind
from uploadstream.engine.identities import MISSING
from uploadstream.engine.passes import SECONDS_MAX, Pass
from uploadstream.http.fields import COUNT_MAX
from uploadstream.http.openapi import (
    BAD_USER,
    BINARY,
    DELETED,
    FILE,
    NO_CATALOG,
    NO_FILE,
    NO_STORAGE,
    PROBLEM,
    refusals,
)
from uploadstream.http.small_bodies import JSON
from uploadstream.protocols.rest.events import write_lines
from uploadstream.protocols.rest.passes import TokenIn, write_pass
from uploadstream.protocols.rest.spellings import (
    AuditPageOut,
    EventOut,
    FilesOut,
    UploadsOut,
    UploadStatusOut,
    write_audit,
    write_file,
    write_stats,
    write_upload,
)
from uploadstream.protocols.rest.ways import write_ways

GRPC_PORT: Final = 50051

TAGS: Final = [
    {"name": "files", "description": "Finished files and what happened to them"},
    {"name": "uploads", "description": "Uploads in progress, over whatever protocol"},
    {"name": "tokens", "description": "Who may send something without a key of their own"},
    {"name": "events", "description": "What goes on, told while it does"},
    {"name": "statistics", "description": "Counts"},
]

NOON: Final = FILE.uploaded_at
UPLOAD_ID: Final = "8d3e5f60-71a2-4b3c-9d4e-5f6071a2b3c4"
_EXPIRES: Final = NOON + timedelta(days=1)
_SESSION: Final = Session(
    id=UPLOAD_ID,
    declared=Declared(FILE.user_id, "film.mp4", "video/mp4", 1_048_576),
    size_max=1_048_576,
    protocol="tus",
    created_at=NOON - timedelta(seconds=2),
    touched_at=NOON,
    offset=262_144,
)
_UPLOAD: Final = write_upload(_SESSION, _EXPIRES)
_COMPLETED: Final = Audit(
    *(FILE.id, Action.COMPLETE, FILE.user_id, NOON, FILE.protocol, "192.0.2.1"),
    {"size": str(FILE.size), "content_type": FILE.content_type},
)
_DELETED: Final = DeletionStats(1, 0, {"2026-01-03": 1}, {FILE.content_type: 1}, 86_400.0, 86_400.0, {"<7d": 1})
_PROGRESS: Final = Event(Kind.PROGRESS, UPLOAD_ID, NOON, FILE.user_id, _SESSION.protocol, upload=_SESSION)

_BAD_SIZE: Final = BadField("page_size", "must be 0 or more, is -1")
_BAD_TOKEN: Final = BadField("page_token", "is not one that this service gave")
_BAD_ORDER: Final = BadField("page_token", "is not one that this service gave for this order")
_BAD_TYPE: Final = BadField("type", "must be such as image/* or image/png, is png")
_BAD_PICTURE: Final = BadField("size", "must be 'small', 'medium' or 'large'")
_BAD_EVENT: Final = BadField("Last-Event-ID", f"must be a whole number from 0 to {COUNT_MAX}, is '-1'")
_NO_UPLOAD: Final = NotFound(kind="file", id=UPLOAD_ID)
_ABORTED: Final = Gone(kind="upload", id=UPLOAD_ID, how="aborted")

_BAD_WISH: Final = BadField("expires_in", f"must be less than or equal to {SECONDS_MAX}")
_NO_WRITING: Final = ScopeMissing("Scope write is needed; these credentials have read", "write")
_WISH: Final = {"size_max": 10_485_760, "allowed_types": ["image/*"], "expires_in": 900}
_UPLOADER: Final = Identity(FILE.user_id, bounds=Bounds("", 10_485_760, ("image/*",)))

_STREAM: Final = {
    "type": "string",
    "description": "the data of every event is one of these, on one line",
    "contentMediaType": "text/event-stream",
    "contentSchema": {"$ref": "#/components/schemas/EventOut"},
}


def _operation(
    tag: str,
    summary: str,
    *errors: Refusal,
    status: HTTPStatus = HTTPStatus.OK,
    means: str = "",
    content: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What FastAPI is told of an operation; every one may be asked by nobody that can be, or without a catalog."""
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": {JSON: body}}} if body else None,
        "tags": [tag],
        "summary": summary,
        "status_code": status,
        "response_description": means or summary,
        "responses": {status.value: {"content": content} if content else {}, **refusals(BAD_USER, NO_CATALOG, *errors)},
    }


LIST_FILES: Final = _operation(
    *("files", "List files", _BAD_SIZE, _BAD_ORDER, _BAD_TYPE),
    means="A page of files",
)
DESCRIBE: Final = _operation(*("files", "Describe a file", NO_FILE, DELETED), means="The file")
DELETE: Final = _operation(
    *("files", "Put a file in the trash", NO_FILE, DELETED), status=HTTPStatus.NO_CONTENT, means="It is in the trash"
)
RESTORE: Final = _operation(
    *("files", "Take a file out of the trash", NO_FILE, replace(DELETED, how="lost"), NO_STORAGE),
    means="The file, in use again",
)
AUDIT: Final = _operation(
    *("files", "Tell what happened to a file or upload", _BAD_SIZE, _BAD_TOKEN, NO_FILE),
    means="A page of what happened",
)
THUMBNAIL: Final = _operation(
    *("files", "Show a small picture of a file", _BAD_PICTURE, NO_FILE, DELETED),
    NoThumbnail("file", FILE.id, "small", FILE.processing_status.name),
    means="The picture, once there is one",
    content={"image/*": {"schema": BINARY}},
)
LIST_UPLOADS: Final = _operation(
    *("uploads", "List uploads in progress", _BAD_SIZE, _BAD_TOKEN, NO_STORAGE),
    means="A page of uploads",
)
UPLOAD: Final = _operation(
    *("uploads", "Describe an upload and how to continue it", _NO_UPLOAD, _ABORTED, NO_STORAGE),
    means="The upload",
)
END_UPLOAD: Final = _operation(
    *("uploads", "End an upload", _NO_UPLOAD, _ABORTED, Busy(UPLOAD_ID), NO_STORAGE),
    status=HTTPStatus.NO_CONTENT,
    means="Nothing of it is left, or its file is in the trash",
)
DELETIONS: Final = _operation(
    *("statistics", "Count deletions"),
    means="Soft deletions of the user's files, also of those that are purged",
)
EVENTS: Final = _operation(
    *("events", "Follow what goes on", _BAD_EVENT, NO_STORAGE, TooManyListeners(LISTENERS_MAX), Draining()),
    means="Events, until the client or the server ends it",
    content={"text/event-stream": {"schema": _STREAM, "example": write_lines(_PROGRESS, lambda _: _EXPIRES).decode()}},
)

TOKEN: Final = _operation(
    *("tokens", "Make a token for uploads", _BAD_WISH, BadBodyType("Content-Type", f"must be {JSON}")),
    *(Unauthenticated(MISSING), _NO_WRITING, NotFound("file", UPLOAD_ID), _ABORTED, NO_STORAGE),
    means="The token, which is shown once",
    body={"schema": {"$ref": "#/components/schemas/TokenIn"}, "example": _WISH},
)

# By the name of the operation; set in the end, because the framework leaves out what is null.
_EXAMPLES: Final[Mapping[str, BaseModel]] = {
    "list_files": FilesOut(files=[write_file(FILE)], next_page_token=""),
    "describe_file": write_file(FILE),
    "restore_file": write_file(FILE),
    "audit": AuditPageOut(audit=[write_audit(_COMPLETED)], next_page_token=""),
    "list_uploads": UploadsOut(uploads=[_UPLOAD], next_page_token=""),
    "describe_upload": UploadStatusOut(
        **dict(_UPLOAD),
        complete=False,
        ways=write_ways(_SESSION, scope={}, host="127.0.0.1", grpc_port=GRPC_PORT),
    ),
    "deletions": write_stats(_DELETED),
    "make_token": write_pass(Pass("up_eyJhbGciOiJIUzI1NiIsInR5cCI6InVwbG9hZCJ9.e30.c2lnbmVk", NOON, _UPLOADER)),
}


def completed(schema: dict[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """The framework's description with our shapes, without its own refusals, which are never answered, and `beside`."""
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            example = _EXAMPLES.get(operation["operationId"])
            if example is not None:
                content = operation["responses"]["200"]["content"]["application/json"]
                content["example"] = example.model_dump(mode="json")
    shapes = schema["components"]["schemas"]
    for shape in ("HTTPValidationError", "ValidationError", "Order"):
        shapes.pop(shape, None)
    shapes["TokenIn"] = TokenIn.model_json_schema(ref_template="#/components/schemas/{model}")
    event = EventOut.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    return {
        **schema,
        "paths": {**schema["paths"], **beside},
        "components": {"schemas": {**shapes, **event.pop("$defs"), "EventOut": event, "Problem": PROBLEM}},
    }
