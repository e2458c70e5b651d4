"""Who is let in, over every protocol, by the service as app.py puts it together."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import aio
from starlette.types import ASGIApp

from tests.prepared_server import PreparedServer
from tests.protocols.asgi import client_of
from tests.protocols.grpc_rig import failure_of
from uploadstream import app
from uploadstream.adapters.catalog.places import open_catalog
from uploadstream.adapters.system import SystemClock
from uploadstream.core.access import Scope
from uploadstream.core.keys import Key
from uploadstream.engine.keys import Keys
from uploadstream.ports import Ports
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1.file_service_pb2_grpc import FileServiceStub
from uploadstream.servers.grpc import Socket
from uploadstream.settings import load

AN_ID = "5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
UNKNOWN_KEY = f"us_00000000_{'A' * 43}"
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
PART = {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?1"}
BOTH = frozenset({Scope.READ, Scope.WRITE})


@dataclass
class Door:
    """A service, and ways to it."""

    app: ASGIApp
    http: httpx.AsyncClient
    rpc: FileServiceStub
    keys: Keys
    ports: Ports

    async def key(self, user_id: str, *scopes: Scope) -> str:
        _, text = await self.keys.create(user_id, name="", scopes=frozenset(scopes) or BOTH, expires_in=None)
        return text


@asynccontextmanager
async def door(tmp_path: Path, auth: str) -> AsyncIterator[Door]:
    settings = load(data_dir=tmp_path / "data", fsync="never", auth=auth)
    async with app.service(settings) as running:
        served = app.http_app(running, is_draining=lambda: False)
        server = app.grpc_server(running, settings, Socket("127.0.0.1", 0))
        port = await server.start()
        try:
            async with (
                client_of(served) as http,
                aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            ):
                keys = Keys(running.ports.catalog, SystemClock())
                yield Door(served, http, FileServiceStub(channel), keys, running.ports)
        finally:
            await server.stop(grace_seconds=0.0)


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[Door]:
    async with door(tmp_path, "required") as made:
        yield made


@pytest.fixture
async def unlocked(tmp_path: Path) -> AsyncIterator[Door]:
    async with door(tmp_path, "open") as made:
        yield made


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def api_key(key: str) -> dict[str, str]:
    return {"X-Api-Key": key}


Ask = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[httpx.Response]]
ASKED: dict[str, tuple[str, str, dict[str, str], str]] = {
    "tus creates": ("POST", "/files", {**TUS, "Upload-Length": "1"}, "text/plain"),
    "tus looks": ("HEAD", f"/files/{AN_ID}", TUS, ""),
    "tus appends": ("PATCH", f"/files/{AN_ID}", {**TUS, **CHUNK}, "text/plain"),
    "tus appends by another method": (
        "POST",
        f"/files/{AN_ID}",
        {**TUS, **CHUNK, "X-HTTP-Method-Override": "PATCH"},
        "text/plain",
    ),
    "tus ends by a preflight": (
        "OPTIONS",
        f"/files/{AN_ID}",
        {**TUS, "X-HTTP-Method-Override": "DELETE"},
        "text/plain",
    ),
    "tus ends": ("DELETE", f"/files/{AN_ID}", TUS, "text/plain"),
    "ietf creates": ("POST", "/files", {"Upload-Complete": "?0"}, "application/problem+json"),
    "ietf appends": ("PATCH", f"/files/{AN_ID}", PART, "application/problem+json"),
    "ietf looks": ("HEAD", f"/files/{AN_ID}", {}, "application/problem+json"),
    "a plain body": ("PUT", "/files/a.txt", {}, "application/problem+json"),
    "filepond begins": ("POST", "/filepond", {"Upload-Length": "1"}, "text/plain"),
    "filepond loads": ("GET", f"/filepond?load={AN_ID}", {}, "text/plain"),
    "a list": ("GET", "/api/v1/files", {}, "application/problem+json"),
    "events": ("GET", "/api/v1/events", {}, "application/problem+json"),
    "bytes": ("GET", f"/api/v1/files/{AN_ID}/content", {}, "application/problem+json"),
}


@pytest.mark.parametrize("asked", ASKED)
async def test_without_a_key_nothing_is_answered_and_each_protocol_says_so_in_its_form(
    closed: Door, asked: str
) -> None:
    method, path, fields, content_type = ASKED[asked]

    async def answer(more: dict[str, str]) -> httpx.Response:
        body = b"a" if method in {"PUT", "PATCH"} else b""
        return await closed.http.request(method, path, headers={**fields, **more}, content=body)

    missing, wrong = await answer({}), await answer(bearer(UNKNOWN_KEY))

    assert (missing.status_code, wrong.status_code) == (401, 401)
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    assert wrong.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert missing.headers.get("Content-Type", "").partition(";")[0] == content_type or method == "HEAD"
    if method != "HEAD":
        assert "API key is missing" in missing.text
        assert "API key is not valid" in wrong.text
        assert UNKNOWN_KEY not in wrong.text
    assert missing.headers.get("Tus-Resumable") == fields.get("Tus-Resumable")


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/docs", "/openapi.json"])
async def test_what_is_nobody_s_needs_no_key(closed: Door, path: str) -> None:
    assert (await closed.http.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/files", f"/files/{AN_ID}", "/filepond"])
async def test_a_preflight_needs_no_key(closed: Door, path: str) -> None:
    asked = {"Origin": "https://a.test", "Access-Control-Request-Method": "PATCH"}

    assert (await closed.http.options(path, headers=asked)).status_code == 200
    assert (await closed.http.options(path)).status_code == 204


@pytest.mark.parametrize("fields", [bearer, api_key])
async def test_a_key_is_its_user_whatever_else_is_said(closed: Door, fields: Callable[[str], dict[str, str]]) -> None:
    ann, bob = await closed.key("ann"), await closed.key("bob")

    stored = await closed.http.put("/files/a.txt", content=b"a", headers={**fields(ann), "X-User-Id": "bob"})

    assert stored.status_code == 201
    file_id = stored.json()["file_id"]
    path = f"/api/v1/files/{file_id}?user_id=ann"
    assert (await closed.http.get(path, headers=fields(ann))).json()["user_id"] == "ann"
    assert (await closed.http.get(path, headers=fields(bob))).status_code == 404
    unknown = await closed.http.get(f"/api/v1/files/{AN_ID}", headers=fields(bob))
    another = await closed.http.get(f"/api/v1/files/{file_id}", headers=fields(bob))
    assert another.text.replace(file_id, AN_ID) == unknown.text


async def test_a_key_without_the_scope_is_refused(closed: Door) -> None:
    reader, writer = await closed.key("ann", Scope.READ), await closed.key("ann", Scope.WRITE)

    refused = await closed.http.put("/files/a.txt", content=b"a", headers=bearer(reader))
    assert refused.status_code == 403
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="write"'
    assert refused.json()["type"] == "urn:uploadstream:scope-missing"
    assert (await closed.http.put("/files/a.txt", content=b"a", headers=bearer(writer))).status_code == 201
    assert (await closed.http.get("/api/v1/files", headers=bearer(writer))).status_code == 403
    assert len((await closed.http.get("/api/v1/files", headers=bearer(reader))).json()["files"]) == 1


async def test_an_admin_sees_what_is_anybody_s_and_may_act_for_a_user(closed: Door) -> None:
    ann, root = bearer(await closed.key("ann")), bearer(await closed.key("root", Scope.ADMIN))
    file_id = (await closed.http.put("/files/a.txt", content=b"a", headers=ann)).json()["file_id"]

    assert (await closed.http.get(f"/api/v1/files/{file_id}", headers=root)).status_code == 200
    assert (await closed.http.get("/api/v1/files", headers=root)).json()["files"] == []
    [listed] = (await closed.http.get("/api/v1/files?user_id=ann", headers=root)).json()["files"]
    assert listed["file_id"] == file_id
    held = {**root, "X-User-Id": "bob"}
    assert (await closed.http.get(f"/api/v1/files/{file_id}", headers=held)).status_code == 404
    assert (await closed.http.delete(f"/api/v1/files/{file_id}", headers=root)).is_success
    rows = (await closed.http.get(f"/api/v1/files/{file_id}/audit", headers=ann)).json()["audit"]
    assert [(row["action"], row["user_id"]) for row in rows] == [("complete", "ann"), ("delete", "root")]


async def test_where_all_may_come_in_a_key_counts_if_it_is_good(unlocked: Door) -> None:
    key = await unlocked.key("ann")

    named = {"X-User-Id": "bob"}
    with_key = await unlocked.http.put("/files/a.txt", content=b"a", headers={**bearer(key), **named})
    with_none = await unlocked.http.put("/files/a.txt", content=b"a", headers={**bearer(UNKNOWN_KEY), **named})

    owners = [
        (await unlocked.http.get(f"/api/v1/files/{stored.json()['file_id']}")).json()["user_id"]
        for stored in (with_key, with_none)
    ]
    assert owners == ["ann", "bob"]


Result = TypeVar("Result")
Metadata = Sequence[tuple[str, str]]


@pytest.mark.parametrize("name", [method.name for method in pb.DESCRIPTOR.services_by_name["FileService"].methods])
async def test_no_rpc_is_answered_without_a_key(closed: Door, name: str) -> None:
    async def failure(*metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str, str]:
        failed = await failure_of(call(closed.rpc, name, metadata))
        assert isinstance(failed.info, ErrorInfo)
        return failed.code, failed.info.reason, failed.text

    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    wrong = (unauthenticated, "WRONG_CREDENTIALS", "API key is not valid")
    assert await failure() == (unauthenticated, "UNAUTHENTICATED", "API key is missing")
    assert await failure(("authorization", f"Bearer {UNKNOWN_KEY}")) == wrong
    assert await failure(("api-key", "x")) == wrong


async def call(stub: FileServiceStub, name: str, metadata: Metadata) -> object:
    """Call a method with a message that says nothing."""
    method = pb.DESCRIPTOR.services_by_name["FileService"].methods_by_name[name]
    message = getattr(pb, method.input_type.name)()
    asked = iter([message]) if method.client_streaming else message
    called = getattr(stub, name)(asked, metadata=metadata)
    return [one async for one in called] if method.server_streaming else await called


@pytest.mark.parametrize("name", ["authorization", "api-key"])
async def test_a_key_is_its_user_over_grpc_too(closed: Door, name: str) -> None:
    def said(key: str) -> Metadata:
        return [(name, f"Bearer {key}" if name == "authorization" else key)]

    ann, bob = said(await closed.key("ann")), said(await closed.key("bob", Scope.READ))
    new = pb.CreateUploadRequest(metadata=pb.FileMetadata(filename="a.txt", size=3, user_id="bob"))

    upload = await closed.rpc.CreateUpload(new, metadata=ann)

    assert upload.user_id == "ann"
    mine = await closed.rpc.ListUploads(pb.ListUploadsRequest(user_id="bob"), metadata=ann)
    theirs = await closed.rpc.ListUploads(pb.ListUploadsRequest(user_id="ann"), metadata=bob)
    assert [[one.upload_id for one in listed.uploads] for listed in (mine, theirs)] == [[upload.upload_id], []]
    asked = pb.GetUploadStatusRequest(upload_id=upload.upload_id)
    assert (await failure_of(closed.rpc.GetUploadStatus(asked, metadata=bob))).code is grpc.StatusCode.NOT_FOUND
    refused = await failure_of(closed.rpc.CreateUpload(new, metadata=bob))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")


def test_a_revoked_key_is_good_for_nothing_within_5_seconds_in_every_process(tmp_path: Path) -> None:
    async def keys(act: Callable[[Keys], Awaitable[Result]]) -> Result:
        catalog = await open_catalog(tmp_path / "data/catalog.sqlite", durable=False, connections=1)
        try:
            return await act(Keys(catalog, SystemClock()))
        finally:
            await catalog.close()

    def statuses(url: str, key: str) -> set[int]:
        """Over connections of their own, which the processes share among them."""
        return {httpx.get(f"{url}/api/v1/files", headers=bearer(key)).status_code for _ in range(20)}

    async def create(made: Keys) -> tuple[Key, str]:
        return await made.create("ann", name="", scopes=BOTH, expires_in=None)

    with PreparedServer(tmp_path / "data", options=("--workers", "2", "--auth", "required")) as server:
        key, text = asyncio.run(keys(create))
        assert len(server.workers()) == 2
        assert statuses(server.http_url, text) == {200}

        asyncio.run(keys(lambda made: made.revoke(key.id)))

        revoked_at = time.monotonic()
        while statuses(server.http_url, text) != {401}:
            assert time.monotonic() < revoked_at + 5
        assert text not in server.output()
