"""Byte ranges of a download (RFC 9110, section 14), one or several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from uploadstream.core.errors import RangeNotSatisfiable
from uploadstream.http.fields import COUNT_MAX

# So many are served; who asks for more gets the whole file (section 14.2 lets a server).
SPANS_MAX: Final = 32
# About what the fields of one more part take: spans nearer than that are cheaper as one (section 15.3.7.2).
GAP_MAX: Final = 80
# A position has no largest value (section 14.1.2: an end beyond the file is its end); this many digits are read.
_DIGITS_MAX: Final = 1000
_FIELD: Final = re.compile(r"bytes=(.*)", re.IGNORECASE)
_ONE: Final = re.compile(rf"(\d{{0,{_DIGITS_MAX}}})-(\d{{0,{_DIGITS_MAX}}})", re.ASCII)
_BLANKS: Final = " \t"


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Spec:
    """What is asked for, before it is known of what: bytes from `first` to `last`, or the last `last` ones."""

    first: int | None
    last: int | None

    def of(self, size: int) -> Span | None:
        """The bytes meant of a file of this size; None if it has none of them."""
        if self.first is None:
            start, stop = max(size - (self.last or 0), 0), size
        else:
            start, stop = self.first, size if self.last is None else min(self.last + 1, size)
        return Span(start, stop) if start < stop else None


def read_specs(value: str | None) -> list[Spec]:
    """What a Range field asks for. None of it if one part is no range of bytes, or there are too many."""
    match = _FIELD.fullmatch(value) if value else None
    if match is None:
        return []
    # Empty elements of a list count for nothing (section 5.6.1.2), but a row of commas is to cost nothing either.
    texts = [text for each in match[1].split(",", 2 * SPANS_MAX) if (text := each.strip(_BLANKS))]
    specs = [_read_spec(text) for text in texts[: SPANS_MAX + 1]]
    found = [spec for spec in specs if spec is not None]
    return found if len(found) == len(specs) <= SPANS_MAX else []


def _read_spec(text: str) -> Spec | None:
    match = _ONE.fullmatch(text)
    if match is None or text == "-":
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    return None if first is not None and last is not None and last < first else Spec(first, last)


def read_spans(value: str | None, *, size: int) -> list[Span]:
    """What a Range field asks for of a file, in its order, what overlaps or nearly touches as one; none: all of it.

    Ranges that the file has no byte of are left out (section 15.3.7.2); RangeNotSatisfiable if it has of none.
    """
    specs = read_specs(value)
    spans = [span for spec in specs if (span := spec.of(size)) is not None]
    if specs and not spans:
        start = size if specs[0].first is None else min(specs[0].first, COUNT_MAX)
        raise RangeNotSatisfiable(start=start, size=size)
    return _joined(spans)


def _joined(spans: Sequence[Span]) -> list[Span]:
    """A span stands where the first that it was made of stood."""
    joined: list[Span] = []
    for span in spans:
        near = [one for one in joined if one.start <= span.stop + GAP_MAX and span.start <= one.stop + GAP_MAX]
        whole = Span(min(one.start for one in [span, *near]), max(one.stop for one in [span, *near]))
        place = joined.index(near[0]) if near else len(joined)
        joined = [one for one in joined if one not in near]
        joined.insert(place, whole)
    return joined


def write_range(span: Span, *, size: int | None) -> str:
    """Content-Range of a part; `size` None: not known yet."""
    return f"bytes {span.start}-{span.stop - 1}/{'*' if size is None else size}"


def write_unsatisfied(size: int) -> str:
    """Content-Range of a refusal."""
    return f"bytes */{size}"


def part_heads(spans: Sequence[Span], *, size: int, content_type: str, boundary: str) -> list[bytes]:
    """What stands before each part of a multipart/byteranges body, and behind the last (section 14.6)."""
    heads = [
        f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {write_range(span, size=size)}\r\n\r\n"
        for span in spans
    ]
    return [
        text.encode("latin-1") for text in (heads[0], *(f"\r\n{head}" for head in heads[1:]), f"\r\n--{boundary}--\r\n")
    ]
