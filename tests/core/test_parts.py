"""A file in several blobs: every range of it is found."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.parts import PARTS_MAX, Part, Span, check_count, may_be_copied, pieces, spans


def test_a_range_over_several_blobs_has_a_span_of_each() -> None:
    parts = [Part("a", 3), Part("b", 4), Part("a", 3)]

    assert list(spans(parts, start=2, stop=8)) == [Span("a", 2, 3), Span("b", 0, 4), Span("a", 0, 1)]


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 3), (5, 2), (7, 9)])
def test_a_range_without_bytes_has_no_span(start: int, stop: int) -> None:
    assert list(spans([Part("a", 3), Part("b", 4)], start=start, stop=stop)) == []


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 30), st.integers(0, 30))
def test_the_spans_of_a_range_are_its_bytes(sizes: list[int], start: int, stop: int) -> None:
    begins = [0, *accumulate(sizes)]
    blobs = {str(number): range(begins[number], begins[number + 1]) for number in range(len(sizes))}
    parts = [Part(key, len(places)) for key, places in blobs.items()]

    found = list(spans(parts, start=start, stop=stop))

    assert [place for span in found for place in blobs[span.key][span.start : span.stop]] == list(
        range(begins[-1])[start:stop]
    )
    assert all(span.start < span.stop for span in found)


def test_a_file_is_cut_into_bounded_pieces() -> None:
    parts = [Part("a", 5), Part("b", 2), Part("a", 5)]

    found = list(pieces(parts, size_max=2))

    assert found == [
        *[Span("a", 0, 2), Span("a", 2, 4), Span("a", 4, 5)],
        Span("b", 0, 2),
        *[Span("a", 0, 2), Span("a", 2, 4), Span("a", 4, 5)],
    ]


@pytest.mark.parametrize(
    ("size", "free", "may"), [(10, None, True), (10, 20, True), (10, 19, False), (0, 0, True), (1, 0, False)]
)
def test_a_copy_leaves_as_much_room_for_uploads(size: int, free: int | None, may: bool) -> None:
    assert may_be_copied(size, free=free) is may


@pytest.mark.parametrize(("count", "refused"), [(0, True), (1, False), (PARTS_MAX, False), (PARTS_MAX + 1, True)])
def test_a_file_has_a_bounded_number_of_parts(count: int, refused: bool) -> None:
    assert (refusal_of(check_count, range(count)) is not None) is refused
