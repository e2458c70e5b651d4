"""Files go out over gRPC, and are listed, described, deleted and restored."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
from grpc import aio

from tests.protocols.grpc_rig import Rig, chunks, failure_of, running
from uploadstream.core.access import Caller
from uploadstream.core.allowances import Allowance
from uploadstream.core.digests import crc32c
from uploadstream.core.files import Audit, File
from uploadstream.core.session import Declared
from uploadstream.core.sizes import MIB
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.grpc_files.grpcio import GrpcioFileService

DATA = bytes(range(256)) * 8192  # 2 MiB: several messages
UNKNOWN = "5b6ee9cf-ffb8-4f39-9c2c-e1be7ef4ec2e"
METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["FileService"].methods]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as made:
        yield made


async def first(call: aio.UnaryStreamCall[pb.DownloadFileRequest, pb.DownloadFileResponse]) -> None:
    """Await the first message of a download."""
    await call.read()


async def everything(call: aio.UnaryStreamCall[pb.DownloadFileRequest, pb.DownloadFileResponse]) -> None:
    """Await the end of a download."""
    while await call.read() is not aio.EOF:
        pass


async def test_a_download_begins_with_info_and_brings_every_byte(rig: Rig) -> None:
    file_id = await rig.store(DATA, filename="film.bin")

    info, content = await rig.download(pb.DownloadFileRequest(file_id=file_id))

    assert (info.file_id, info.filename, info.size) == (file_id, "film.bin", len(DATA))
    assert info.crc32c == crc32c(DATA)
    assert info.uploaded_at.seconds > 0
    assert content == DATA


async def test_a_client_with_the_usual_limit_of_4_mib_a_message_can_download(rig: Rig) -> None:
    file_id = await rig.store(DATA)

    async with aio.insecure_channel(f"127.0.0.1:{rig.port}") as channel:
        stub = type(rig.stub)(channel)
        sizes = [len(message.chunk) async for message in stub.DownloadFile(pb.DownloadFileRequest(file_id=file_id))]

    assert sum(sizes) == len(DATA)
    assert max(sizes) <= MIB


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (1_000_000, 0), (1_000_000, 500_000), (len(DATA), 0)])
async def test_a_ranged_download_begins_with_the_info_of_the_whole_file(rig: Rig, offset: int, length: int) -> None:
    file_id = await rig.store(DATA)

    info, content = await rig.download(pb.DownloadFileRequest(file_id=file_id, offset=offset, length=length))

    assert info.size == len(DATA)
    assert content == DATA[offset : offset + length if length else None]


@pytest.mark.parametrize(
    ("offset", "length", "code"),
    [
        (len(DATA) + 1, 0, grpc.StatusCode.OUT_OF_RANGE),
        (-1, 0, grpc.StatusCode.INVALID_ARGUMENT),
        (0, -1, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_range_that_the_file_does_not_have(rig: Rig, offset: int, length: int, code: grpc.StatusCode) -> None:
    file_id = await rig.store(DATA)

    request = pb.DownloadFileRequest(file_id=file_id, offset=offset, length=length)
    failure = await failure_of(first(rig.stub.DownloadFile(request)))

    assert failure.code == code


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("file_id", [UNKNOWN, "", "../../etc/passwd"])
async def test_an_unknown_file_is_not_found(rig: Rig, file_id: str, follow: bool) -> None:
    request = pb.DownloadFileRequest(file_id=file_id, follow=follow)

    failure = await failure_of(first(rig.stub.DownloadFile(request)))

    assert failure.code == grpc.StatusCode.NOT_FOUND


async def test_a_download_that_is_cancelled_ends(rig: Rig) -> None:
    file_id = await rig.store(bytes(16 * MIB))
    call = rig.stub.DownloadFile(pb.DownloadFileRequest(file_id=file_id))
    await first(call)

    call.cancel()

    async with asyncio.timeout(5):
        await rig.server.stop(grace_seconds=5)


async def test_a_client_that_takes_nothing_does_not_hold_a_download_for_ever() -> None:
    async with running(silence_seconds=0.3) as rig:
        file_id = await rig.store(bytes(64 * MIB))
        call = rig.stub.DownloadFile(pb.DownloadFileRequest(file_id=file_id))
        await first(call)

        await asyncio.sleep(1)

        failure = await failure_of(everything(call))
        assert (failure.code, failure.info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "BODY_TIMEOUT")


async def test_an_upload_in_progress_is_followed_to_its_end(rig: Rig) -> None:
    upload_id = await rig.create(len(DATA))
    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(DATA[:100_000]))
    following = asyncio.create_task(rig.download(pb.DownloadFileRequest(file_id=upload_id, offset=10, follow=True)))
    await asyncio.sleep(0.3)

    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(DATA[100_000:]))

    info, content = await following
    assert (info.file_id, info.size, info.HasField("uploaded_at")) == (upload_id, len(DATA), False)
    assert content == DATA[10:]


async def test_following_ends_when_there_is_a_file_and_not_before(rig: Rig) -> None:
    published, publish = asyncio.Event(), rig.world.catalog.publish

    async def publish_later(file: File, audit: Audit, allowance: Allowance | None = None) -> File:
        await published.wait()
        return await publish(file, audit, allowance)

    rig.world.catalog.publish = publish_later  # type: ignore[method-assign]
    upload_id = await rig.create(5)
    uploading = asyncio.ensure_future(rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello")))
    following = asyncio.create_task(rig.download(pb.DownloadFileRequest(file_id=upload_id, follow=True)))
    await asyncio.sleep(0.5)
    was_done = following.done()

    published.set()

    assert not was_done
    assert (await uploading).complete
    assert (await following)[1] == b"hello"


async def test_a_part_of_an_upload_in_progress_is_followed_until_it_is_there(rig: Rig) -> None:
    upload_id = await rig.create(len(DATA))
    await rig.upload(pb.FileMetadata(upload_id=upload_id), *chunks(DATA[:100_000]))

    _, content = await rig.download(pb.DownloadFileRequest(file_id=upload_id, length=100_000, follow=True))

    assert content == DATA[:100_000]


async def test_an_upload_whose_length_is_not_known_is_followed_to_its_end(rig: Rig) -> None:
    engine = rig.world.engine
    caller, declared = Caller(), Declared("", "a.bin", "", None)
    session = (await engine.uploads.create(declared, caller)).session
    following = asyncio.create_task(rig.download(pb.DownloadFileRequest(file_id=session.id, follow=True)))
    await asyncio.sleep(0.1)

    await rig.upload(pb.FileMetadata(upload_id=session.id, size=5), *chunks(b"hello"))

    info, content = await following
    assert (info.size, content) == (0, b"hello")


async def test_following_a_file_is_downloading_it(rig: Rig) -> None:
    file_id = await rig.store(DATA)

    info, content = await rig.download(pb.DownloadFileRequest(file_id=file_id, follow=True))

    assert info.HasField("uploaded_at")
    assert content == DATA


async def test_an_upload_in_progress_is_no_file(rig: Rig) -> None:
    upload_id = await rig.create(len(DATA))

    described = await failure_of(rig.stub.GetFileMetadata(pb.GetFileMetadataRequest(file_id=upload_id)))
    downloaded = await failure_of(first(rig.stub.DownloadFile(pb.DownloadFileRequest(file_id=upload_id))))

    assert (described.code, downloaded.code) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND)


async def test_a_file_is_described(rig: Rig) -> None:
    before = datetime.now(UTC)
    file_id = await rig.store(b"hello", filename="a.txt", user_id="ann")

    found = await rig.stub.GetFileMetadata(pb.GetFileMetadataRequest(file_id=file_id))

    assert (found.file_id, found.filename, found.size, found.user_id) == (file_id, "a.txt", 5, "ann")
    assert found.content_type == "text/plain"
    assert found.crc32c == crc32c(b"hello")
    assert found.processing_status == pb.PROCESSING_STATUS_PENDING
    assert found.uploaded_at.ToDatetime(UTC) >= before


async def test_files_are_listed_in_pages_the_newest_first(rig: Rig) -> None:
    ids = [await rig.store(b"hello", filename=f"{number}.txt", user_id="ann") for number in range(3)]
    await rig.store(b"hello", user_id="bob")

    page = await rig.stub.ListFiles(pb.ListFilesRequest(user_id="ann", page_size=2))
    request = pb.ListFilesRequest(user_id="ann", page_size=2, page_token=page.next_page_token)
    last = await rig.stub.ListFiles(request)

    assert [entry.file_id for entry in [*page.files, *last.files]] == ids[::-1]
    assert last.next_page_token == ""


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListFilesRequest(page_size=-1), "page_size"),
        (pb.ListFilesRequest(page_token="forged"), "page_token"),
        (pb.ListFilesRequest(user_id="u" * 129), "user_id"),
    ],
)
async def test_a_listing_that_cannot_be(rig: Rig, request_: pb.ListFilesRequest, field: str) -> None:
    failure = await failure_of(rig.stub.ListFiles(request_))

    assert (failure.code, failure.info.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, field)


async def test_a_file_goes_to_the_trash_and_comes_back(rig: Rig) -> None:
    file_id = await rig.store(b"hello", user_id="ann")

    deleted = await rig.stub.DeleteFile(pb.DeleteFileRequest(file_id=file_id, user_id="ann"))
    listed = await rig.stub.ListFiles(pb.ListFilesRequest(user_id="ann"))
    trash = await rig.stub.ListFiles(pb.ListFilesRequest(user_id="ann", deleted=True))
    again = await failure_of(rig.stub.DeleteFile(pb.DeleteFileRequest(file_id=file_id)))
    restored = await rig.stub.RestoreFile(pb.RestoreFileRequest(file_id=file_id, user_id="ann"))
    _, content = await rig.download(pb.DownloadFileRequest(file_id=file_id))

    assert (deleted.success, deleted.message) == (True, f"File {file_id} is in the trash")
    assert len(listed.files) == 0
    assert [entry.deleted_at.seconds > 0 for entry in trash.files] == [True]
    assert (again.code, again.info.reason) == (grpc.StatusCode.NOT_FOUND, "GONE")
    assert (restored.success, restored.message) == (True, f"File {file_id} is restored")
    assert content == b"hello"


async def test_anothers_file_is_as_unknown(rig: Rig) -> None:
    file_id = await rig.store(b"hello", user_id="ann")

    deleting = await failure_of(rig.stub.DeleteFile(pb.DeleteFileRequest(file_id=file_id, user_id="bob")))
    unknown = await failure_of(rig.stub.DeleteFile(pb.DeleteFileRequest(file_id=UNKNOWN, user_id="bob")))

    assert (deleting.code, deleting.text) == (grpc.StatusCode.NOT_FOUND, f"No file {file_id}")
    assert (unknown.code, unknown.text) == (grpc.StatusCode.NOT_FOUND, f"No file {UNKNOWN}")


async def test_what_happened_to_a_file_is_told_in_order(rig: Rig) -> None:
    file_id = await rig.store(b"hello", user_id="ann")
    await rig.stub.DeleteFile(pb.DeleteFileRequest(file_id=file_id, user_id="ann"))

    page = await rig.stub.ListAudit(pb.ListAuditRequest(file_id=file_id, page_size=1))
    request = pb.ListAuditRequest(file_id=file_id, page_size=1, page_token=page.next_page_token, user_id="ann")
    last = await rig.stub.ListAudit(request)

    audit = [*page.audit, *last.audit]
    assert [entry.action for entry in audit] == ["complete", "delete"]
    assert {(entry.file_id, entry.user_id, entry.protocol, entry.address) for entry in audit} == {
        (file_id, "ann", "grpc", "127.0.0.1")
    }
    assert audit[0].details["size"] == "5"


async def test_deletions_are_counted(rig: Rig) -> None:
    kept, _ = [await rig.store(b"hello", user_id="ann") for _ in range(2)]
    for entry in (await rig.stub.ListFiles(pb.ListFilesRequest(user_id="ann"))).files:
        await rig.stub.DeleteFile(pb.DeleteFileRequest(file_id=entry.file_id, user_id="ann"))
    await rig.stub.RestoreFile(pb.RestoreFileRequest(file_id=kept))

    stats = await rig.stub.GetDeletionStats(pb.GetDeletionStatsRequest(user_id="ann"))

    assert (stats.deleted, stats.restored, stats.restored_share) == (2, 1, 0.5)
    assert dict(stats.by_type) == {"text/plain": 2}
    assert sum(stats.by_day.values()) == 2


@pytest.mark.parametrize("method", METHODS)
async def test_bytes_that_are_no_message_are_bad_input(rig: Rig, method: str) -> None:
    path = f"/{GrpcioFileService.name}/{method}"
    if method == "UploadFile":
        failure = await failure_of(rig.channel.stream_unary(path, bytes, bytes)(iter([b"\xff"])))
    elif method == "DownloadFile":
        failure = await failure_of(anext(aiter(rig.channel.unary_stream(path, bytes, bytes)(b"\xff"))))
    else:
        failure = await failure_of(rig.channel.unary_unary(path, bytes, bytes)(b"\xff"))

    assert (failure.code, failure.info.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "message")


async def test_downloads_are_in_the_trail_if_that_is_asked_for(rig: Rig) -> None:
    rig.world.engine.downloads._audited = True
    file_id, upload_id = await rig.store(DATA), await rig.create(4)
    metadata = pb.FileMetadata(upload_id=upload_id)
    await rig.upload(metadata, *chunks(b"ab"))

    await rig.download(pb.DownloadFileRequest(file_id=file_id, offset=3, length=4))
    await rig.download(pb.DownloadFileRequest(file_id=upload_id, follow=True, length=1))
    endless = rig.stub.DownloadFile(pb.DownloadFileRequest(file_id=upload_id, follow=True))
    await endless.read()
    endless.cancel()

    trails = [(await rig.stub.ListAudit(pb.ListAuditRequest(file_id=one))).audit for one in (file_id, upload_id)]
    assert [[dict(row.details) for row in rows if row.action == "download"] for rows in trails] == [
        [{"start": "3", "bytes": "4"}],
        [{"start": "0", "bytes": "1"}, {"start": "0"}],
    ]
