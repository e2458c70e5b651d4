"""Sizes are written as people write them, and read back as what was meant."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uploadstream.core.sizes import GIB, KIB, MIB, UNITS, iec, iec_apart, parse_size, spelled_size

TIB = 1024 * GIB
EIB = 1024 * 1024 * TIB


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (KIB, "1 KiB"),
        (1536, "1.5 KiB"),
        (4 * MIB, "4 MiB"),
        (512 * MIB, "512 MiB"),
        (600 * MIB, "600 MiB"),
        (600_000_000, "572.2 MiB"),
        (MIB - 1, "1 MiB"),
        (GIB - 1, "1 GiB"),
        (3 * TIB, "3 TiB"),
        (5000 * TIB, "5000 TiB"),
    ],
)
def test_a_size_is_printed_in_iec_units_with_at_most_one_decimal(size: int, text: str) -> None:
    assert iec(size) == text


@pytest.mark.parametrize(
    ("one", "other", "texts"),
    [
        (600 * MIB, 512 * MIB, ("600 MiB", "512 MiB")),
        (512 * MIB + 1, 512 * MIB, ("536870913 B", "536870912 B")),
        (512 * MIB, 512 * MIB, ("512 MiB", "512 MiB")),
        (1, 0, ("1 B", "0 B")),
    ],
)
def test_two_sizes_that_differ_never_look_the_same(one: int, other: int, texts: tuple[str, str]) -> None:
    assert iec_apart(one, other) == texts


@given(st.integers(0, 2**63 - 1))
@example(1023 * KIB + 975)
@example(MIB - 52)
def test_a_printed_size_reads_back_as_nearly_the_same(size: int) -> None:
    text = iec(size)

    if size < EIB // 2:
        assert parse_size(text) == pytest.approx(size, rel=0.051, abs=0)
    assert re.fullmatch(r"\d+(\.[1-9])? (B|[KMGT]iB)", text)
    assert text.endswith("TiB") or float(text.split()[0]) < 1024


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_larger_size_never_prints_smaller(one: int, other: int) -> None:
    small, large = sorted((one, other))

    assert parse_size(iec(small)) <= parse_size(iec(large))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("512MiB", 512 * MIB),
        ("512 MiB", 512 * MIB),
        (" 1.5 GB ", 1_500_000_000),
        ("4mib", 4 * MIB),
        ("1kb", 1000),
        ("1B", 1),
        ("0.5KiB", 512),
        ("1.000001MB", 1_000_001),
        ("2TiB", 2 * TIB),
        ("1TB", 10**12),
    ],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@given(st.integers(0, 2**20), st.sampled_from(sorted(UNITS)))
def test_a_whole_number_of_any_unit_is_read_exactly(count: int, unit: str) -> None:
    if count * UNITS[unit] < EIB:
        assert parse_size(f"{count}{unit}") == parse_size(f"{count} {unit.lower()}") == count * UNITS[unit]


@pytest.mark.parametrize(
    "text",
    ["", " ", "MiB", "-1", "+1", "1.", ".5", "1e3", "1 M iB", "12 parsecs", "1MiB2", "\u0661MiB", "1,5GB", "0x10"],
)
def test_what_is_no_size_is_refused_with_the_units_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write a number and one of B, KB, MB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["1048576TiB", "999999999999999TiB"])
def test_a_size_that_no_disk_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is too large a size"):
        parse_size(text)


@given(st.text(max_size=24))
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    try:
        size = parse_size(text)
    except ValueError:
        return
    assert 0 <= size < EIB


@pytest.mark.parametrize(
    ("size", "text"),
    [(50_000_000, "50MB"), (2**30, "1GiB"), (1536, "1536B"), (3 * 2**20, "3MiB"), (1, "1B"), (10**12, "1TB")],
)
def test_a_size_is_spelled_to_the_byte_as_a_setting_has_it(size: int, text: str) -> None:
    assert spelled_size(size) == text
    assert parse_size(text) == size
