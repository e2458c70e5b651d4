"""Digest fields (RFC 9530)."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.digests import ALGORITHMS, Digest
from uploadstream.core.errors import BadField
from uploadstream.http.digests import NAMES, read_digest, read_wanted, write_digest, write_known

SHA256 = hashlib.sha256(b"hello").digest()
FIELD = f"sha-256=:{base64.b64encode(SHA256).decode()}:"


def test_every_name_is_of_an_algorithm() -> None:
    assert set(NAMES.values()) <= set(ALGORITHMS)


def test_a_digest_is_read_and_written() -> None:
    assert read_digest("Content-Digest", FIELD) == Digest("sha256", SHA256)
    assert write_digest("sha-256", SHA256) == FIELD


def test_the_strongest_of_several_counts() -> None:
    value = f"md5=:{base64.b64encode(b'x' * 16).decode()}:, {FIELD}, unixsum=:AAA=:"
    assert read_digest("Content-Digest", value) == Digest("sha256", SHA256)


@pytest.mark.parametrize("value", [None, "", "unixsum=:AAA=:", "sha3=:AAAA:"])
def test_what_we_do_not_know_is_ignored(value: str | None) -> None:
    assert read_digest("Content-Digest", value) is None


@pytest.mark.parametrize("value", ["sha-256", "sha-256=5", "sha-256=:AAAA:", "sha-256=:", "☃", "sha-256=abc"])
def test_what_cannot_be_checked_is_refused(value: str) -> None:
    with pytest.raises(BadField, match="Repr-Digest"):
        read_digest("Repr-Digest", value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("sha-256=1, sha-512=3", "sha-512"),
        ("sha-256=10, unixsum=9", "sha-256"),
        ("sha-256=0", None),
        ("sha-256=11", None),
        ("sha-256", None),
        ("crc32c=1", "crc32c"),
        ("=", None),
        (None, None),
    ],
)
def test_the_preferred_digest_is_wanted(value: str | None, wanted: str | None) -> None:
    assert read_wanted(value) == wanted


@given(st.text(max_size=60))
def test_no_value_is_too_strange_to_be_read(value: str) -> None:
    read_wanted(value)
    try:
        read_digest("Content-Digest", value)
    except BadField:
        return


def test_what_is_known_of_a_file_is_its_digest() -> None:
    assert write_known(sha256=None, crc32c=0xE3069283) == "crc32c=:4waSgw==:"
    sha256 = hashlib.sha256(b"123456789").hexdigest()
    assert write_known(sha256=sha256, crc32c=0xE3069283) == (
        "sha-256=:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=:, crc32c=:4waSgw==:"
    )
