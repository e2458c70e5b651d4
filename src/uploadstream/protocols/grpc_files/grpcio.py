"""The service on a server of grpc.aio: calls in, methods of FileService out.

Messages come and go as bytes; wire.py and protobuf read them here, inside the call, so that one that cannot be read is
refused like every other bad input.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from uploadstream.core.access import Credentials, Identify
from uploadstream.core.errors import BodyTimeout, MissingMetadata
from uploadstream.engine.intake import Intake
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.grpc_files.messages import Peer, read_chunk, read_credentials, read_metadata
from uploadstream.protocols.grpc_files.service import FileService
from uploadstream.protocols.grpc_files.wire import read_request, read_sent

Context = aio.ServicerContext[Any, bytes]  # reads bytes, or EOF
Call = Callable[[Any, Any], Awaitable[Any]]
Guard = Callable[[str, Call], Call]
Request = TypeVar("Request", bound=Message)
Result = TypeVar("Result")


async def nobody(_: Credentials) -> None:
    """Who is not asked for credentials is nobody who is known."""


class GrpcioFileService:
    """The methods of `service`. `silence_seconds`: how long a client may leave us waiting, for the first message of an
    upload, or with one of a download that it does not take. `identify`: finds out who calls, before anything is read.
    """

    name: Final = pb.DESCRIPTOR.services_by_name["FileService"].full_name

    def __init__(self, service: FileService, *, silence_seconds: float, identify: Identify = nobody) -> None:
        self._service = service
        self._identify = identify
        self._silence_seconds = silence_seconds

    def handler(self, guard: Guard) -> grpc.GenericRpcHandler:
        """For a server, which wraps every method with its guard."""
        service = self._service
        unary: dict[str, Call] = {
            "GetFileMetadata": self._unary(pb.GetFileMetadataRequest, service.get_file_metadata),
            "ListFiles": self._unary(pb.ListFilesRequest, service.list_files),
            "DeleteFile": self._unary(pb.DeleteFileRequest, service.delete_file),
            "RestoreFile": self._unary(pb.RestoreFileRequest, service.restore_file),
            "CreateUpload": self._unary(pb.CreateUploadRequest, service.create_upload),
            "GetUploadStatus": self._unary(pb.GetUploadStatusRequest, service.get_upload_status),
            "AbortUpload": self._unary(pb.AbortUploadRequest, service.abort_upload),
            "ListUploads": self._unary(pb.ListUploadsRequest, service.list_uploads),
            "ListAudit": self._unary(pb.ListAuditRequest, service.list_audit),
            "GetDeletionStats": self._unary(pb.GetDeletionStatsRequest, service.get_deletion_stats),
        }
        # without (de)serializers, as messages are bytes here
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "UploadFile": grpc.stream_unary_rpc_method_handler(guard("UploadFile", self.upload)),
            "DownloadFile": grpc.unary_stream_rpc_method_handler(guard("DownloadFile", self.download)),
            **{name: grpc.unary_unary_rpc_method_handler(guard(name, call)) for name, call in unary.items()},
        }
        return grpc.method_handlers_generic_handler(self.name, methods)

    async def upload(self, _: object, context: Context) -> bytes:
        """UploadFile."""
        peer = await self._peer(context)
        first = await self._in_time(context.read())
        if first is aio.EOF:
            raise MissingMetadata
        metadata = read_metadata(read_sent(first))
        size_max = self._service.chunk_size_max

        async def pour(intake: Intake) -> None:
            while (message := await context.read()) is not aio.EOF:
                waiting = intake.feed(read_chunk(read_sent(message), at=intake.offset, size_max=size_max))
                del message  # not to be kept while the next one comes
                if waiting is not None:
                    await waiting

        response = await self._service.upload_file(metadata, peer, pour)
        return response.SerializeToString()

    async def download(self, message: bytes, context: Context) -> None:
        """DownloadFile."""
        peer = await self._peer(context)
        request = read_request(pb.DownloadFileRequest, message)
        async with aclosing(self._service.download_file(request, peer)) as responses:
            async for response in responses:
                await self._in_time(context.write(response))

    async def _in_time(self, step: Awaitable[Result]) -> Result:
        """What the client has to do for the call to go on. BodyTimeout."""
        try:
            async with asyncio.timeout(self._silence_seconds):
                return await step
        except TimeoutError:
            raise BodyTimeout(seconds=self._silence_seconds) from None

    def _unary(self, kind: type[Request], method: Callable[[Request, Peer], Awaitable[Message]]) -> Call:
        """A method that takes one message and answers one."""

        async def call(message: bytes, context: Context) -> bytes:
            peer = await self._peer(context)
            response = await method(read_request(kind, message), peer)
            return response.SerializeToString()

        return call

    async def _peer(self, context: Context) -> Peer:
        """Who calls. Unauthenticated, BadField."""
        credentials = read_credentials(tuple(context.invocation_metadata() or ()), context.auth_context())
        return Peer(context.peer(), await self._identify(credentials))
