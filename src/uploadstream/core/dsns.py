"""Where a PostgreSQL catalog is, as libpq spells it: what of it may be shown, and what is connected with.

Invariant: nothing that this module gives for people to read has a password in it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SCHEMES: Final = ("postgres", "postgresql")
CONNECT_SECONDS_MAX: Final = 3.0

_HOSTS: Final = re.compile(r"((\[[0-9a-fA-F:.%]+\]|[\w.%-]+)?(:\d{1,5})?(,|$))*", re.ASCII)
# Of libpq's parameters those that are understood here, and those that go to the server as they are.
_KNOWN: Final = frozenset(
    (
        *("host", "port", "dbname", "database", "user", "password", "passfile", "service", "target_session_attrs"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
        *("application_name", "options", "search_path", "connect_timeout"),
    )
)


class BadDsn(ValueError):
    """Nothing can be connected with by it."""


class Dsn:
    """The DSN of a database of PostgreSQL. BadDsn."""

    def __init__(self, text: str) -> None:
        address, _, query = text.partition("?")
        parts = urlsplit(address)
        if parts.scheme not in SCHEMES:
            message = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            raise BadDsn(message)
        user, _, hosts = parts.netloc.rpartition("@")
        if "@" in f"{user}{parts.path}" or parts.fragment or not _HOSTS.fullmatch(hosts):
            message = "in a user or a password, write @ : / ? # and % as %40 %3A %2F %3F %23 and %25"
            raise BadDsn(message)
        self._address: Final = address
        self._query: Final = _parameters(query)
        self.connect_seconds: Final = _seconds(self._query.pop("connect_timeout", ""))
        host = hosts or self._query.get("host", "localhost")
        name = self._query.get("user", "") or user.partition(":")[0]
        database = parts.path.strip("/") or self._query.get("dbname", "") or name
        self.shown: Final = f"postgresql://{name}{'@' if name else ''}{quote(host, safe='/:,[]%')}/{database}"

    def __repr__(self) -> str:
        return f"Dsn({self.shown!r})"

    @property
    def secret(self) -> str:
        """All of it but what stands above: with the password, if there is one in it."""
        return f"{self._address}?{urlencode(self._query)}" if self._query else self._address


def _parameters(query: str) -> dict[str, str]:
    try:
        found = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        message = "what is behind the question mark is no list of NAME=VALUE, with & between them"
        raise BadDsn(message) from None
    for name in found:
        if name not in _KNOWN:
            message = f"{name} is no parameter of a connection that is known here; leave it out"
            raise BadDsn(message)
    return found


def _seconds(text: str) -> float:
    """How long to try to connect; who waits for an answer does not wait for longer."""
    if text and not text.isdecimal():
        message = "connect_timeout must be a number of seconds"
        raise BadDsn(message)
    return min(CONNECT_SECONDS_MAX, float(text)) if text.strip("0") else CONNECT_SECONDS_MAX
