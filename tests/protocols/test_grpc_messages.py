"""What messages say is read into the engine's values, and those are written into messages."""

from datetime import UTC, datetime

import pytest

from tests.core.refusals import refusal_of
from uploadstream.core.access import Caller, Credentials, Identity
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import (
    BadField,
    ChecksumMismatch,
    ChunkTooLarge,
    MissingMetadata,
    OffsetMismatch,
    RangeNotSatisfiable,
)
from uploadstream.core.files import File, ProcessingStatus
from uploadstream.core.session import Declared, Session
from uploadstream.engine.uploads import Uploaded
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.grpc_files import messages
from uploadstream.protocols.grpc_files.messages import Peer
from uploadstream.protocols.grpc_files.wire import Checked

AT = datetime(2026, 1, 31, 12, 30, 15, 123456, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)
FILE = File("5f0c", "ann", "a.txt", 5, "text/plain; charset=utf-8", "text/plain", 0x1A2B3C4D, AT, "tus")
SESSION = Session("5f0c", Declared("ann", "a.txt", "text/plain", 10), 100, "tus", AT, AT, offset=4)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:41000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:41000", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:41000", "fe80::1%eth0"),
        ("unix:", ""),
        ("unix:/run/client.sock", "/run/client.sock"),
    ],
)
def test_a_caller_comes_from_an_address_without_its_port(peer: str, address: str) -> None:
    assert messages.read_caller(Peer(peer), "ann") == Caller("ann", "grpc", address)


def test_a_user_is_text_of_at_most_128_characters() -> None:
    assert messages.read_caller(Peer("unix:"), "ü" * 128).user_id == "ü" * 128
    assert isinstance(refusal_of(messages.read_caller, Peer("unix:"), "a" * 129), BadField)


def test_a_user_that_was_found_out_goes_before_what_a_message_says() -> None:
    ann = Identity("ann")

    assert messages.read_caller(Peer("unix:", ann), "bob") == Caller("ann", "grpc", "", ann)


@pytest.mark.parametrize(
    ("metadata", "credentials"),
    [
        ([], Credentials()),
        ([("authorization", "Bearer abc")], Credentials(bearer="abc")),
        ([("authorization", "Basic abc"), ("api-key", "def")], Credentials(api_key="def")),
        ([("x-api-key", "def"), ("user-agent", "x")], Credentials(api_key="def")),
    ],
)
def test_credentials_are_metadata(metadata: list[tuple[str, str | bytes]], credentials: Credentials) -> None:
    assert messages.read_credentials(metadata) == credentials


@pytest.mark.parametrize(
    ("connection", "name"),
    [
        ({"transport_security_type": [b"ssl"]}, ""),
        ({"x509_common_name": [b"ann"], "x509_uri": [b"spiffe://x/bob"]}, "ann"),
        ({"x509_common_name": [b""], "x509_email": [b"a@b"], "x509_uri": [b"spiffe://x/bob"]}, "spiffe://x/bob"),
        ({"x509_email": ["b\u00fccher@b".encode(), b"a@b"]}, "b\u00fccher@b"),
    ],
)
def test_a_certificate_that_was_shown_names_the_user(connection: dict[str, list[bytes]], name: str) -> None:
    assert messages.read_credentials([], connection) == Credentials(certificate=name)


def test_credentials_that_are_there_twice_are_refused() -> None:
    twice: list[tuple[str, str | bytes]] = [("api-key", "abc"), ("x-api-key", "abc")]

    error = refusal_of(messages.read_credentials, twice)

    assert str(error) == "api-key: must be there once, is there 2 times"


def test_a_stream_begins_with_metadata() -> None:
    metadata = pb.FileMetadata(filename="a")

    assert messages.read_metadata(metadata) is metadata
    assert isinstance(refusal_of(messages.read_metadata, memoryview(b"a")), MissingMetadata)


def test_a_chunk_may_be_as_large_as_the_limit() -> None:
    chunk = memoryview(b"abcd")

    assert messages.read_chunk(chunk, at=0, size_max=4) is chunk
    assert isinstance(refusal_of(messages.read_chunk, chunk, at=0, size_max=3), ChunkTooLarge)


def test_metadata_comes_once() -> None:
    refusal = refusal_of(messages.read_chunk, pb.FileMetadata(filename="a"), at=0, size_max=9)

    assert isinstance(refusal, BadField)
    assert refusal.field == "metadata"


def test_a_checked_chunk_is_taken_where_it_belongs_and_as_it_was_sent() -> None:
    checked = Checked(b"abc", crc32c(b"abc"), 7)

    assert messages.read_chunk(checked, at=7, size_max=3) == b"abc"
    assert isinstance(refusal_of(messages.read_chunk, checked, at=6, size_max=3), OffsetMismatch)
    assert isinstance(refusal_of(messages.read_chunk, checked, at=7, size_max=2), ChunkTooLarge)
    damaged = Checked(b"abd", crc32c(b"abc"), 7)
    refusal = refusal_of(messages.read_chunk, damaged, at=7, size_max=3)
    assert isinstance(refusal, ChecksumMismatch)
    assert refusal.at == 7


