"""What the API's documentation says beside the shapes of its answers: refusals, examples."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from uploadstream.http.problems import PROBLEM_JSON

Operation = dict[int | str, dict[str, Any]]

_ID: Final = "5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
_SAID: Final = {
    HTTPStatus.BAD_REQUEST: ("bad-field", "page_size: must be 0 or more, is -1"),
    HTTPStatus.NOT_FOUND: ("not-found", f"No file {_ID}"),
    HTTPStatus.GONE: ("gone", f"No file {_ID}: it was deleted"),
    HTTPStatus.LOCKED: ("upload-busy", "Upload is being written by another request"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("catalog-unavailable", "Catalog is not reachable; nothing was lost, retry"),
}
PROBLEM: Final = {
    "title": "Problem",
    "description": "A refusal (RFC 9457); its numbers are further members.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "urn:uploadstream: and the reason"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
EVENTS: Final[Operation] = {
    200: {
        "description": "Events, until the client or the server ends it",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": f'event: deleted\ndata: {{"event":"deleted","id":"{_ID}"}}\nid: 17\n\n',
            }
        },
    }
}


def refusals(*statuses: HTTPStatus) -> Operation:
    """What an operation may be refused with, beside what every one may."""
    every = sorted({HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE, *statuses})
    return {status.value: _refusal(status) for status in every}


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    kind, detail = _SAID[status]
    example = {"type": f"urn:uploadstream:{kind}", "title": status.phrase, "status": status.value, "detail": detail}
    body = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {"description": status.phrase, "content": {PROBLEM_JSON: body}}


def completed(schema: dict[str, Any]) -> dict[str, Any]:
    """The framework's description with our refusals, and without its own, which are never answered."""
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    shapes = schema["components"]["schemas"]
    for shape in ("HTTPValidationError", "ValidationError"):
        shapes.pop(shape, None)
    shapes["Problem"] = PROBLEM
    return schema
