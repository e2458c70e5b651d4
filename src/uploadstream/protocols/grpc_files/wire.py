"""The messages that carry bytes, read and written without protobuf where they have the usual form.

Protobuf copies a chunk on its way in and out, which costs more than all else that is done with it. Here a message that
consists of exactly one chunk is a view of the bytes received; every other one is protobuf's to read.

Invariant: what the short way answers is what protobuf would have answered.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from uploadstream.core.errors import BadField
from uploadstream.proto.fileservice.v1.file_service_pb2 import FileMetadata, UploadFileRequest

# Protocol Buffers, Encoding: a tag is the field's number << 3 | its wire type.
_VARINT, _LENGTH_DELIMITED, _FIXED32 = 0, 2, 5
_CHUNK: Final = 2 << 3 | _LENGTH_DELIMITED  # UploadFileRequest.chunk, and DownloadFileResponse.chunk
_CHECKED_CHUNK: Final = 3 << 3 | _LENGTH_DELIMITED
_DATA: Final = 1 << 3 | _LENGTH_DELIMITED  # CheckedChunk's
_CRC32C: Final = 2 << 3 | _FIXED32
_OFFSET: Final = 3 << 3 | _VARINT

_MORE: Final = 0x80  # the bit of a varint's byte that says another follows
_CRC32C_FIELD: Final = struct.Struct("<BI")
_SHORT_VARINT_BITS: Final = 28  # of four bytes; a longer one is left to protobuf
_LONG_VARINT_BITS: Final = 63  # of nine bytes: every int64 that is not negative


@dataclass(frozen=True, slots=True)
class Checked:
    """A chunk with its checksum and its place."""

    data: bytes | memoryview
    crc32c: int
    offset: int


Sent = memoryview | Checked | FileMetadata
Request = TypeVar("Request", bound=Message)


def read_sent(message: bytes) -> Sent:
    """One message of UploadFile; a chunk is a view of `message`. BadField."""
    tag = message[0] if message else 0
    if tag == _CHUNK:
        start, size = _varint(message, 1, _SHORT_VARINT_BITS)
        if start + size == len(message):
            return memoryview(message)[start:]
    elif tag == _CHECKED_CHUNK:
        start, size = _varint(message, 1, _SHORT_VARINT_BITS)
        if start + size == len(message) and (checked := _read_checked(message, start)) is not None:
            return checked
    return _parse(message)


def _read_checked(message: bytes, at: int) -> Checked | None:
    """The CheckedChunk from `at` to the end, if its fields stand in their order, each once at most."""
    if at == len(message) or message[at] != _DATA:
        return None
    start, size = _varint(message, at + 1, _SHORT_VARINT_BITS)
    at = end = start + size
    crc = offset = 0
    if len(message) - at >= _CRC32C_FIELD.size and message[at] == _CRC32C:
        _, crc = _CRC32C_FIELD.unpack_from(message, at)
        at += _CRC32C_FIELD.size
    if at < len(message) and message[at] == _OFFSET:
        at, offset = _varint(message, at + 1, _LONG_VARINT_BITS)
    return Checked(memoryview(message)[start:end], crc, offset) if at == len(message) else None


def _varint(message: bytes, at: int, bits: int) -> tuple[int, int]:
    """Where the varint at `at` ends, and its value; an end behind every message if it has no end within `bits`."""
    value = 0
    for shift, byte in zip(range(0, bits, 7), message[at : at + bits // 7], strict=False):
        value |= byte % _MORE << shift
        if byte < _MORE:
            return at + shift // 7 + 1, value
    return len(message) + 1, 0


def _parse(message: bytes) -> Sent:
    """What protobuf makes of a message; of several members the last one counts."""
    request = read_request(UploadFileRequest, message)
    match request.WhichOneof("data"):
        case "chunk":
            return memoryview(request.chunk)
        case "checked_chunk":
            checked = request.checked_chunk
            return Checked(checked.data, checked.crc32c, checked.offset)
        case "metadata":
            return request.metadata
        case _:
            raise BadField(field="data", problem="must be metadata, chunk or checked_chunk")


def read_request(kind: type[Request], message: bytes) -> Request:
    """A message of `kind`. BadField if it is no such message."""
    try:
        return kind.FromString(message)
    except DecodeError:
        raise BadField(field="message", problem=f"must be a {kind.DESCRIPTOR.full_name}") from None


def write_chunk(data: bytes) -> bytes:
    """One message of DownloadFile that carries a chunk."""
    header = bytearray((_CHUNK,))
    size = len(data)
    while size >= _MORE:
        header.append(size % _MORE | _MORE)
        size >>= 7
    header.append(size)
    return b"".join((header, data))
