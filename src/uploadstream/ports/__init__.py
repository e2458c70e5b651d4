"""What the engine needs from the world."""

# An adapter raises the errors of `core.errors`, never its product's own. `StorageUnavailable` and `CatalogUnavailable`
# may come from any method of their port; other errors are named where they can happen.

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from typing import Protocol, runtime_checkable

from uploadstream.core.allowances import Allowance, Usage
from uploadstream.core.files import Audit, File
from uploadstream.core.listings import Found, Place, Wanted
from uploadstream.core.pages import Position
from uploadstream.core.parts import Span
from uploadstream.core.session import Session
from uploadstream.ports.allowances import AllowanceStore
from uploadstream.ports.keys import KeyStore
from uploadstream.ports.trail import Trail
from uploadstream.ports.web import Remote, Web

__all__ = [
    "AllowanceStore",
    "Blob",
    "BlobStore",
    "Bytes",
    "Catalog",
    "Clock",
    "Fsync",
    "KeyStore",
    "Lease",
    "Leases",
    "OpensFiles",
    "Ports",
    "Remote",
    "Sink",
    "Trail",
    "Web",
]

Bytes = bytes | bytearray | memoryview


class Clock(Protocol):
    """The time and new ids: what differs from call to call."""

    def now(self) -> datetime:
        """The time of day, in UTC, to the microsecond."""
        ...

    def new_id(self) -> str:
        """An id that nobody has had and nobody can guess (core/ids.py)."""
        ...


class Lease(Protocol):
    """A lease as its holder has it. It may be lost: a holder that stood still for long is taken for dead."""

    def check(self) -> None:
        """Raise TakenOver if it was lost, CatalogUnavailable if that cannot be told; at once, without asking anybody.

        To be called after a blob was opened and before it is changed: who takes a lease by force fences the blob
        (BlobStore.fence), and so keeps out those who opened it before, but not those who do after.
        """
        ...

    async def give_back(self) -> None:
        """Let it go before the context ends; TakenOver or CatalogUnavailable unless it was surely held all the time.

        Only then has what its holder wrote become part of the upload. Nothing may be written afterwards.
        """
        ...


class Leases(Protocol):
    """The right to write one upload, held by at most one request in all processes that share the storage."""

    def hold(
        self, key: str, *, let_go: Callable[[], None] | None = None, patience_seconds: float = 0, new: bool = False
    ) -> AbstractAsyncContextManager[Lease]:
        """Hold `key` inside the context; Busy if another does.

        With patience, a holder that came earlier is asked to let go (its `let_go` is called, in its own process) and
        the caller waits so long at most: of several, the newest gets it. A holder whose process is dead holds nothing.
        `let_go` may be called at any time inside the context, more than once, and must return at once; None is for
        a holder that is done in a moment anyway. `new`: nobody else knows the key yet, so nobody can hold it.
        The end of the context raises nothing: whether the lease was held all the time, `Lease.give_back` says.
        """
        ...


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as the store has it."""

    key: str
    size: int
    touched_at: datetime


class Fsync(enum.StrEnum):
    """A store's policy: what is on the disk, and not only in its cache, before success is said."""

    NEVER = "never"
    COMPLETE = "complete"  # whole files
    CHUNK = "chunk"  # and every write to a partial one, before the next


class Sink(Protocol):
    """The end of a blob, open for appending by one writer."""

    def write(self, views: Sequence[Bytes], count: int) -> Awaitable[None] | None:
        """Append the `count` bytes of `views` in order.

        None: it is done, and the views' memory may be reused. An awaitable: it is going on; the memory must stay as
        it is, and nothing more be written, until that has finished. StorageFull and StorageUnavailable come from
        the call or from the awaitable; a prefix of the bytes may then be stored.
        """
        ...

    @property
    def blob_id(self) -> int:
        """Which blob this is the end of: once a blob is fenced, another one has its key. Also after the closing."""
        ...

    async def close(self, *, complete: bool, keep: bool = True) -> bool:
        """Let the blob go, with what was written, as durable as the store's policy says of whole or partial blobs.

        Says whether all that is in the blob is on the disk now; False if that is not sure.
        Of a staged sink the bytes become part of the blob now, all at once; or, unless they are to `keep`, are gone.
        To be called exactly once, when no write is going on. StorageUnavailable: nothing is known of durability.
        BytesLost: what could not be made durable is no part of the blob any more, so that nobody takes it for stored.
        """
        ...


