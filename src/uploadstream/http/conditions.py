"""Conditional requests (RFC 9110, section 13): whether a representation is the one that the client has in mind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

_TAG: Final = r'(?:W/)?"[!#-~\x80-\xff]*"'
_ONE_TAG: Final = re.compile(_TAG)
_TAGS: Final = re.compile(rf"[\t ,]*(?:{_TAG}(?:[\t ]*,[\t ,]*|[\t ]*$))*+")
_DATE: Final = re.compile(
    r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"
    r"|[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}",
    re.ASCII,
)
_ANY: Final = "*"
_WEAK: Final = "W/"


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells a representation from others: a tag, and where that is known a date."""

    tag: str
    modified_at: datetime | None = None

    def has_changed_since(self, at: datetime) -> bool:
        """Whether it was modified after that second; if it is not known when, it was."""
        return self.modified_at is None or self.modified_at.replace(microsecond=0) > at


def judge(fields: Mapping[str, str], validators: Validators) -> HTTPStatus:
    """OK: go on; NOT_MODIFIED; or PRECONDITION_FAILED, of a GET or HEAD, in the order of section 13.2.2.

    `fields`: names in lower case, the lines of a list as one.
    """
    if (wanted := fields.get("if-match")) is not None:
        if not _has(wanted, validators.tag):
            return HTTPStatus.PRECONDITION_FAILED
    elif (since := _read_date(fields.get("if-unmodified-since"))) and validators.has_changed_since(since):
        return HTTPStatus.PRECONDITION_FAILED
    if (known := fields.get("if-none-match")) is not None:
        return HTTPStatus.NOT_MODIFIED if _has(known, validators.tag, weakly=True) else HTTPStatus.OK
    since = _read_date(fields.get("if-modified-since"))
    return HTTPStatus.NOT_MODIFIED if since and not validators.has_changed_since(since) else HTTPStatus.OK


def is_range_meant(if_range: str | None, validators: Validators) -> bool:
    """Whether a Range holds of what there is now (section 13.1.5); a date must be ours to the second."""
    if if_range is None:
        return True
    text = if_range.strip()
    if _ONE_TAG.fullmatch(text):
        return _has(text, validators.tag)
    at = _read_date(text)
    return at is not None and not (validators.has_changed_since(at) or _is_before(validators.modified_at, at))


def _is_before(modified_at: datetime | None, at: datetime) -> bool:
    return modified_at is not None and modified_at.replace(microsecond=0) < at


def _has(value: str, tag: str, *, weakly: bool = False) -> bool:
    """Whether a list of tags names this one (section 8.8.3.2). A list that makes no sense names none."""
    if value.strip() == _ANY:
        return True
    if not _TAGS.fullmatch(value):
        return False
    tags = _ONE_TAG.findall(value)
    if weakly:
        return tag.removeprefix(_WEAK) in {one.removeprefix(_WEAK) for one in tags}
    return tag in tags and not tag.startswith(_WEAK)


def _read_date(value: str | None) -> datetime | None:
    """A date in any of the three forms (section 5.6.7); None if it is none, which is as if the field were not there."""
    if value is None or not _DATE.fullmatch(value.strip()):
        return None
    try:
        return parsedate_to_datetime(value).replace(tzinfo=UTC)
    except ValueError:  # the 30th of February
        return None
