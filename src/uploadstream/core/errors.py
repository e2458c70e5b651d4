"""Every way to say no, as one tree.

    Refusal
    ├── BadInput                 what was sent cannot be taken
    │   ├── BadField             a field breaks its rule
    │   │   └── BadBodyType      a body in a form that the protocol does not have
    │   ├── MissingMetadata      a stream began with bytes
    │   ├── TooLarge             the whole file is over the limit
    │   ├── ChunkTooLarge        one message is over the limit
    │   ├── LengthMismatch       more, or fewer, bytes than declared
    │   └── ContentRefused       these bytes will never be taken; the upload is over
    │       ├── TypeMismatch     the content is not what was declared
    │       └── TypeNotAllowed   the content is of a kind that is not taken here
    ├── OffsetMismatch           bytes for another place than the next
    ├── UploadClosed             the upload takes no bytes any more
    │   └── UploadJoined         it never took any: it was made of others
    ├── ChecksumMismatch         bytes changed on their way
    ├── RangeNotSatisfiable      bytes asked for that the file does not have
    ├── Forbidden                who decides about that does not let it happen (access.py)
    │   ├── ScopeMissing         other credentials of the same user might do
    │   └── Unauthenticated      it is not known who asks
    │       └── WrongCredentials there are credentials, and they are not good
    ├── NotFound                 there is no such upload or file, for this caller
    │   ├── Gone                 there was one; it has expired or was deleted
    │   └── NoThumbnail          there is the file, but not this picture of it yet
    ├── Busy                     another request writes, and cannot be taken over
    │   └── TakenOver            a newer request writes now; this one has ended
    ├── BodyTimeout              the body brought no byte for too long
    ├── LimitReached             its user has as much as it may (allowances.py)
    │   ├── RateLimited          uploads that began within a time
    │   ├── TooManyActive        uploads at once
    │   └── QuotaExceeded        stored bytes
    └── Unavailable              the fault is ours; a retry may succeed
        ├── StorageUnavailable
        │   ├── StorageFull
        │   └── BytesLost        bytes that were taken cannot be kept
        ├── CatalogUnavailable
        ├── HookFailed           the application around us did not say what it thinks of it
        ├── KeysUnavailable      what tokens are checked with cannot be had (claims.py)
        ├── TooManyListeners     as many hear of events as can be told
        └── Draining             the server is about to stop

No error knows a status code: each protocol has one table from these classes to its own words. Its attributes are its
numbers; `str` says them in a sentence, without a hole where a text is empty; clients may compare `reason`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Final

from uploadstream.core.sizes import iec, iec_apart
from uploadstream.core.wording import said

RETRY_SECONDS: Final = 2  # when to come back, for whom a retry may help


@dataclass(eq=False)
class Refusal(Exception):
    """The root: something was asked for that will not be done."""

    reason: ClassVar[str] = "REFUSED"

    @property
    def numbers(self) -> dict[str, str | float]:
        """The error's attributes, for details that machines read; a list among them is one text."""
        return {f.name: ", ".join(v) if isinstance(v := getattr(self, f.name), tuple) else v for f in fields(self)}


@dataclass(eq=False)
class BadInput(Refusal):
    """What was sent cannot be taken, now or later."""

    reason: ClassVar[str] = "BAD_INPUT"


@dataclass(eq=False)
class BadField(BadInput):
    """`field` breaks its rule, in the way `problem` says; `others` are further ones of the same message."""

    field: str
    problem: str
    others: tuple[BadField, ...] = ()
    reason: ClassVar[str] = "BAD_FIELD"

    def __str__(self) -> str:
        return "; ".join(f"{said(bad.field)}: {said(bad.problem)}" for bad in self.all)

    @property
    def all(self) -> tuple[BadField, ...]:
        """Every bad field, this one first."""
        return (self, *self.others)

    @property
    def numbers(self) -> dict[str, str | float]:
        """Of the first."""
        return {"field": self.field, "problem": self.problem}


@dataclass(eq=False)
class BadBodyType(BadField):
    """The body's media type is not one that this request may have."""

    reason: ClassVar[str] = "BAD_BODY_TYPE"


