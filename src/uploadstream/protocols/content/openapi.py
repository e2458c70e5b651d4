"""The endpoint as OpenAPI has it, for whoever documents the whole API."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from uploadstream.core.errors import BadField, RangeNotSatisfiable
from uploadstream.http.openapi import (
    BAD_USER,
    BINARY,
    CONTENT,
    DELETED,
    FILE,
    ID,
    NO_CATALOG,
    NO_FILE,
    NO_STORAGE,
    TEXT,
    USER,
    headers,
    refusals,
    unnamed_refusal,
)
from uploadstream.http.problems import unnamed
from uploadstream.protocols.content.answers import OTHER_FILE, Answer, answer_file

PATH: Final = "/api/v1/files/{file_id}/content"

_FLAG: Final = {"type": "boolean", "default": False}
_WHOLE: Final = {"*/*": {"schema": BINARY, "example": CONTENT.decode()}}
_START: Final = {"*/*": {"schema": BINARY, "example": CONTENT[:9].decode()}, "multipart/byteranges": {"schema": BINARY}}


def _parameter(place: str, name: str, description: str, schema: Mapping[str, Any] = TEXT) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "description": description, "schema": schema}


_PARAMETERS: Final = [
    _parameter("path", "file_id", "the file, or with `follow` the upload that becomes it", ID),
    _parameter("query", "follow", "send an upload's bytes as they arrive, until it is complete", _FLAG),
    _parameter("query", "inline", "let a browser show the file, if it is a picture, film, sound, text or PDF", _FLAG),
    _parameter("query", "user_id", "the user that asks, for a link", USER),
    _parameter("header", "X-User-Id", "the user that asks; none is named: anything is reached by its id", USER),
    _parameter("header", "Range", "`bytes=0-499`, `bytes=500-`, `bytes=-500`, or several with commas between"),
    _parameter("header", "If-Range", "the ETag, or the date, of the file that the range is meant of"),
    _parameter("header", "If-None-Match", "ETags that are known already"),
    _parameter("header", "If-Modified-Since", "the Last-Modified that is known already"),
    _parameter("header", "If-Match", "the ETag that the file must have"),
    _parameter("header", "If-Unmodified-Since", "the time since when the file must be what it is"),
]


def _answer(fields: Mapping[str, str]) -> Answer:
    asked = {name.lower(): value for name, value in fields.items()}
    return answer_file(FILE, asked, inline=False, boundary="")


_REFUSALS: Final = {
    **refusals(
        *(BadField("follow", "must be true or false, is 'perhaps'"), BAD_USER, NO_FILE, DELETED),
        *(RangeNotSatisfiable(start=FILE.size, size=FILE.size), NO_CATALOG, NO_STORAGE),
    ),
    **unnamed_refusal(unnamed(HTTPStatus.PRECONDITION_FAILED, OTHER_FILE)),
}
_ANSWERS: Final = [
    ("The file", _answer({}), _WHOLE),
    ("The ranges of it that were asked for", _answer({"Range": "bytes=0-8"}), _START),
    ("The file is the one that is known already", _answer({"If-None-Match": "*"}), {}),
]


def _operation(summary: str, name: str, *, body: bool) -> dict[str, Any]:
    answers: dict[int | str, dict[str, Any]] = {
        answer.status: {
            "description": means,
            "headers": headers(answer.fields),
            **({"content": content} if body and content else {}),
        }
        for means, answer, content in _ANSWERS
    }
    responses = {**answers, **_REFUSALS}
    if not body:
        responses = {key: {**value, "content": {}} for key, value in responses.items()}
    return {
        "tags": ["files"],
        "summary": summary,
        "description": "Conditions and ranges are as RFC 9110 has them.",
        "operationId": name,
        "parameters": _PARAMETERS,
        "responses": {str(int(status)): responses[status] for status in sorted(responses, key=int)},
    }


OPENAPI: Final[dict[str, Any]] = {
    PATH: {
        "get": _operation("The file's bytes, or ranges of them", "read_file", body=True),
        "head": _operation("The fields that GET would answer", "head_file", body=False),
    }
}
