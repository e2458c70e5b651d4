"""The endpoint as OpenAPI has it, for whoever documents the whole API."""

from __future__ import annotations

from typing import Any, Final

PATH: Final = "/api/v1/files/{file_id}/content"

_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean", "default": False}
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}


def _parameter(place: str, name: str, description: str, schema: dict[str, Any] = _TEXT) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "description": description, "schema": schema}


_PARAMETERS: Final = [
    _parameter("path", "file_id", "the file, or with `follow` the upload that becomes it"),
    _parameter("query", "follow", "send an upload's bytes as they arrive, until it is complete", _FLAG),
    _parameter("query", "inline", "let a browser show the file, if it is a picture, film, sound, text or PDF", _FLAG),
    _parameter("query", "user_id", "the user that asks, for a link"),
    _parameter("header", "X-User-Id", "the user that asks; none is named: anything is reached by its id"),
    _parameter("header", "Range", "`bytes=0-499`, `bytes=500-`, `bytes=-500`, or several with commas between"),
    _parameter("header", "If-Range", "the ETag, or the date, of the file that the range is meant of"),
    _parameter("header", "If-None-Match", "ETags that are known already"),
    _parameter("header", "If-Modified-Since", "the Last-Modified that is known already"),
    _parameter("header", "If-Match", "the ETag that the file must have"),
    _parameter("header", "If-Unmodified-Since", "the time since when the file must be what it is"),
]
_PROBLEMS: Final = {
    400: "A field or parameter cannot be read",
    404: "There is no such file",
    410: "The file is deleted, or the upload has ended",
    412: "The file is not the one that the conditions name",
    416: "The file has none of the bytes asked for; `Content-Range` says how many it has",
    503: "The storage or the catalog does not answer; try again",
}


def _operation(summary: str, name: str, *, body: bool) -> dict[str, Any]:
    one = {"content": {"*/*": _BINARY}} if body else {}
    several = {"content": {"*/*": _BINARY, "multipart/byteranges": _BINARY}} if body else {}
    problem = {"content": {"application/problem+json": {"schema": {"type": "object"}}}} if body else {}
    return {
        "summary": summary,
        "operationId": name,
        "parameters": _PARAMETERS,
        "responses": {
            "200": {"description": "The file", **one},
            "206": {"description": "The ranges of it that were asked for", **several},
            "304": {"description": "The file is the one that is known already"},
            **{str(status): {"description": text, **problem} for status, text in _PROBLEMS.items()},
        },
    }


OPENAPI: Final[dict[str, Any]] = {
    PATH: {
        "get": _operation("The file's bytes, or ranges of them.", "content", body=True),
        "head": _operation("The fields that GET would answer.", "content_head", body=False),
    }
}
