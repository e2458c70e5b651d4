"""Tokens and certificates on a service as app.py puts it together: over every protocol, and between its requests."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc import aio

from tests.adapters.issuer import SECRET, key_set, member, private_key, public_pem, token
from tests.engine.world import MovableClock
from tests.http_rig import serving
from tests.protocols.asgi import client_of
from tests.servers.authority import Authority
from uploadstream import app
from uploadstream.app import BadKey
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1.file_service_pb2_grpc import FileServiceStub
from uploadstream.servers.certificates import read_certificate
from uploadstream.servers.grpc import Socket
from uploadstream.settings import Settings, load

HERE = Path(__file__).parent / "servers"
CHAIN, KEY = HERE / "localhost.pem", HERE / "localhost.key.pem"
BODY = b"The river was high.\n"


def settings_of(root: Path, **more: Any) -> Settings:
    return load(data_dir=root / "data", fsync="never", **more)


def good_token(user: str = "ada", **claims: Any) -> str:
    return token("HS256", {"sub": user, "exp": datetime.now(UTC).timestamp() + 60, **claims})


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@dataclass
class Served:
    """A service in this process, and clients of it."""

    running: app.Service
    http: httpx.AsyncClient
    grpc: Any

    async def owners(self) -> list[str]:
        """Whose files and uploads there are."""
        files = await self.running.ports.catalog.files(None, deleted=False, after=None, limit=100)
        uploads = await self.running.ports.catalog.uploads(None, after=None, limit=100)
        return sorted([*(file.user_id for file in files), *(one.declared.user_id for one in uploads)])


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Served]:
    async with app.service(settings) as running:
        server = app.grpc_server(running, settings, Socket("127.0.0.1", 0))
        port = await server.start()
        http = app.http_app(running, is_draining=lambda: False)
        try:
            async with client_of(http) as client, aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Served(running, client, FileServiceStub(channel))
        finally:
            await server.stop(grace_seconds=0)


def sent_by_grpc(user: str = "eve") -> Sequence[pb.UploadFileRequest]:
    metadata = pb.FileMetadata(filename="a.txt", size=len(BODY), user_id=user)
    return [pb.UploadFileRequest(metadata=metadata), pb.UploadFileRequest(chunk=BODY)]


async def test_a_token_names_the_user_over_every_protocol(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, jwt_key=SECRET)) as service:
        known = {**bearer(good_token()), "X-User-Id": "eve"}
        eve = base64.b64encode(b"eve").decode()
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": f"user_id {eve}"}
        ietf = {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?0"}
        answers = [
            await service.http.post("/files", headers={**known, **tus}),
            await service.http.post("/files", headers={**known, **ietf}),
            await service.http.post("/files", headers=known, content=BODY),
            await service.http.post("/filepond", headers={**known, "Upload-Length": "9"}),
        ]
        assert [answer.status_code // 100 for answer in answers] == [2] * 4
        await service.grpc.UploadFile(iter(sent_by_grpc()), metadata=[("authorization", f"Bearer {good_token()}")])

        assert await service.owners() == ["ada"] * 5
        listed = await service.http.get("/api/v1/uploads", headers=known)
        assert len(listed.json()["uploads"]) == 3


async def test_a_token_that_is_for_reading_alone_sends_nothing(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, jwt_key=SECRET)) as service:
        readers = good_token(scope="openid read")

        answer = await service.http.post("/files", headers=bearer(readers), content=BODY)
        with pytest.raises(aio.AioRpcError) as caught:
            await service.grpc.UploadFile(iter(sent_by_grpc()), metadata=[("authorization", f"Bearer {readers}")])

        assert answer.status_code == 403
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert await service.owners() == []


async def test_keys_of_a_set_and_of_a_file_are_read(tmp_path: Path) -> None:
    jwks, pem = tmp_path / "jwks.json", tmp_path / "key.pem"
    jwks.write_bytes(key_set(member("ES256", "one")))
    pem.write_text(public_pem(private_key("ES256")))
    text = token("ES256", {"sub": "ada", "exp": datetime.now(UTC).timestamp() + 60}, kid="one")

    for number, rules in enumerate(({"jwt_jwks": str(jwks)}, {"jwt_key": str(pem)})):
        async with served(settings_of(tmp_path / str(number), **rules)) as service:
            await service.http.post("/files", headers=bearer(text), content=BODY)
            assert await service.owners() == ["ada"]


async def test_a_service_does_not_start_with_keys_that_check_nothing(tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text("{}")
    pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"

    for rules in ({"jwt_jwks": str(jwks)}, {"jwt_key": pem}):
        with pytest.raises(BadKey, match=r"UPLOADSTREAM_JWT_KEY is no public key|jwks.json is no JSON Web Key Set"):
            async with app.service(settings_of(tmp_path, **rules)):
                pytest.fail("it started")


async def test_a_key_set_that_is_away_is_asked_for_when_a_token_comes(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, jwt_jwks="http://127.0.0.1:9/keys")) as service:
        answer = await service.http.get("/api/v1/files", headers=bearer(good_token()))

        assert (answer.status_code, answer.json()["type"]) == (503, "urn:uploadstream:keys-unavailable")
        assert (await service.http.get("/api/v1/files")).status_code == 200


async def test_a_certificate_names_the_user_over_https_and_grpc(tmp_path: Path) -> None:
    ours = Authority()
    ca, shown = tmp_path / "ca.pem", ours.vouches_for("ada")
    ca.write_bytes(ours.pem)
    settings = settings_of(tmp_path, tls_cert=CHAIN, tls_key=KEY, tls_client_ca=ca)
    certificate = read_certificate(CHAIN, KEY, ca)
    async with app.service(settings) as running:
        server = app.grpc_server(running, settings, Socket("127.0.0.1", 0, tls=certificate))
        port = await server.start()
        http = app.http_app(running, is_draining=lambda: False)
        async with serving(http, certificate=certificate) as web:
            context = await asyncio.to_thread(shown.context, CHAIN, tmp_path)
            async with httpx.AsyncClient(verify=context, trust_env=False) as client:
                await client.post(f"https://localhost:{web.port}/files", headers={"X-User-Id": "eve"}, content=BODY)
            credentials = grpc.ssl_channel_credentials(CHAIN.read_bytes(), shown.key, shown.chain)
            async with aio.secure_channel(f"localhost:{port}", credentials) as channel:
                await FileServiceStub(channel).UploadFile(iter(sent_by_grpc()))
            files = await running.ports.catalog.files(None, deleted=False, after=None, limit=9)
            assert [file.user_id for file in files] == ["ada"] * 2

            bare = grpc.ssl_channel_credentials(CHAIN.read_bytes())
            async with aio.secure_channel(f"localhost:{port}", bare) as channel:
                with pytest.raises(aio.AioRpcError) as caught:
                    await FileServiceStub(channel).ListFiles(pb.ListFilesRequest(), timeout=5)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await server.stop(grace_seconds=0)


# Tokens for uploads


PIECE = b"0123456789"


@asynccontextmanager
async def closed_service(root: Path) -> AsyncIterator[Served]:
    """A service that asks who comes, over real sockets; `ada` is known by a token of hers."""
    settings = settings_of(root, jwt_key=SECRET, auth="required")
    async with app.service(settings) as running:
        server = app.grpc_server(running, settings, Socket("127.0.0.1", 0))
        port = await server.start()
        try:
            async with (
                serving(app.http_app(running, is_draining=lambda: False)) as web,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}", trust_env=False) as client,
                aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            ):
                yield Served(running, client, FileServiceStub(channel))
        finally:
            await server.stop(grace_seconds=0)


async def upload_token(service: Served, **wish: Any) -> str:
    answer = await service.http.post("/api/v1/tokens", json=wish, headers=bearer(good_token()))
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["token"]
    return found


@dataclass
class Hour:
    """An hour that passes when all bodies are on their way."""

    service: Served
    bodies: int
    clock: MovableClock = field(default_factory=MovableClock)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        passes: Any = self.service.running.passes
        passes._clock = passes._signer._clock = self.clock

    async def pass_by(self) -> None:
        while len(self.service.running.watch) < self.bodies:  # noqa: ASYNC110 - nobody is told when one begins
            await asyncio.sleep(0.01)
        self.clock.ahead += timedelta(hours=1)
        self.is_over.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """A piece while the token is good, and one when it is not any more."""
        yield PIECE
        await self.is_over.wait()
        yield PIECE


async def continued_over_http(service: Served, hour: Hour, fields: dict[str, str]) -> None:
    """Begin, send half of it slowly, and the rest with a fresh token."""
    stale = bearer(await upload_token(service, size_max=100))
    is_tus = "Tus-Resumable" in fields
    begun = await service.http.post("/files", headers={**stale, **fields, "Upload-Length": "40"})
    assert begun.status_code == 201, begun.text
    place = begun.headers["Location"]
    kind = "application/offset+octet-stream" if is_tus else "application/partial-upload"

    def part(offset: int) -> dict[str, str]:
        more = {} if is_tus else {"Upload-Complete": "?1" if offset else "?0"}
        return {**fields, **more, "Content-Type": kind, "Upload-Offset": str(offset)}

    slow = await service.http.patch(place, headers={**stale, **part(0)}, content=hour.pieces())
    assert slow.status_code == 204, slow.text
    late = await service.http.patch(place, headers={**stale, **part(20)}, content=PIECE * 2)
    assert (late.status_code, "has expired" in late.text) == (401, True)
    assert late.headers["WWW-Authenticate"].startswith("Bearer")
    fresh = bearer(await upload_token(service, size_max=100))
    done = await service.http.patch(place, headers={**fresh, **part(20)}, content=PIECE * 2)
    assert done.is_success, done.text


async def continued_over_grpc(service: Served, hour: Hour) -> None:
    stale = [("authorization", f"Bearer {await upload_token(service, size_max=100)}")]
    metadata = pb.FileMetadata(filename="a.txt", size=40)
    upload = (await service.grpc.CreateUpload(pb.CreateUploadRequest(metadata=metadata), metadata=stale)).upload_id

    async def messages(offset: int) -> AsyncIterator[pb.UploadFileRequest]:
        yield pb.UploadFileRequest(metadata=pb.FileMetadata(upload_id=upload, offset=offset))
        async for piece in hour.pieces():
            yield pb.UploadFileRequest(chunk=piece)

    half = await service.grpc.UploadFile(messages(0), metadata=stale)
    assert (half.offset, half.complete) == (20, False)
    with pytest.raises(aio.AioRpcError) as caught:
        await service.grpc.UploadFile(messages(20), metadata=stale)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    fresh = [("authorization", f"Bearer {await upload_token(service, upload_id=upload)}")]
    whole = await service.grpc.UploadFile(messages(20), metadata=fresh)
    assert whole.complete


async def test_a_token_that_expires_in_the_middle_costs_nothing_but_a_fresh_one(tmp_path: Path) -> None:
    ietf = {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?0"}
    async with closed_service(tmp_path) as service:
        hour = Hour(service, bodies=3)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(continued_over_http(service, hour, {"Tus-Resumable": "1.0.0"}))
            tasks.create_task(continued_over_http(service, hour, ietf))
            tasks.create_task(continued_over_grpc(service, hour))
            tasks.create_task(hour.pass_by())

        files = await service.running.ports.catalog.files("ada", deleted=False, after=None, limit=9)
        assert [file.size for file in files] == [40] * 3


async def test_a_token_for_uploads_opens_no_other_door(tmp_path: Path) -> None:
    async with closed_service(tmp_path) as service:
        stored = await service.http.post("/files", headers=bearer(good_token()), content=BODY)
        file_id = stored.json()["file_id"]
        passed = bearer(await upload_token(service, size_max=100))
        paths = ["files", f"files/{file_id}", f"files/{file_id}/content", f"files/{file_id}/audit", "uploads", "events"]

        answers = [await service.http.get(f"/api/v1/{path}", headers=passed) for path in [*paths, "stats/deletions"]]
        answers += [
            await service.http.delete(f"/api/v1/files/{file_id}", headers=passed),
            await service.http.post(f"/api/v1/files/{file_id}/restore", headers=passed),
            await service.http.delete(f"/api/v1/uploads/{file_id}", headers=passed),
            await service.http.post("/api/v1/tokens", json={"size_max": 1}, headers=passed),
        ]
        calls = [
            service.grpc.ListFiles(pb.ListFilesRequest(), metadata=[("authorization", passed["Authorization"])]),
            service.grpc.DeleteFile(
                pb.DeleteFileRequest(file_id=file_id), metadata=[("authorization", passed["Authorization"])]
            ),
        ]
        said = await asyncio.gather(*calls, return_exceptions=True)

        assert [(answer.status_code, answer.text) for answer in answers if answer.status_code != 403] == []
        assert [error.code() for error in said if isinstance(error, aio.AioRpcError)] == [
            grpc.StatusCode.PERMISSION_DENIED
        ] * 2
