"""The blobs that a file's bytes are in: one of its own, or those of several uploads, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from uploadstream.core.errors import BadField

# As many as a multipart upload of S3 has.
PARTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """`size` bytes of a file: a whole blob."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of one blob from `start` up to `stop`."""

    key: str
    start: int
    stop: int


def check_count(parts: Collection[object]) -> None:
    """Raise unless a file may be joined from so many. BadField."""
    if not 1 <= len(parts) <= PARTS_MAX:
        raise BadField("parts", f"must be 1 to {PARTS_MAX} uploads, are {len(parts)}")


def may_be_copied(size: int, *, free: int | None) -> bool:
    """Whether so many bytes may be copied, which is no hurry: uploads are left as much room again."""
    return free is None or 2 * size <= free


def pieces(parts: Iterable[Part], *, size_max: int) -> Iterator[Span]:
    """All bytes of a file, in pieces of bounded size, in order."""
    for part in parts:
        for start in range(0, part.size, size_max):
            yield Span(part.key, start, min(start + size_max, part.size))


def spans(parts: Iterable[Part], *, start: int, stop: int) -> Iterator[Span]:
    """Where the bytes of a file from `start` up to `stop` are, in order."""
    begin = 0
    for part in parts:
        end = begin + part.size
        if max(start, begin) < min(stop, end):
            yield Span(part.key, max(start, begin) - begin, min(stop, end) - begin)
        begin = end
