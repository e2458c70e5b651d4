"""What a gRPC server said, as the client's own values and errors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from uploadstream.client import errors
from uploadstream.client.endpoint import Endpoint
from uploadstream.client.errors import UploadError
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo
from uploadstream.core.digests import spelled
from uploadstream.core.errors import OffsetMismatch, StorageFull, UploadClosed
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb

ANSWER_SECONDS: Final = 60.0

_DETAILS: Final = "grpc-status-details-bin"
_PASSING_CODES: Final = {
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
}
# The next try asks how far the upload is, and goes on from there, or finds it finished.
_PASSING_REASONS: Final = {OffsetMismatch.reason, UploadClosed.reason}
_LASTING_REASONS: Final = {errors.TAKEN_OVER, StorageFull.reason}


@contextmanager
def translated(endpoint: Endpoint, *, stall_seconds: float = ANSWER_SECONDS) -> Generator[None]:
    """Whatever grpc raises inside, as an UploadError."""
    try:
        yield
    except TimeoutError as error:
        raise errors.timed_out(str(endpoint), seconds=stall_seconds) from error
    except grpc.RpcError as error:
        raise error_of(error, endpoint, stall_seconds=stall_seconds) from error


def error_of(error: grpc.RpcError, endpoint: Endpoint, *, stall_seconds: float) -> UploadError:
    """The refusal in a status; one without details was made on the way, or by a server of another kind."""
    info, retry_after_seconds = _details_of(error)
    code, text = error.code(), " ".join((error.details() or "").split())
    if not info.reason:
        if code is grpc.StatusCode.UNAVAILABLE:
            return errors.unreachable(str(endpoint), detail=text, is_local=endpoint.is_local)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.timed_out(str(endpoint), seconds=stall_seconds)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return errors.foreign(str(endpoint))
    reason = info.reason or code.name
    is_passing = code in _PASSING_CODES or reason in _PASSING_REASONS or retry_after_seconds is not None
    return UploadError(
        reason,
        text or f"{endpoint} answers {code.name} and gives no reason",
        dict(info.metadata),
        is_passing=is_passing and reason not in _LASTING_REASONS,
        retry_after_seconds=retry_after_seconds,
    )


def _details_of(error: grpc.RpcError) -> tuple[ErrorInfo, float | None]:
    info, retry, has_retry = ErrorInfo(), RetryInfo(), False
    status = Status()
    metadata: Any = error.trailing_metadata() or ()  # pairs, whatever the published types say
    for key, value in metadata:
        if key == _DETAILS and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:
                continue
    for detail in status.details:
        detail.Unpack(info)
        has_retry = detail.Unpack(retry) or has_retry
    return info, retry.retry_delay.ToTimedelta().total_seconds() if has_retry else None


def file_of(data: pb.GetFileMetadataResponse | pb.FileEntry) -> FileInfo:
    """A file, as it is described; in a listing, but for what only that says."""
    return FileInfo(
        file_id=data.file_id,
        filename=data.filename,
        size=data.size,
        content_type=data.content_type,
        uploaded_at=_time_of(data.uploaded_at),
        user_id=data.user_id or None,
        crc32c=spelled(data.crc32c) if data.HasField("crc32c") else None,
        sha256=data.sha256 or None,
        processing_status=pb.ProcessingStatus.Name(data.processing_status).removeprefix("PROCESSING_STATUS_"),
        processing_result=_result_of(data) if isinstance(data, pb.GetFileMetadataResponse) else None,
    )


def entry_of(data: pb.FileEntry) -> FileInfo:
    """A file, as it is listed."""
    return replace(file_of(data), deleted_at=_time_of(data.deleted_at) if data.HasField("deleted_at") else None)


def _result_of(data: pb.GetFileMetadataResponse) -> dict[str, object] | None:
    if not data.HasField("processing_result"):
        return None
    return {field.name: value for field, value in data.processing_result.ListFields()}


def upload_of(data: pb.UploadStatus) -> UploadInfo:
    """An open upload."""
    return UploadInfo(
        upload_id=data.upload_id,
        offset=data.offset,
        size=data.size if data.HasField("size") else None,
        expires_at=_time_of(data.expires_at) if data.HasField("expires_at") else None,
        filename=data.filename or None,
        user_id=data.user_id or None,
        protocol=data.protocol or None,
        created_at=_time_of(data.created_at) if data.HasField("created_at") else None,
    )


def audit_of(data: pb.AuditEntry) -> AuditEntry:
    """A row of the trail."""
    return AuditEntry(
        file_id=data.file_id,
        action=data.action,
        user_id=data.user_id,
        at=_time_of(data.at),
        protocol=data.protocol,
        address=data.address,
        details=dict(data.details),
    )


def stats_of(data: pb.GetDeletionStatsResponse) -> DeletionStats:
    """Deletion analytics."""
    return DeletionStats(
        deleted=data.deleted,
        restored=data.restored,
        restored_share=data.restored_share,
        by_day=dict(sorted(data.by_day.items())),
        by_type=dict(sorted(data.by_type.items())),
        age_seconds_mean=data.age_seconds_mean,
        age_seconds_max=data.age_seconds_max,
        by_age={one.age: one.deleted for one in data.by_age},
        purged=data.purged,
        purged_bytes=data.purged_bytes,
    )


def _time_of(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)
