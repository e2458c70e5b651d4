"""The stream of an upload over gRPC.

It is the one call that does not go through grpc.aio: there, a message that finds the stream ended by the server is
"Internal error from Core", and the server's reason is lost. The threads of grpc's older interface keep it, and read
the file as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, TypeAlias

import grpc

from uploadstream.client.endpoint import Endpoint
from uploadstream.client.errors import UploadError, timed_out
from uploadstream.client.grpc_answers import translated
from uploadstream.client.transport import Block
from uploadstream.core.digests import crc32c
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb

# For a chunk to get through; chunks become small where that takes long (source.py).
STALL_SECONDS: Final = 30.0
# Between the last byte and the answer lie the server's fsync and its catalog. A dead peer is found by the pings.
COMPLETION_SECONDS: Final = 300.0

_METHOD: Final = "/fileservice.v1.FileService/UploadFile"
_LOOK_SECONDS: Final = 1.0

Send: TypeAlias = "grpc.StreamUnaryMultiCallable[pb.UploadFileRequest, pb.UploadFileResponse]"
Metadata = tuple[tuple[str, str], ...]


def sending_over(channel: grpc.Channel) -> Send:
    """The method on a channel."""
    return channel.stream_unary(
        _METHOD,
        request_serializer=pb.UploadFileRequest.SerializeToString,
        response_deserializer=pb.UploadFileResponse.FromString,
    )


class Messages:
    """What is sent: the metadata, then each block in checked chunks. It is asked from a thread of grpc's."""

    def __init__(self, first: pb.FileMetadata, blocks: Iterator[Block], *, chunk_size_max: int) -> None:
        self._messages = self._made_of(first, blocks, chunk_size_max)
        self._waiting_since: float | None = time.monotonic()
        self.is_at_end = False
        self.failure: UploadError | None = None

    def __iter__(self) -> Iterator[pb.UploadFileRequest]:
        """Give the messages; what goes wrong with the file ends them, and is kept."""
        try:
            for message in self._messages:
                self._waiting_since = time.monotonic()
                yield message
                self._waiting_since = None
        except UploadError as error:
            self.failure = error
        self._waiting_since = time.monotonic()
        self.is_at_end = True

    def stalled_seconds(self) -> float:
        """For how long the last message has not got away; reading the file does not count."""
        since = self._waiting_since
        return time.monotonic() - since if since is not None else 0.0

    def _made_of(
        self, first: pb.FileMetadata, blocks: Iterator[Block], chunk_size_max: int
    ) -> Iterator[pb.UploadFileRequest]:
        yield pb.UploadFileRequest(metadata=first)
        for block in blocks:
            for start in range(0, len(block.data), chunk_size_max):
                data = block.data[start : start + chunk_size_max]
                chunk = pb.CheckedChunk(data=data, crc32c=crc32c(data), offset=block.at + start)
                yield pb.UploadFileRequest(checked_chunk=chunk)


async def send(method: Send, messages: Messages, *, metadata: Metadata, endpoint: Endpoint) -> pb.UploadFileResponse:
    """Send the messages; the server's answer. Whatever happens, the call is over afterwards."""
    call = method.future(iter(messages), metadata=metadata)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop may be closed, and nobody wait any more
            loop.call_soon_threadsafe(ended.set)

    call.add_done_callback(tell)
    try:
        while not await _happens(ended):
            limit = COMPLETION_SECONDS if messages.is_at_end else STALL_SECONDS
            if messages.stalled_seconds() > limit:
                raise timed_out(str(endpoint), seconds=limit)
        with translated(endpoint):
            answer = call.result()
    finally:
        call.cancel()
    if messages.failure is not None:
        raise messages.failure
    return answer


async def _happens(event: asyncio.Event) -> bool:
    """Whether it does so within a short time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_SECONDS):
            await event.wait()
    return event.is_set()
