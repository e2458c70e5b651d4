"""Uploads that remember what the server acknowledged, over tus and over gRPC, and go on after anything.

Each step asks the server where the upload stands, compares that with every acknowledgement so far, and sends some more
bytes. A step that dies with the server is no failure; an offset below an acknowledged one is.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio
import httpx

from tests.running_server import RunningServer
from uploadstream.core.digests import crc32c
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1 import file_service_pb2_grpc as services

CONNECTION_ERRORS = (httpx.HTTPError, grpc.aio.AioRpcError, ConnectionError, TimeoutError)
NOISE = random.Random(7).randbytes(16 << 20)


class Lost(AssertionError):
    """The server forgot what it had acknowledged."""


class Upload(Protocol):
    """One file on its way."""

    content: bytes
    acknowledged: int
    file_id: str | None

    async def step(self, piece: int) -> None:
        """Ask for the offset, send about `piece` bytes from there."""
        ...


def content_of(rng: random.Random, size: int) -> bytes:
    """Bytes that no other upload has at the same place."""
    start = rng.randrange(len(NOISE) - size)
    return NOISE[start : start + size]


class TusUpload:
    """Over HTTP. The creation is acknowledged when its URL has come."""

    def __init__(self, client: httpx.AsyncClient, content: bytes) -> None:
        self.content = content
        self.acknowledged = 0
        self.file_id: str | None = None
        self._client = client
        self._url: str | None = None

    async def step(self, piece: int) -> None:
        """See Upload."""
        fields = {"Tus-Resumable": "1.0.0"}
        if self._url is None:
            created = await self._client.post("/files", headers={**fields, "Upload-Length": str(len(self.content))})
            created.raise_for_status()
            self._url = created.headers["location"]
        head = await self._client.head(self._url, headers=fields)
        head.raise_for_status()
        offset = int(head.headers["upload-offset"])
        check(self, offset)
        if offset < len(self.content):
            fields |= {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            body = self.content[offset : offset + piece]
            patched = await self._client.patch(self._url, headers=fields, content=body)
            patched.raise_for_status()
            offset = int(patched.headers["upload-offset"])
            check(self, offset)
        if offset == len(self.content):
            self.file_id = self._url.rpartition("/")[2]


class IetfUpload:
    """Over HTTP as the IETF has it."""

    def __init__(self, client: httpx.AsyncClient, content: bytes) -> None:
        self.content = content
        self.acknowledged = 0
        self.file_id: str | None = None
        self._client = client
        self._url: str | None = None

    async def step(self, piece: int) -> None:
        """See Upload."""
        version = {"Upload-Draft-Interop-Version": "8"}
        if self._url is None:
            begin = {**version, "Upload-Complete": "?0", "Upload-Length": str(len(self.content))}
            created = await self._client.post("/files", headers=begin)
            created.raise_for_status()
            self._url = created.headers["location"]
        head = await self._client.head(self._url, headers=version)
        head.raise_for_status()
        offset = int(head.headers["upload-offset"])
        check(self, offset)
        is_complete = head.headers["upload-complete"] == "?1"
        if not is_complete:
            body = self.content[offset : offset + piece]
            is_complete = offset + len(body) == len(self.content)
            here = {"Upload-Offset": str(offset), "Upload-Complete": f"?{is_complete:d}"}
            fields = {**version, **here, "Content-Type": "application/partial-upload"}
            (await self._client.patch(self._url, headers=fields, content=body)).raise_for_status()
            check(self, offset + len(body))
        if is_complete:
            self.file_id = self._url.rpartition("/")[2]


class PlainUpload:
    """One request with the whole body; what was refused begins anew."""

    def __init__(self, client: httpx.AsyncClient, content: bytes) -> None:
        self.content = content
        self.acknowledged = 0
        self.file_id: str | None = None
        self._client = client

    async def step(self, piece: int) -> None:
        """See Upload."""
        answer = await self._client.post("/files", content=self.content)
        answer.raise_for_status()
        self.file_id = answer.json()["file_id"]


class GrpcUpload:
    """Over gRPC, with checked chunks."""

    def __init__(self, channel: grpc.aio.Channel, content: bytes, *, upload_id: str | None = None) -> None:
        self.content = content
        self.acknowledged = 0
        self.file_id: str | None = None
        self._service = services.FileServiceStub(channel)
        self._upload_id = upload_id

    async def step(self, piece: int) -> None:
        """See Upload."""
        if self._upload_id is None:
            metadata = pb.FileMetadata(filename="noise.bin", size=len(self.content))
            created = await self._service.CreateUpload(pb.CreateUploadRequest(metadata=metadata), timeout=20)
            self._upload_id = created.upload_id
        status = await self._service.GetUploadStatus(pb.GetUploadStatusRequest(upload_id=self._upload_id), timeout=20)
        check(self, status.offset)
        if status.offset < len(self.content):
            answer = await self._service.UploadFile(self._requests(status.offset, piece), timeout=60)
            check(self, len(self.content) if answer.complete else answer.offset)
            if not answer.complete:
                return
        self.file_id = self._upload_id

    async def _requests(self, offset: int, piece: int) -> AsyncIterator[pb.UploadFileRequest]:
        yield pb.UploadFileRequest(metadata=pb.FileMetadata(upload_id=self._upload_id, offset=offset))
        for start, chunk in chunks(self.content, offset, min(offset + piece, len(self.content))):
            checked = pb.CheckedChunk(data=chunk, crc32c=crc32c(chunk), offset=start)
            yield pb.UploadFileRequest(checked_chunk=checked)


def chunks(content: bytes, start: int, stop: int, size: int = 64 * 1024) -> Iterator[tuple[int, bytes]]:
    """The chunks of a part of `content`, each with its place."""
    for begin in range(start, stop, size):
        yield begin, content[begin : min(begin + size, stop)]


def check(upload: Upload, offset: int) -> None:
    """Raise unless the server has all that it ever acknowledged; what it says now is acknowledged too."""
    if offset < upload.acknowledged:
        raise Lost(f"{upload.acknowledged} bytes were acknowledged, {offset} are there")
    upload.acknowledged = offset


async def digest(client: httpx.AsyncClient, file_id: str) -> str:
    """SHA-256 of a file as the server gives it."""
    sha256 = hashlib.sha256()
    async with client.stream("GET", f"/api/v1/files/{file_id}/content") as response:
        response.raise_for_status()
        async for piece in response.aiter_bytes():
            sha256.update(piece)
    return sha256.hexdigest()


def blobs_of(server: RunningServer) -> list[Path]:
    """The bytes that a server has in its store."""
    return [path for path in (server.data_dir / "blobs").rglob("*") if path.is_file() and len(path.name) == 36]
