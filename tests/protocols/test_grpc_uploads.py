"""Files come in over gRPC: whole in one stream, or over several that continue each other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from tests.engine.world import blob_keys
from tests.protocols.grpc_rig import Rig, chunks, failure_of, running, until
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import CatalogUnavailable, ChunkTooLarge
from uploadstream.core.sizes import KIB, MIB
from uploadstream.ports import Bytes, Sink
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb

DATA = bytes(range(256)) * 1024
HEAD = chunks(DATA[:100_000])


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as made:
        yield made


def checked(data: bytes, *, offset: int, crc: int | None = None) -> pb.UploadFileRequest:
    crc = crc32c(data) if crc is None else crc
    return pb.UploadFileRequest(checked_chunk=pb.CheckedChunk(data=data, crc32c=crc, offset=offset))


async def arrived(rig: Rig, upload_id: str, count: int) -> None:
    """Wait until the server holds `count` bytes."""

    async def held() -> bool:
        return await rig.offset(upload_id) >= count

    await until(held)


async def test_an_upload_whose_last_answer_failed_is_complete_when_all_is_there(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await rig.stub.CreateUpload(pb.CreateUploadRequest(metadata=pb.FileMetadata(filename="a", size=3)))

    async def away(*_: object) -> None:
        raise CatalogUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(rig.world.catalog, "publish", away)
        await failure_of(rig.upload(pb.FileMetadata(upload_id=created.upload_id), *chunks(b"abc")))

    status = await rig.stub.GetUploadStatus(pb.GetUploadStatusRequest(upload_id=created.upload_id))
    assert (status.offset, status.complete) == (3, True)


async def nothing_left(rig: Rig) -> None:
    """Wait until the store is empty."""

    async def empty() -> bool:
        return not await blob_keys(rig.world)

    await until(empty)


@pytest.mark.parametrize("chunk_size", [100, 64 * KIB, MIB])
async def test_a_whole_file_in_one_stream(rig: Rig, chunk_size: int) -> None:
    metadata = pb.FileMetadata(filename="a.bin", content_type="application/x-thing", size=len(DATA))

    stored = await rig.upload(metadata, *chunks(DATA, chunk_size))

    assert (stored.filename, stored.size, stored.content_type) == ("a.bin", len(DATA), "application/x-thing")
    assert (stored.upload_id, stored.offset, stored.complete) == (stored.file_id, len(DATA), True)
    assert stored.processing_status == pb.PROCESSING_STATUS_PENDING
    assert stored.crc32c == crc32c(DATA)
    _, content = await rig.download(pb.DownloadFileRequest(file_id=stored.file_id))
    assert content == DATA


async def test_an_empty_file(rig: Rig) -> None:
    stored = await rig.upload(pb.FileMetadata(filename="empty"))

    assert (stored.size, stored.complete) == (0, True)


@pytest.mark.parametrize("user", ["", "5b6ee9cf-ffb8-4f39-9c2c-e1be7ef4ec2e", "Ann Ünsal <ann@example.org>"])
async def test_whatever_existing_clients_send_along_is_taken(rig: Rig, user: str) -> None:
    metadata = pb.FileMetadata(filename="a.txt", content_type="text/plain; charset=utf-8", size=5, user_id=user)
    messages = [pb.UploadFileRequest(metadata=metadata), *chunks(b"hello")]

    stored = await rig.stub.UploadFile(iter(messages), metadata=(("api-key", "k"), ("authorization", "Bearer k")))

    assert stored.content_type == "text/plain; charset=utf-8"
    listed = await rig.stub.ListFiles(pb.ListFilesRequest(user_id=user))
    assert [entry.user_id for entry in listed.files] == [user or "anonymous"]


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (pb.FileMetadata(size=1), "filename: must be 1 to 255 bytes, has 0"),
        (pb.FileMetadata(filename="a", size=-1), "size: must be 0 or more, is -1"),
        (pb.FileMetadata(filename="a", size=600 * MIB), "File size 600 MiB exceeds limit of 512 MiB"),
        (pb.FileMetadata(filename="a", size=1, offset=1), "offset: must be 0 without upload_id, is 1"),
        (pb.FileMetadata(filename="a", size=1, user_id="u" * 129), "user_id: must be 1 to 128 characters, has 129"),
    ],
)
async def test_what_is_wrong_with_the_metadata_is_said_before_any_byte(
    rig: Rig, metadata: pb.FileMetadata, text: str
) -> None:
    stream = await rig.begin(metadata)

    failure = await stream.failure()

    assert (failure.code, failure.text) == (grpc.StatusCode.INVALID_ARGUMENT, text)


@pytest.mark.parametrize(
    "messages",
    [[], chunks(b"hello"), [checked(b"hello", offset=0)]],
)
async def test_a_stream_that_does_not_begin_with_metadata(rig: Rig, messages: list[pb.UploadFileRequest]) -> None:
    failure = await failure_of(rig.stub.UploadFile(iter(messages)))

    assert (failure.code, failure.text) == (grpc.StatusCode.INVALID_ARGUMENT, "First message must be metadata")
    assert failure.info.reason == "MISSING_METADATA"


async def test_metadata_a_second_time(rig: Rig) -> None:
    metadata = pb.FileMetadata(filename="a", size=5)

    failure = await failure_of(rig.upload(metadata, pb.UploadFileRequest(metadata=metadata)))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD")


async def test_a_message_without_data(rig: Rig) -> None:
    failure = await failure_of(rig.upload(pb.FileMetadata(filename="a", size=5), pb.UploadFileRequest()))

    assert (failure.code, failure.info.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "data")


@pytest.mark.parametrize("size", [4, 6])
async def test_another_number_of_bytes_than_declared_leaves_nothing(rig: Rig, size: int) -> None:
    failure = await failure_of(rig.upload(pb.FileMetadata(filename="a", size=size), *chunks(b"hello")))

    assert (failure.code, failure.text) == (grpc.StatusCode.INVALID_ARGUMENT, f"Received 5 bytes, declared {size}")
    assert await blob_keys(rig.world) == set()


@pytest.mark.parametrize("size", [4 * MIB + 1, 5 * MIB, 16 * MIB])
async def test_a_chunk_over_the_limit_is_refused_in_our_words(rig: Rig, size: int) -> None:
    failure = await failure_of(rig.upload(pb.FileMetadata(filename="a", size=size), *chunks(bytes(size), size)))

    assert (failure.code, failure.text) == (grpc.StatusCode.INVALID_ARGUMENT, str(ChunkTooLarge(size, 4 * MIB)))
    assert dict(failure.info.metadata) == {"size": str(size), "limit": str(4 * MIB)}


async def test_a_message_that_is_larger_still_is_refused_unread_in_the_words_of_grpc(rig: Rig) -> None:
    upload_id = await rig.create(20 * MIB)
    begun = pb.FileMetadata(upload_id=upload_id)
    sent = [pb.UploadFileRequest(chunk=b"kept"), pb.UploadFileRequest(chunk=bytes(17 * MIB))]

    failure = await failure_of(rig.upload(begun, *sent))

    # grpc counts before it reads, and ends the call itself: for our words the message would have to be taken in whole
    assert failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "Received message larger than max" in failure.text
    assert await rig.offset(upload_id) == len(b"kept")


async def test_the_limit_counts_the_chunk_and_not_the_message_around_it(rig: Rig) -> None:
    data = bytes(4 * MIB)
    plain = await rig.upload(pb.FileMetadata(filename="a", size=len(data)), *chunks(data, len(data)))
    careful = await rig.upload(pb.FileMetadata(filename="a", size=len(data)), checked(data, offset=0))

    assert plain.complete
    assert careful.complete


async def test_content_of_another_type_is_refused_after_512_bytes_in_small_chunks(rig: Rig) -> None:
    script = b"<html><script>alert(1)</script>" * 20
    stream = await rig.begin(
        pb.FileMetadata(filename="a.png", content_type="image/png", size=10_000), *chunks(script[:512], 100)
    )

    failure = await stream.failure()

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TYPE_MISMATCH")
    await nothing_left(rig)


async def test_a_stream_that_is_cancelled_leaves_nothing(rig: Rig) -> None:
    stream = await rig.begin(pb.FileMetadata(filename="a", size=len(DATA)), *HEAD)
    await until(lambda: blob_keys(rig.world))

    stream.call.cancel()

    await nothing_left(rig)


async def test_a_stream_past_its_deadline_leaves_nothing(rig: Rig) -> None:
    call = rig.stub.UploadFile(timeout=0.5)
    for message in (pb.UploadFileRequest(metadata=pb.FileMetadata(filename="a", size=len(DATA))), *HEAD):
        await call.write(message)

    failure = await failure_of(call)

    assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED
    await nothing_left(rig)


async def test_an_upload_is_continued_over_several_streams(rig: Rig) -> None:
    upload_id = await rig.create(len(DATA))

    first = await rig.upload(pb.FileMetadata(upload_id=upload_id), *HEAD)
    rest = pb.FileMetadata(upload_id=upload_id, offset=100_000, filename="a.bin", size=len(DATA))
    last = await rig.upload(rest, *chunks(DATA[100_000:]))

    assert (first.file_id, first.upload_id, first.offset, first.complete) == ("", upload_id, 100_000, False)
    assert (last.file_id, last.upload_id, last.offset, last.complete) == (upload_id, upload_id, len(DATA), True)
    _, content = await rig.download(pb.DownloadFileRequest(file_id=upload_id))
    assert content == DATA


async def test_a_stream_to_a_complete_upload_says_so_again(rig: Rig) -> None:
    upload_id = await rig.create(5)
    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello"))

    again = await rig.upload(pb.FileMetadata(upload_id=upload_id, offset=5))

    assert (again.file_id, again.complete) == (upload_id, True)


async def test_bytes_for_a_complete_upload_are_refused(rig: Rig) -> None:
    upload_id = await rig.create(5)
    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello"))

    stream = await rig.begin(pb.FileMetadata(upload_id=upload_id), *chunks(b"!"))
    failure = await failure_of(stream.call)

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_CLOSED")
    assert (await rig.download(pb.DownloadFileRequest(file_id=upload_id)))[1] == b"hello"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (pb.FileMetadata(filename="b.bin"), "filename"),
        (pb.FileMetadata(content_type="image/png"), "content_type"),
        (pb.FileMetadata(size=6), "size"),
    ],
)
async def test_what_is_said_of_an_upload_again_must_agree(rig: Rig, said: pb.FileMetadata, field: str) -> None:
    said.upload_id = await rig.create(5)

    failure = await failure_of(rig.upload(said, *chunks(b"hello")))

    assert (failure.code, failure.info.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert await rig.offset(said.upload_id) == 0


async def test_bytes_for_another_place_than_the_next(rig: Rig) -> None:
    upload_id = await rig.create(10)
    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello"))

    failure = await failure_of(rig.upload(pb.FileMetadata(upload_id=upload_id, offset=4), *chunks(b"o")))

    assert (failure.code, failure.text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "Next byte belongs at 5, not at 4",
    )


async def test_anothers_upload_is_unknown(rig: Rig) -> None:
    upload_id = await rig.create(5, user_id="ann")

    failure = await failure_of(rig.upload(pb.FileMetadata(upload_id=upload_id, user_id="bob"), *chunks(b"hello")))

    assert failure.code == grpc.StatusCode.NOT_FOUND
    assert upload_id in failure.text


async def test_a_cancelled_stream_keeps_the_bytes_of_an_upload(rig: Rig) -> None:
    upload_id = await rig.create(len(DATA))
    stream = await rig.begin(pb.FileMetadata(upload_id=upload_id), *HEAD)
    await arrived(rig, upload_id, 100_000)

    stream.call.cancel()

    rest = await rig.upload(pb.FileMetadata(upload_id=upload_id, offset=100_000), *chunks(DATA[100_000:]))
    assert rest.complete


async def test_more_bytes_than_declared_are_refused_and_those_before_stay(rig: Rig) -> None:
    upload_id = await rig.create(5)

    failure = await failure_of(rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hel"), *chunks(b"lo!")))

    assert (failure.code, failure.text) == (grpc.StatusCode.INVALID_ARGUMENT, "Received 6 bytes, declared 5")
    assert await rig.offset(upload_id) == 3


async def test_the_newer_of_two_streams_takes_over(rig: Rig) -> None:
    upload_id = await rig.create(len(DATA))
    older = await rig.begin(pb.FileMetadata(upload_id=upload_id), *HEAD)
    await arrived(rig, upload_id, 100_000)

    newer = await rig.upload(pb.FileMetadata(upload_id=upload_id, offset=100_000), *chunks(DATA[100_000:]))

    assert newer.complete
    failure = await older.failure()
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.ABORTED, "TAKEN_OVER")


async def test_checked_chunks_are_taken(rig: Rig) -> None:
    upload_id = await rig.create(len(DATA))
    middle = 100_000

    messages = [checked(DATA[:middle], offset=0), *chunks(b""), checked(DATA[middle:], offset=middle)]
    stored = await rig.upload(pb.FileMetadata(upload_id=upload_id), *messages)

    assert stored.complete
    _, content = await rig.download(pb.DownloadFileRequest(file_id=stored.file_id))
    assert content == DATA


async def test_a_chunk_that_changed_on_its_way_is_not_stored_and_all_before_it_stays(rig: Rig) -> None:
    upload_id = await rig.create(10)

    bad = checked(b"lo", offset=3, crc=1)
    failure = await failure_of(rig.upload(pb.FileMetadata(upload_id=upload_id), checked(b"hel", offset=0), bad))

    assert (failure.code, failure.info.reason) == (grpc.StatusCode.DATA_LOSS, "CHECKSUM_MISMATCH")
    assert failure.info.metadata["at"] == "3"
    assert await rig.offset(upload_id) == 3


async def test_a_checked_chunk_for_another_place_is_not_stored(rig: Rig) -> None:
    upload_id = await rig.create(10)

    messages = [checked(b"hel", offset=0), checked(b"lo", offset=4)]
    failure = await failure_of(rig.upload(pb.FileMetadata(upload_id=upload_id), *messages))

    assert (failure.code, failure.text) == (grpc.StatusCode.FAILED_PRECONDITION, "Next byte belongs at 3, not at 4")
    assert await rig.offset(upload_id) == 3


async def test_a_stream_that_brings_nothing_ends_in_time_and_keeps_its_bytes() -> None:
    async with running(read_timeout_seconds=0.3) as rig:
        upload_id = await rig.create(10)
        stream = await rig.begin(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello"))

        failure = await stream.failure()

        assert (failure.code, failure.info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "BODY_TIMEOUT")
        assert await rig.offset(upload_id) == 5


async def test_a_stream_that_never_says_what_it_is_about_ends_in_time() -> None:
    async with running(silence_seconds=0.2) as rig:
        failure = await failure_of(rig.stub.UploadFile())

        assert (failure.code, failure.info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "BODY_TIMEOUT")


async def test_a_slow_store_holds_the_stream_back(rig: Rig) -> None:
    data, free, opening = bytes(32 * MIB), asyncio.Event(), rig.world.blobs.append

    async def append(key: str, **kwargs: Any) -> Sink:
        return SlowSink(await opening(key, **kwargs), free)

    rig.world.blobs.append = append  # type: ignore[method-assign]
    uploading = asyncio.ensure_future(rig.upload(pb.FileMetadata(filename="a", size=len(data)), *chunks(data)))
    await asyncio.sleep(0.5)
    [pouring] = rig.world.engine.watch._pourings
    taken = pouring.intake.taken if pouring.intake else 0

    free.set()

    assert 0 < taken <= 4 * MIB
    assert (await uploading).crc32c == crc32c(data)


async def test_an_upload_of_no_bytes_is_complete_when_it_begins(rig: Rig) -> None:
    status = await rig.stub.CreateUpload(pb.CreateUploadRequest(metadata=pb.FileMetadata(filename="empty")))

    assert (status.complete, status.file_id, status.size) == (True, status.upload_id, 0)


async def test_an_upload_says_how_far_it_is(rig: Rig) -> None:
    metadata = pb.FileMetadata(filename="a.bin", size=10, user_id="ann")
    created = await rig.stub.CreateUpload(pb.CreateUploadRequest(metadata=metadata))
    await rig.upload(pb.FileMetadata(upload_id=created.upload_id), *chunks(b"hello"))

    status = await rig.stub.GetUploadStatus(pb.GetUploadStatusRequest(upload_id=created.upload_id))

    assert (status.offset, status.size, status.complete, status.file_id) == (5, 10, False, "")
    assert (status.filename, status.user_id, status.protocol) == ("a.bin", "ann", "grpc")
    assert status.expires_at.seconds > status.created_at.seconds


async def test_when_an_upload_began_is_not_said_of_one_that_is_complete(rig: Rig) -> None:
    upload_id = await rig.create(5)
    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello"))

    status = await rig.stub.GetUploadStatus(pb.GetUploadStatusRequest(upload_id=upload_id))

    assert status.complete
    assert not status.HasField("created_at")


@pytest.mark.parametrize("user_id", ["ann", "a\nb"])
async def test_every_bad_field_of_a_new_upload_is_named(rig: Rig, user_id: str) -> None:
    metadata = pb.FileMetadata(filename="", content_type="text", size=-1, user_id=user_id)
    bad_user = [] if user_id == "ann" else ["user_id"]

    refusals = [
        await failure_of(rig.stub.CreateUpload(pb.CreateUploadRequest(metadata=metadata))),
        await failure_of(rig.upload(metadata)),
    ]

    for refusal in refusals:
        assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.text.count("; ") == len(bad_user) + 2
        [_, bad] = refusal.details
        assert isinstance(bad, BadRequest)
        assert [one.field for one in bad.field_violations] == [*bad_user, "filename", "content_type", "size"]


async def test_all_that_a_continuing_stream_says_otherwise_is_named(rig: Rig) -> None:
    upload_id = await rig.create(5)

    refusal = await failure_of(rig.upload(pb.FileMetadata(upload_id=upload_id, filename="b.bin", size=6)))

    [_, bad] = refusal.details
    assert isinstance(bad, BadRequest)
    assert [one.field for one in bad.field_violations] == ["filename", "size"]


async def test_an_upload_that_is_aborted_leaves_nothing(rig: Rig) -> None:
    upload_id = await rig.create(10)
    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello"))

    aborted = await rig.stub.AbortUpload(pb.AbortUploadRequest(upload_id=upload_id))

    assert aborted.success
    assert upload_id in aborted.message
    failure = await failure_of(rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello")))
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.NOT_FOUND, "GONE")
    assert await blob_keys(rig.world) == set()


async def test_open_uploads_are_listed_in_pages(rig: Rig) -> None:
    ids = [await rig.create(10, user_id="ann") for _ in range(3)]
    await rig.create(10, user_id="bob")
    await rig.upload(pb.FileMetadata(upload_id=ids[0]), *chunks(b"hello"))

    first = await rig.stub.ListUploads(pb.ListUploadsRequest(user_id="ann", page_size=2))
    request = pb.ListUploadsRequest(user_id="ann", page_size=2, page_token=first.next_page_token)
    second = await rig.stub.ListUploads(request)

    listed = [*first.uploads, *second.uploads]
    assert {status.upload_id for status in listed} == set(ids)
    assert {status.upload_id: status.offset for status in listed}[ids[0]] == 5
    assert second.next_page_token == ""


class SlowSink:
    """A store whose writes take until `free`."""

    def __init__(self, sink: Sink, free: asyncio.Event) -> None:
        self._sink = sink
        self._free = free

    def write(self, views: Sequence[Bytes], count: int) -> Awaitable[None]:
        return self._write([bytes(view) for view in views], count)

    async def _write(self, views: Sequence[Bytes], count: int) -> None:
        await self._free.wait()
        self._sink.write(views, count)

    @property
    def blob_id(self) -> int:
        return self._sink.blob_id

    async def close(self, *, complete: bool, keep: bool = True) -> bool:
        return await self._sink.close(complete=complete, keep=keep)
