"""One small client a protocol, which begins, continues and finishes an upload, and is cut in the middle of a chunk.

Each asks the server where the upload stands, in its own words, and sends what follows from there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Protocol

import grpc
import grpc.aio

from tests.interop.ietf.probe import Probe
from tests.robustness.cutting_proxy import Cut, CuttingProxy
from tests.robustness.raw_tus import Answer, RawTus, answer_on, reset
from tests.robustness.uploading import chunks
from tests.running_server import HOST, RunningServer
from uploadstream.core.digests import crc32c
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1 import file_service_pb2_grpc as services

SECONDS_MAX = 20
ARRIVAL_SECONDS = 0.5
POND_CHUNK_SIZE = 50_000


class Speaker(Protocol):
    """A client of one protocol."""

    def __init__(self, server: RunningServer) -> None: ...

    def create(self, content: bytes) -> str:
        """A new upload's id; nothing of its content is sent yet."""
        ...

    def cut(self, upload: str, content: bytes, stop: int) -> None:
        """Send from where the upload stands, to be cut at `stop`."""
        ...

    def finish(self, upload: str, content: bytes) -> None:
        """Send all that is missing."""
        ...


class Tus:
    """tus 1.0.0."""

    def __init__(self, server: RunningServer) -> None:
        self._tus = RawTus(HOST, server.http_port)

    def create(self, content: bytes) -> str:
        """See Speaker."""
        return self._tus.create(len(content)).rpartition("/")[2]

    def cut(self, upload: str, content: bytes, stop: int) -> None:
        """See Speaker."""
        path = f"/files/{upload}"
        at = self._tus.offset(path)
        connection = self._tus.begin_patch(path, offset=at, length=len(content) - at)
        connection.sendall(content[at:stop])
        reset(connection)

    def finish(self, upload: str, content: bytes) -> None:
        """See Speaker."""
        path = f"/files/{upload}"
        at = self._tus.offset(path)
        answer = self._tus.patch(path, offset=at, body=content[at:])
        assert answer.status == 204, answer


class Ietf:
    """The IETF's resumable upload, version 8."""

    def __init__(self, server: RunningServer) -> None:
        self._probe = Probe(f"{server.http_url}/files")

    def create(self, content: bytes) -> str:
        """See Speaker."""
        return self._probe.create(fields={"Upload-Length": str(len(content))}).rpartition("/")[2]

    def cut(self, upload: str, content: bytes, stop: int) -> None:
        """See Speaker."""
        target = f"/files/{upload}"
        at = self._probe.offset(target)
        exchange = self._probe.begin_append(target, at, len(content) - at, "?1")
        exchange.send(content[at:stop])
        exchange.reset()

    def finish(self, upload: str, content: bytes) -> None:
        """See Speaker."""
        target = f"/files/{upload}"
        at = self._probe.offset(target)
        answer = self._probe.appended(target, at, content[at:], "?1")
        assert answer.field("Upload-Complete") == "?1", str(answer)


class Pond:
    """FilePond 4 with chunks: what starts below the offset it is told counts as sent, the rest is sent by chunks."""

    def __init__(self, server: RunningServer) -> None:
        self._tus = RawTus(HOST, server.http_port)

    def create(self, content: bytes) -> str:
        """See Speaker."""
        body = b'--x\r\nContent-Disposition: form-data; name="filepond"\r\n\r\n{}\r\n--x--\r\n'
        fields = {
            "Upload-Length": str(len(content)),
            "Content-Type": "multipart/form-data; boundary=x",
            "Content-Length": str(len(body)),
        }
        answer = self._ask("POST", "/filepond", fields, body)
        assert 200 <= answer.status < 300, answer
        return answer.body.decode()

    def cut(self, upload: str, content: bytes, stop: int) -> None:
        """See Speaker."""
        for start, chunk in self._left(upload, content):
            if start + len(chunk) < stop:
                self._send(upload, content, start, chunk)
                continue
            with self._tus.connect() as connection:
                connection.sendall(self._head(upload, content, start, len(chunk)) + chunk[: stop - start])
                reset(connection)
            return

    def finish(self, upload: str, content: bytes) -> None:
        """See Speaker."""
        for start, chunk in self._left(upload, content):
            self._send(upload, content, start, chunk)

    def _left(self, upload: str, content: bytes) -> Iterator[tuple[int, bytes]]:
        told = self._ask("HEAD", f"/filepond?patch={upload}", {})
        assert 200 <= told.status < 300, told
        offset = int(told.fields["upload-offset"])
        every = chunks(content, 0, len(content), POND_CHUNK_SIZE)
        return ((start, chunk) for start, chunk in every if start >= offset)

    def _send(self, upload: str, content: bytes, start: int, chunk: bytes) -> None:
        with self._tus.connect() as connection:
            connection.sendall(self._head(upload, content, start, len(chunk)) + chunk)
            answer = answer_on(connection)
        assert 200 <= answer.status < 300, (start, answer)

    def _head(self, upload: str, content: bytes, start: int, length: int) -> bytes:
        lines = (
            f"PATCH /filepond?patch={upload} HTTP/1.1",
            f"Host: {HOST}",
            "Content-Type: application/offset+octet-stream",
            f"Upload-Offset: {start}",
            f"Upload-Length: {len(content)}",
            "Upload-Name: noise.bin",
            f"Content-Length: {length}",
        )
        return "\r\n".join([*lines, "", ""]).encode()

    def _ask(self, method: str, path: str, fields: dict[str, str], body: bytes = b"") -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {said}" for name, said in fields.items())]
        with self._tus.connect() as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            return answer_on(connection, has_body=method != "HEAD")


