"""What an HTTP server said, as the client's own values and errors."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import httpx

from uploadstream.client import errors
from uploadstream.client.endpoint import Endpoint
from uploadstream.client.errors import UploadError
from uploadstream.client.transport import Page
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo
from uploadstream.core.allowances import QuotaExceeded, RateLimited, TooManyActive
from uploadstream.core.errors import Busy, OffsetMismatch, StorageFull, TakenOver

# What a status means where the answer names no reason of its own, as those of tus do not.
_REASONS: Final = {
    HTTPStatus.UNAUTHORIZED: errors.UNAUTHENTICATED,
    HTTPStatus.NOT_FOUND: errors.NOT_FOUND,
    HTTPStatus.CONFLICT: OffsetMismatch.reason,
    HTTPStatus.GONE: errors.GONE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: errors.TYPE_MISMATCH,
    HTTPStatus.LOCKED: Busy.reason,
    460: errors.CHECKSUM_MISMATCH,
}
# The same of statuses that mean more than one thing: how our sentences begin.
_BY_WORDS: Final = {
    "Rate limit: ": RateLimited.reason,
    "Active uploads: ": TooManyActive.reason,
    "Quota: ": QuotaExceeded.reason,
    "Storage is full, ": StorageFull.reason,
}
_PASSING: Final = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.LOCKED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
    460,
}
_STANDARD: Final = {"type", "title", "status", "detail", "instance"}
_FIGURE: Final = (str, int, float)  # a list says again what the sentence says
_MESSAGE_LENGTH_MAX: Final = 500


@contextmanager
def translated(endpoint: Endpoint, *, write_seconds: float, read_seconds: float) -> Generator[None]:
    """Whatever httpx raises inside, as an UploadError; the seconds are those of its timeouts."""
    try:
        yield
    except httpx.WriteTimeout as error:
        raise errors.timed_out(str(endpoint), seconds=write_seconds) from error
    except httpx.ReadTimeout as error:
        raise errors.timed_out(str(endpoint), seconds=read_seconds) from error
    except httpx.TransportError as error:
        detail = str(error) or type(error).__name__
        raise errors.unreachable(str(endpoint), detail=detail, is_local=endpoint.is_local) from error


def error_of(response: httpx.Response) -> UploadError:
    """The refusal in a response whose body has been read."""
    problem = _problem_of(response)
    text = problem.get("detail") or _text_of(response)
    message = " ".join(str(text).split())
    reason = _reason_of(response, problem, message)
    return UploadError(
        reason,
        message,
        {name: str(value) for name, value in problem.items() if name not in _STANDARD and isinstance(value, _FIGURE)},
        is_passing=response.status_code in _PASSING and reason != errors.TAKEN_OVER,
        retry_after_seconds=_retry_after(response),
    )


def _text_of(response: httpx.Response) -> str:
    """What the answer says in words; a page is for browsers, and says less than its status."""
    is_page = "html" in response.headers.get("content-type", "")
    words = "" if is_page else response.text.strip()[:_MESSAGE_LENGTH_MAX]
    return words or f"The server answers {response.status_code} {response.reason_phrase} and gives no reason"


def _problem_of(response: httpx.Response) -> Mapping[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _reason_of(response: httpx.Response, problem: Mapping[str, Any], message: str) -> str:
    kind = str(problem.get("type", ""))
    if kind.startswith("urn:uploadstream:"):
        return kind.rpartition(":")[2].upper().replace("-", "_")
    if message == str(TakenOver(upload_id="")):
        return TakenOver.reason
    if "invalid_token" in response.headers.get("www-authenticate", ""):
        return errors.WRONG_CREDENTIALS
    for beginning, reason in _BY_WORDS.items():
        if message.startswith(beginning):
            return reason
    return _REASONS.get(response.status_code) or f"HTTP_{response.status_code}"


def _retry_after(response: httpx.Response) -> float | None:
    """Retry-After (RFC 9110, section 10.2.3) in seconds; a date is compared with the answer's own."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until, now = (parsedate_to_datetime(text) for text in (value, response.headers.get("date", "")))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def file_of(data: Mapping[str, Any]) -> FileInfo:
    """A file of the REST API."""
    return FileInfo(
        file_id=data["file_id"],
        filename=data["filename"],
        size=data["size"],
        content_type=data["content_type"],
        uploaded_at=datetime.fromisoformat(data["uploaded_at"]),
        user_id=data.get("user_id"),
        crc32c=data.get("crc32c"),
        sha256=data.get("sha256"),
        deleted_at=_time_of(data.get("deleted_at")),
        processing_status=data.get("processing_status") or "UNSPECIFIED",
        processing_result=data.get("processing_result"),
    )


def files_of(data: Mapping[str, Any]) -> Page[FileInfo]:
    """A page of files."""
    return Page([file_of(row) for row in data["files"]], data["next_page_token"])


def uploads_of(data: Mapping[str, Any]) -> Page[UploadInfo]:
    """A page of open uploads."""
    return Page([upload_of(row) for row in data["uploads"]], data["next_page_token"])


def trail_of(data: Mapping[str, Any]) -> Page[AuditEntry]:
    """A page of the trail."""
    return Page([audit_of(row) for row in data["audit"]], data["next_page_token"])


def upload_of(data: Mapping[str, Any]) -> UploadInfo:
    """An open upload of the REST API."""
    return UploadInfo(
        upload_id=data["upload_id"],
        offset=data["offset"],
        size=data["size"],
        expires_at=_time_of(data.get("expires_at")),
        filename=data.get("filename"),
        user_id=data.get("user_id"),
        protocol=data.get("protocol"),
        created_at=_time_of(data.get("created_at")),
    )


def audit_of(data: Mapping[str, Any]) -> AuditEntry:
    """A row of the REST API's trail."""
    return AuditEntry(
        file_id=data["file_id"],
        action=data["action"],
        user_id=data["user_id"],
        at=datetime.fromisoformat(data["at"]),
        protocol=data["protocol"],
        address=data["address"],
        details=data.get("details") or {},
    )


def stats_of(data: Mapping[str, Any]) -> DeletionStats:
    """The REST API's deletion analytics."""
    return DeletionStats(
        deleted=data["deleted"],
        restored=data["restored"],
        restored_share=data["restored_share"],
        by_day=data["by_day"],
        by_type=data["by_type"],
        age_seconds_mean=data["age_seconds_mean"],
        age_seconds_max=data["age_seconds_max"],
        by_age=data.get("by_age", {}),  # an older server says nothing of these
        purged=data.get("purged", 0),
        purged_bytes=data.get("purged_bytes", 0),
    )


def _time_of(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
