"""The database is killed, or cannot be reached, while uploads go on: they continue, and nothing acknowledged is lost.

Whoever asks meanwhile is told to come again, and is told nothing worse. The server is never restarted.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import grpc.aio
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status.rpc_status import from_call

from tests.postgres import Cluster
from tests.prepared_server import PreparedServer
from tests.robustness.stalling_proxy import StallingProxy
from tests.robustness.uploading import GrpcUpload, IetfUpload, PlainUpload, TusUpload, Upload, content_of, digest
from tests.running_server import HOST, RunningServer
from uploadstream.adapters.catalog.postgres_schema import migrate
from uploadstream.core.dsns import Dsn

KILLS = 20
SEED = 20261121
AT_ONCE = 8
SIZES = (0, 1, 300, 65_537, 1 << 20)
PIECES = (200, 100_000, 600_000)
DATABASE = "catalog"
# The server answers within five seconds; a busy machine takes its own time.
ANSWER_SECONDS_MAX = 30.0
STALL_SECONDS = 7.0


@dataclass
class Run:
    """What happened: finished uploads with their content's digests, and how often somebody was told to come again."""

    rng: random.Random
    finished: dict[str, str] = field(default_factory=dict)
    steps: int = 0
    stepped: asyncio.Condition = field(default_factory=asyncio.Condition)
    refused: int = 0
    slowest: float = 0.0
    stop: bool = False

    async def goes_on(self) -> None:
        """Wait until each who uploads had the time for a step that succeeds."""
        enough = self.steps + AT_ONCE
        async with asyncio.timeout(ANSWER_SECONDS_MAX), self.stepped:
            await self.stepped.wait_for(lambda: self.steps >= enough)

    async def step(self) -> None:
        """Count one that succeeded."""
        async with self.stepped:
            self.steps += 1
            self.stepped.notify_all()


async def upload_on_and_on(run: Run, begin: Callable[[bytes], Upload]) -> None:
    """One file after the other, until told to stop; the last one is finished."""
    while not run.stop:
        content = content_of(run.rng, run.rng.choice(SIZES))
        upload = begin(content)
        while upload.file_id is None:
            start = time.monotonic()
            try:
                await upload.step(run.rng.choice(PIECES))
                await run.step()
            except (httpx.HTTPStatusError, grpc.aio.AioRpcError) as refusal:
                check_that_it_says_to_come_again(refusal)
                run.refused += 1
            run.slowest = max(run.slowest, time.monotonic() - start)
            await asyncio.sleep(0.05)
        run.finished[upload.file_id] = hashlib.sha256(content).hexdigest()


def check_that_it_says_to_come_again(refusal: httpx.HTTPStatusError | grpc.aio.AioRpcError) -> None:
    """Nothing else is ever said."""
    if isinstance(refusal, httpx.HTTPStatusError):
        answer = refusal.response
        # a client of tus whose HEAD is answered by 503 takes its upload for lost, and begins anew
        is_tus = "tus-resumable" in answer.headers and answer.request.method == "HEAD"
        assert answer.status_code == (HTTPStatus.LOCKED if is_tus else HTTPStatus.SERVICE_UNAVAILABLE), answer
        assert int(answer.headers["retry-after"]) > 0
        return
    if refusal.details() == "Internal error from Core":
        return  # of grpc itself, here, when it still sends while the answer comes: the answer is lost
    assert refusal.code() == grpc.StatusCode.UNAVAILABLE, refusal
    status = from_call(refusal)  # type: ignore[arg-type]  # it has what is asked of a call
    assert status is not None, refusal
    assert any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details), refusal


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One of its own, that syncs what it commits."""
    made = Cluster(careless=False)
    yield made
    made.stop()


@asynccontextmanager
async def uploading(server: RunningServer, tell: Callable[[str], None], what: str) -> AsyncIterator[Run]:
    """Uploads over every protocol, all the while; at the end all of them are finished, and are what was sent."""
    run = Run(random.Random(SEED))
    async with httpx.AsyncClient(base_url=server.http_url, timeout=60) as http:
        async with grpc.aio.insecure_channel(server.grpc_target) as channel, asyncio.TaskGroup() as tasks:
            kinds: list[Callable[[bytes], Upload]] = [
                lambda content: TusUpload(http, content),
                lambda content: IetfUpload(http, content),
                lambda content: GrpcUpload(channel, content),
                lambda content: PlainUpload(http, content),
            ]
            for begin in itertools.islice(itertools.cycle(kinds), AT_ONCE):
                tasks.create_task(upload_on_and_on(run, begin))
            await run.goes_on()
            yield run
            await run.goes_on()
            run.stop = True
        for file_id, sha256 in run.finished.items():
            assert await digest(http, file_id) == sha256
    assert server.output().count("UploadStream is ready.") == 1
    assert run.refused
    assert run.slowest < ANSWER_SECONDS_MAX
    counts = f"{len(run.finished)} files, 0 lost; {run.refused} of {run.refused + run.steps} steps were to come again"
    tell(f"{what}: {counts}, the slowest took {run.slowest:.1f} s")


@pytest.mark.timeout(600)
async def test_postgres_killed_again_and_again_costs_nobody_an_acknowledged_file(
    cluster: Cluster, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    dsn = cluster.make(DATABASE)
    await migrate(Dsn(dsn))
    dice = random.Random(SEED)
    with PreparedServer(tmp_path, environment={"UPLOADSTREAM": dsn}) as server:
        async with uploading(server, tell, f"PostgreSQL killed {KILLS} times") as run:
            for _ in range(KILLS):
                await asyncio.sleep(dice.uniform(0, 0.3))
                await asyncio.to_thread(cluster.kill)
                await asyncio.sleep(dice.uniform(0, 0.5))
                await asyncio.to_thread(cluster.start)
                await run.goes_on()


@pytest.mark.timeout(600)
async def test_a_network_that_stands_still_before_postgres_costs_nobody_an_acknowledged_file(
    cluster: Cluster, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    await migrate(Dsn(cluster.make(DATABASE)))
    async with StallingProxy(cluster.port) as proxy:
        dsn = f"postgresql://postgres@{HOST}:{proxy.port}/{DATABASE}"
        server = await asyncio.to_thread(PreparedServer, tmp_path, environment={"UPLOADSTREAM": dsn})
        with server:
            async with uploading(server, tell, "network to PostgreSQL stalled") as run:
                for seconds in (0.5, STALL_SECONDS, 0.5):
                    proxy.stall()
                    await asyncio.sleep(seconds)
                    proxy.flow()
                    await run.goes_on()
