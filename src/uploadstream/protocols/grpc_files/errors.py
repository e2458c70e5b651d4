"""Refusals as gRPC says them: one table of status codes, and a google.rpc.Status with details.

Every error carries an ErrorInfo: its stable reason, and its numbers as metadata. BadRequest names the bad
fields, RetryInfo the time to wait, QuotaFailure the limit that was reached.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from uploadstream.core import access, allowances, claims, errors

DOMAIN: Final = "uploadstream"

STATUS: Final[Mapping[type[errors.Refusal], grpc.StatusCode]] = {
    errors.Refusal: grpc.StatusCode.UNKNOWN,
    errors.BadInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BadField: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BadBodyType: grpc.StatusCode.INVALID_ARGUMENT,
    errors.MissingMetadata: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ChunkTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.LengthMismatch: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContentRefused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TypeMismatch: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TypeNotAllowed: grpc.StatusCode.INVALID_ARGUMENT,
    errors.OffsetMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UploadClosed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UploadJoined: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ChecksumMismatch: grpc.StatusCode.DATA_LOSS,
    errors.RangeNotSatisfiable: grpc.StatusCode.OUT_OF_RANGE,
    access.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    access.ScopeMissing: grpc.StatusCode.PERMISSION_DENIED,
    access.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    access.WrongCredentials: grpc.StatusCode.UNAUTHENTICATED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.NoThumbnail: grpc.StatusCode.NOT_FOUND,
    errors.Gone: grpc.StatusCode.NOT_FOUND,
    errors.Busy: grpc.StatusCode.ABORTED,
    errors.TakenOver: grpc.StatusCode.ABORTED,
    errors.BodyTimeout: grpc.StatusCode.DEADLINE_EXCEEDED,
    allowances.LimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    allowances.RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    allowances.TooManyActive: grpc.StatusCode.RESOURCE_EXHAUSTED,
    allowances.QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.StorageUnavailable: grpc.StatusCode.UNAVAILABLE,
    # google.rpc.Code, RESOURCE_EXHAUSTED: "perhaps the entire file system is out of space"
    errors.StorageFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.BytesLost: grpc.StatusCode.UNAVAILABLE,
    errors.CatalogUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.HookFailed: grpc.StatusCode.UNAVAILABLE,
    claims.KeysUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.TooManyListeners: grpc.StatusCode.UNAVAILABLE,
    errors.Draining: grpc.StatusCode.UNAVAILABLE,
}


def status_of(error: errors.Refusal) -> grpc.Status:
    """What a call is ended with because of `error`."""
    code, _ = STATUS[type(error)].value
    status = Status(code=code, message=str(error))
    for detail in details_of(error):
        status.details.add().Pack(detail)
    return to_status(status)


def details_of(error: errors.Refusal) -> list[Message]:
    """What machines read of `error`."""
    metadata = {name: str(number) for name, number in error.numbers.items()}
    details: list[Message] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if isinstance(error, errors.BadField):
        violations = (BadRequest.FieldViolation(field=bad.field, description=bad.problem) for bad in error.all)
        details.append(BadRequest(field_violations=violations))
    # Whoever was taken over must not come back by itself: the two would take the upload from each other for ever.
    if isinstance(error, errors.Unavailable | errors.Busy) and not isinstance(error, errors.TakenOver):
        details.append(RetryInfo(retry_delay=Duration(seconds=errors.RETRY_SECONDS)))
    if isinstance(error, allowances.LimitReached):
        details.append(QuotaFailure(violations=[QuotaFailure.Violation(subject=error.policy, description=str(error))]))
        if error.retry_seconds is not None:
            details.append(RetryInfo(retry_delay=_rounded_up(error.retry_seconds)))
    return details


def _rounded_up(seconds: float) -> Duration:
    """To the millisecond: whoever comes back after this long is not too early."""
    return Duration(seconds=math.ceil(seconds * 1000) // 1000, nanos=math.ceil(seconds * 1000) % 1000 * 1_000_000)
