"""What the client answers: files, open uploads, the audit trail, and how far a transfer is.

Fields have the names of the REST API. None, or an empty text, where the server's protocol does not say.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from uploadstream.client.errors import UploadError


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A complete file. `crc32c` is eight hexadecimal digits; `sha256` is None until the server has computed it."""

    file_id: str
    filename: str
    size: int
    content_type: str
    uploaded_at: datetime
    user_id: str | None = None
    crc32c: str | None = None
    sha256: str | None = None
    deleted_at: datetime | None = None
    processing_status: str = "UNSPECIFIED"
    processing_result: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """An upload that is not complete: the server holds its first `offset` bytes."""

    upload_id: str
    offset: int
    size: int | None
    expires_at: datetime | None
    filename: str | None = None
    user_id: str | None = None
    protocol: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened to a file: who did it, when, from where, over which protocol."""

    file_id: str
    action: str
    user_id: str
    at: datetime
    protocol: str
    address: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeletionStats:
    """Counts of soft deletions, and what came back. Days are UTC dates; ages are from upload to deletion."""

    deleted: int
    restored: int
    restored_share: float
    by_day: Mapping[str, int]
    by_type: Mapping[str, int]
    age_seconds_mean: float
    age_seconds_max: float
    by_age: Mapping[str, int] = field(default_factory=dict)  # the youngest first
    purged: int = 0
    purged_bytes: int = 0


class Step(enum.StrEnum):
    """What a transfer reports."""

    STARTED = "started"  # from the first byte
    RESUMED = "resumed"  # from `offset`, where an earlier try, or an earlier run, had come
    ADVANCED = "advanced"  # more bytes have gone
    WAITING = "waiting"  # the try failed with `error`; the next begins in `wait_seconds`
    FINISHED = "finished"  # all bytes are there, and the digests agree


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is: `offset` of `size` bytes."""

    step: Step
    offset: int
    size: int
    error: UploadError | None = None
    wait_seconds: float = 0.0
