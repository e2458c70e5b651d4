"""How the draft says no: statuses, problem types (R34, R35), and whether that was the upload's last word (R16)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from uploadstream.core.errors import (
    BadField,
    BadInput,
    ChecksumMismatch,
    LengthMismatch,
    OffsetMismatch,
    Refusal,
    UploadClosed,
)
from uploadstream.http.problems import STATUS, problem_of, status_of

_REGISTRY: Final = "https://iana.org/assignments/http-problem-types#"
IETF_STATUS: Final[Mapping[type[Refusal], int]] = {**STATUS, UploadClosed: HTTPStatus.BAD_REQUEST}


def is_inconsistent(error: Refusal) -> bool:
    """Whether a request says another length than it or one before it did, or goes beyond it."""
    return isinstance(error, LengthMismatch) or (isinstance(error, BadField) and error.field == "size")


def is_last_word(error: Refusal) -> bool:
    """Whether a refusal without an upload to go on with is the file's own, so that asking again is of no use."""
    return isinstance(error, BadInput | ChecksumMismatch) and not is_inconsistent(error)


def write_status(error: Refusal) -> int:
    """The status of an error."""
    return status_of(error, IETF_STATUS)


def write_problem(error: Refusal) -> dict[str, object]:
    """The body of an error."""
    problem = {**problem_of(error), "status": write_status(error)}
    if isinstance(error, OffsetMismatch):
        named = {"type": f"{_REGISTRY}mismatching-upload-offset", "title": "Mismatching Upload Offset"}
        return {**problem, **named, "expected-offset": error.expected, "provided-offset": error.given}
    if isinstance(error, UploadClosed):  # in the drafts up to -11
        return {**problem, "type": f"{_REGISTRY}completed-upload", "title": "Upload Is Completed"}
    if is_inconsistent(error):
        title = "Inconsistent Upload Length Values"
        return {**problem, "type": f"{_REGISTRY}inconsistent-upload-length", "title": title}
    return problem
