"""Byte ranges of a download (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Final

from uploadstream.core.errors import RangeNotSatisfiable
from uploadstream.http.fields import COUNT_MAX

# A position has no largest value (section 14.1.2: an end beyond the file is its end); this many digits are read.
_DIGITS_MAX: Final = 1000
_ONE: Final = re.compile(rf"bytes=\s*(\d{{0,{_DIGITS_MAX}}})-(\d{{0,{_DIGITS_MAX}}})\s*", re.ASCII | re.IGNORECASE)


def read_range(value: str | None, *, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last that are asked for; None: all of them.

    A field that is no range in bytes, or is several, is as none (section 14.2). RangeNotSatisfiable.
    """
    match = _ONE.fullmatch(value) if value else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last N bytes
        count = min(int(last), size)
        if not count:
            raise RangeNotSatisfiable(start=size, size=size)
        return size - count, size
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable(start=min(start, COUNT_MAX), size=size)
    return start, stop


def write_range(start: int, stop: int, *, size: int) -> str:
    """Content-Range of a part."""
    return f"bytes {start}-{stop - 1}/{size}"


def write_unsatisfied(size: int) -> str:
    """Content-Range of a refusal."""
    return f"bytes */{size}"
