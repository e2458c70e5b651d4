"""Sizes as people write and read them: `512MiB` in settings, `572.2 MiB` in messages."""

from __future__ import annotations

import re
from typing import Final

UNITS: Final[dict[str, int]] = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
KIB: Final = UNITS["KiB"]
MIB: Final = UNITS["MiB"]
GIB: Final = UNITS["GiB"]

_BY_LOWER: Final = {unit.lower(): factor for unit, factor in UNITS.items()}
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)", re.ASCII)
_STEP: Final = 1024
_EIB: Final = 2**60


def parse_size(text: str) -> int:
    """Bytes meant by `text`, such as `512MiB`, `1.5 GB` or `4096`; ValueError otherwise."""
    match = _SIZE.fullmatch(text.strip())
    factor = _BY_LOWER.get((match[2] or "B").lower()) if match else None
    if match is None or factor is None:
        message = f"{text!r} is not a size; write a number and one of {', '.join(UNITS)}"
        raise ValueError(message)
    whole, _, fraction = match[1].partition(".")
    size = int(whole) * factor + int(fraction or 0) * factor // int(10 ** len(fraction))
    if size >= _EIB:
        message = f"{text!r} is too large a size"
        raise ValueError(message)
    return size


def iec(size: int) -> str:
    """`size` in the largest IEC unit that keeps it at 1 or above, with at most one decimal."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        # what would print as 1024.0 belongs to the next unit
        if round(value, 1) < _STEP:
            break
        value, unit = value / _STEP, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def iec_apart(one: int, other: int) -> tuple[str, str]:
    """Two sizes that are to be compared by eye: rounded, but where rounding would make them the same, in bytes."""
    shown = iec(one), iec(other)
    return (f"{one} B", f"{other} B") if shown[0] == shown[1] and one != other else shown


def spelled_size(size: int) -> str:
    """`size` as a setting would be written, to the byte: in the unit that leaves the smallest whole number."""
    factor, unit = max((factor, unit) for unit, factor in UNITS.items() if size % factor == 0)
    return f"{size // factor}{unit}"
