"""Checksums: how they are computed, spelled, joined and compared.

crc32c (RFC 3720, appendix B.4) runs over every byte on its way in: it costs 0.04 CPU seconds a GB, where SHA-256
costs 0.55. Others are computed over a body whose sender asks for it.
"""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from crc32c import crc32c as _crc32c

from uploadstream.core.errors import BadField, ChecksumMismatch
from uploadstream.core.wording import shortened

Bytes = bytes | bytearray | memoryview

# The polynomial of crc32c, its bits in the order in which they are sent (the highest power in bit 0).
_POLYNOMIAL: Final = 0x82F63B78
_ONE: Final = 0x80000000  # the polynomial 1, in that order


class Sum(Protocol):
    """A checksum that grows with what it is fed; those of hashlib are such."""

    def update(self, data: Bytes, /) -> None:
        """Feed `data`."""
        ...

    def digest(self) -> bytes:
        """The checksum of all that was fed."""
        ...


class _Crc:
    """A cyclic redundancy check as a Sum; its digest has the highest byte first."""

    def __init__(self, add: Callable[[Bytes, int], int]) -> None:
        self._add = add
        self._crc = 0

    def update(self, data: Bytes, /) -> None:
        self._crc = self._add(data, self._crc)

    def digest(self) -> bytes:
        return self._crc.to_bytes(4, "big")


# By the names that tus has for them. MD5 is here against accidents on the way, which is all a sender can ask for.
ALGORITHMS: Final[Mapping[str, Callable[[], Sum]]] = MappingProxyType(
    {
        "sha1": lambda: hashlib.sha1(usedforsecurity=False),
        "sha256": hashlib.sha256,
        "sha512": hashlib.sha512,
        "md5": lambda: hashlib.md5(usedforsecurity=False),
        "crc32": lambda: _Crc(zlib.crc32),
        "crc32c": lambda: _Crc(_crc32c),
    }
)
_SIZES: Final = {name: len(new().digest()) for name, new in ALGORITHMS.items()}


@dataclass(frozen=True, slots=True)
class Digest:
    """What the sender of a body says its checksum is."""

    algorithm: str
    expected: bytes


class Sums:
    """The running checksums of one body, by some algorithms."""

    def __init__(self, algorithms: Collection[str]) -> None:
        self._sums = {name: ALGORITHMS[name]() for name in algorithms}

    def update(self, data: Bytes) -> None:
        """Feed `data` to all of them."""
        for one in self._sums.values():
            one.update(data)

    def digest(self, algorithm: str) -> bytes:
        """The checksum by that one of them."""
        return self._sums[algorithm].digest()

    def check(self, digest: Digest, *, at: int) -> None:
        """Raise ChecksumMismatch unless the body, which belongs at `at`, has the checksum its sender declared."""
        check_computed(self.digest(digest.algorithm), digest, at=at)


def check_computed(computed: bytes, digest: Digest, *, at: int) -> None:
    """Raise ChecksumMismatch unless the bytes from `at` on have the checksum that was declared."""
    if computed != digest.expected:
        raise ChecksumMismatch(
            at=at, algorithm=digest.algorithm, computed=computed.hex(), declared=digest.expected.hex()
        )


def check_digest(digest: Digest, *, field: str) -> Digest:
    """`digest`, if it can be the checksum of anything. BadField."""
    if digest.algorithm not in ALGORITHMS:
        said = ascii(shortened(digest.algorithm))
        raise BadField(field, f"must be by one of {', '.join(ALGORITHMS)}, is by {said}")
    size = _SIZES[digest.algorithm]
    if len(digest.expected) != size:
        raise BadField(field, f"must have {size} bytes for {digest.algorithm}, has {len(digest.expected)}")
    return digest


def crc32c(data: Bytes, crc: int = 0) -> int:
    """The checksum of what `crc` is the checksum of, followed by `data`; takes any buffer without a copy."""
    return _crc32c(data, crc)


def crc32c_joined(first: int, second: int, *, size: int) -> int:
    """The checksum of what `first` is the checksum of, followed by `size` bytes that have the checksum `second`.

    A crc is a remainder modulo the polynomial, so that appending n bytes multiplies it by x^8n: that takes as many
    steps as n has binary digits, and none of the bytes.
    """
    return _times(first, _power(8 * size)) ^ second


def _times(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), modulo the one of crc32c."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _power(exponent: int) -> int:
    """x to the `exponent`."""
    power = _ONE
    for place, bit in enumerate(reversed(f"{exponent:b}")):
        if bit == "1":
            power = _times(power, _square(place))
    return power


@functools.cache
def _square(times: int) -> int:
    """x, squared so many times; an exponent has fewer than 70 binary digits."""
    return _times(_square(times - 1), _square(times - 1)) if times else _ONE >> 1


def spelled(crc: int) -> str:
    """A crc32c as eight hexadecimal digits, the spelling of the REST API and of messages."""
    return f"{crc:08x}"


def check_crc32c(data: Bytes, declared: int, *, at: int) -> None:
    """Raise unless the chunk `data`, which belongs at `at`, has the checksum its sender declared."""
    computed = crc32c(data)
    if computed != declared:
        raise ChecksumMismatch(at=at, algorithm="crc32c", computed=spelled(computed), declared=spelled(declared))