@dataclass(eq=False)
class MissingMetadata(BadInput):
    """A stream began with something else than metadata."""

    reason: ClassVar[str] = "MISSING_METADATA"

    def __str__(self) -> str:
        return "First message must be metadata"


@dataclass(eq=False)
class TooLarge(BadInput):
    """The file has, or would have, `size` bytes; the limit is `limit`."""

    size: int
    limit: int
    reason: ClassVar[str] = "FILE_TOO_LARGE"

    def __str__(self) -> str:
        size, limit = iec_apart(self.size, self.limit)
        return f"File size {size} exceeds limit of {limit}"


@dataclass(eq=False)
class ChunkTooLarge(BadInput):
    """One chunk has `size` bytes; the limit is `limit`."""

    size: int
    limit: int
    reason: ClassVar[str] = "CHUNK_TOO_LARGE"

    def __str__(self) -> str:
        size, limit = iec_apart(self.size, self.limit)
        return f"Chunk of {size} exceeds limit of {limit}"


@dataclass(eq=False)
class LengthMismatch(BadInput):
    """`received` bytes came (or would have), `declared` were announced."""

    received: int
    declared: int
    reason: ClassVar[str] = "LENGTH_MISMATCH"

    def __str__(self) -> str:
        return f"Received {self.received} bytes, declared {self.declared}"


@dataclass(eq=False)
class ContentRefused(BadInput):
    """The content itself is what is wrong: no later request can mend it, so the upload ends."""

    reason: ClassVar[str] = "CONTENT_REFUSED"


@dataclass(eq=False)
class TypeMismatch(ContentRefused):
    """The magic bytes are those of `detected`."""

    declared: str
    detected: str
    reason: ClassVar[str] = "TYPE_MISMATCH"

    def __str__(self) -> str:
        return f"Declared {said(self.declared)}, content is {said(self.detected)}"


@dataclass(eq=False)
class TypeNotAllowed(ContentRefused):
    """Content of this kind is not taken here."""

    detected: str
    allowed: tuple[str, ...]
    reason: ClassVar[str] = "TYPE_NOT_ALLOWED"

    def __str__(self) -> str:
        return f"Type {said(self.detected)} is not allowed; allowed: {', '.join(map(said, self.allowed)) or 'none'}"


@dataclass(eq=False)
class OffsetMismatch(Refusal):
    """Bytes were sent for `given`; the store has `expected` and takes the next there."""

    expected: int
    given: int
    reason: ClassVar[str] = "OFFSET_MISMATCH"

    def __str__(self) -> str:
        return f"Next byte belongs at {self.expected}, not at {self.given}"


@dataclass(eq=False)
class UploadClosed(Refusal):
    """The upload is `state` and takes nothing more."""

    upload_id: str
    state: str
    reason: ClassVar[str] = "UPLOAD_CLOSED"

    def __str__(self) -> str:
        return f"Upload {said(self.upload_id)} is {said(self.state)} and takes no more bytes"


@dataclass(eq=False)
class UploadJoined(UploadClosed):
    """The upload was made of other uploads' bytes."""

    reason: ClassVar[str] = "UPLOAD_JOINED"

    def __str__(self) -> str:
        return f"Upload {said(self.upload_id)} was joined from others and takes no bytes of its own"


@dataclass(eq=False)
class ChecksumMismatch(Refusal):
    """The chunk at `at` has another checksum than its sender declared."""

    at: int
    algorithm: str
    computed: str
    declared: str
    reason: ClassVar[str] = "CHECKSUM_MISMATCH"

    def __str__(self) -> str:
        found = f"{said(self.algorithm)} is {said(self.computed)}, declared {said(self.declared)}"
        return f"Chunk at {self.at}: {found}"


@dataclass(eq=False)
class RangeNotSatisfiable(Refusal):
    """Bytes from `start` on were asked for; the file has `size`."""

    start: int
    size: int
    reason: ClassVar[str] = "RANGE_NOT_SATISFIABLE"

    def __str__(self) -> str:
        return f"Bytes from {self.start} on were asked for, the file has {self.size}"


@dataclass(eq=False)
class NotFound(Refusal):
    """There is no such `kind` ("file" or "upload"), as far as this caller may know."""

    kind: str
    id: str
    reason: ClassVar[str] = "NOT_FOUND"

    def __str__(self) -> str:
        return f"No {said(self.kind)} {said(self.id)}"


