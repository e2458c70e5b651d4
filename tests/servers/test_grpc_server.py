"""The gRPC server: who may come in, what is said of faults, and how it stops."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from structlog.testing import capture_logs

from tests.engine.world import memory_world
from tests.protocols.grpc_rig import UNLIMITED, Rig, chunks, failure_of, running, server_of, until
from uploadstream.core.errors import Busy
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1.file_service_pb2_grpc import FileServiceStub
from uploadstream.protocols.grpc_files.errors import status_of
from uploadstream.servers.certificates import Certificate
from uploadstream.servers.grpc import Call, GrpcServer, Guard, Socket, options_of

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CERTIFICATE = Path(__file__).with_name("localhost.pem")
KEY = Path(__file__).with_name("localhost.key.pem")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
PING = bytes.fromhex("000008060000000000") + bytes(8)
PONG = bytes.fromhex("000008060100000000") + bytes(8)


class Echo:
    """A service of one method, which does what a test says."""

    name = "tests.Echo"

    def __init__(self, call: Call) -> None:
        self._call = call

    def handler(self, guard: Guard) -> grpc.GenericRpcHandler:
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(guard("Echo", self._call))
        return grpc.method_handlers_generic_handler(self.name, {"Echo": method})


@asynccontextmanager
async def echoing(call: Call) -> AsyncIterator[tuple[GrpcServer, aio.UnaryUnaryMultiCallable[bytes, bytes]]]:
    server = GrpcServer([Echo(call)], Socket("127.0.0.1", 0), status_of=status_of, chunk_size_max=1)
    port = await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield server, channel.unary_unary("/tests.Echo/Echo", bytes, bytes)
    await server.stop(grace_seconds=0)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as made:
        yield made


async def test_a_refusal_is_said_with_its_details() -> None:
    async def refuse(_: bytes, __: object) -> bytes:
        raise Busy(upload_id="5f0c")

    async with echoing(refuse) as (_, echo):
        failure = await failure_of(echo(b""))

    assert (failure.code, failure.text) == (grpc.StatusCode.ABORTED, "Upload is being written by another request")
    assert failure.info.reason == "UPLOAD_BUSY"


async def test_a_fault_of_ours_is_logged_and_its_details_stay_here() -> None:
    async def fail(_: bytes, __: object) -> bytes:
        raise RuntimeError("the password is 1234")

    with capture_logs() as logs:
        async with echoing(fail) as (_, echo):
            failure = await failure_of(echo(b""))

    assert (failure.code, failure.text) == (grpc.StatusCode.INTERNAL, "Internal error; the server's log says more")
    assert [(entry["event"], entry["method"]) for entry in logs] == [("grpc call failed", "Echo")]


async def test_a_call_that_ends_itself_ends_as_it_says() -> None:
    async def abort(_: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(grpc.StatusCode.CANCELLED, "enough")

    with capture_logs() as logs:
        async with echoing(abort) as (_, echo):
            failure = await failure_of(echo(b""))

    assert (failure.code, failure.text, logs) == (grpc.StatusCode.CANCELLED, "enough", [])


async def test_a_client_that_has_gone_is_no_fault_of_ours() -> None:
    async def send(_: bytes, __: object) -> bytes:
        raise aio.InternalError

    with capture_logs() as logs:
        async with echoing(send) as (_, echo):
            failure = await failure_of(echo(b""))

    assert (failure.code, failure.text, logs) == (grpc.StatusCode.UNAVAILABLE, "Connection was lost", [])


async def test_a_call_whose_client_has_gone_is_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(_: bytes, __: object) -> bytes:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return b""

    async with echoing(wait) as (_, echo), asyncio.timeout(5):
        call = echo(b"")
        await begun.wait()

        call.cancel()

        await ended.wait()


async def test_health_is_told(rig: Rig) -> None:
    check = rig.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )

    async def state(service: str) -> int:
        return (await check(health_pb2.HealthCheckRequest(service=service))).status

    assert [await state(""), await state("fileservice.v1.FileService")] == [SERVING, SERVING]

    await rig.server.set_serving(is_serving=False)

    assert [await state(""), await state("fileservice.v1.FileService")] == [NOT_SERVING, NOT_SERVING]


async def test_the_service_describes_itself(rig: Rig) -> None:
    ask = rig.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="fileservice.v1.FileService"),
    ]

    listed, described = [response async for response in ask(iter(asked))]

    names = {service.name for service in listed.list_services_response.service}
    assert {"fileservice.v1.FileService", "grpc.health.v1.Health"} <= names
    files = map(FileDescriptorProto.FromString, described.file_descriptor_response.file_descriptor_proto)
    assert pb.DESCRIPTOR.name in {file.name for file in files}


async def test_a_stop_gives_running_calls_their_time() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_: bytes, __: object) -> bytes:
        begun.set()
        await go_on.wait()
        return b"done"

    async with echoing(wait) as (server, echo), asyncio.timeout(5):
        call = echo(b"")
        await begun.wait()

        stopping = asyncio.create_task(server.stop(grace_seconds=10))
        await asyncio.sleep(0.1)
        refused = await failure_of(echo(b""))
        go_on.set()

        assert await call == b"done"
        assert refused.code == grpc.StatusCode.UNAVAILABLE
        await stopping


async def test_what_still_runs_after_the_grace_is_ended_and_keeps_its_bytes(rig: Rig) -> None:
    upload_id = await rig.create(1_000_000)
    stream = await rig.begin(pb.FileMetadata(upload_id=upload_id), *chunks(b"hello"))
    await until(lambda: rig.offset(upload_id))

    async with asyncio.timeout(5):
        await rig.server.stop(grace_seconds=0.1)

    failure = await stream.failure()
    assert (failure.code, failure.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    blob = await rig.world.blobs.stat(upload_id)
    assert blob is not None
    assert blob.size == 5


async def test_a_call_that_comes_after_the_cut_is_refused() -> None:
    async def wait(_: bytes, __: object) -> bytes:
        await asyncio.sleep(60)
        return b""

    async with echoing(wait) as (server, echo), asyncio.timeout(5):
        running_call = echo(b"")
        await asyncio.sleep(0.1)
        await server._edge.finish(0)

        late = await failure_of(echo(b""))

    assert (await failure_of(running_call)).info.reason == "DRAINING"
    assert (late.code, late.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")


@pytest.mark.parametrize(
    ("service", "states"),
    [("", [SERVING, NOT_SERVING]), ("no.such.Service", [health_pb2.HealthCheckResponse.SERVICE_UNKNOWN])],
)
async def test_who_watches_the_health_is_told_of_a_stop_and_does_not_hold_it_up(
    rig: Rig, service: str, states: list[int]
) -> None:
    watch = rig.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    heard: list[int] = []
    listening = asyncio.Event()

    async def listen() -> None:
        with suppress(aio.AioRpcError):
            async for response in watch(health_pb2.HealthCheckRequest(service=service)):
                heard.append(response.status)
                listening.set()

    listener = asyncio.create_task(listen())
    await listening.wait()

    async with asyncio.timeout(5):
        await rig.server.stop(grace_seconds=60)

    await listener
    assert heard == states


async def test_a_port_that_is_taken_is_not_shared() -> None:
    async with running() as rig:
        with pytest.raises(OSError, match=f"gRPC cannot listen on 127.0.0.1:{rig.port}"):
            await server_of(memory_world(), port=rig.port).start()


async def test_a_port_is_shared_by_servers_that_ask_for_it() -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        servers = [server_of(memory_world(), port=port, reuse_port=True) for _ in range(2)]

        assert [await server.start() for server in servers] == [port, port]

        for server in servers:
            await server.stop(grace_seconds=0)


async def test_a_server_with_a_certificate_speaks_tls() -> None:
    world = memory_world()
    server = server_of(world, tls=Certificate(CERTIFICATE.read_bytes(), KEY.read_bytes()))
    port = await server.start()
    trust = grpc.ssl_channel_credentials(CERTIFICATE.read_bytes())

    async with aio.secure_channel(f"localhost:{port}", trust) as channel:
        listed = await FileServiceStub(channel).ListFiles(pb.ListFilesRequest())

    assert len(listed.files) == 0
    await server.stop(grace_seconds=0)


async def test_a_renewed_certificate_is_shown_to_new_connections_while_old_ones_go_on() -> None:
    server = server_of(memory_world(), tls=Certificate(CERTIFICATE.read_bytes(), KEY.read_bytes()))
    port = await server.start()
    renewed = CERTIFICATE.with_name("renewed.pem").read_bytes()

    def channel(trusted: bytes) -> aio.Channel:
        options = [("grpc.use_local_subchannel_pool", 1)]
        return aio.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(trusted), options)

    async with channel(CERTIFICATE.read_bytes()) as old, channel(renewed) as new, channel(renewed) as another:
        await FileServiceStub(old).ListFiles(pb.ListFilesRequest())
        server.renew_certificate(Certificate(renewed, CERTIFICATE.with_name("renewed.key.pem").read_bytes()))

        for one in (old, new, another):
            async with asyncio.timeout(10):
                assert len((await FileServiceStub(one).ListFiles(pb.ListFilesRequest())).files) == 0
    await server.stop(grace_seconds=0)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert Socket("::1", 50051).address == "[::1]:50051"


async def test_clients_may_ask_as_often_as_they_like_whether_the_server_is_there(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(PREFACE)

    async with asyncio.timeout(10):
        for _ in range(20):
            writer.write(PING)
            received = b""
            while PONG not in received:
                received += await reader.read(65_536)

    writer.close()
    await writer.wait_closed()


async def test_a_message_that_grows_when_it_is_unpacked_is_not_unpacked_to_its_end() -> None:
    async with running() as rig:
        metadata = pb.FileMetadata(filename="a", size=500 * 2**20)
        sent = [pb.UploadFileRequest(metadata=metadata), *chunks(bytes(100 * 2**20), 100 * 2**20)]

        failure = await failure_of(rig.stub.UploadFile(iter(sent), compression=grpc.Compression.Gzip))

    assert failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_of_a_call_is_bounded(rig: Rig) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{rig.port}", options=UNLIMITED) as channel:
        call = FileServiceStub(channel).ListFiles(pb.ListFilesRequest(), metadata=(("x", "a" * 100_000),))

        failure = await failure_of(call)

    assert failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_windows_do_not_grow() -> None:
    options = dict(options_of(Socket("127.0.0.1", 0), 4 * 2**20))

    assert options["grpc.http2.bdp_probe"] == 0
    assert options["grpc.max_receive_message_length"] > 4 * 2**20
