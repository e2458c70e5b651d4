"""gRPC clients that vanish in the middle of a stream: the next one goes on at once, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc.aio
import httpx
import pytest

from tests.prepared_server import PreparedServer
from tests.robustness.cutting_proxy import Cut, CuttingProxy
from tests.robustness.uploading import GrpcUpload, blobs_of, chunks, content_of, digest
from tests.running_server import RunningServer
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1 import file_service_pb2_grpc as services

CUTS = int(os.environ.get("CUTS", "100"))
SEED = int(os.environ.get("SEED", "20261121"))
SIZE = 3 << 20
BLOCKED_SECONDS_MAX = 3.0


async def stream(content: bytes, metadata: pb.FileMetadata) -> AsyncIterator[pb.UploadFileRequest]:
    yield pb.UploadFileRequest(metadata=metadata)
    for _, chunk in chunks(content, 0, len(content)):
        yield pb.UploadFileRequest(chunk=chunk)


async def cut_off(
    server: RunningServer, content: bytes, metadata: pb.FileMetadata, *, at: int, cut: Cut
) -> CuttingProxy:
    """Send `content` through a network that fails after about `at` bytes; the proxy, still there."""
    proxy = CuttingProxy(("127.0.0.1", server.grpc_port), count=at + 300, cut=cut)
    channel = grpc.aio.insecure_channel(proxy.address)
    call = services.FileServiceStub(channel).UploadFile(stream(content, metadata))
    sending = asyncio.ensure_future(call)
    await asyncio.to_thread(proxy.has_cut.wait, 20)
    await asyncio.sleep(0.02)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        await sending
    if cut is not Cut.SILENCE:
        await channel.close()
    return proxy


@pytest.mark.timeout(600)
async def test_a_stream_cut_anywhere_is_continued_at_once(tmp_path: Path, tell: Callable[[str], None]) -> None:
    rng = random.Random(SEED)
    waits: Counter[str] = Counter()
    with PreparedServer(tmp_path, environment={"UPLOADSTREAM_FSYNC": "never"}) as server:
        async with (
            grpc.aio.insecure_channel(server.grpc_target) as channel,
            httpx.AsyncClient(base_url=server.http_url, timeout=60) as http,
        ):
            service = services.FileServiceStub(channel)
            for number in range(CUTS):
                cut = list(Cut)[number % len(Cut)]
                content = content_of(rng, SIZE)
                metadata = pb.FileMetadata(filename="noise.bin", size=SIZE)
                created = await service.CreateUpload(pb.CreateUploadRequest(metadata=metadata))
                at = rng.choice((0, 1, 600, rng.randrange(SIZE), rng.randrange(SIZE), SIZE - 1000))
                resumed = pb.FileMetadata(upload_id=created.upload_id)
                with await cut_off(server, content, resumed, at=at, cut=cut):
                    begun = time.monotonic()
                    upload = GrpcUpload(channel, content, upload_id=created.upload_id)
                    while upload.file_id is None and time.monotonic() - begun < BLOCKED_SECONDS_MAX:
                        # the dead one's last bytes may arrive between the look and the stream
                        with contextlib.suppress(grpc.aio.AioRpcError):
                            await upload.step(SIZE)
                    took = time.monotonic() - begun

                assert upload.file_id == created.upload_id
                assert took < BLOCKED_SECONDS_MAX
                waits[cut.value] = max(waits[cut.value], int(took * 1000))
                assert await digest(http, created.upload_id) == hashlib.sha256(content).hexdigest()
    tell(f"seed {SEED}: {CUTS} cuts, longest wait in ms {dict(waits)}, 0 lost")


@pytest.mark.parametrize("cut", [Cut.RESET, Cut.END])
async def test_a_stream_that_is_all_or_nothing_leaves_nothing_when_cut(tmp_path: Path, cut: Cut) -> None:
    content = content_of(random.Random(SEED), SIZE)
    with PreparedServer(tmp_path) as server:
        metadata = pb.FileMetadata(filename="noise.bin", size=SIZE)
        with await cut_off(server, content, metadata, at=SIZE // 2, cut=cut):
            await asyncio.sleep(0.5)

        assert not blobs_of(server)
        async with httpx.AsyncClient(base_url=server.http_url) as http:
            assert (await http.get("/api/v1/files")).json()["files"] == []
            assert (await http.get("/api/v1/uploads")).json()["uploads"] == []
