"""The upload session: what may happen to it, and what it is afterwards.

Rule 1: every rule about offsets, lengths, states and expiry of an upload lives in this file.
Rule 2: this file knows no protocol. A tus PATCH, a gRPC chunk and a sweeper's visit look the same here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from uploadstream.core.access import check_user
from uploadstream.core.allowances import Quota, QuotaExceeded
from uploadstream.core.checks import check_each, together
from uploadstream.core.errors import (
    BadField,
    BadInput,
    Gone,
    LengthMismatch,
    OffsetMismatch,
    TooLarge,
    UploadClosed,
    UploadJoined,
)
from uploadstream.core.media import check_content_type, check_filename
from uploadstream.core.sizes import MIB
from uploadstream.core.wording import shortened

# Of an upload whose name is told later, or never.
UNNAMED: Final = "unnamed"


class State(enum.StrEnum):
    """Where an upload stands."""

    OPEN = "open"  # takes bytes
    SEALED = "sealed"  # has all its bytes, is becoming a file
    COMPLETE = "complete"  # is a file
    ABORTED = "aborted"  # will never be one


class End(enum.StrEnum):
    """How an upload that never became a file ended."""

    ABORTED = "aborted"  # its sender gave it up
    EXPIRED = "expired"  # nobody came for too long
    REFUSED = "refused"  # its content can never be taken


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a session."""


@dataclass(frozen=True, slots=True)
class Appended(Event):
    """`count` more bytes are in the store."""

    count: int


@dataclass(frozen=True, slots=True)
class LengthDeclared(Event):
    """The upload will have `length` bytes."""

    length: int


@dataclass(frozen=True, slots=True)
class Sealed(Event):
    """All bytes are there; a length not declared before is known now."""


@dataclass(frozen=True, slots=True)
class Published(Event):
    """The file's row is in the catalog."""


@dataclass(frozen=True, slots=True)
class Aborted(Event):
    """The upload is over, and no file."""

    how: End


