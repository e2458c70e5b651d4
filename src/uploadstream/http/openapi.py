"""What the API's documentation (OpenAPI 3.1) says in more than one place: refusals, parameters, who is asked for.

Invariant: a refusal is described by the answer to it. Statuses, bodies and fields come from the table that answers
have them from, and the examples of files are files.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from uploadstream.core.access import USER_LENGTH_MAX
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import BadField, CatalogUnavailable, Gone, NotFound, Refusal, StorageUnavailable
from uploadstream.core.files import File
from uploadstream.http.problems import PROBLEM_JSON, fields_of, problem_of, status_of

CONTENT: Final = b"The river was high.\n"
FILE: Final = File(
    id="5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b",
    user_id="ann",
    filename="river.txt",
    size=len(CONTENT),
    declared_type="text/plain",
    detected_type="text/plain",
    crc32c=crc32c(CONTENT),
    uploaded_at=datetime(2026, 1, 2, 12, 0, 0, 250_000, UTC),
    protocol="tus",
)
BAD_USER: Final = BadField("user_id", f"must be 1 to {USER_LENGTH_MAX} characters, has {USER_LENGTH_MAX + 1}")
NO_FILE: Final = NotFound(kind="file", id=FILE.id)
DELETED: Final = Gone(kind="file", id=FILE.id, how="deleted")
NO_CATALOG: Final = CatalogUnavailable()
NO_STORAGE: Final = StorageUnavailable()

TEXT: Final = {"type": "string"}
BINARY: Final = {"type": "string", "format": "binary"}
ID: Final = {"type": "string", "format": "uuid"}
USER: Final = {"type": "string", "maxLength": USER_LENGTH_MAX}
PROBLEM: Final = {
    "title": "Problem",
    "description": "A refusal (RFC 9457); its numbers are further members.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "urn:uploadstream: and the reason, which stays the same"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what is wrong, with its numbers"},
        "errors": {
            "type": "array",
            "description": "every bad field, if that is what is wrong",
            "items": {
                "type": "object",
                "properties": {"field": TEXT, "problem": TEXT},
                "required": ["field", "problem"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}


def refusals(*errors: Refusal) -> dict[int | str, dict[str, Any]]:
    """The responses that say these errors, by status."""
    statuses = sorted({status_of(error) for error in errors})
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "headers": headers({name: value for error in errors for name, value in _fields(error, status).items()}),
            "content": _problems({_key(error): problem_of(error) for error in errors if status_of(error) == status}),
        }
        for status in statuses
    }


def unnamed_refusal(problem: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The response that says a problem which is no error of ours."""
    return {
        problem["status"]: {"description": problem["title"], "content": _problems({"about-blank": problem})},
    }


def headers(fields: Mapping[str, str]) -> dict[str, Any]:
    """These fields of a response, with their values for examples."""
    return {name: {"schema": TEXT, "example": value} for name, value in fields.items()}


def _problems(bodies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    examples = {key: {"summary": body["detail"], "value": body} for key, body in bodies.items()}
    return {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}}


def _key(error: Refusal) -> str:
    reason = error.reason.lower().replace("_", "-")
    return f"{reason}-{error.field}" if isinstance(error, BadField) else reason


def _fields(error: Refusal, status: int) -> dict[str, str]:
    return fields_of(error) if status_of(error) == status else {}
