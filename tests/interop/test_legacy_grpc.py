"""Clients that were built before the service had any addition, against a running server."""

import os
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.unknown_fields import UnknownFieldSet

from tests.interop.legacy_client import CHUNK_BYTES, PROTO, LegacyClient, LegacyMessages, compiled
from tests.interop.stored import clock_of
from tests.running_server import RunningServer

KIB = 2**10
MIB = 2**20
TEXT = b"A line that any editor shows.\n" * 40_000
CLOCK_TOLERANCE = timedelta(seconds=30)


@pytest.fixture(scope="module")
def messages() -> LegacyMessages:
    return LegacyMessages(compiled(PROTO))


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_target) as opened:
        yield opened


@pytest.fixture
def client(channel: grpc.Channel, messages: LegacyMessages) -> LegacyClient:
    return LegacyClient(channel, messages)


@pytest.fixture
def user_id() -> str:
    """A user of this test alone."""
    return str(uuid4())


def downloaded(client: LegacyClient, file_id: str) -> bytes:
    _, *rest = client.download(file_id)
    return b"".join(message.chunk for message in rest)


def misread_numbers(message: Any) -> set[int]:
    """Numbers of the client's own fields that came in another wire type, and so as fields it does not know."""
    fields = UnknownFieldSet(message)
    unknown = {fields[index].field_number for index in range(len(fields))}
    return unknown & set(message.DESCRIPTOR.fields_by_number)


def status_of(refusal: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, str]:
    error = refusal.value
    assert isinstance(error, grpc.Call)
    return error.code(), error.details()


@pytest.mark.parametrize(
    "user", ["0b5e9d3a-6f0e-4b7c-9f5e-3f6f3d0d7c11", "alice@example.com", "Ünïted 用户 7", "x" * 128]
)
def test_a_text_of_any_user_comes_back_with_its_type(client: LegacyClient, user: str) -> None:
    content_type = "text/plain; charset=utf-8"

    uploaded = client.upload(TEXT, filename="notes.txt", content_type=content_type, user_id=user)

    info, *_ = client.download(uploaded.file_id)
    assert info.info.content_type == uploaded.content_type == content_type
    assert downloaded(client, uploaded.file_id) == TEXT
    assert uploaded.file_id in {entry.file_id for entry in client.list_files(user_id=user, page_size=1000).files}


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20 * MIB + 7])
def test_files_of_every_size_come_back_whole(client: LegacyClient, user_id: str, size: int) -> None:
    content = os.urandom(size)

    uploaded = client.upload(content, filename="data.bin", content_type="application/octet-stream", user_id=user_id)

    first, *rest = client.download(uploaded.file_id)
    assert first.WhichOneof("data") == "info"
    assert first.info.size == size
    assert all(message.WhichOneof("data") == "chunk" for message in rest)
    assert b"".join(message.chunk for message in rest) == content


def test_an_unknown_api_key_is_ignored_where_none_is_required(
    channel: grpc.Channel, messages: LegacyMessages, user_id: str
) -> None:
    client = LegacyClient(channel, messages, metadata=(("api-key", "key-of-another-installation"),))

    uploaded = client.upload(TEXT, filename="notes.txt", content_type="text/plain", user_id=user_id)

    assert client.describe(uploaded.file_id).size == len(TEXT)
    assert downloaded(client, uploaded.file_id) == TEXT
    assert [entry.file_id for entry in client.list_files(user_id=user_id).files] == [uploaded.file_id]
    assert client.delete_file(file_id=uploaded.file_id, user_id=user_id).success


def test_every_answer_describes_the_file_alike(client: LegacyClient, server: RunningServer, user_id: str) -> None:
    uploaded = client.upload(TEXT, filename="Übung ☃.txt", content_type="text/plain", user_id=user_id)

    described = client.describe(uploaded.file_id)
    listed = client.list_files(user_id=user_id).files[0]
    info = client.download(uploaded.file_id)[0].info

    fields = ("file_id", "filename", "size", "content_type", "uploaded_at")
    told = [[getattr(message, field) for field in fields] for message in (uploaded, described, listed, info)]
    assert told == [told[0]] * 4
    assert told[0][1:4] == ["Übung ☃.txt", len(TEXT), "text/plain"]
    uploaded_at = uploaded.uploaded_at.ToDatetime(tzinfo=UTC)
    assert abs(uploaded_at - clock_of(server)) < CLOCK_TOLERANCE


def test_every_status_is_one_that_old_clients_know(client: LegacyClient, user_id: str) -> None:
    uploaded = client.upload(TEXT, filename="notes.txt", content_type="text/plain", user_id=user_id)

    described = client.describe(uploaded.file_id)
    listed = client.list_files(user_id=user_id).files[0]

    known = set(
        client.messages.UploadFileResponse.DESCRIPTOR.fields_by_name["processing_status"].enum_type.values_by_number
    )
    assert {uploaded.processing_status, described.processing_status, listed.processing_status} <= known - {0}


def test_additions_leave_the_known_fields_readable(client: LegacyClient, user_id: str) -> None:
    uploaded = client.upload(TEXT, filename="notes.txt", content_type="text/plain", user_id=user_id)

    described = client.describe(uploaded.file_id)
    listed = client.list_files(user_id=user_id)
    info = client.download(uploaded.file_id)[0]
    deleted = client.delete_file(file_id=uploaded.file_id, user_id=user_id)

    assert len(UnknownFieldSet(uploaded)) > 0  # there are additions, or this test would try nothing
    for answer in (uploaded, described, listed, listed.files[0], info, info.info, deleted):
        assert not misread_numbers(answer)
        assert type(answer).FromString(answer.SerializeToString()) == answer