TRANSITIONS: Final[Mapping[tuple[State, type[Event]], State]] = {
    (State.OPEN, Appended): State.OPEN,
    (State.OPEN, LengthDeclared): State.OPEN,
    (State.OPEN, Sealed): State.SEALED,
    (State.OPEN, Aborted): State.ABORTED,
    (State.SEALED, Published): State.COMPLETE,
    (State.SEALED, Aborted): State.ABORTED,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What this service takes."""

    file_size_max: int = 512 * MIB
    chunk_size_max: int = 4 * MIB
    allowed_types: tuple[str, ...] = ("*/*",)
    upload_ttl: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the sender says of a file before its bytes. `length` None: told later. `metadata`: kept word for word.

    `is_told`: the sender is going to say when the upload is complete; that its length is reached does not say so.
    `is_partial`: its bytes are to be joined with those of others; alone they never become a file. `joins`: which
    uploads it was joined from, kept word for word.
    `chunk_size`: it sends chunks of so many bytes, each again from its start if it was cut; None: not known.
    """

    user_id: str
    filename: str
    content_type: str = ""
    length: int | None = None
    metadata: str = ""
    is_told: bool = False
    is_partial: bool = False
    joins: str = ""
    chunk_size: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One upload, as it stands. Immutable: `after(event)` gives the next one."""

    id: str
    declared: Declared
    size_max: int
    protocol: str
    created_at: datetime
    touched_at: datetime
    offset: int = 0
    state: State = State.OPEN
    end: End | None = None
    allowed_types: tuple[str, ...] = ()  # of this upload alone, beside those of the service; none: all
    is_whole: bool = False  # all or nothing, in one request: nobody but that knows of it
    quota: Quota | None = None  # its user's, where it is not known yet how much of that it will take

    @property
    def length(self) -> int | None:
        """How many bytes there will be, if that is known."""
        return self.declared.length

    @property
    def room(self) -> int:
        """How many more bytes may be taken."""
        if self.length is not None:
            return self.length - self.offset
        most = self.size_max if self.quota is None else min(self.size_max, max(0, self.quota.left))
        return max(0, most - self.offset)

    @property
    def is_full(self) -> bool:
        """Every declared byte is there."""
        return self.offset == self.length

    @property
    def is_left_full(self) -> bool:
        """It is open and would be complete, had its last request not been cut short."""
        waits = self.declared.is_told or self.declared.is_partial
        return self.state is State.OPEN and self.is_full and not waits

    def is_completed_by(self, *, complete: bool | None) -> bool:
        """Whether a request that ends here completes the upload. `complete`: what it says of that, None: nothing."""
        return not self.declared.is_partial and (self.is_full if complete is None else complete)

    @property
    def chunk_start(self) -> int:
        """Where a sender of whole chunks goes on: the first that is not here to its end; 0 if their size is not known.

        Such a sender takes every chunk that starts below this for sent. From 0 on it sends all of them once more.
        """
        if self.state is State.COMPLETE:
            return self.offset
        size = self.declared.chunk_size
        return self.offset - self.offset % size if size else 0

    def has(self, *, at: int, count: int | None) -> bool:
        """Whether `count` bytes that belong at `at` are all here; of an unknown count that is not known."""
        return count is not None and at + count <= self.offset

    def known(self, *, at: int) -> int:
        """How many of the bytes that are sent from `at` on are here already. OffsetMismatch if some before are not."""
        if at > self.offset:
            raise OffsetMismatch(expected=self.offset, given=at)
        return self.offset - at

    def may_wait(self, *, at: int) -> bool:
        """Whether bytes for `at` come before their turn: those between here and there are still to come."""
        return self.state is State.OPEN and self.offset < at <= self.offset + self.room

    def described(
        self, *, filename: str = "", at: int = 0, count: int | None = None, is_early: bool = False
    ) -> Session:
        """The upload with what is told of it only now: a name, if it has none yet, and the size of its chunks.

        `at`, `count`: where one of them belongs, and its size. `is_early`: its turn never came, so that its sender
        takes bytes for sent that are not here, perhaps because it was told the start of a chunk of another size.
        """
        declared = self.declared
        if filename and declared.filename == UNNAMED:
            declared = replace(declared, filename=check_filename(filename))
        shown = _chunk_size_of(at=at, count=count or 0, length=self.length)
        chunk_size = shown or (None if is_early else declared.chunk_size)
        return replace(self, declared=replace(declared, chunk_size=chunk_size))

    def expires_at(self, ttl: timedelta) -> datetime:
        """When the upload ends if nobody comes back to it."""
        return self.touched_at + ttl

    def overrun(self, count: int) -> BadInput | QuotaExceeded:
        """What is wrong with `count` bytes that do not fit."""
        if self.length is None:
            size = self.offset + count
            fits = size <= self.size_max
            return self.quota.exceeded(size) if self.quota and fits else TooLarge(size=size, limit=self.size_max)
        return LengthMismatch(received=self.offset + count, declared=self.length)

    def is_ended_by(self, error: LengthMismatch, *, complete: bool | None) -> bool:
        """Whether a body that was too long, or announced that it is, ends the upload.

        It does if its sender says for itself when an upload is complete (`complete`): it has lost count. Of others what
        fits is kept, as of every body that ends badly. In tus an upload is complete with its last byte, whatever was
        sent behind that, and its sender may ask: it becomes the file that was declared.
        """
        return complete is not None and error.declared == self.length and error.received > error.declared

    def check_open(self) -> None:
        """Raise unless the upload still takes bytes."""
        if self.end is not None:
            raise Gone(kind="upload", id=self.id, how=self.end.value)
        if self.state is not State.OPEN:
            raise UploadClosed(upload_id=self.id, state=self.state.value)

    def check_append(self, *, at: int, count: int = 0) -> None:
        """Raise unless `count` bytes may be written at `at`, now."""
        self.check_open()
        if at != self.offset:
            raise OffsetMismatch(expected=self.offset, given=at)
        if count > self.room:
            raise self.overrun(count)

    def check_said_again(self, *, at: int | None, length: int | None, count: int | None) -> None:
        """Raise unless a request says once more what completed the upload: its sender may have missed the answer.

        None: it does not say that.
        """
        if self.declared.joins:
            raise UploadJoined(upload_id=self.id, state=self.state.value)
        if at not in {None, self.offset}:
            raise OffsetMismatch(expected=self.offset, given=at or 0)
        self.check_agrees(length=length)
        if count:
            self.check_open()

    def check_joinable(self) -> None:
        """Raise unless the upload is a partial one whose bytes are all there."""
        if not self.declared.is_partial:
            raise BadField("parts", f"{self.id} is no partial upload")
        if not self.is_full:
            of = "unknown" if self.length is None else self.length
            raise BadField("parts", f"{self.id} is not finished: {self.offset} of {of} bytes are there")

    def check_agrees(self, *, filename: str = "", content_type: str = "", length: int | None = None) -> None:
        """Raise unless what is said again of the upload is what was said at first; what is left out agrees."""
        said = (
            ("filename", filename or self.declared.filename, self.declared.filename),
            ("content_type", content_type or self.declared.content_type, self.declared.content_type),
            ("size", self.length if length is None else length, self.length),
        )
        bad = [
            BadField(field, f"is {shortened(now)} here, was {shortened(before) or 'not given'} when the upload began")
            for field, now, before in said
            if now != before and before is not None
        ]
        if bad:
            raise together(bad)

    def after(self, event: Event) -> Session:
        """The session once `event` has happened; raises if it cannot happen now."""
        try:
            state = TRANSITIONS[self.state, type(event)]
        except KeyError:
            raise UploadClosed(upload_id=self.id, state=self.state.value) from None
        match event:
            case Appended(count):
                self.check_append(at=self.offset, count=count)
                return replace(self, offset=self.offset + count)
            case LengthDeclared(length):
                return self._with_length(length)
            case Sealed():
                if self.length not in {None, self.offset}:
                    raise LengthMismatch(received=self.offset, declared=self.length or 0)
                return replace(self, state=state, declared=replace(self.declared, length=self.offset))
            case Aborted(how):
                return replace(self, state=state, end=how)
            case _:
                return replace(self, state=state)

    def _with_length(self, length: int) -> Session:
        check_length(length, size_max=self.size_max)
        if self.length not in {None, length}:
            raise BadField(field="size", problem=f"is {length} here, was {self.length} when the upload began")
        if length < self.offset:
            raise LengthMismatch(received=self.offset, declared=length)
        return replace(self, declared=replace(self.declared, length=length))


def told_length(*, at: int, count: int | None, length: int | None, complete: bool | None) -> int | None:
    """The length of an upload as a request tells it: outright, or by being the last `count` bytes, which go to `at`.

    LengthMismatch if it is told both ways, and differently.
    """
    if not complete or count is None:
        return length
    if length not in {None, at + count}:
        raise LengthMismatch(received=at + count, declared=length or 0)
    return at + count


def check_declaration(declared: Declared, *, size_max: int) -> None:
    """Raise unless an upload of this may begin; every bad field is named."""
    check_each(
        lambda: check_user(declared.user_id),
        lambda: check_filename(declared.filename),
        lambda: check_content_type(declared.content_type),
        lambda: check_length(declared.length, size_max=size_max),
    )


def check_length(length: int | None, *, size_max: int) -> None:
    """Raise unless an upload of `length` bytes may begin."""
    if length is None:
        return
    if length < 0:
        raise BadField(field="size", problem=f"must be 0 or more, is {length}")
    if length > size_max:
        raise TooLarge(size=length, limit=size_max)


def diagram() -> str:
    """The table above as Mermaid, for ARCHITECTURE.md."""
    edges = [f"    {a.value} --> {b.value}: {event.__name__}" for (a, event), b in TRANSITIONS.items()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.OPEN.value}", *edges])


def _chunk_size_of(*, at: int, count: int, length: int | None) -> int:
    """The size of a sender's chunks, as far as one of them shows it (else 0): the last one may be shorter."""
    if length is not None and at + count >= length:
        return 0 if at else length
    return count if count and at % count == 0 else 0
