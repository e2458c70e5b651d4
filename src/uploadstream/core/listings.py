"""Listings of files as people ask for them: which files, in which order, and where a page goes on.

A token names a place in one order, and is bad input in another. It carries no rights: whatever it says, the filters
decide which files are seen, so a forged one only moves the start.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from uploadstream.core.checks import check_each
from uploadstream.core.errors import BadField
from uploadstream.core.files import File
from uploadstream.core.instants import instant_of, microseconds_of
from uploadstream.core.media import FILENAME_BYTES_MAX
from uploadstream.core.pages import Page
from uploadstream.core.type_names import essence
from uploadstream.core.wording import shortened

TYPE_LENGTH_MAX: Final = 127
# The casefolded form of a name may be longer than the name.
KEY_BYTES_MAX: Final = 4 * FILENAME_BYTES_MAX

_NUMBER: Final = struct.Struct(">q")
_ID_BYTES: Final = 16
_TYPE_CHARACTERS: Final = r"[a-z0-9][a-z0-9!#$&^_.+-]*"
_TYPE: Final = re.compile(rf"(\*/\*|{_TYPE_CHARACTERS}/(\*|{_TYPE_CHARACTERS}))", re.ASCII)


class Sort(enum.StrEnum):
    """What files are ordered by; those that are equal in it, by their ids."""

    UPLOADED_AT = "uploaded_at"
    FILENAME = "filename"
    SIZE = "size"


Key = datetime | str | int


@dataclass(frozen=True, slots=True)
class Place:
    """A file's place in an order: what it is ordered by, and its id."""

    key: Key
    id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files, in which order. What is empty or None lets all through; `until` is the first moment too late."""

    deleted: bool = False
    name: str = ""
    content_type: str = ""
    since: datetime | None = None
    until: datetime | None = None
    sort: Sort = Sort.UPLOADED_AT
    descending: bool = True

    @property
    def name_part(self) -> str:
        """What a name's key has somewhere."""
        return name_key(self.name)

    @property
    def type_start(self) -> str:
        """What a type begins with, such as `image/`; empty if every one will do, or one only."""
        return self.content_type.lower()[:-1] if self.content_type.endswith("/*") and self.content_type != "*/*" else ""

    @property
    def type_name(self) -> str:
        """The one type that will do; empty if there are several."""
        return "" if self.content_type.endswith("*") else self.content_type.lower()

    def lets_through(self, file: File) -> bool:
        """Whether the file is one of those."""
        name = essence(file.content_type)
        return (
            (file.deleted_at is not None) is self.deleted
            and self.name_part in name_key(file.filename)
            and name.startswith(self.type_start)
            and self.type_name in {"", name}
            and (self.since is None or file.uploaded_at >= self.since)
            and (self.until is None or file.uploaded_at < self.until)
        )

    def place_of(self, file: File) -> Place:
        """Where the file stands in this order."""
        if self.sort is Sort.FILENAME:
            return Place(name_key(file.filename), file.id)
        return Place(file.size if self.sort is Sort.SIZE else file.uploaded_at, file.id)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of files. `looked_to`: where looking was given up, if that was before the end of the listing."""

    files: Sequence[File]
    looked_to: Place | None = None


def name_key(name: str) -> str:
    """What a name is found and ordered by: the same for all its spellings in small and capital letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_wanted(wanted: Wanted) -> Wanted:
    """`wanted`, if it makes sense; every bad field is named. BadField."""
    check_each(lambda: _check_name(wanted.name), lambda: _check_type(wanted.content_type), lambda: _check_times(wanted))
    return wanted


def _check_name(name: str) -> None:
    size = len(name.encode(errors="surrogatepass"))
    if size > FILENAME_BYTES_MAX:
        raise BadField(field="name", problem=f"must be up to {FILENAME_BYTES_MAX} bytes, has {size}")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise BadField(field="name", problem="must be text without control characters")


def _check_type(pattern: str) -> None:
    if pattern and (len(pattern) > TYPE_LENGTH_MAX or not _TYPE.fullmatch(pattern.lower())):
        raise BadField(field="type", problem=f"must be such as image/* or image/png, is {shortened(pattern)}")


def _check_times(wanted: Wanted) -> None:
    if wanted.since is not None and wanted.until is not None and wanted.since > wanted.until:
        raise BadField(field="uploaded_before", problem="is earlier than uploaded_after")


def found_page(found: Found, wanted: Wanted, *, size: int) -> Page[File]:
    """The first `size` of the files found, of which one more was asked for; a page may be short and not the last."""
    if len(found.files) > size:
        return Page(found.files[:size], write_place(wanted.place_of(found.files[size - 1])))
    return Page(found.files, "" if found.looked_to is None else write_place(found.looked_to))


def write_place(place: Place) -> str:
    """`place` as text for a URL."""
    match place.key:
        case datetime() as at:
            packed = b"t" + _NUMBER.pack(microseconds_of(at))
        case int() as size:
            packed = b"s" + _NUMBER.pack(size)
        case name:
            packed = b"n" + name.encode()
    return base64.urlsafe_b64encode(UUID(place.id).bytes + packed).decode()


def read_place(token: str, sort: Sort) -> Place | None:
    """The place a token names in this order; None for the empty one, which is the listing's start. BadField."""
    if not token:
        return None
    try:
        packed = base64.b64decode(token, altchars=b"-_", validate=True)
        key = _read_key(packed[_ID_BYTES:], sort)
        return Place(key, str(UUID(bytes=packed[:_ID_BYTES])))
    except (binascii.Error, struct.error, OverflowError, ValueError):
        raise BadField(field="page_token", problem="is not one that this service gave for this order") from None


def _read_key(packed: bytes, sort: Sort) -> Key:
    kind, value = packed[:1], packed[1:]
    if kind == b"t" and sort is Sort.UPLOADED_AT:
        return instant_of(int(_NUMBER.unpack(value)[0]))
    if kind == b"s" and sort is Sort.SIZE:
        return int(_NUMBER.unpack(value)[0])
    if kind == b"n" and sort is Sort.FILENAME and len(value) <= KEY_BYTES_MAX and b"\0" not in value:
        return value.decode()
    raise ValueError(kind)
