"""`kill -9` of a real server at random moments: nothing that was acknowledged is lost, nothing listed is broken."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import httpx
import pytest

from tests.prepared_server import PreparedServer
from tests.robustness.uploading import (
    CONNECTION_ERRORS,
    GrpcUpload,
    Lost,
    TusUpload,
    Upload,
    check,
    content_of,
    digest,
)
from tests.running_server import RunningServer

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("SEED", "20261121"))
AT_ONCE = 6


@dataclass
class Run:
    """What happened: finished uploads with their content's digests, kills, tries that died with the server."""

    rng: random.Random
    finished: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    stop: bool = False


async def upload_on_and_on(run: Run, http: httpx.AsyncClient, channel: grpc.aio.Channel, *, over_grpc: bool) -> None:
    """One file after the other, through every kill, until told to stop; the last one is finished."""
    while not run.stop:
        content = content_of(run.rng, run.rng.choice((0, 1, 300, 65_537, 1 << 20, 6 << 20)))
        upload: Upload = GrpcUpload(channel, content) if over_grpc else TusUpload(http, content)
        while upload.file_id is None:
            try:
                await upload.step(run.rng.choice((200, 100_000, 1 << 20, 6 << 20)))
            except CONNECTION_ERRORS:
                run.cut += 1
                await asyncio.sleep(0.15)
        run.finished[upload.file_id] = hashlib.sha256(content).hexdigest()


async def listed(http: httpx.AsyncClient) -> dict[str, int]:
    """Every file that is listed, with its size."""
    found: dict[str, int] = {}
    token = ""
    while True:
        page = (await http.get("/api/v1/files", params={"page_size": 1000, "page_token": token})).json()
        found |= {file["file_id"]: file["size"] for file in page["files"]}
        token = page["next_page_token"]
        if not token:
            return found


async def kill_all(server: RunningServer, _: random.Random) -> None:
    await asyncio.to_thread(server.restart)


async def kill_one_worker(server: RunningServer, rng: random.Random) -> None:
    with contextlib.suppress(ProcessLookupError, IndexError):
        os.kill(rng.choice(server.workers()), signal.SIGKILL)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("workers", "kills", "kill", "seed"),
    [
        # in parts, so that several processes can share the work
        *[(1, KILLS // 4, kill_all, SEED + part) for part in range(4)],
        (3, KILLS // 10, kill_all, SEED),
        (3, KILLS // 10, kill_one_worker, SEED),
    ],
    ids=[
        *[f"the server, part {part + 1} of 4" for part in range(4)],
        "a server of three workers",
        "one worker of three",
    ],
)
async def test_nothing_acknowledged_is_lost_when_processes_are_killed(
    tmp_path: Path,
    tell: Callable[[str], None],
    workers: int,
    kills: int,
    kill: Callable[[RunningServer, random.Random], Awaitable[None]],
    seed: int,
) -> None:
    rng = random.Random(seed)
    run = Run(rng)
    with PreparedServer(tmp_path, options=["--workers", str(workers), "--fsync", "never"]) as server:
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
        async with (
            httpx.AsyncClient(base_url=server.http_url, timeout=60) as http,
            grpc.aio.insecure_channel(server.grpc_target, options=options) as channel,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(AT_ONCE):
                tasks.create_task(upload_on_and_on(run, http, channel, over_grpc=number % 2 == 0))
            for _ in range(kills):
                await asyncio.sleep(rng.uniform(0.01, 0.6))
                await kill(server, rng)
            run.stop = True

        async with httpx.AsyncClient(base_url=server.http_url, timeout=60) as http:
            for file_id, sha256 in run.finished.items():
                assert await digest(http, file_id) == sha256
            files = await listed(http)
            assert set(run.finished) <= set(files)
            for file_id in set(files) - set(run.finished):  # completed, but the answer was lost
                await digest(http, file_id)
    tell(f"seed {seed}: {kills} x {kill.__name__} of {workers}, {run.cut} tries cut, {len(run.finished)} files, 0 lost")


def test_an_offset_below_an_acknowledged_one_is_noticed() -> None:
    upload = TusUpload(httpx.AsyncClient(), b"abc")
    upload.acknowledged = 2

    with pytest.raises(Lost):
        check(upload, 1)
