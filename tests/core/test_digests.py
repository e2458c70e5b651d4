"""crc32c as in RFC 3720, over any buffer, in pieces or whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.digests import check_crc32c, crc32c, spelled
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
