"""Listings in pages: how many rows, and from where on.

A page token names the last row of the page before. It carries no rights: whatever it says, the listing's own
filters decide which rows are seen, so a forged one only moves the start. One that says nothing readable is bad input.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar
from uuid import UUID

from uploadstream.core.errors import BadField
from uploadstream.core.instants import instant_of, microseconds_of

PAGE_SIZE_DEFAULT: Final = 20
PAGE_SIZE_MAX: Final = 1000

_TOKEN: Final = struct.Struct(">q16s")


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place in a listing: its time, and its id among rows of one time."""

    at: datetime
    id: str


Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the token of the next page (empty: this is the last)."""

    rows: Sequence[Row]
    next_token: str = ""


def page_of(rows: Sequence[Row], *, size: int, place: Callable[[Row], Position]) -> Page[Row]:
    """The first `size` of `rows`, which hold one more than that if there is a next page."""
    if len(rows) <= size:
        return Page(rows)
    return Page(rows[:size], write_token(place(rows[size - 1])))


def check_page_size(size: int) -> int:
    """How many rows are meant by `size`: 0 is the default, more than the largest is the largest."""
    if size < 0:
        raise BadField(field="page_size", problem=f"must be 0 or more, is {size}")
    return min(size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def write_token(place: Position) -> str:
    """`place` as text for a URL."""
    packed = _TOKEN.pack(microseconds_of(place.at), UUID(place.id).bytes)
    return base64.urlsafe_b64encode(packed).decode()


def read_token(token: str) -> Position | None:
    """The place a token names; None for the empty one, which is the listing's start."""
    if not token:
        return None
    try:
        microseconds, packed_id = _TOKEN.unpack(base64.b64decode(token, altchars=b"-_", validate=True))
        return Position(instant_of(microseconds), str(UUID(bytes=packed_id)))
    except (binascii.Error, struct.error, OverflowError, ValueError):
        raise BadField(field="page_token", problem="is not one that this service gave") from None
