"""Ranges of a download, every one of a small file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.errors import RangeNotSatisfiable
from uploadstream.http.ranges import (
    GAP_MAX,
    SPANS_MAX,
    Span,
    part_heads,
    read_spans,
    read_specs,
    write_range,
    write_unsatisfied,
)

SIZE_MAX = 4
WHOLE: list[Span] = []


def meant(first: int | None, last: int | None, size: int) -> bytes | None:
    """The bytes that RFC 9110, section 14.1.2, says of a file; None: not satisfiable."""
    content = bytes(range(size))
    if first is None:
        return content[max(size - (last or 0), 0) :] or None
    return (content[first:] if last is None else content[first : last + 1]) or None


@pytest.mark.parametrize("size", range(SIZE_MAX + 1))
def test_every_range_of_a_small_file_is_what_the_specification_says(size: int) -> None:
    content = bytes(range(size))
    numbers = [None, *range(SIZE_MAX + 2), 2**63 - 1, 2**63, 10**20, 10**999]
    for first in numbers:
        for last in numbers:
            if first is None and last is None:
                continue
            field = f"bytes={'' if first is None else first}-{'' if last is None else last}"
            if first is not None and last is not None and last < first:
                assert read_spans(field, size=size) == WHOLE, field
            elif (expected := meant(first, last, size)) is None:
                with pytest.raises(RangeNotSatisfiable):
                    read_spans(field, size=size)
            else:
                (found,) = read_spans(field, size=size)
                assert content[found.start : found.stop] == expected, field
                assert 0 <= found.start < found.stop <= size


@pytest.mark.parametrize(
    "field",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=0-1,x",
        "bytes=0-1;3-4",
        "bytes=,",
        "bytes=a-b",
        "bytes=-1-2",
        "bytes=+0-1",
        "items=0-1",
        "bytes = 0-1",
        "bytes=0 - 1",
        "bytes=\u0661-2",
        f"bytes={'9' * 1001}-",
        f"bytes=0-{'9' * 30_000}",
    ],
)
def test_what_is_no_single_range_of_bytes_means_the_whole_file(field: str | None) -> None:
    assert read_spans(field, size=10) == WHOLE


@pytest.mark.parametrize("start", [2**63 - 1, 2**63, 10**999])
def test_a_start_beyond_every_file_is_said_as_the_largest_place(start: int) -> None:
    error = refusal_of(read_spans, f"bytes={start}-{start}", size=10)

    assert isinstance(error, RangeNotSatisfiable)
    assert error.numbers == {"start": 2**63 - 1, "size": 10}


@pytest.mark.parametrize("field", ["bytes=1-2", "Bytes=1-2", "bytes= 1-2 ", "bytes=,1-2 , ,"])
def test_the_unit_is_read_in_any_case(field: str) -> None:
    assert read_spans(field, size=10) == [Span(1, 3)]


@given(st.text(max_size=40) | st.from_regex(r"bytes=[0-9,\- ]{0,30}", fullmatch=True), st.integers(0, 2**62))
def test_any_text_is_a_range_inside_the_file_or_none_or_refused(field: str, size: int) -> None:
    try:
        found = read_spans(field, size=size)
    except RangeNotSatisfiable:
        return
    assert all(0 <= span.start < span.stop <= size for span in found)


@pytest.mark.parametrize(
    ("field", "spans"),
    [
        ("bytes=0-9,200-299", [(0, 10), (200, 300)]),
        ("bytes=200-299,0-9", [(200, 300), (0, 10)]),
        ("bytes=0-9,-10", [(0, 10), (990, 1000)]),
        ("bytes=0-99,50-149,500-", [(0, 150), (500, 1000)]),
        ("bytes=500-599,0-9,590-700", [(500, 701), (0, 10)]),
        ("bytes=0-0,999-999,0-", [(0, 1000)]),
        ("bytes=0-9,1000-,2000-3000", [(0, 10)]),
        (f"bytes=0-9,{10 + GAP_MAX}-500", [(0, 501)]),
        (f"bytes=0-9,{11 + GAP_MAX}-500", [(0, 10), (11 + GAP_MAX, 501)]),
        ("bytes=" + "0-0," * SPANS_MAX, [(0, 1)]),
    ],
)
def test_several_ranges_come_in_their_order_and_joined_where_they_meet(
    field: str, spans: list[tuple[int, int]]
) -> None:
    assert read_spans(field, size=1000) == [Span(*span) for span in spans]


@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.integers(0, 900)).map(sorted) | st.tuples(st.none(), st.integers(1, 900)),
        min_size=1,
        max_size=SPANS_MAX,
    )
)
def test_several_ranges_have_every_byte_that_was_asked_for_and_none_twice(
    asked: list[list[int] | tuple[None, int]],
) -> None:
    field = "bytes=" + ",".join(f"{'' if first is None else first}-{last}" for first, last in asked)

    spans = read_spans(field, size=1000)

    given_out = [place for span in spans for place in range(span.start, span.stop)]
    wanted = {
        place
        for first, last in asked
        for place in (range(1000 - last, 1000) if first is None else range(first, last + 1))
    }
    assert len(given_out) == len(set(given_out))
    assert wanted <= set(given_out)
    assert len(spans) <= len(asked)


@pytest.mark.parametrize("field", ["bytes=" + "0-0," * (SPANS_MAX + 1), "bytes=" + "," * 10_000 + "0-0"])
def test_more_ranges_than_are_served_are_the_whole_file(field: str) -> None:
    assert read_spans(field, size=10) == WHOLE
    assert read_specs(field) == []


def test_the_parts_of_several_ranges_say_what_they_are() -> None:
    spans = [Span(0, 2), Span(5, 6)]

    heads = part_heads(spans, size=9, content_type="text/plain", boundary="B")

    assert heads == [
        b"--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/9\r\n\r\n",
        b"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-5/9\r\n\r\n",
        b"\r\n--B--\r\n",
    ]


def test_a_part_says_where_it_belongs() -> None:
    assert write_range(Span(0, 1), size=5) == "bytes 0-0/5"
    assert write_range(Span(3, 5), size=None) == "bytes 3-4/*"
    assert write_unsatisfied(5) == "bytes */5"
