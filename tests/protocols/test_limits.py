"""What a user may not have, in the words of every protocol; and that whoever waits as told is let in."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import QuotaFailure, RetryInfo
from starlette.applications import Starlette
from starlette.routing import Mount, Router

from tests.engine.world import World, memory_world
from tests.protocols.asgi import client_of
from tests.protocols.grpc_rig import Rig, chunks, failure_of, running
from uploadstream.core.allowances import Allowance
from uploadstream.core.ratelimit import Rate
from uploadstream.engine.chunks import Chunks
from uploadstream.http.choice import Choice, only
from uploadstream.http.cors import EXPOSED
from uploadstream.http.rate_limits import Telling
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.filepond.endpoint import FilePond
from uploadstream.protocols.ietf.service import Ietf
from uploadstream.protocols.tus import Tus

ONCE = Allowance(rate_uploads=Rate(20, 60, 1))
NAME = base64.b64encode(b"a.bin").decode()

Send = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
Call = Callable[[Rig], Awaitable[object]]


def by_tus(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
    fields = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": f"filename {NAME}"}
    return client.post("/files", headers=fields)


def by_ietf(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
    fields = {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?0", "Upload-Length": "5"}
    return client.post("/files", headers=fields)


def by_ietf_at_once(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
    fields = {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?1"}
    return client.post("/files", headers=fields, content=b"hello")


def by_put(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
    return client.put("/files/a.bin", content=b"hello")


def by_form(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
    return client.post("/filepond", files={"filepond": ("a.bin", b"hello")})


def by_chunks(client: httpx.AsyncClient) -> Awaitable[httpx.Response]:
    return client.post("/filepond", headers={"Upload-Length": "5", "Upload-Name": "a.bin"})


WAYS = [by_tus, by_ietf, by_ietf_at_once, by_put, by_form, by_chunks]


def by_create(rig: Rig) -> Awaitable[object]:
    return rig.create(5)


def by_stream(rig: Rig) -> Awaitable[object]:
    return rig.upload(pb.FileMetadata(filename="a.bin", size=5), *chunks(b"hello"))


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def client(world: World, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """Of every HTTP protocol, for users who may have what the test says."""
    engine = world.start(allowance=request.param)
    spoken = [
        *only(Choice.TUS, Tus(engine.uploads).routes()),
        *only(Choice.IETF, Ietf(engine.uploads, engine.downloads).routes()),
        *FilePond(engine.uploads, Chunks(engine.uploads), engine.downloads, None).routes(),
    ]
    async with client_of(Starlette(routes=[Mount("/", Telling(Router(spoken)))])) as opened:
        yield opened


@pytest.mark.parametrize("client", [ONCE], indirect=True)
@pytest.mark.parametrize("send", WAYS)
async def test_whoever_waits_as_long_as_it_is_told_is_let_in(
    client: httpx.AsyncClient, world: World, send: Send
) -> None:
    first, refused = await send(client), await send(client)

    assert first.status_code == 201
    assert (first.headers["RateLimit-Policy"], first.headers["RateLimit"]) == ('"uploads";q=1;w=3', '"uploads";r=0;t=3')
    assert refused.status_code == 429
    assert refused.headers["RateLimit"] == '"uploads";r=0;t=3'
    assert "Rate limit: 20 uploads a minute; retry in 3 s" in refused.text
    world.clock.ahead += timedelta(seconds=int(refused.headers["Retry-After"]) - 1)
    assert (await send(client)).status_code == 429
    world.clock.ahead += timedelta(seconds=1)
    assert (await send(client)).status_code == 201


@pytest.mark.parametrize("client", [Allowance(quota_bytes=9)], indirect=True)
@pytest.mark.parametrize("send", [way for way in WAYS if way is not by_form])
async def test_no_room_is_said_before_a_byte_is_taken_and_not_to_be_waited_for(
    client: httpx.AsyncClient, send: Send
) -> None:
    first, refused = await send(client), await send(client)

    assert (first.status_code, first.headers["RateLimit"]) == (201, '"stored";r=4')
    assert (refused.status_code, refused.headers["RateLimit"]) == (507, '"stored";r=4')
    assert "Retry-After" not in refused.headers
    assert "Quota: 5 B more would make 10 B of 9 B" in refused.text


@pytest.mark.parametrize("client", [Allowance(quota_bytes=9)], indirect=True)
async def test_a_form_does_not_say_how_much_it_brings_and_is_cut_where_the_quota_ends(
    client: httpx.AsyncClient, world: World
) -> None:
    assert (await by_form(client)).status_code == 201

    refused = await by_form(client)

    assert (refused.status_code, refused.headers["RateLimit"]) == (507, '"stored";r=4')
    assert "Quota: 5 B more would make 10 B of 9 B" in refused.text
    assert (await world.catalog.usage("anonymous")).used_bytes == 5


@pytest.mark.parametrize("client", [Allowance(max_active_uploads=1)], indirect=True)
@pytest.mark.parametrize("send", WAYS)
async def test_too_many_at_once_are_asked_to_come_back(client: httpx.AsyncClient, send: Send) -> None:
    assert (await by_tus(client)).headers["RateLimit"] == '"active";r=0'

    refused = await send(client)

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert "Active uploads: 1 of 1" in refused.text


@pytest.mark.parametrize("client", [ONCE], indirect=True)
async def test_a_problem_names_the_policy_and_the_numbers(client: httpx.AsyncClient) -> None:
    await by_put(client)

    problem = (await by_put(client)).json()

    assert problem["type"] == "urn:uploadstream:rate-limited"
    assert problem["violated-policies"] == ["uploads"]
    assert (problem["limit"], problem["window"]) == (20, 60)


@pytest.mark.parametrize("client", [Allowance()], indirect=True)
@pytest.mark.parametrize("send", WAYS)
async def test_without_a_limit_nothing_is_told(client: httpx.AsyncClient, send: Send) -> None:
    assert "RateLimit" not in (await send(client)).headers
    assert set(EXPOSED) >= {"RateLimit", "RateLimit-Policy", "Retry-After"}


@pytest.mark.parametrize("call", [by_create, by_stream])
async def test_grpc_says_how_long_to_wait_and_lets_in_who_does(call: Call) -> None:
    async with running(allowance=ONCE) as rig:
        await call(rig)
        failure = await failure_of(call(rig))

        retry = next(one for one in failure.details if isinstance(one, RetryInfo)).retry_delay
        quota = next(one for one in failure.details if isinstance(one, QuotaFailure))
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (failure.info.reason, failure.info.metadata["limit"]) == ("RATE_LIMITED", "20")
        assert [one.subject for one in quota.violations] == ["uploads"]
        assert 2 < retry.ToTimedelta().total_seconds() <= 3
        rig.world.clock.ahead += retry.ToTimedelta()
        await call(rig)


async def test_grpc_names_no_time_to_wait_where_waiting_is_no_use() -> None:
    async with running(allowance=Allowance(quota_bytes=4)) as rig:
        failure = await failure_of(by_stream(rig))

    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.info.reason == "QUOTA_EXCEEDED"
    assert dict(failure.info.metadata) == {"size": "5", "used": "0", "limit": "4"}
    assert not any(isinstance(one, RetryInfo) for one in failure.details)
