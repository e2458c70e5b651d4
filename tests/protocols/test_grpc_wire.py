"""The short way through messages answers what protobuf answers, whatever the bytes."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.errors import BadField
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.grpc_files.wire import Checked, read_request, read_sent, write_chunk

DATA = st.binary(max_size=300)
UINT32 = st.integers(0, 2**32 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


def varint(value: int, *, length: int = 0) -> bytes:
    """`value` as a varint, with needless bytes up to `length`."""
    written = bytearray()
    while value >= 0x80 or len(written) + 1 < length:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def field(number: int, content: bytes, *, length: int = 0) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content), length=length) + content


PADDING = st.integers(0, 6)
UNKNOWN = st.one_of(
    st.builds(lambda number, value: bytes([number << 3]) + varint(value), st.integers(4, 15), st.integers(0, 2**63)),
    st.builds(field, st.integers(4, 15), DATA),
)
CHECKED_FIELDS = st.one_of(
    st.builds(lambda data, length: field(1, data, length=length), DATA, PADDING),
    st.builds(lambda crc: b"\x15" + crc.to_bytes(4, "little"), UINT32),
    st.builds(
        lambda offset, length: b"\x18" + varint(offset % 2**64, length=length),
        INT64,
        st.integers(0, 11),
    ),
    UNKNOWN,
)
CHECKED_INNER = st.one_of(
    st.builds(
        lambda data, crc, offset: pb.CheckedChunk(data=data, crc32c=crc, offset=offset).SerializeToString(),
        DATA,
        UINT32,
        INT64,
    ),
    st.lists(CHECKED_FIELDS, max_size=4).map(b"".join),
    DATA,
)
METADATA_INNER = st.builds(
    lambda name, size: pb.FileMetadata(filename=name, size=size).SerializeToString(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    INT64,
)
MEMBERS = st.one_of(
    st.builds(lambda data, length: field(2, data, length=length), DATA, PADDING),
    st.builds(lambda inner, length: field(3, inner, length=length), CHECKED_INNER, PADDING),
    st.builds(lambda inner: field(1, inner), METADATA_INNER),
    UNKNOWN,
)
WHOLE = st.lists(MEMBERS, max_size=3).map(b"".join)
MESSAGES = st.one_of(
    MEMBERS,
    WHOLE,
    st.builds(lambda message, cut: message[: len(message) - cut], WHOLE, st.integers(1, 9)),
    st.builds(lambda message, more: message + more, WHOLE, st.binary(max_size=4)),
    st.builds(lambda tag, rest: tag + rest, st.sampled_from([b"\x12", b"\x1a", b"\x1a\x05\x0a"]), DATA),
    DATA,
)


def understood(message: bytes) -> object:
    """What read_sent makes of a message, in a form that can be compared."""
    try:
        sent = read_sent(message)
    except BadField:
        return "bad"
    match sent:
        case Checked(data, crc32c, offset):
            return ("checked_chunk", bytes(data), crc32c, offset)
        case memoryview():
            return ("chunk", bytes(sent))
        case _:
            return ("metadata", sent.SerializeToString(deterministic=True))


def understood_by_protobuf(message: bytes) -> object:
    """The same by protobuf alone."""
    try:
        request = pb.UploadFileRequest.FromString(message)
    except DecodeError:
        return "bad"
    match request.WhichOneof("data"):
        case "chunk":
            return ("chunk", request.chunk)
        case "checked_chunk":
            checked = request.checked_chunk
            return ("checked_chunk", checked.data, checked.crc32c, checked.offset)
        case "metadata":
            return ("metadata", request.metadata.SerializeToString(deterministic=True))
        case _:
            return "bad"


@given(MESSAGES)
def test_every_message_is_understood_as_protobuf_understands_it(message: bytes) -> None:
    assert understood(message) == understood_by_protobuf(message)


@given(DATA)
def test_a_chunk_comes_without_a_copy(data: bytes) -> None:
    message = pb.UploadFileRequest(chunk=data).SerializeToString()

    sent = read_sent(message)

    assert isinstance(sent, memoryview)
    assert sent.obj is message
    assert sent == data


@given(DATA, UINT32, st.integers(0, 2**63 - 1))
def test_a_checked_chunk_comes_without_a_copy(data: bytes, crc: int, offset: int) -> None:
    checked = pb.CheckedChunk(data=data, crc32c=crc, offset=offset)
    message = pb.UploadFileRequest(checked_chunk=checked).SerializeToString()

    sent = read_sent(message)

    assert sent == Checked(data, crc, offset)
    assert not data or (isinstance(sent, Checked) and isinstance(sent.data, memoryview) and sent.data.obj is message)


def test_the_last_of_several_members_counts() -> None:
    chunk = pb.UploadFileRequest(chunk=b"first").SerializeToString()
    metadata = pb.UploadFileRequest(metadata=pb.FileMetadata(filename="a")).SerializeToString()

    assert read_sent(chunk + metadata) == pb.FileMetadata(filename="a")
    assert read_sent(metadata + chunk) == b"first"
    assert read_sent(chunk + pb.UploadFileRequest(chunk=b"second").SerializeToString()) == b"second"


@pytest.mark.parametrize(
    "inner",
    [
        b"",
        b"\x15\x01\x00\x00\x00\x0a\x01a",  # the checksum first
        b"\x0a\x01a\x0a\x01b",  # data twice
        b"\x0a\x01a\x15\x01\x00\x00",  # half a checksum
        b"\x0a\x09a",  # more data than there is
        b"\x0a\x01a\x18\x80",  # an offset without an end
        b"\x0a\x01a\x18" + varint(2**64 - 1),  # a negative offset
    ],
)
def test_a_checked_chunk_of_another_form_is_left_to_protobuf(inner: bytes) -> None:
    message = field(3, inner)

    assert understood(message) == understood_by_protobuf(message)


def test_a_chunk_of_many_megabytes_comes_as_it_is() -> None:
    data = bytes(20 * 2**20)

    assert read_sent(pb.UploadFileRequest(chunk=data).SerializeToString()) == data


@pytest.mark.parametrize("message", [b"", b"\xff", b"\x12", b"\x12\x05abc", b"\x22\x01a", b"\x0a\x03\x0a\x01\xff"])
def test_what_is_no_message_of_the_stream_is_refused(message: bytes) -> None:
    with pytest.raises(BadField):
        read_sent(message)


def test_what_is_no_message_of_its_kind_is_refused_by_its_name() -> None:
    with pytest.raises(BadField, match=r"message: must be a fileservice\.v1\.ListFilesRequest"):
        read_request(pb.ListFilesRequest, b"\xff")


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2**18, 2**21 - 1, 2**21])
def test_a_chunk_is_written_as_protobuf_writes_it(size: int) -> None:
    data = bytes(size)

    assert write_chunk(data) == pb.DownloadFileResponse(chunk=data).SerializeToString()
