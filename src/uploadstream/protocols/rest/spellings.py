"""What the API says: files, uploads, the trail and the analytics as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from uploadstream.core.digests import spelled
from uploadstream.core.files import Action, Audit, File, ProcessingStatus
from uploadstream.core.session import Session
from uploadstream.core.stats import AGES, OTHER, TYPES_MAX, DeletionStats
from uploadstream.engine.events import Event, Kind

# Said, and not checked again on the way out: what is stored is answered.
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Count = Annotated[int, Field(json_schema_extra={"minimum": 0, "format": "int64"})]
Seconds = Annotated[float, Field(json_schema_extra={"minimum": 0})]
Status = Annotated[str, Field(json_schema_extra={"enum": [status.name for status in ProcessingStatus]})]


class FileOut(BaseModel):
    """A finished file."""

    file_id: Id
    user_id: str
    filename: str
    size: Count
    content_type: str
    crc32c: str = Field(description="eight hexadecimal digits", json_schema_extra={"pattern": "^[0-9a-f]{8}$"})
    sha256: str | None = Field(description="64 hexadecimal digits, where it is known")
    uploaded_at: datetime
    deleted_at: datetime | None
    processing_status: Status
    processing_result: None = None


class FilesOut(BaseModel):
    """A page of files."""

    files: list[FileOut]
    next_page_token: str


class UploadOut(BaseModel):
    """An upload in progress. `size` is null until it is known."""

    upload_id: Id
    user_id: str
    filename: str
    size: Count | None
    offset: Count
    protocol: str
    created_at: datetime
    expires_at: datetime


class WayOut(BaseModel):
    """What to send to continue an upload over one protocol."""

    protocol: str
    method: str
    url: str = Field(description="for HTTP, relative to this server")
    headers: dict[str, str] = Field(description="those that say what the body is; its bytes begin at `offset`")
    message: dict[str, dict[str, str]] | None = Field(None, description="the first of a gRPC stream, in proto3's JSON")


class UploadStatusOut(UploadOut):
    """An upload, also one that is complete, and the ways to continue it."""

    complete: bool
    ways: list[WayOut]


class UploadsOut(BaseModel):
    """A page of uploads in progress."""

    uploads: list[UploadOut]
    next_page_token: str


class AuditOut(BaseModel):
    """One thing that happened to an upload or file."""

    file_id: Id
    action: Action
    user_id: str
    at: datetime
    protocol: str
    address: str
    details: dict[str, str]


class AuditPageOut(BaseModel):
    """A page of what happened, the oldest first."""

    audit: list[AuditOut]
    next_page_token: str


class DeletionStatsOut(BaseModel):
    """Soft deletions of a user's files."""

    deleted: Count
    restored: Count
    restored_share: float = Field(description="of those deleted", json_schema_extra={"minimum": 0, "maximum": 1})
    by_day: dict[str, Count] = Field(description="by UTC date")
    by_type: dict[str, Count] = Field(description=f"the {TYPES_MAX} most frequent; the others are `{OTHER}`")
    age_seconds_mean: Seconds
    age_seconds_max: Seconds
    by_age: dict[str, Count] = Field(description=f"each in the first that it fits of {', '.join(AGES)}")
    purged: Count = Field(description="gone for good")
    purged_bytes: Count


class EventOut(BaseModel):
    """Something that goes on with an upload or file."""

    event: Kind = Field(description="what it is, as in the line `event:`")
    id: Id = Field(description="of the upload, and of the file that it becomes")
    at: datetime
    user_id: str = Field(description="who did it")
    protocol: str = Field(description="over which protocol; `sweeper` tidies up")
    upload: UploadOut | None = Field(description="as it is now, unless it has become a file or is forgotten")
    file: FileOut | None = Field(description="as it is now")
    details: dict[str, str]


def write_file(file: File) -> FileOut:
    """A file as the API spells it."""
    return FileOut(
        file_id=file.id,
        user_id=file.user_id,
        filename=file.filename,
        size=file.size,
        content_type=file.content_type,
        crc32c=spelled(file.crc32c),
        sha256=file.sha256,
        uploaded_at=file.uploaded_at,
        deleted_at=file.deleted_at,
        processing_status=file.processing_status.name,
    )


def write_upload(session: Session, expires_at: datetime) -> UploadOut:
    """An open upload as the API spells it."""
    return UploadOut(
        upload_id=session.id,
        user_id=session.declared.user_id,
        filename=session.declared.filename,
        size=session.length,
        offset=session.offset,
        protocol=session.protocol,
        created_at=session.created_at,
        expires_at=expires_at,
    )


def write_event(event: Event, upload: UploadOut | None) -> EventOut:
    """An event as the API spells it."""
    return EventOut(
        event=event.kind,
        id=event.id,
        at=event.at,
        user_id=event.user_id,
        protocol=event.protocol,
        upload=upload,
        file=write_file(event.file) if event.file else None,
        details=dict(event.details),
    )


def write_audit(entry: Audit) -> AuditOut:
    """A row of the trail as the API spells it."""
    return AuditOut(
        file_id=entry.file_id,
        action=entry.action,
        user_id=entry.user_id,
        at=entry.at,
        protocol=entry.protocol,
        address=entry.address,
        details=dict(entry.details),
    )


def write_stats(stats: DeletionStats) -> DeletionStatsOut:
    """Deletion analytics as the API spells them."""
    return DeletionStatsOut(
        deleted=stats.deleted,
        restored=stats.restored,
        restored_share=stats.restored_share,
        by_day=dict(stats.by_day),
        by_type=dict(stats.by_type),
        age_seconds_mean=stats.age_seconds_mean,
        age_seconds_max=stats.age_seconds_max,
        by_age=dict(stats.by_age),
        purged=stats.purged,
        purged_bytes=stats.purged_bytes,
    )
