"""crc32c as in RFC 3720, over any buffer, in pieces or whole."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.digests import (
    ALGORITHMS,
    Digest,
    Sums,
    check_crc32c,
    check_digest,
    crc32c,
    crc32c_joined,
    spelled,
)
from uploadstream.core.errors import ChecksumMismatch

# RFC 3720, appendix B.4; the bytes of each CRC there are in the order of the wire, the lowest first
ISCSI_READ = bytes.fromhex(
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)
VECTORS = [
    pytest.param(bytes(32), "aa36918a", id="32 bytes of zeroes"),
    pytest.param(b"\xff" * 32, "43aba862", id="32 bytes of ones"),
    pytest.param(bytes(range(32)), "4e79dd46", id="32 bytes counting up"),
    pytest.param(bytes(range(31, -1, -1)), "5cdb3f11", id="32 bytes counting down"),
    pytest.param(ISCSI_READ, "563a96d9", id="an iSCSI read command"),
]


@pytest.mark.parametrize(("data", "on_the_wire"), VECTORS)
def test_the_vectors_of_rfc_3720(data: bytes, on_the_wire: str) -> None:
    assert crc32c(data) == int.from_bytes(bytes.fromhex(on_the_wire), "little")


def test_the_check_value_of_the_algorithm() -> None:
    assert spelled(crc32c(b"123456789")) == "e3069283"


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_a_checksum_goes_on_from_piece_to_piece(pieces: list[bytes]) -> None:
    crc = 0
    for piece in pieces:
        crc = crc32c(piece, crc)

    assert crc == crc32c(b"".join(pieces))


@pytest.mark.parametrize("buffer", [bytes, bytearray, lambda data: memoryview(bytearray(data))[:]])
def test_any_buffer_is_taken(buffer: type) -> None:
    assert crc32c(buffer(b"123456789")) == 0xE3069283


def test_a_checksum_is_spelled_as_eight_digits() -> None:
    assert spelled(0) == "00000000"
    assert spelled(0x1A2B3C) == "001a2b3c"


def test_a_chunk_with_the_checksum_its_sender_declared_passes() -> None:
    check_crc32c(b"123456789", 0xE3069283, at=0)


def test_a_chunk_that_changed_on_its_way_is_refused_with_both_checksums() -> None:
    with pytest.raises(ChecksumMismatch, match=r"^Chunk at 8192: crc32c is e3069283, declared 00000000$"):
        check_crc32c(b"123456789", 0, at=8192)


# Joined: what two neighbours have together, without their bytes


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_checksums_of_neighbours_give_that_of_both(first: bytes, second: bytes) -> None:
    assert crc32c_joined(crc32c(first), crc32c(second), size=len(second)) == crc32c(first + second)


@given(st.lists(st.binary(max_size=100), max_size=8))
def test_checksums_are_joined_one_after_the_other(pieces: list[bytes]) -> None:
    crc = 0
    for piece in pieces:
        crc = crc32c_joined(crc, crc32c(piece), size=len(piece))

    assert crc == crc32c(b"".join(pieces))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**62), st.integers(0, 2**62))
def test_it_does_not_matter_how_many_zeroes_are_joined_at_once(first: int, second: int, one: int, two: int) -> None:
    zeroes = {size: crc32c_joined(0, 0, size=size) for size in (one, two)}
    by_two = crc32c_joined(crc32c_joined(first, zeroes[one], size=one), second, size=two)

    assert by_two == crc32c_joined(first, crc32c_joined(zeroes[one], second, size=two), size=one + two)


def test_a_large_neighbour_is_joined_as_a_small_one() -> None:
    large = bytes(range(256)) * 40_000

    assert crc32c_joined(crc32c(b"head"), crc32c(large), size=len(large)) == crc32c(b"head" + large)


# Given by a sender

KNOWN = {
    "sha1": hashlib.sha1(b"abc", usedforsecurity=False).digest(),
    "sha256": hashlib.sha256(b"abc").digest(),
    "sha512": hashlib.sha512(b"abc").digest(),
    "md5": hashlib.md5(b"abc", usedforsecurity=False).digest(),
    "crc32": zlib.crc32(b"abc").to_bytes(4, "big"),
    "crc32c": bytes.fromhex("364b3fb7"),
}


def test_t21_every_algorithm_is_known_by_a_name_without_uppercase() -> None:
    assert set(ALGORITHMS) == set(KNOWN)
    assert all(name.isascii() and name == name.lower() for name in ALGORITHMS)


@pytest.mark.parametrize("algorithm", list(KNOWN))
def test_a_body_with_the_checksum_its_sender_gave_passes(algorithm: str) -> None:
    sums = Sums([algorithm])
    for piece in (b"a", bytearray(b"b"), memoryview(b"-c-")[1:2]):
        sums.update(piece)

    sums.check(check_digest(Digest(algorithm, KNOWN[algorithm]), field="checksum"), at=0)


@pytest.mark.parametrize("algorithm", list(KNOWN))
def test_a_body_that_changed_on_its_way_is_refused(algorithm: str) -> None:
    sums = Sums(ALGORITHMS)
    sums.update(b"abd")

    with pytest.raises(ChecksumMismatch) as caught:
        sums.check(Digest(algorithm, KNOWN[algorithm]), at=7)

    assert (caught.value.at, caught.value.declared) == (7, KNOWN[algorithm].hex())


@pytest.mark.parametrize(
    ("digest", "problem"),
    [
        (Digest("sha3", b"x"), "must be by one of sha1, sha256, sha512, md5, crc32, crc32c, is by 'sha3'"),
        (Digest("SHA1", KNOWN["sha1"]), "must be by one of sha1, sha256, sha512, md5, crc32, crc32c, is by 'SHA1'"),
        (Digest("sha1", b"x"), "must have 20 bytes for sha1, has 1"),
        (Digest("crc32c", b""), "must have 4 bytes for crc32c, has 0"),
    ],
)
def test_what_can_be_no_checksum_is_refused(digest: Digest, problem: str) -> None:
    assert str(refusal_of(check_digest, digest, field="checksum")) == f"checksum: {problem}"
