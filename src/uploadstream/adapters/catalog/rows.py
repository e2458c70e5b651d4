"""Values of the core as rows, and back."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from uploadstream.core.errors import BadField
from uploadstream.core.files import Audit, File
from uploadstream.core.instants import microseconds_of
from uploadstream.core.listings import name_key
from uploadstream.core.session import Declared, Session, State

Values = dict[str, Any]

PENDING: Final = "pending"
PROCESS: Final = "process"

FILE_FIELDS: Final = tuple(field.name for field in dataclasses.fields(File))
_order = itertools.count()


def check_storable(**texts: str) -> None:
    """BadField for a text that not every database takes: one with NUL in it, or with half a surrogate pair."""
    for field, text in texts.items():
        if "\0" in text:
            raise BadField(field=field, problem="must be text without NUL")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadField(field=field, problem="must be text that UTF-8 can spell") from None


def check_session(session: Session) -> None:
    """BadField unless every text of the session can be stored."""
    declared = session.declared
    check_storable(
        user_id=declared.user_id,
        filename=declared.filename,
        content_type=declared.content_type,
        metadata=declared.metadata,
        protocol=session.protocol,
    )


def check_file(file: File) -> None:
    """BadField unless every text of the file can be stored."""
    check_storable(
        user_id=file.user_id,
        filename=file.filename,
        content_type=file.declared_type,
        detected_type=file.detected_type,
        metadata=file.metadata,
        protocol=file.protocol,
        joins=file.joins,
    )


def check_audit(audit: Audit) -> None:
    """BadField unless every text of the row can be stored."""
    details = "".join(itertools.chain.from_iterable(audit.details.items()))
    check_storable(user_id=audit.user_id, protocol=audit.protocol, address=audit.address, details=details)


def row_id(at: datetime) -> str:
    """An id for a row written at that time (a UUID of version 7: RFC 9562, section 5.7).

    Sorted, such ids are in the order of their times, and those of one microsecond in the order they were made by
    this process. So a trail reads as it was written, and an index grows at its end.
    """
    milliseconds, microseconds = divmod(microseconds_of(at), 1000)
    count = next(_order) & 0x3FFF_FFFF
    bits = milliseconds << 80 | 0x7 << 76 | microseconds << 64 | 0b10 << 62 | count << 32 | secrets.randbits(32)
    return str(UUID(int=bits))


def session_values(session: Session) -> Values:
    """An upload's row, without how and when it ended."""
    declared = session.declared
    return {
        "id": session.id,
        "user_id": declared.user_id,
        "filename": declared.filename,
        "content_type": declared.content_type,
        "length": declared.length,
        "metadata": declared.metadata,
        "size_max": session.size_max,
        "protocol": session.protocol,
        "created_at": session.created_at,
        "touched_at": session.touched_at,
        "is_told": declared.is_told,
        "is_partial": declared.is_partial,
        "chunk_size": declared.chunk_size,
        "allowed_types": ",".join(session.allowed_types),
        "is_whole": session.is_whole,
    }


def session_of(row: Any) -> Session:
    """The upload of a row, open or ended; the store knows its offset."""
    return Session(
        id=row.id,
        declared=Declared(
            row.user_id,
            row.filename,
            row.content_type,
            row.length,
            row.metadata,
            row.is_told,
            row.is_partial,
            chunk_size=row.chunk_size,
        ),
        size_max=row.size_max,
        protocol=row.protocol,
        created_at=row.created_at,
        touched_at=row.touched_at,
        state=State.OPEN if row.ended_how is None else State.ABORTED,
        end=row.ended_how,
        allowed_types=tuple(row.allowed_types.split(",")) if row.allowed_types else (),
        is_whole=row.is_whole,
    )


def file_values(file: File) -> Values:
    """A file's row: the columns have the names of the fields, and one is made of the name."""
    return {**{name: getattr(file, name) for name in FILE_FIELDS}, "name_key": name_key(file.filename)}


def file_of(row: Sequence[Any]) -> File:
    """The file of a row that has FILE_FIELDS, in their order."""
    return File(*row)


def audit_values(audit: Audit, *, owner: str) -> Values:
    """A row of the trail, but for its number."""
    return {
        "id": row_id(audit.at),
        "file_id": audit.file_id,
        "action": audit.action,
        "user_id": audit.user_id,
        "at": audit.at,
        "protocol": audit.protocol,
        "address": audit.address,
        "details": dict(audit.details),
        "owner": owner,
    }


def audit_of(row: Any) -> Audit:
    """The event of a row."""
    return Audit(row.file_id, row.action, row.user_id, row.at, row.protocol, row.address, row.details)


def job_values(file: File) -> Values:
    """The first job of a new file."""
    return {
        "id": row_id(file.uploaded_at),
        "file_id": file.id,
        "kind": PROCESS,
        "state": PENDING,
        "attempts": 0,
        "created_at": file.uploaded_at,
        "run_at": file.uploaded_at,
    }