def test_a_new_file_has_no_id_and_no_offset() -> None:
    new = pb.FileMetadata(filename="a.txt", content_type="text/plain", size=5, user_id="ann", offset=0)

    assert messages.read_declared(new, size_max=5) == Declared("ann", "a.txt", "text/plain", 5)
    for field, wrong in {"upload_id": pb.FileMetadata(upload_id="5f0c"), "offset": pb.FileMetadata(offset=1)}.items():
        wrong.filename = "a.txt"
        refusal = refusal_of(messages.read_declared, wrong, size_max=5)
        assert isinstance(refusal, BadField)
        assert [bad.field for bad in refusal.all] == [field]


def test_every_bad_field_of_a_new_file_is_named() -> None:
    wrong = pb.FileMetadata(filename="a/b", content_type="text", size=-1, user_id="\n", upload_id="5f0c", offset=1)

    refusal = refusal_of(messages.read_declared, wrong, size_max=5)

    assert isinstance(refusal, BadField)
    assert {bad.field for bad in refusal.all} == {
        *("filename", "content_type", "size", "user_id", "upload_id", "offset")
    }


def test_every_bad_number_of_a_download_is_named() -> None:
    refusal = refusal_of(messages.read_span, pb.DownloadFileRequest(offset=-1, length=-2), size=5)

    assert str(refusal) == "offset: must be 0 or more, is -1; length: must be 0 or more, is -2"


def test_an_offset_that_is_not_said_is_another_than_zero() -> None:
    assert messages.read_offset(pb.FileMetadata()) is None
    assert messages.read_offset(pb.FileMetadata(offset=0)) == 0
    assert messages.read_length(pb.FileMetadata()) is None
    assert messages.read_length(pb.FileMetadata(size=-1)) == -1


@pytest.mark.parametrize(
    ("offset", "length", "span"),
    [(0, 0, (0, 10)), (3, 0, (3, 10)), (3, 4, (3, 7)), (3, 99, (3, 10)), (10, 0, (10, 10)), (10, 2**62, (10, 10))],
)
def test_a_range_ends_with_the_file(offset: int, length: int, span: tuple[int, int]) -> None:
    assert messages.read_span(pb.DownloadFileRequest(offset=offset, length=length), size=10) == span


def test_a_range_begins_in_the_file() -> None:
    refusal = refusal_of(messages.read_span, pb.DownloadFileRequest(offset=11), size=10)

    assert isinstance(refusal, RangeNotSatisfiable)
    assert (refusal.start, refusal.size) == (11, 10)


@pytest.mark.parametrize("field", ["offset", "length"])
def test_a_range_has_no_negative_numbers(field: str) -> None:
    request = pb.DownloadFileRequest(offset=-1 if field == "offset" else 0, length=-1 if field == "length" else 0)

    refusal = refusal_of(messages.read_span, request, size=10)

    assert isinstance(refusal, BadField)
    assert str(refusal) == f"{field}: must be 0 or more, is -1"


def test_a_time_is_written_to_the_microsecond_or_not_at_all() -> None:
    written = messages.write_time(AT)

    assert written is not None
    assert written.ToDatetime(UTC) == AT
    assert messages.write_time(None) is None


@pytest.mark.parametrize("status", ProcessingStatus)
def test_the_numbers_of_processing_are_those_of_the_enumeration(status: ProcessingStatus) -> None:
    assert pb.ProcessingStatus.Value(messages.write_processing(status)) == status.value


def test_an_upload_in_progress_is_told_from_a_complete_one() -> None:
    progress = messages.write_upload(Uploaded(SESSION), LATER)
    complete = messages.write_upload(Uploaded(SESSION, FILE), LATER)

    assert (progress.offset, progress.size, progress.complete, progress.file_id) == (4, 10, False, "")
    assert progress.expires_at.ToDatetime(UTC) == LATER
    assert (complete.complete, complete.file_id, complete.HasField("expires_at")) == (True, "5f0c", False)
    assert complete.content_type == "text/plain; charset=utf-8"


def test_a_size_that_is_not_known_is_not_written() -> None:
    session = Session("5f0c", Declared("ann", "a.txt"), 100, "tus", AT, AT)

    assert not messages.write_upload(Uploaded(session), LATER).HasField("size")
    assert messages.write_info_so_far(session).size == 0
    assert messages.write_uploaded(Uploaded(session)).size == 0


def test_the_answer_to_a_stream_has_a_file_only_if_it_is_complete() -> None:
    progress = messages.write_uploaded(Uploaded(SESSION))
    complete = messages.write_uploaded(Uploaded(SESSION, FILE))

    assert (progress.file_id, progress.upload_id, progress.offset, progress.complete) == ("", "5f0c", 4, False)
    assert (complete.file_id, complete.upload_id, complete.offset, complete.complete) == ("5f0c", "5f0c", 5, True)
    assert complete.crc32c == 0x1A2B3C4D
