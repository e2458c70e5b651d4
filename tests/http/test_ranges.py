"""Ranges of a download, every one of a small file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.errors import RangeNotSatisfiable
from uploadstream.http.ranges import read_range, write_range, write_unsatisfied

SIZE_MAX = 4
WHOLE = None


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
                assert read_range(field, size=size) is WHOLE, field
            elif (expected := meant(first, last, size)) is None:
                with pytest.raises(RangeNotSatisfiable):
                    read_range(field, size=size)
            else:
                found = read_range(field, size=size)
                assert found is not None
                assert content[slice(*found)] == expected, field
                assert 0 <= found[0] < found[1] <= size


@pytest.mark.parametrize(
    "field",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=0-1,3-4",
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
    assert read_range(field, size=10) is WHOLE


@pytest.mark.parametrize("start", [2**63 - 1, 2**63, 10**999])
def test_a_start_beyond_every_file_is_said_as_the_largest_place(start: int) -> None:
    error = refusal_of(read_range, f"bytes={start}-{start}", size=10)

    assert isinstance(error, RangeNotSatisfiable)
    assert error.numbers == {"start": 2**63 - 1, "size": 10}


@pytest.mark.parametrize("field", ["bytes=1-2", "Bytes=1-2", "bytes= 1-2 "])
def test_the_unit_is_read_in_any_case(field: str) -> None:
    assert read_range(field, size=10) == (1, 3)


@given(st.text(max_size=40) | st.from_regex(r"bytes=[0-9,\- ]{0,30}", fullmatch=True), st.integers(0, 2**62))
def test_any_text_is_a_range_inside_the_file_or_none_or_refused(field: str, size: int) -> None:
    try:
        found = read_range(field, size=size)
    except RangeNotSatisfiable:
        return
    if found is not None:
        assert 0 <= found[0] < found[1] <= size


def test_a_part_says_where_it_belongs() -> None:
    assert write_range(0, 1, size=5) == "bytes 0-0/5"
    assert write_unsatisfied(5) == "bytes */5"
