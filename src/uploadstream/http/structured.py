"""Structured fields (RFC 9651), as values; http_sf knows their grammar, this module the types that we want.

A value that breaks the grammar, or is of another type, is as if the field were not there (section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from http_sf import StructuredFieldError, parse, ser

# Parameters of a member: whole numbers or strings.
Members = Mapping[str, int | str]

# What a field may hold before it is parsed: no field of ours has use for more.
LENGTH_MAX: Final = 4096


def joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Fields by lower-case name; several lines of one are one list (RFC 9110, section 5.3), and so no Item."""
    found: dict[str, str] = {}
    for name, value in fields:
        lower = name.lower()
        found[lower] = f"{found[lower]}, {value}" if lower in found else value
    return found


def read_integer(value: str | None) -> int | None:
    """An Item that is a whole number and not negative."""
    item = _item(value)
    return item if type(item) is int and item >= 0 else None  # a Boolean is no Integer here, as it is in Python


def read_boolean(value: str | None) -> bool | None:
    """An Item that is ?1 or ?0."""
    item = _item(value)
    return item if isinstance(item, bool) else None


def read_dictionary(value: str | None) -> dict[str, object] | None:
    """A Dictionary without its members' parameters; of a repeated key the last counts. None: there is none."""
    if value is None or len(value) > LENGTH_MAX:
        return None
    try:
        parsed = parse(value.encode("latin-1"), tltype="dictionary")
    except (StructuredFieldError, UnicodeEncodeError):
        return None
    members = cast("Mapping[str, tuple[object, object]]", parsed)
    return {key: member for key, (member, _) in members.items()}


def write_boolean(value: bool) -> str:  # noqa: FBT001 - the value to write
    """?1 or ?0."""
    return ser(value)


def write_dictionary(members: Mapping[str, int | bytes]) -> str:
    """A Dictionary of whole numbers or byte sequences."""
    return ser(dict(members))


def write_list(members: Mapping[str, Members]) -> str:
    """A List of strings with parameters."""
    return ser(cast("Any", list(members.items())))


def _item(value: str | None) -> object:
    if value is None or len(value) > LENGTH_MAX:
        return None
    try:
        parsed = parse(value.encode("latin-1"), tltype="item")
    except (StructuredFieldError, UnicodeEncodeError):
        return None
    return cast("tuple[object, object]", parsed)[0]
