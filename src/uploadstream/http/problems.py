"""Refusals as HTTP says them: one table of statuses, and problem details (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from uploadstream.core.access import Forbidden, ScopeMissing, Unauthenticated, WrongCredentials
from uploadstream.core.allowances import LimitReached, QuotaExceeded
from uploadstream.core.errors import (
    RETRY_SECONDS,
    BadBodyType,
    BadField,
    BadInput,
    BodyTimeout,
    Busy,
    CatalogUnavailable,
    ChecksumMismatch,
    ChunkTooLarge,
    ContentRefused,
    Gone,
    NotFound,
    OffsetMismatch,
    RangeNotSatisfiable,
    Refusal,
    StorageFull,
    TooLarge,
    Unavailable,
    UploadClosed,
)
from uploadstream.http.ranges import write_unsatisfied

PROBLEM_JSON: Final = "application/problem+json"

# A class that is missing here has its parent's status.
STATUS: Final[Mapping[type[Refusal], int]] = {
    Refusal: HTTPStatus.BAD_REQUEST,
    BadInput: HTTPStatus.BAD_REQUEST,
    BadBodyType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ChunkTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ContentRefused: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    OffsetMismatch: HTTPStatus.CONFLICT,
    UploadClosed: HTTPStatus.CONFLICT,
    ChecksumMismatch: HTTPStatus.BAD_REQUEST,
    RangeNotSatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    NotFound: HTTPStatus.NOT_FOUND,
    Gone: HTTPStatus.GONE,
    Busy: HTTPStatus.LOCKED,
    BodyTimeout: HTTPStatus.REQUEST_TIMEOUT,
    LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    QuotaExceeded: HTTPStatus.INSUFFICIENT_STORAGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    CatalogUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: Refusal, table: Mapping[type[Refusal], int] = STATUS) -> int:
    """The status of an error: its own, or the nearest ancestor's."""
    return next(int(table[cls]) for cls in type(error).__mro__ if cls in table)


def fields_of(error: Refusal) -> dict[str, str]:
    """The response fields that an error brings along."""
    if isinstance(error, Unavailable | Busy):
        return {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(error, LimitReached) and error.retry_seconds is not None:
        return {"Retry-After": str(math.ceil(error.retry_seconds))}
    if challenge := _challenge(error):
        return {"WWW-Authenticate": challenge}
    if isinstance(error, RangeNotSatisfiable):
        return {"Content-Range": write_unsatisfied(error.size)}
    return {}


def _challenge(error: Refusal) -> str:
    """A 401 has to name a scheme (RFC 9110, section 11.6.1), and RFC 6750, section 3, says why; browsers ask nobody."""
    if isinstance(error, WrongCredentials):
        return 'Bearer error="invalid_token"'
    if isinstance(error, ScopeMissing):
        return f'Bearer error="insufficient_scope", scope="{error.needed.partition(" ")[0]}"'
    return "Bearer" if isinstance(error, Unauthenticated) else ""


def problem_of(error: Refusal) -> dict[str, object]:
    """The body of an error: a stable type, the sentence, and its numbers as members; every bad field in `errors`."""
    status = status_of(error)
    bad = error.all if isinstance(error, BadField) else ()
    return {
        "type": f"urn:uploadstream:{error.reason.lower().replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(error),
        **error.numbers,
        **({"errors": [one.numbers for one in bad]} if bad else {}),
        # draft-ietf-httpapi-ratelimit-headers-11, section 5.1
        **({"violated-policies": [error.policy]} if isinstance(error, LimitReached) else {}),
    }


def refusal(error: Refusal) -> JSONResponse:
    """A refusal as problem details."""
    return JSONResponse(problem_of(error), status_of(error), fields_of(error), PROBLEM_JSON)


def unnamed(status: int, detail: str) -> dict[str, object]:
    """The body of a problem that has no type of its own (RFC 9457, section 4.2.1)."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def unnamed_problem(status: int, detail: str, fields: Mapping[str, str]) -> JSONResponse:
    """A problem that has no type of its own."""
    return JSONResponse(unnamed(status, detail), status, fields, PROBLEM_JSON)


async def failed(_: Request, __: Exception) -> Response:
    """A failure of ours, which goes on to the log, as a problem."""
    return unnamed_problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The fault is ours, and the server's log has it", {})
