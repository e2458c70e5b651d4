"""A finished file: what it is, soft delete and restore, and the trail of what happened to it.

A file is immutable but for its place: in use, or in the trash.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from uploadstream.core.access import Caller
from uploadstream.core.errors import Gone, NotFound
from uploadstream.core.parts import Part
from uploadstream.core.session import Session


class ProcessingStatus(enum.IntEnum):
    """How far the work after the last byte is; the numbers are those of the gRPC enumeration."""

    PENDING = 1
    PROCESSING = 2
    COMPLETED = 3
    FAILED = 4


class Action(enum.StrEnum):
    """What the audit trail knows."""

    CREATE = "create"
    COMPLETE = "complete"
    ABORT = "abort"
    EXPIRE = "expire"
    REFUSE = "refuse"
    DELETE = "delete"
    RESTORE = "restore"
    DOWNLOAD = "download"  # only if that is asked for
    PURGE = "purge"  # its time in the trash was over: nothing is left of it but the trail
    LOSE = "lose"  # the bytes are not in the store any more
    HOOK_FAIL = "hook_fail"  # the application around us was told of it, and failed
    KEY_CREATE = "key_create"
    KEY_REVOKE = "key_revoke"


@dataclass(frozen=True, slots=True)
class Audit:
    """One row of the trail: who did what to which file, when, from where, over which protocol."""

    file_id: str
    action: Action
    user_id: str
    at: datetime
    protocol: str
    address: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """What a complete upload became. `content_type` is the declared one, or the detected one if none was."""

    id: str
    user_id: str
    filename: str
    size: int
    declared_type: str
    detected_type: str
    crc32c: int
    uploaded_at: datetime
    protocol: str
    metadata: str = ""
    sha256: str | None = None
    deleted_at: datetime | None = None
    processing_status: ProcessingStatus = ProcessingStatus.PENDING
    parts: tuple[Part, ...] = ()  # the blobs that its bytes are in, if that is not one under its own id
    joins: str = ""

    @property
    def blobs(self) -> tuple[Part, ...]:
        """The blobs that its bytes are in, in order."""
        return self.parts or (Part(self.id, self.size),)

    @property
    def is_scattered(self) -> bool:
        """Whether its bytes are in several blobs, or in one several times."""
        return len(self.parts) > 1

    @property
    def content_type(self) -> str:
        """The type to serve the file as."""
        return self.declared_type or self.detected_type

    def is_whole(self, stored: int) -> bool:
        """Whether the store has all of it, if it has `stored` bytes (0 where there is no blob)."""
        return stored == self.size

    def check_whole(self, stored: int) -> None:
        """Raise unless the `stored` bytes that the store has are all of it."""
        if not self.is_whole(stored):
            raise Gone(kind="file", id=self.id, how="lost")

    def check_present(self) -> None:
        """Raise unless the file is in use."""
        if self.deleted_at is not None:
            raise Gone(kind="file", id=self.id, how="deleted")

    def deleted(self, at: datetime) -> File:
        """The file in the trash; raises if it is there already."""
        self.check_present()
        return replace(self, deleted_at=at)

    def is_over(self, trash_ttl: timedelta, *, now: datetime) -> bool:
        """Whether it has been in the trash for so long that it is to be purged."""
        return self.deleted_at is not None and now - self.deleted_at >= trash_ttl

    def check_restorable(self, trash_ttl: timedelta, *, now: datetime) -> None:
        """Raise if its time in the trash is over, whether or not it has been purged yet."""
        if self.is_over(trash_ttl, now=now):
            raise Gone(kind="file", id=self.id, how="purged")

    def restored(self) -> File:
        """The file in use again; one that is in use stays so."""
        return replace(self, deleted_at=None)


def file_of(session: Session, *, detected_type: str, crc32c: int, at: datetime, parts: tuple[Part, ...] = ()) -> File:
    """The file that a sealed session becomes; `parts` if its bytes are not in a blob of its own."""
    declared = session.declared
    return File(
        id=session.id,
        user_id=declared.user_id,
        filename=declared.filename,
        size=session.offset,
        declared_type=declared.content_type,
        detected_type=detected_type,
        crc32c=crc32c,
        uploaded_at=at,
        protocol=session.protocol,
        metadata=declared.metadata,
        parts=parts,
        joins=declared.joins,
    )


def audit_of(file_id: str, action: Action, caller: Caller, *, at: datetime, **details: str) -> Audit:
    """The trail's row for what `caller` did."""
    return Audit(file_id, action, caller.actor, at, caller.protocol, caller.address, details)


def audit_of_file(file: File, action: Action, caller: Caller, *, at: datetime) -> Audit:
    """The trail's row for what became of a finished file, which says what that was: the file itself may go."""
    about = {"content_type": file.content_type, "size": str(file.size), "uploaded_at": file.uploaded_at.isoformat()}
    return audit_of(file.id, action, caller, at=at, **about)


def visible_file(found: File | None, caller: Caller, *, file_id: str) -> File:
    """`found` if there is one and `caller` may see it; another's is as unknown."""
    if found is None or not caller.may_see(found.user_id):
        raise NotFound(kind="file", id=file_id)
    if not caller.bounds.reach(found.id, size_max=found.size, allowed_types=None):
        raise NotFound(kind="file", id=file_id)
    return found


def check_visible_trail(owner: str | None, caller: Caller, *, file_id: str) -> None:
    """Raise unless there is a trail of that id, about something of `owner`, and `caller` may see it."""
    if owner is None or not caller.may_see(owner):
        raise NotFound(kind="file", id=file_id)


def visible_upload(found: Session | None, caller: Caller, *, file_id: str) -> Session:
    """`found` if there is one and `caller` may see it; another's is as unknown."""
    if found is None or not caller.may_see(found.declared.user_id):
        raise NotFound(kind="file", id=file_id)
    if not caller.bounds.reach(found.id, size_max=found.size_max, allowed_types=found.allowed_types):
        raise NotFound(kind="file", id=file_id)
    return found
