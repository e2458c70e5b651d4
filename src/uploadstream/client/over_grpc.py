"""The way to a server over gRPC: `fileservice.v1.FileService`, with chunks that carry their checksum."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import grpc

from uploadstream.client.endpoint import Endpoint
from uploadstream.client.errors import CHUNK_TOO_LARGE, UploadError
from uploadstream.client.grpc_answers import (
    ANSWER_SECONDS,
    audit_of,
    entry_of,
    file_of,
    stats_of,
    translated,
    upload_of,
)
from uploadstream.client.grpc_sending import STALL_SECONDS, Messages, send, sending_over
from uploadstream.client.keys import ApiKey
from uploadstream.client.transport import Block, Named, Page, Place
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo
from uploadstream.core.sizes import MIB
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1.file_service_pb2_grpc import FileServiceStub

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # How soon a server that was restarted is found again; the client has a patience of its own.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 16 * MIB),
)


class GrpcTransport:
    """The channels to one server, as one user; neither connects before it is used."""

    def __init__(self, endpoint: Endpoint, *, user: str, api_key: ApiKey) -> None:
        self._endpoint = endpoint
        self._user = user
        self._api_key = api_key
        self._chunk_size_max = MIB
        if endpoint.is_secure:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.aio.secure_channel(endpoint.target, credentials, _OPTIONS)
            self._sending_channel = grpc.secure_channel(endpoint.target, credentials, _OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(endpoint.target, _OPTIONS)
            self._sending_channel = grpc.insecure_channel(endpoint.target, _OPTIONS)
        self._stub = FileServiceStub(self._channel)
        self._send = sending_over(self._sending_channel)

    async def close(self) -> None:
        """Let the connections go."""
        self._sending_channel.close()
        await self._channel.close()

    async def create(self, named: Named) -> Place:
        """Begin an upload."""
        metadata = pb.FileMetadata(
            filename=named.filename, content_type=named.content_type, size=named.size, user_id=self._user
        )
        return _place_of(await self._ask(self._stub.CreateUpload, pb.CreateUploadRequest(metadata=metadata)))

    async def place(self, upload_id: str) -> Place:
        """Ask how far an upload is."""
        return _place_of(await self._ask(self._stub.GetUploadStatus, pb.GetUploadStatusRequest(upload_id=upload_id)))

    async def append(self, upload_id: str, blocks: Iterator[Block], *, at: int, size: int) -> Place:
        """Send the blocks as checked chunks."""
        first = pb.FileMetadata(upload_id=upload_id, offset=at, size=size, user_id=self._user)
        messages = Messages(first, blocks, chunk_size_max=self._chunk_size_max)
        async with self._api_key.for_request() as key:
            with self._chunk_limit_learned():
                answer = await send(self._send, messages, metadata=_bearer(key), endpoint=self._endpoint)
        return Place(upload_id, answer.offset, answer.complete)

    @contextmanager
    def _chunk_limit_learned(self) -> Generator[None]:
        """A server that takes smaller chunks gets them in the next try."""
        try:
            yield
        except UploadError as error:
            limit = error.numbers.get("limit", "")
            if error.reason == CHUNK_TOO_LARGE and limit.isdecimal() and 0 < int(limit) < self._chunk_size_max:
                self._chunk_size_max = int(limit)
                error.is_passing = True
            raise

    async def abort(self, upload_id: str) -> None:
        """End an upload, and remove its bytes."""
        await self._ask(self._stub.AbortUpload, pb.AbortUploadRequest(upload_id=upload_id))

    async def content(self, file_id: str, *, start: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from `start` on."""
        request = pb.DownloadFileRequest(file_id=file_id, offset=start)
        async with self._api_key.for_request() as key:
            call = self._stub.DownloadFile(request, metadata=_bearer(key))
            try:
                while True:
                    with translated(self._endpoint, stall_seconds=STALL_SECONDS):
                        async with asyncio.timeout(STALL_SECONDS):
                            message = await call.read()
                    if not isinstance(message, pb.DownloadFileResponse):  # the end of the stream
                        return
                    if message.chunk:
                        yield message.chunk
            finally:
                call.cancel()

    async def describe(self, file_id: str) -> FileInfo:
        """Everything known of a file."""
        answer = await self._ask(self._stub.GetFileMetadata, pb.GetFileMetadataRequest(file_id=file_id))
        return file_of(answer)

    async def delete(self, file_id: str) -> None:
        """Move a file to the trash."""
        await self._ask(self._stub.DeleteFile, pb.DeleteFileRequest(file_id=file_id, user_id=self._user))

    async def restore(self, file_id: str) -> None:
        """Take a file out of the trash."""
        await self._ask(self._stub.RestoreFile, pb.RestoreFileRequest(file_id=file_id, user_id=self._user))

    async def files(self, *, deleted: bool, page_size: int, page_token: str) -> Page[FileInfo]:
        """A page of the user's files, or of its trash."""
        request = pb.ListFilesRequest(user_id=self._user, page_size=page_size, page_token=page_token, deleted=deleted)
        answer = await self._ask(self._stub.ListFiles, request)
        return Page([entry_of(row) for row in answer.files], answer.next_page_token)

    async def uploads(self, *, page_size: int, page_token: str) -> Page[UploadInfo]:
        """A page of the user's open uploads."""
        request = pb.ListUploadsRequest(user_id=self._user, page_size=page_size, page_token=page_token)
        answer = await self._ask(self._stub.ListUploads, request)
        return Page([upload_of(row) for row in answer.uploads], answer.next_page_token)

    async def audit(self, file_id: str, *, page_size: int, page_token: str) -> Page[AuditEntry]:
        """A page of a file's trail."""
        request = pb.ListAuditRequest(file_id=file_id, page_size=page_size, page_token=page_token, user_id=self._user)
        answer = await self._ask(self._stub.ListAudit, request)
        return Page([audit_of(row) for row in answer.audit], answer.next_page_token)

    async def stats(self) -> DeletionStats:
        """The user's deletion analytics."""
        return stats_of(await self._ask(self._stub.GetDeletionStats, pb.GetDeletionStatsRequest(user_id=self._user)))

    async def _ask(self, method: grpc.aio.UnaryUnaryMultiCallable[Asked, Answered], request: Asked) -> Answered:
        async with self._api_key.for_request() as key:
            with translated(self._endpoint):
                return await method(request, timeout=ANSWER_SECONDS, metadata=_bearer(key))


def _bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),) if key else ()


def _place_of(status: pb.UploadStatus) -> Place:
    return Place(status.upload_id, status.offset, status.complete)