class Grpc:
    """fileservice.v1."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def create(self, content: bytes) -> str:
        """See Speaker."""
        metadata = pb.FileMetadata(filename="noise.bin", size=len(content))

        async def call() -> str:
            async with grpc.aio.insecure_channel(self._server.grpc_target) as channel:
                request = pb.CreateUploadRequest(metadata=metadata)
                return (await services.FileServiceStub(channel).CreateUpload(request, timeout=SECONDS_MAX)).upload_id

        return asyncio.run(call())

    def cut(self, upload: str, content: bytes, stop: int) -> None:
        """See Speaker."""
        at = self._offset(upload)
        # What frames the chunks takes a little of the count; the cut is in the middle of a message all the same.
        with CuttingProxy((HOST, self._server.grpc_port), count=stop - at, cut=Cut.SILENCE) as proxy:

            async def call() -> None:
                sending = asyncio.create_task(self._send(proxy.address, upload, content, at))
                assert await asyncio.to_thread(proxy.has_cut.wait, SECONDS_MAX), "the stream was not cut"
                await asyncio.sleep(ARRIVAL_SECONDS)  # gRPC forgets what it has not handed on when a connection ends
                sending.cancel()
                await asyncio.wait([sending])

            asyncio.run(call())

    def finish(self, upload: str, content: bytes) -> None:
        """See Speaker."""
        at = self._offset(upload)
        assert asyncio.run(self._send(self._server.grpc_target, upload, content, at)).complete

    async def _send(self, address: str, upload: str, content: bytes, at: int) -> pb.UploadFileResponse:
        async with grpc.aio.insecure_channel(address, options=[("grpc.enable_retries", 0)]) as channel:
            stream = requests(upload, content, at)
            return await services.FileServiceStub(channel).UploadFile(stream, timeout=SECONDS_MAX)

    def _offset(self, upload: str) -> int:
        async def call() -> int:
            async with grpc.aio.insecure_channel(self._server.grpc_target) as channel:
                request = pb.GetUploadStatusRequest(upload_id=upload)
                return (await services.FileServiceStub(channel).GetUploadStatus(request, timeout=SECONDS_MAX)).offset

        return asyncio.run(call())


def requests(upload: str, content: bytes, at: int) -> Iterator[pb.UploadFileRequest]:
    """A stream that continues an upload."""
    yield pb.UploadFileRequest(metadata=pb.FileMetadata(upload_id=upload, offset=at))
    for start, chunk in chunks(content, at, len(content), 30_000):
        yield pb.UploadFileRequest(checked_chunk=pb.CheckedChunk(data=chunk, crc32c=crc32c(chunk), offset=start))


# Who speaks, and the part of the server that answers.
EVERY: dict[str, tuple[type[Speaker], str]] = {
    "grpc": (Grpc, "grpc_files"),
    "tus": (Tus, "tus"),
    "ietf": (Ietf, "ietf"),
    "filepond": (Pond, "filepond"),
}
SPEAKERS: dict[str, type[Speaker]] = {
    name: speaker for name, (speaker, part) in EVERY.items() if find_spec(f"uploadstream.protocols.{part}")
}


def listed(document: bytes, key: str, upload: str) -> list[dict[str, object]]:
    """The rows of a listing that have this id."""
    rows: list[dict[str, object]] = json.loads(document)[key]
    return [row for row in rows if upload in {row.get("upload_id"), row.get("file_id")}]