class BlobStore(Protocol):
    """Bytes by key. What is stored is the truth; the catalog only remembers it.

    A key is an id made by the Clock. Nothing here guards against two writers: that is the lease's work.
    """

    async def append(
        self, key: str, *, at: int, staged: bool = False, check: Callable[[], None] = lambda: None
    ) -> Sink:
        """Open `key` for writing at its end, `at`; a blob that is not there has its end at 0 and is made.

        `check` is called when the blob is open and nothing in it has been changed; what it raises is raised.

        Staged: what is written is no part of the blob until it is kept (Sink.close). Until then nothing here shows it,
        and if that never comes, whatever became of this process, it is as if it had not been written.
        """
        ...

    async def stat(self, key: str) -> Blob | None:
        """The blob's size and the time of its last byte; None if there is none."""
        ...

    def read(self, key: str, *, start: int, stop: int, piece_size: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop` in pieces; StorageUnavailable if they are not all there.

        A blob removed while it is read goes on being readable to the reader that has begun.
        """
        ...

    async def copy(self, span: Span, *, key: str, at: int) -> None:
        """Append these bytes of another blob to `key`, which ends at `at` (0: it is made), as an `append` would.

        A store that can share bytes between blobs does. StorageUnavailable if they are not all there; StorageFull; of
        both, a prefix may then be stored. OffsetMismatch.
        """
        ...

    async def sync(self, key: str) -> None:
        """Make the whole blob as durable as the policy says of complete ones. BytesLost, as of Sink.close."""
        ...

    async def remove(self, key: str) -> None:
        """Remove the blob and its note; none is fine too."""
        ...

    async def fence(self, key: str, *, check: Callable[[], None] = lambda: None) -> None:
        """Keep out whoever opened the blob before: what its sinks write, keep, drop or note is no part of it any more.

        The blob stays as it is, without what is staged. `check` is called before this takes effect; what it raises is
        raised, and nothing was changed. It may take as long as copying the blob. StorageFull.
        """
        ...

    async def set_note(self, key: str, note: bytes, *, of: int | None = None) -> None:
        """Keep a few bytes beside an open blob. A note may be lost at any time; it is never another blob's.

        `of`: the blob that it is about (Sink.blob_id), if it must not be read of one that came in its place.
        """
        ...

    async def note(self, key: str) -> bytes | None:
        """The bytes kept by `set_note`, if they are still there."""
        ...

    async def drop_note(self, key: str) -> None:
        """Forget the note; none is fine too."""
        ...

    def blobs(self) -> AsyncIterator[Blob]:
        """Every blob, in no order; those that come or go meanwhile may be missed."""
        ...

    def notes(self) -> AsyncIterator[str]:
        """The key of every note, in no order, also where there is no blob."""
        ...

    async def remove_leftovers(self, *, before: datetime) -> int:
        """Remove what is neither blob nor note, but left of work that was cut short before that time; how many."""
        ...

    async def free(self) -> int | None:
        """How many bytes there is room for; None if the store cannot say."""
        ...

    async def store_id(self) -> str | None:
        """The id that the store was given; None if it has none, as an empty disk in its place would."""
        ...

    async def set_store_id(self, store_id: str) -> str:
        """Give the store an id, unless it has one; the one that it has now, durably."""
        ...

    async def check(self) -> None:
        """Raise StorageUnavailable unless bytes can be written now."""
        ...


@runtime_checkable
class OpensFiles(Protocol):
    """A store whose blobs are files, which the kernel can send by itself."""

    def open_file(self, key: str) -> FileIO:
        """A blob that is there, open for reading, for the caller to close. StorageUnavailable.

        A blob removed while it is open goes on being readable.
        """
        ...


class Catalog(Trail, KeyStore, AllowanceStore, Protocol):
    """What is known of uploads, files and what happened to them.

    Each method that writes is one transaction, durable when it returns. Rows come back as they were written.
    """

    async def create_upload(
        self, session: Session, audit: Audit | None, allowance: Allowance | None = None
    ) -> Usage | None:
        """Remember a new upload; one that is whole has no row in the trail.

        With an allowance: if its user may have it beside all that it has in this moment, whichever process and host
        wrote that; what it has then is returned. RateLimited, TooManyActive, QuotaExceeded: nothing is remembered.
        """
        ...

    async def upload(self, upload_id: str) -> Session | None:
        """An upload that is open or ended without a file (offset 0: the store knows better); None if unknown."""
        ...

    async def uploads_with(self, upload_ids: Collection[str]) -> Mapping[str, Session]:
        """Those of these uploads that are known, by their ids; each as of `upload`."""
        ...

    async def drop_whole(self, session: Session) -> None:
        """Forget an upload that was all or nothing, and is nothing; none is fine too."""
        ...

    async def declare_length(self, session: Session, length: int, allowance: Allowance | None = None) -> None:
        """Remember the length of an open upload. With an allowance: if there is room for it; QuotaExceeded."""
        ...

    async def describe_upload(self, upload_id: str, *, filename: str, chunk_size: int | None) -> None:
        """Remember the name and the chunk size of an open upload."""
        ...

    async def end_upload(self, session: Session, audit: Audit) -> None:
        """Remember that an upload has ended without a file (`session.end`); the row stays, to answer Gone."""
        ...

    async def publish(self, file: File, audit: Audit, allowance: Allowance | None = None) -> File:
        """Add the file, its audit row and its processing job, and drop its upload, all together.

        Idempotent: if the file is there already, nothing changes and the one that is there is returned. NotFound if
        an upload that the file is joined from is not open any more: its blob may be gone.
        With an allowance: what was counted when its upload began may always become a file; for more there must be room
        (QuotaExceeded), and where there was no upload, one begins now (RateLimited). Then nothing changes.
        """
        ...

    async def uploads(
        self, user_id: str | None, *, after: Position | None, limit: int, partial: bool = False
    ) -> Sequence[Session]:
        """Open uploads, the newest first, of one user or of all (None), from behind `after` on; partial ones too?"""
        ...

    async def file(self, file_id: str) -> File | None:
        """A file, in use or in the trash."""
        ...

    async def files(self, user_id: str | None, *, deleted: bool, after: Position | None, limit: int) -> Sequence[File]:
        """Files in use, or those in the trash, the newest upload first, of one user or of all (None)."""
        ...

    async def search(self, user_id: str, wanted: Wanted, *, after: Place | None, limit: int) -> Found:
        """Files of one user that are wanted, in the order that is wanted, from behind `after` on.

        Looking may be given up before `limit` files were found; the place where it was is told.
        """
        ...

    async def joined(self, *, after: str | None, limit: int) -> Sequence[File]:
        """Files in use that have parts of which no open upload has any, by their ids, from behind `after` on."""
        ...

    async def gather(self, file_id: str) -> bool:
        """Remember that a file's bytes are under its own id, and in no parts; False, and nothing, if they were."""
        ...

    async def set_deleted(self, file: File, audit: Audit) -> bool:
        """Write `file.deleted_at` with its audit row; False, and nothing, if another did the same before."""
        ...

    async def purgeable(
        self, *, before: datetime, after: Position | None, limit: int
    ) -> Sequence[tuple[Position, File]]:
        """Files in the trash since `before` or longer, the longest first; a Position is the file's own there."""
        ...

    async def purge(self, file: File, audit: Audit) -> bool:
        """Forget a file in the trash, with its need of parts and its job, and add the trail's row.

        False, and nothing, if it is not in the trash since `file.deleted_at`. Its bytes are another's to remove.
        """
        ...

    async def known(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` under which there are bytes of an open upload, or of a file, in use or in the trash.

        The bytes of a joined file are those of its parts until it is gathered, and then under its own id.
        """
        ...

    async def forget_ended(self, *, before: datetime, limit: int) -> int:
        """Drop the rows of uploads that ended before that time; how many they were."""
        ...

    async def usage(self, user_id: str) -> Usage:
        """What a user has; its bucket is as it was left."""
        ...

    async def usages(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Usage, Usage]]:
        """Users that are counted, by their names: what is kept of each, and what it has by its rows at that moment."""
        ...

    async def recount(self, user_id: str, *, keep: bool = True) -> None:
        """Sum up what a user has again, and keep that; or count it no more, until a limit of its is checked again."""
        ...

    async def store_id(self) -> str | None:
        """The id of the store that has the bytes of what is known here; None if that is not settled yet."""
        ...

    async def set_store_id(self, store_id: str) -> str:
        """Settle which store it is, unless it is settled; the one that it is now."""
        ...

    async def check(self) -> None:
        """Raise CatalogUnavailable unless it answers."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """One of each: the world that an engine lives in."""

    catalog: Catalog
    blobs: BlobStore
    leases: Leases
    clock: Clock
