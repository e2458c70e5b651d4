"""What an application may decide of uploads and is told of files: the types of its functions, and their values.

Each may be a plain function or a coroutine function. It refuses by raising Forbidden, Unauthenticated or any other
Refusal; everything else that it raises is a fault of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.requests import Request

from uploadstream.core.access import Caller
from uploadstream.core.digests import spelled
from uploadstream.core.files import File
from uploadstream.core.media import check_content_type, check_filename
from uploadstream.core.metadata import read_kept, write_kept
from uploadstream.engine.hooks import Terms


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What is declared of an upload that is about to begin; `dataclasses.replace` makes another of it.

    To be changed: `filename`, `content_type` (empty: not said), `metadata` (what the client gave along), `size_max`
    and `allowed_types` (patterns such as `image/*`; none: all that the service takes), which can only be narrowed.
    `size` None: not known yet. `is_partial`: its bytes are going to be joined with others'; alone it has no name.
    """

    user_id: str
    filename: str
    content_type: str
    size: int | None
    metadata: Mapping[str, str]
    size_max: int
    allowed_types: tuple[str, ...]
    protocol: str
    address: str
    is_partial: bool


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, in the words of the REST API. `metadata`: what the client gave along."""

    file_id: str
    user_id: str
    filename: str
    size: int
    content_type: str
    crc32c: str
    uploaded_at: datetime
    deleted_at: datetime | None
    protocol: str
    metadata: Mapping[str, str]


# The id of the user who sends a request; None: that is not known.
Authenticate = Callable[[Request], str | Awaitable[str | None] | None]
# The upload as it is to begin; None: as it is.
BeforeCreate = Callable[[NewUpload], NewUpload | Awaitable[NewUpload | None] | None]
# What it gives does not matter, but for being waited for.
Told = Callable[[StoredFile], object]


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions that an application has given, and how long each may take."""

    authenticate: Authenticate | None = None
    before_create: BeforeCreate | None = None
    completed: Told | None = None
    deleted: Told | None = None
    seconds: float = 10.0


def upload_of(terms: Terms, caller: Caller) -> NewUpload:
    """The upload that is about to begin, as an application sees it."""
    declared = terms.declared
    return NewUpload(
        user_id=declared.user_id,
        filename=declared.filename,
        content_type=declared.content_type,
        size=declared.length,
        metadata=read_kept(declared.metadata),
        size_max=terms.size_max,
        allowed_types=terms.allowed_types,
        protocol=caller.protocol,
        address=caller.address,
        is_partial=declared.is_partial,
    )


def terms_of(changed: NewUpload, shown: NewUpload, terms: Terms) -> Terms:
    """The terms that an application makes of those that it was shown. ValueError, BadField: it may not."""
    mine = replace(
        changed,
        filename=shown.filename,
        content_type=shown.content_type,
        metadata=shown.metadata,
        size_max=shown.size_max,
        allowed_types=shown.allowed_types,
    )
    if mine != shown:
        message = "only filename, content_type, metadata, size_max and allowed_types may be changed"
        raise ValueError(message)
    declared = replace(
        terms.declared,
        filename=check_filename(changed.filename),
        content_type=check_content_type(changed.content_type),
    )
    if changed.metadata != shown.metadata:  # else word for word what the client said
        declared = replace(declared, metadata=write_kept(changed.metadata))
    return Terms(declared, min(changed.size_max, terms.size_max), tuple(changed.allowed_types))


def file_of(file: File) -> StoredFile:
    """A file as an application sees it."""
    return StoredFile(
        file_id=file.id,
        user_id=file.user_id,
        filename=file.filename,
        size=file.size,
        content_type=file.content_type,
        crc32c=spelled(file.crc32c),
        uploaded_at=file.uploaded_at,
        deleted_at=file.deleted_at,
        protocol=file.protocol,
        metadata=read_kept(file.metadata),
    )
