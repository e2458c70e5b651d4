"""The fields behind a chunked body, for protocols that take some of them.

They are kept apart from those of the head (RFC 9110, section 6.5.1): a request is never understood otherwise than it
was before its body came. Where the extension `uploadstream.trailers` is not offered, there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from uploadstream.http import pour

EXTENSION: Final = "uploadstream.trailers"

# What would change where a message or its connection ends: a parser on the way may have believed it.
_FRAMING: Final = frozenset([b"connection", b"content-length", b"keep-alive", b"transfer-encoding", b"upgrade"])
# What says where a message ends, where it goes, who sends it, under which conditions or what its bytes mean was to be
# said before the body. A field of these names, or that begins so, does not exist behind one.
_TOO_LATE: Final = frozenset(
    [
        *(
            "connection",
            "content-length",
            "expect",
            "host",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ),
        *("cache-control", "forwarded", "max-forwards", "origin", "pragma", "prefer", "range", "referer", "via"),
        *("authorization", "cookie", "cookie2", "set-cookie", "set-cookie2", "www-authenticate"),
        *("content-disposition", "content-encoding", "content-range", "content-type", "tus-resumable"),
        *("api-key", "x-api-key", "x-http-method", "x-http-method-override", "x-method-override", "x-user-id"),
    ]
)
_TOO_LATE_PREFIXES: Final = ("access-control-", "if-", "proxy-", "sec-", "x-forwarded-", "x-real-")


def is_framing(name: bytes) -> bool:
    """Whether a field behind a body makes the whole request one that cannot be trusted."""
    return name.lower() in _FRAMING


def read_trailers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Fields by lower-case name without those that come too late; of several lines one value (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
        if name not in _TOO_LATE and not name.startswith(_TOO_LATE_PREFIXES):
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def trailers_of(scope: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The fields behind the body, once that has been read to its end; None where none can come."""
    found: Mapping[str, str] | None = (scope.get("extensions") or {}).get(EXTENSION)
    return found


def is_announced(name: str, head: Mapping[str, str]) -> bool:
    """Whether a head says that a field is to come behind the body (RFC 9110, section 6.6.2)."""
    return name.lower() in {one.strip().lower() for one in head.get("trailer", "").split(",")}


def announced(name: str, scope: Mapping[str, Any], head: Mapping[str, str]) -> Mapping[str, str] | None:
    """The same, if the head says that `name` is to come there, and does not have it itself."""
    return trailers_of(scope) if is_announced(name, head) and name.lower() not in head else None


def are_given(scope: Mapping[str, Any]) -> bool:
    """Whether the server gives the fields behind chunked bodies, be this request's one or not: ours does."""
    return not {EXTENSION, pour.EXTENSION}.isdisjoint(scope.get("extensions") or {})
