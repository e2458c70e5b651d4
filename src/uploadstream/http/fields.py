"""The grammars of HTTP field values that several protocols read or write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from email.message import Message
from email.utils import collapse_rfc2231_value, format_datetime
from typing import Final
from urllib.parse import quote

from uploadstream.core import type_names
from uploadstream.core.checks import together
from uploadstream.core.errors import BadField
from uploadstream.core.wording import shortened

# Larger than any file, small enough for every database and language on the way.
COUNT_MAX: Final = 2**63 - 1
_DIGITS: Final = re.compile(r"\d{1,19}", re.ASCII)
# What is said once a request: of two lines, whoever stands between us and the client may have believed the other
# (RFC 9110, section 5.3; of equal lengths, section 8.6 lets a server choose).
SINGLE: Final = {
    name.lower(): name
    for name in (
        *("Authorization", "Content-Length", "Content-Type", "Host", "Range", "X-Api-Key", "X-User-Id"),
        *("Tus-Resumable", "Upload-Defer-Length", "Upload-Length", "Upload-Metadata", "Upload-Offset"),
        *("Upload-Checksum", "Upload-Concat"),
        "Upload-Name",
        "X-HTTP-Method-Override",
    )
}
# RFC 3986, section 3.2.2, and a port; empty for a target without an authority (RFC 9112, section 3.2).
_HOST: Final = re.compile(rb"(?:\[[0-9A-Za-z:.~_-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d*)?")
DISPOSITION_LENGTH_MAX: Final = 4096
_ASCII_NAME: Final = re.compile(r"[A-Za-z0-9._~-][A-Za-z0-9._~ -]*", re.ASCII)
_NO_ASCII_NAME: Final = re.compile(r"[^A-Za-z0-9._~-]", re.ASCII)


def check_single(fields: Iterable[tuple[str, str]]) -> None:
    """Raise BadField if a field that says one thing (SINGLE) is there twice, be it in the same words."""
    counts = Counter(name.lower() for name, _ in fields)
    bad = [
        BadField(name, f"must be there once, is there {counts[lower]} times")
        for lower, name in SINGLE.items()
        if counts[lower] > 1
    ]
    if bad:
        raise together(bad)


def is_host(values: list[bytes], *, version: str) -> bool:
    """Whether these values of Host are what a request of this HTTP version may have (RFC 9112, section 3.2)."""
    if not values:
        return version == "1.0"
    return len(values) == 1 and _HOST.fullmatch(values[0]) is not None


def read_count(name: str, value: str | None) -> int | None:
    """A non-negative integer field (no sign, space or fraction; up to 2^63 - 1), None if it is absent. BadField."""
    if value is None:
        return None
    if not _DIGITS.fullmatch(value) or int(value) > COUNT_MAX:
        raise BadField(field=name, problem=f"must be a whole number from 0 to {COUNT_MAX}, is {shown(value)}")
    return int(value)


def read_text(value: str) -> str:
    """A field's text: UTF-8 if its bytes are that, else Latin-1 (RFC 9110, section 5.5), as ASGI servers hand it on."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def shown(value: str) -> str:
    """A client's text, short and printable, for a message."""
    return ascii(shortened(value))


def http_date(at: datetime) -> str:
    """`at` as RFC 9110, section 5.6.7 wants it."""
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)


def essence(content_type: str | None) -> str:
    """A media type without parameters, in lower case; empty if none is said."""
    return type_names.essence(content_type or "")


def disposition(filename: str, *, inline: bool = False) -> str:
    """Content-Disposition that saves, or shows, a file under its name (RFC 6266, RFC 8187).

    Any letters are in `filename*`; who does not know that finds a name without them (curl does not).
    """
    how = "inline" if inline else "attachment"
    if _ASCII_NAME.fullmatch(filename):
        return f'{how}; filename="{filename}"'
    return f"{how}; filename=\"{_NO_ASCII_NAME.sub('_', filename)}\"; filename*=UTF-8''{quote(filename, safe='')}"


def read_filename(disposition: str | None) -> str:
    """The file's name in a Content-Disposition; "" if there is none. BadField.

    The extended spelling counts where both are there (RFC 6266, section 4.3); what may be a name is the core's to say.
    """
    if disposition is None:
        return ""
    if len(disposition) > DISPOSITION_LENGTH_MAX:
        problem = f"must be up to {DISPOSITION_LENGTH_MAX} bytes, has {len(disposition)}"
        raise BadField("Content-Disposition", problem)
    message = Message()
    message["Content-Disposition"] = read_text(disposition)
    # RFC 2231, which RFC 8187 is a profile of: an extended value comes as a tuple, the name without its asterisk
    found = [value for name, value in message.get_params([], "Content-Disposition") if name.lower() == "filename"]
    found.sort(key=lambda value: isinstance(value, str))
    return collapse_rfc2231_value(found[0], errors="replace") if found else ""
