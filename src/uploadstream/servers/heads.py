"""What a request's head says of where the request goes and how long its body is, or why it cannot be trusted.

Invariant: a head that two readers could read in two ways is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from uploadstream.http.fields import is_host
from uploadstream.http.targets import origin_form

Fields = Sequence[tuple[bytes, bytes]]


class Unparsable(Exception):
    """Raised through the parser, which is not to go on: answered with `status`."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """The path and query that are asked for, and the length of the body, None for chunks."""

    target: bytes
    length: int | None


def read_head(version: str, method: bytes, target: bytes, fields: Fields) -> Head:
    """A head whose lines the parser has read; names in lower case. Unparsable."""
    if version not in {"1.0", "1.1"}:
        raise Unparsable(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    hosts = [value for name, value in fields if name == b"host"]
    path = origin_form(target, hosts[0] if hosts else None, method=method)
    if path is None or not is_host(hosts, version=version):
        raise Unparsable(HTTPStatus.BAD_REQUEST)
    return Head(path, _read_length(version, fields))


def _read_length(version: str, fields: Fields) -> int | None:
    """How long the body is, None for chunks; the parser has refused lengths that contradict each other."""
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings:
        if version == "1.0":
            raise Unparsable(HTTPStatus.BAD_REQUEST)  # it has none, and somebody before us may have known that
        if codings != [b"chunked"]:
            raise Unparsable(HTTPStatus.NOT_IMPLEMENTED)  # RFC 9112, section 6.1
        return None
    return int(dict(fields).get(b"content-length", 0))
