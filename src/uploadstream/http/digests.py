"""Digest fields (RFC 9530): of a request's content, of a whole file, and which of them is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from uploadstream.core.digests import Digest, check_digest
from uploadstream.core.errors import BadField
from uploadstream.http.structured import read_dictionary, write_dictionary

# Their names in fields, the strongest first, and ours (section 5; what is not here is ignored).
NAMES: Final[Mapping[str, str]] = {
    "sha-512": "sha512",
    "sha-256": "sha256",
    "sha": "sha1",
    "md5": "md5",
    "crc32c": "crc32c",
}
_PREFERENCE_MAX: Final = 10


def read_digest(name: str, value: str | None) -> Digest | None:
    """The strongest digest that we know in Content-Digest or Repr-Digest. BadField if it could not be checked."""
    if value is None:
        return None
    members = read_dictionary(value)
    if members is None:
        raise BadField(name, "must be a dictionary such as sha-256=:…:")
    for spelling, algorithm in NAMES.items():
        if spelling in members:
            expected = members[spelling]
            if not isinstance(expected, bytes):
                raise BadField(name, f"must have bytes between colons for {spelling}")
            return check_digest(Digest(algorithm, expected), field=name)
    return None


def read_wanted(value: str | None) -> str | None:
    """The spelling of the digest in Want-Repr-Digest that is preferred among those we know (section 4)."""
    wanted = {
        name: weight
        for name, weight in (read_dictionary(value) or {}).items()
        if name in NAMES and type(weight) is int and 1 <= weight <= _PREFERENCE_MAX
    }
    return max(wanted, key=wanted.__getitem__, default=None)


def write_digest(spelling: str, digest: bytes) -> str:
    """The value of Content-Digest or Repr-Digest."""
    return write_dictionary({spelling: digest})


def write_known(*, sha256: str | None, crc32c: int) -> str:
    """Repr-Digest with everything that is known of a whole file (RFC 9530): `sha256` in hexadecimal digits.

    IANA's registry has crc32c as deprecated, which is to say no help against who makes collisions: it is there to find
    bits that changed on the way. Its four bytes are in network order.
    """
    known: dict[str, bytes] = {} if sha256 is None else {"sha-256": bytes.fromhex(sha256)}
    known["crc32c"] = crc32c.to_bytes(4)
    return write_dictionary(known)