@dataclass(eq=False)
class Gone(NotFound):
    """There was one; `how` it went: "expired", "deleted", "purged", "lost", "aborted", "refused"."""

    how: str
    reason: ClassVar[str] = "GONE"

    def __str__(self) -> str:
        return f"{super().__str__()}: it was {said(self.how)}"


@dataclass(eq=False)
class NoThumbnail(NotFound):
    """The file has no picture of this size; `processing_status` says whether there may be one later."""

    size: str
    processing_status: str
    reason: ClassVar[str] = "NO_THUMBNAIL"

    def __str__(self) -> str:
        return f"No {said(self.size)} thumbnail of {said(self.kind)} {said(self.id)} yet"


@dataclass(eq=False)
class Busy(Refusal):
    """Another request holds the upload and did not let go in time."""

    upload_id: str
    reason: ClassVar[str] = "UPLOAD_BUSY"

    def __str__(self) -> str:
        return "Upload is being written by another request"


@dataclass(eq=False)
class TakenOver(Busy):
    """A newer request wants the upload, to go on with it or to end it; what this one sent is stored."""

    reason: ClassVar[str] = "TAKEN_OVER"

    def __str__(self) -> str:
        return "Upload was taken over by a newer request"


@dataclass(eq=False)
class BodyTimeout(Refusal):
    """No byte came for `seconds`; what had come is kept if the upload can be resumed."""

    seconds: float
    reason: ClassVar[str] = "BODY_TIMEOUT"

    def __str__(self) -> str:
        return f"No byte came for {self.seconds:g} s; continue from the last byte received"


@dataclass(eq=False)
class Unavailable(Refusal):
    """The fault is on our side and may pass."""

    reason: ClassVar[str] = "UNAVAILABLE"


@dataclass(eq=False)
class StorageUnavailable(Unavailable):
    """The blob store did not do what it was asked."""

    reason: ClassVar[str] = "STORAGE_UNAVAILABLE"

    def __str__(self) -> str:
        return "Storage is not reachable; nothing was lost, retry"


@dataclass(eq=False)
class StorageFull(StorageUnavailable):
    """There is no room; `free` bytes are left (as far as known)."""

    free: int
    reason: ClassVar[str] = "STORAGE_FULL"

    def __str__(self) -> str:
        return f"Storage is full, {iec(self.free)} left; nothing was lost, retry when there is room"


@dataclass(eq=False)
class BytesLost(StorageUnavailable):
    """The store could not keep what it had taken; of the upload it has the first `kept` bytes."""

    kept: int
    reason: ClassVar[str] = "BYTES_LOST"

    def __str__(self) -> str:
        return f"Storage could not keep what it was given; send it again from byte {self.kept}"


@dataclass(eq=False)
class CatalogUnavailable(Unavailable):
    """The catalog did not do what it was asked."""

    reason: ClassVar[str] = "CATALOG_UNAVAILABLE"

    def __str__(self) -> str:
        return "Catalog is not reachable; nothing was lost, retry"


@dataclass(eq=False)
class HookFailed(Unavailable):
    """The application's `hook` was asked, and failed or took too long."""

    hook: str
    reason: ClassVar[str] = "HOOK_FAILED"

    def __str__(self) -> str:
        return f"The application's {said(self.hook)} failed; nothing was begun, retry"


@dataclass(eq=False)
class TooManyListeners(Unavailable):
    """`limit` clients listen to events of this process, and that is all it tells."""

    limit: int
    reason: ClassVar[str] = "TOO_MANY_LISTENERS"

    def __str__(self) -> str:
        return f"{self.limit} clients listen to events already; retry later, or ask for what has changed"


@dataclass(eq=False)
class Draining(Unavailable):
    """The server is about to stop; another one, or the next, goes on."""

    reason: ClassVar[str] = "DRAINING"

    def __str__(self) -> str:
        return "Server is about to stop; nothing was lost, retry"


def every_refusal() -> list[type[Refusal]]:
    """The tree's classes, root first: what each protocol's table is compared with."""
    classes: list[type[Refusal]] = [Refusal]
    for known in classes:
        classes.extend(known.__subclasses__())
    return classes