def test_pages_bring_every_file_of_a_user_once(client: LegacyClient, user_id: str) -> None:
    names = {f"file {number}.txt" for number in range(5)}
    for name in names:
        client.upload(TEXT, filename=name, content_type="text/plain", user_id=user_id)

    pages = [client.list_files(user_id=user_id, page_size=2)]
    while token := pages[-1].next_page_token:
        pages.append(client.list_files(user_id=user_id, page_size=2, page_token=token))

    assert [len(page.files) for page in pages] == [2, 2, 1]
    assert {entry.filename for page in pages for entry in page.files} == names


def test_a_deleted_file_is_gone(client: LegacyClient, user_id: str) -> None:
    uploaded = client.upload(TEXT, filename="notes.txt", content_type="text/plain", user_id=user_id)

    answer = client.delete_file(file_id=uploaded.file_id, user_id=user_id)

    assert answer.success
    assert not client.list_files(user_id=user_id).files
    for method in (client.describe, client.download):
        with pytest.raises(grpc.RpcError) as refusal:
            method(uploaded.file_id)
        assert status_of(refusal)[0] is grpc.StatusCode.NOT_FOUND


def test_another_users_file_is_not_found_and_stays(client: LegacyClient, user_id: str) -> None:
    uploaded = client.upload(TEXT, filename="notes.txt", content_type="text/plain", user_id=user_id)

    with pytest.raises(grpc.RpcError) as refusal:
        client.delete_file(file_id=uploaded.file_id, user_id="somebody else")

    assert status_of(refusal)[0] is grpc.StatusCode.NOT_FOUND
    assert client.describe(uploaded.file_id).file_id == uploaded.file_id


@pytest.mark.parametrize("sent", [1 * KIB - 1, 1 * KIB + 1])
def test_other_bytes_than_declared_are_refused_and_leave_nothing(client: LegacyClient, user_id: str, sent: int) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        client.upload(bytes(TEXT[:sent]), size=KIB, filename="a.txt", content_type="text/plain", user_id=user_id)

    assert status_of(refusal) == (grpc.StatusCode.INVALID_ARGUMENT, f"Received {sent} bytes, declared 1024")
    assert not client.list_files(user_id=user_id).files


def test_a_chunk_before_the_metadata_is_refused(client: LegacyClient) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        client.upload_messages([client.messages.UploadFileRequest(chunk=b"bytes")])

    assert status_of(refusal) == (grpc.StatusCode.INVALID_ARGUMENT, "First message must be metadata")


def test_a_file_over_the_limit_is_refused_before_its_first_byte(client: LegacyClient, user_id: str) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        client.upload(TEXT, size=600 * MIB, filename="big", content_type="video/mp4", user_id=user_id)

    expected = "File size 600 MiB exceeds limit of 512 MiB"
    assert status_of(refusal) == (grpc.StatusCode.INVALID_ARGUMENT, expected)


def test_a_chunk_as_large_as_the_limit_is_taken(client: LegacyClient, user_id: str) -> None:
    content = os.urandom(4 * MIB)
    request = client.messages.UploadFileRequest
    fields = {"filename": "a.bin", "content_type": "application/octet-stream", "size": 4 * MIB, "user_id": user_id}

    uploaded = client.upload_messages(
        [request(metadata=client.messages.FileMetadata(**fields)), request(chunk=content)]
    )

    assert downloaded(client, uploaded.file_id) == content


def test_a_chunk_over_the_limit_is_refused_and_leaves_nothing(client: LegacyClient, user_id: str) -> None:
    request = client.messages.UploadFileRequest
    fields = {"filename": "a.bin", "content_type": "application/octet-stream", "size": 5 * MIB, "user_id": user_id}

    with pytest.raises(grpc.RpcError) as refusal:
        client.upload_messages(
            [request(metadata=client.messages.FileMetadata(**fields)), request(chunk=os.urandom(5 * MIB))]
        )

    expected = "Chunk of 5 MiB exceeds limit of 4 MiB"
    assert status_of(refusal) == (grpc.StatusCode.INVALID_ARGUMENT, expected)
    assert not client.list_files(user_id=user_id).files


def test_a_text_declared_as_an_image_is_refused_with_both_types(client: LegacyClient, user_id: str) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        client.upload(TEXT, filename="photo.png", content_type="image/png", user_id=user_id)

    expected = "Declared image/png, content is text/plain"
    assert status_of(refusal) == (grpc.StatusCode.INVALID_ARGUMENT, expected)
    assert not client.list_files(user_id=user_id).files


def test_a_stream_that_breaks_leaves_no_file(client: LegacyClient, user_id: str) -> None:
    whole = client.upload_requests(TEXT, size=len(TEXT), filename="a.txt", content_type="text/plain", user_id=user_id)

    def breaking() -> Iterator[Any]:
        yield next(whole)
        yield next(whole)
        raise BrokenPipeError

    with pytest.raises(grpc.RpcError):
        client.upload_messages(breaking())

    assert not client.list_files(user_id=user_id).files
