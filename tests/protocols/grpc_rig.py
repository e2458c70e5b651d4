"""A gRPC server over an engine in memory, and what a client does with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import aio

from tests.engine.world import World, memory_world
from uploadstream.core.allowances import Allowance
from uploadstream.core.session import Limits
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1.file_service_pb2_grpc import FileServiceStub
from uploadstream.protocols.grpc_files.errors import status_of
from uploadstream.protocols.grpc_files.grpcio import GrpcioFileService
from uploadstream.protocols.grpc_files.service import FileService
from uploadstream.servers.certificates import Certificate
from uploadstream.servers.grpc import GrpcServer, Socket

UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def server_of(
    world: World,
    *,
    silence_seconds: float = 60.0,
    reuse_port: bool = False,
    port: int = 0,
    tls: Certificate | None = None,
) -> GrpcServer:
    engine = world.engine
    service = FileService(engine.uploads, engine.downloads, engine.files)
    return GrpcServer(
        [GrpcioFileService(service, silence_seconds=silence_seconds)],
        Socket("127.0.0.1", port, reuse_port=reuse_port, tls=tls),
        status_of=status_of,
        chunk_size_max=world.limits.chunk_size_max,
    )


@dataclass
class Rig:
    """A running server, its world, and a client's stub."""

    world: World
    server: GrpcServer
    port: int
    channel: aio.Channel
    stub: FileServiceStub

    def upload(
        self, metadata: pb.FileMetadata, *messages: pb.UploadFileRequest, timeout: float | None = None
    ) -> aio.StreamUnaryCall[pb.UploadFileRequest, pb.UploadFileResponse]:
        """A stream of metadata and then messages, which ends cleanly."""
        sent = [pb.UploadFileRequest(metadata=metadata), *messages]
        return self.stub.UploadFile(iter(sent), timeout=timeout)

    async def begin(self, metadata: pb.FileMetadata, *messages: pb.UploadFileRequest) -> "OpenStream":
        """The same, but the stream stays open."""
        call = self.stub.UploadFile()
        for message in (pb.UploadFileRequest(metadata=metadata), *messages):
            await call.write(message)
        return OpenStream(call)

    async def create(self, size: int, *, filename: str = "a.bin", user_id: str = "") -> str:
        """The id of a new upload."""
        metadata = pb.FileMetadata(filename=filename, size=size, user_id=user_id)
        status = await self.stub.CreateUpload(pb.CreateUploadRequest(metadata=metadata))
        return status.upload_id

    async def offset(self, upload_id: str) -> int:
        """How many bytes of an upload the server holds."""
        return (await self.stub.GetUploadStatus(pb.GetUploadStatusRequest(upload_id=upload_id))).offset

    async def store(self, data: bytes, *, filename: str = "a.bin", user_id: str = "") -> str:
        """The id of a new file."""
        metadata = pb.FileMetadata(filename=filename, size=len(data), user_id=user_id)
        return (await self.upload(metadata, *chunks(data))).file_id

    async def download(self, request: pb.DownloadFileRequest) -> tuple[pb.FileInfo, bytes]:
        """What a download begins with, and its bytes."""
        responses = [response async for response in self.stub.DownloadFile(request)]
        assert responses[0].WhichOneof("data") == "info"
        assert all(response.WhichOneof("data") == "chunk" for response in responses[1:])
        return responses[0].info, b"".join(response.chunk for response in responses[1:])


@dataclass
class OpenStream:
    """A stream of which more may come."""

    call: aio.StreamUnaryCall[pb.UploadFileRequest, pb.UploadFileResponse]

    async def failure(self) -> "Failure":
        return await failure_of(self.call)


@dataclass
class Failure:
    """How a call failed."""

    code: grpc.StatusCode
    text: str
    details: list[Message]

    @property
    def info(self) -> ErrorInfo:
        """The reason and its numbers."""
        found = self.details[0]
        assert isinstance(found, ErrorInfo)
        return found


@asynccontextmanager
async def running(
    *,
    limits: Limits | None = None,
    allowance: Allowance | None = None,
    read_timeout_seconds: float = 60.0,
    silence_seconds: float = 60.0,
) -> AsyncIterator[Rig]:
    """A server for the time of a test."""
    world = memory_world()
    world.start(limits=limits, read_timeout_seconds=read_timeout_seconds, allowance=allowance)
    server = server_of(world, silence_seconds=silence_seconds)
    port = await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}", options=UNLIMITED) as channel:
            yield Rig(world, server, port, channel, FileServiceStub(channel))
    finally:
        await server.stop(grace_seconds=0.0)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until what is awaited is true, 10 s at most."""
    async with asyncio.timeout(10):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


def chunks(data: bytes, size: int = 65_536) -> list[pb.UploadFileRequest]:
    """`data` in messages of `size` bytes."""
    return [pb.UploadFileRequest(chunk=data[at : at + size]) for at in range(0, len(data), size)]


async def failure_of(call: Awaitable[object]) -> Failure:
    """How the call fails, which it must."""
    try:
        answer = await call
    except aio.AioRpcError as error:
        return Failure(error.code(), error.details() or "", details_of(error))
    message = f"it was answered: {answer}"
    raise AssertionError(message)


def details_of(error: aio.AioRpcError) -> list[Message]:
    """The messages in grpc-status-details-bin."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            packed = Status.FromString(value if isinstance(value, bytes) else value.encode())
            return [unpacked(detail) for detail in packed.details]
    return []


def unpacked(detail: Message) -> Message:
    """The message in an Any."""
    for kind in (ErrorInfo, BadRequest, QuotaFailure, RetryInfo):
        message: Message = kind()
        if detail.Unpack(message):  # type: ignore[attr-defined]
            return message
    raise AssertionError(detail)
