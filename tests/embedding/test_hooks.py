"""An application's functions decide who asks and what begins, and are told of files: the same over every protocol."""

import asyncio
import base64
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from tests.protocols.asgi import client_of
from uploadstream import Forbidden, NewUpload, StoredFile, Unauthenticated, UploadStream

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(600)
NAMED = {"Upload-Metadata": f"filename {base64.b64encode(b'a.txt').decode()}"}


class Template:
    """The data directory of a service that has just begun, made once: migrations take longer than most tests here."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def copy_to(self, target: Path) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory()
            asyncio.run(self._begin(self._folder.name))
        if not target.exists():
            shutil.copytree(self._folder.name, target)

    async def _begin(self, folder: str) -> None:
        async with UploadStream(data_dir=folder, fsync="never"):
            pass


TEMPLATE = Template()


@asynccontextmanager
async def embedded(tmp_path: Path, **arguments: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with these functions."""
    await asyncio.to_thread(TEMPLATE.copy_to, tmp_path / "data")
    async with UploadStream(data_dir=tmp_path / "data", fsync="never", **arguments) as app, client_of(app) as client:
        yield client


# Each sends a whole file over one protocol, and gives the answer to its beginning.
Send = Callable[[httpx.AsyncClient, bytes], Awaitable[httpx.Response]]


async def over_tus(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    begun = await client.post("/files", headers={**TUS, **NAMED, "Upload-Length": str(len(content))})
    if begun.status_code == 201:
        begun = await client.patch(begun.headers["Location"], headers=CHUNK, content=content)
    return begun


async def over_tus_at_once(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    fields = {**CHUNK, **NAMED, "Upload-Length": str(len(content))}
    fields.pop("Upload-Offset")
    return await client.post("/files", headers=fields, content=content)


async def over_ietf(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    fields = {"Upload-Complete": "?0", "Content-Disposition": 'attachment; filename="a.txt"'}
    begun = await client.post("/files", headers=fields)
    if begun.status_code != 201:
        return begun
    fields = {"Upload-Complete": "?1", "Upload-Offset": "0", "Content-Type": "application/partial-upload"}
    return await client.patch(begun.headers["Location"], headers=fields, content=content)


async def over_put(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await client.put("/files/a.txt", content=content)


async def over_post(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await client.post("/files?filename=a.txt", content=content)


async def over_filepond(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await client.post("/filepond", files={"filepond": ("a.txt", content, "application/octet-stream")})


async def over_filepond_in_chunks(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    size = str(len(content))
    begun = await client.post("/filepond", headers={"Upload-Length": size, "Upload-Name": "a.txt"})
    if begun.status_code != 201:
        return begun
    fields = {**CHUNK, "Upload-Length": size, "Upload-Name": "a.txt"}
    return await client.patch("/filepond", params={"patch": begun.text}, headers=fields, content=content)


WAYS: list[Send] = [
    over_tus,
    over_tus_at_once,
    over_ietf,
    over_put,
    over_post,
    over_filepond,
    over_filepond_in_chunks,
]
each_way = pytest.mark.parametrize("send", WAYS, ids=lambda way: way.__name__)


async def files_of(client: httpx.AsyncClient, **fields: str) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/files", headers=fields)
    assert answer.status_code == 200
    return list(answer.json()["files"])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in threads too
            await asyncio.sleep(0.005)


def by_cookie(request: Request) -> str | None:
    return request.cookies.get("user")


@each_way
async def test_who_asks_is_who_the_application_says(tmp_path: Path, send: Send) -> None:
    async with embedded(tmp_path, authenticate=by_cookie) as client:
        client.cookies.set("user", "ann")
        client.headers["X-User-Id"] = "bob"  # what it says of itself does not count

        assert (await send(client, b"hers")).is_success

        [file] = await files_of(client)
        assert (file["user_id"], file["filename"]) == ("ann", "a.txt")
        client.cookies.set("user", "bob")
        assert await files_of(client) == []
        assert (await client.get(f"/api/v1/files/{file['file_id']}/content")).status_code == 404
        assert (await client.get("/filepond", params={"load": file["file_id"]})).status_code == 404
        assert (await client.delete(f"/files/{file['file_id']}", headers=TUS)).status_code == 404


@each_way
async def test_who_is_not_known_begins_nothing(tmp_path: Path, send: Send) -> None:
    async with embedded(tmp_path, authenticate=by_cookie) as client:
        refused = await send(client, b"nobody's")

        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert "Credentials are missing or not valid" in refused.text
        client.cookies.set("user", "ann")
        assert await files_of(client) == []
        assert (await client.get("/api/v1/uploads")).json()["uploads"] == []
    assert blobs_in(tmp_path) == []


def blobs_in(tmp_path: Path) -> list[str]:
    """The names of all blobs; what else the store has for itself begins with a dot."""
    root = tmp_path / "data/blobs"
    paths = (path for path in root.rglob("*") if path.is_file())
    return [path.name for path in paths if path.name != "store-id" and not str(path.relative_to(root)).startswith(".")]


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("GET", "/api/v1/files", {}),
        ("GET", "/api/v1/uploads", {}),
        ("GET", "/api/v1/events", {}),
        ("GET", "/api/v1/stats/deletions", {}),
        ("GET", "/api/v1/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", {}),
        ("GET", "/api/v1/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b/content", {}),
        ("GET", "/api/v1/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b/audit", {}),
        ("DELETE", "/api/v1/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", {}),
        ("POST", "/api/v1/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b/restore", {}),
        ("HEAD", "/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", TUS),
        ("PATCH", "/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", CHUNK),
        ("HEAD", "/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", {}),
        ("DELETE", "/files/5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", {}),
        ("GET", "/filepond?load=5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", {}),
        ("DELETE", "/filepond?id=5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", {}),
    ],
)
async def test_who_is_not_known_learns_nothing(tmp_path: Path, method: str, path: str, fields: dict[str, str]) -> None:
    async with embedded(tmp_path, authenticate=by_cookie) as client:
        assert (await client.request(method, path, headers=fields)).status_code == 401


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/docs", "/openapi.json"])
async def test_what_shows_nothing_of_anybody_is_open(tmp_path: Path, path: str) -> None:
    async with embedded(tmp_path, authenticate=by_cookie) as client:
        assert (await client.get(path)).status_code == 200
        assert (await client.options("/files")).status_code == 204


async def nobody_may(_: Request) -> str:
    raise Forbidden("Closed for today")


def not_today(_: Request) -> str:
    raise HTTPException(403, "Closed for today")


async def log_in(_: Request) -> str:
    raise Unauthenticated("Log in first")


@pytest.mark.parametrize(
    ("function", "status", "words"),
    [(nobody_may, 403, "Closed for today"), (not_today, 403, "Closed for today"), (log_in, 401, "Log in first")],
)
async def test_a_refusal_says_what_the_application_says(tmp_path: Path, function: Any, status: int, words: str) -> None:
    async with embedded(tmp_path, authenticate=function) as client:
        refused = await client.get("/api/v1/files")

        assert refused.status_code == status
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["detail"] == words


def broken(_: object) -> Any:
    raise KeyError("the password is 12345")


async def broken_too(_: object) -> Any:
    raise KeyError("the password is 12345")


def slow(_: object) -> Any:
    time.sleep(0.5)


async def slow_too(_: object) -> Any:
    await asyncio.sleep(60)


FAULTS = pytest.mark.parametrize("fault", [broken, broken_too, slow, slow_too], ids=lambda fault: fault.__name__)


@FAULTS
@pytest.mark.parametrize("name", ["authenticate", "before_create"])
async def test_when_the_application_fails_nothing_begins_and_it_is_said(
    tmp_path: Path, name: str, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with embedded(tmp_path, **{name: fault}, hook_timeout=0.2) as client:
        refused = await client.put("/files/a.txt", content=b"a")

        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert refused.json()["type"] == "urn:uploadstream:hook-failed"
        assert refused.json()["detail"] == f"The application's {name} failed; nothing was begun, retry"
    assert blobs_in(tmp_path) == []
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("uploadstream", f"{name} failed")
    assert record.exc_info


async def test_a_slow_function_holds_up_nobody_else(tmp_path: Path) -> None:
    free = threading.Event()

    def first_slowly(request: Request) -> str:
        if request.query_params.get("slowly"):
            free.wait(10)
        return "ann"

    async with embedded(tmp_path, authenticate=first_slowly) as client:
        one = asyncio.create_task(client.get("/api/v1/files?slowly=1"))
        await asyncio.sleep(0.02)
        for _ in range(5):
            assert (await client.get("/api/v1/files")).status_code == 200
        assert not one.done()
        free.set()
        assert (await one).status_code == 200


async def test_a_plain_function_runs_in_a_thread_and_a_coroutine_on_the_loop(tmp_path: Path) -> None:
    where: list[str] = []

    def authenticate(_: Request) -> str:
        where.append(threading.current_thread().name)
        return "ann"

    async def before_create(_: NewUpload) -> None:
        where.append(threading.current_thread().name)

    async with embedded(tmp_path, authenticate=authenticate, before_create=before_create) as client:
        await client.put("/files/a.txt", content=b"a")

    assert where[0].startswith("uploadstream-asking")
    assert where[1] == threading.current_thread().name


@each_way
async def test_an_upload_may_be_refused_with_a_reason(tmp_path: Path, send: Send) -> None:
    async def members_only(upload: NewUpload) -> None:
        raise Forbidden(f"{upload.user_id} has no room for {upload.filename}")

    async with embedded(tmp_path, before_create=members_only) as client:
        refused = await send(client, b"too much")

        assert refused.status_code == 403
        assert "anonymous has no room for " in refused.text
        assert await files_of(client) == []
        assert (await client.get("/api/v1/uploads")).json()["uploads"] == []
    assert blobs_in(tmp_path) == []


@each_way
async def test_an_upload_may_be_changed_before_it_begins(tmp_path: Path, send: Send) -> None:
    seen: list[NewUpload] = []

    def rename(upload: NewUpload) -> NewUpload:
        seen.append(upload)
        return replace(upload, filename=f"2026 {upload.filename}", metadata={**upload.metadata, "of": "Zoë"})

    told: list[StoredFile] = []
    async with embedded(tmp_path, before_create=rename, completed=told.append) as client:
        assert (await send(client, b"renamed")).is_success
        [file] = await files_of(client)
        await until(lambda: bool(told))

    assert file["filename"] == f"2026 {seen[0].filename}"
    assert len(seen) == 1
    assert (seen[0].user_id, seen[0].size_max) == ("anonymous", 512 * 1024 * 1024)
    assert (told[0].file_id, told[0].metadata["of"]) == (file["file_id"], "Zoë")


@each_way
async def test_limits_may_be_narrowed_for_one_upload(tmp_path: Path, send: Send) -> None:
    def pictures_only(upload: NewUpload) -> NewUpload:
        return replace(upload, size_max=1000, allowed_types=("image/*",))

    async with embedded(tmp_path, before_create=pictures_only) as client:
        assert (await send(client, PNG)).is_success
        other_type = await send(client, b"text " * 150)
        too_large = await send(client, PNG * 2)

        assert other_type.status_code == 415
        assert "not allowed; allowed: image/*" in other_type.text
        assert too_large.status_code == 413
        assert "exceeds limit of 1000 B" in too_large.text
        assert len(await files_of(client)) == 1


async def test_the_limits_of_an_upload_are_its_own_after_a_restart_as_well(tmp_path: Path) -> None:
    def pictures_only(upload: NewUpload) -> NewUpload:
        return replace(upload, allowed_types=("image/*", "video/*"))

    async with embedded(tmp_path, before_create=pictures_only) as client:
        begun = await client.post("/files", headers={**TUS, "Upload-Length": "1000"})
    async with embedded(tmp_path) as client:
        refused = await client.patch(begun.headers["Location"], headers=CHUNK, content=b"t" * 1000)

        assert refused.status_code == 415
        assert "allowed: image/*, video/*" in refused.text


async def test_limits_are_not_widened(tmp_path: Path) -> None:
    def anything(upload: NewUpload) -> NewUpload:
        return replace(upload, size_max=2**40, allowed_types=("*/*",))

    async with embedded(tmp_path, before_create=anything, max_file_size=10, allowed_types="image/*") as client:
        assert (await client.put("/files/a", content=iter_of(b"x" * 11))).status_code == 413
        assert (await client.put("/files/a", content=b"x" * 10)).status_code == 415


async def iter_of(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.mark.parametrize(
    "change", [{"filename": "a/b"}, {"content_type": "?"}, {"user_id": "bob"}, {"size": 5}, {"metadata": {"a": 1}}]
)
async def test_a_change_that_cannot_be_is_the_applications_fault(
    tmp_path: Path, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with embedded(tmp_path, before_create=lambda upload: replace(upload, **change)) as client:
        assert (await client.put("/files/a.txt", content=b"a")).status_code == 503
    assert "before_create gave what cannot be" in caplog.text


async def test_tus_joins_parts_and_both_are_asked_about(tmp_path: Path) -> None:
    seen: list[tuple[bool, str]] = []

    async def note(upload: NewUpload) -> None:
        seen.append((upload.is_partial, upload.filename))

    told: list[StoredFile] = []
    async with embedded(tmp_path, before_create=note, completed=told.append) as client:
        parts = []
        for _ in range(2):
            fields = {**TUS, "Upload-Concat": "partial", "Upload-Length": "4"}
            parts.append((await client.post("/files", headers=fields)).headers["Location"])
            await client.patch(parts[-1], headers=CHUNK, content=b"part")
        fields = {**TUS, **NAMED, "Upload-Concat": f"final;{' '.join(parts)}"}
        assert (await client.post("/files", headers=fields)).status_code == 201
        await until(lambda: bool(told))

    assert seen == [(True, "unnamed"), (True, "unnamed"), (False, "a.txt")]
    assert [(file.filename, file.size) for file in told] == [("a.txt", 8)]


@each_way
async def test_a_file_is_told_of_once_it_is_there(tmp_path: Path, send: Send) -> None:
    told: list[StoredFile] = []
    async with embedded(tmp_path, completed=told.append) as client:
        await send(client, b"here")
        await until(lambda: bool(told))
        [file] = await files_of(client)

    [one] = told
    assert (one.file_id, one.filename, one.size, one.user_id) == (file["file_id"], "a.txt", 4, "anonymous")
    assert (one.content_type, one.crc32c) == (file["content_type"], file["crc32c"])


@pytest.mark.parametrize("path", ["/api/v1/files/{}", "/api/v1/uploads/{}", "/files/{}", "/filepond?id={}"])
async def test_a_file_that_goes_to_the_trash_is_told_of(tmp_path: Path, path: str) -> None:
    told: list[StoredFile] = []

    async def deleted(file: StoredFile) -> None:
        told.append(file)

    async with embedded(tmp_path, deleted=deleted) as client:
        file_id = (await client.put("/files/a.txt", content=b"a")).json()["file_id"]
        assert (await client.delete(path.format(file_id))).status_code == 204
        await client.delete(path.format(file_id))
        await until(lambda: bool(told))

    assert [file.file_id for file in told] == [file_id]
    assert told[0].deleted_at


@FAULTS
async def test_a_fault_of_who_is_told_loses_no_file_and_is_in_the_trail(
    tmp_path: Path, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with embedded(tmp_path, completed=fault, deleted=fault, hook_timeout=0.2) as client:
        stored = await client.put("/files/a.txt", content=b"kept")
        assert stored.status_code == 201
        path = f"/api/v1/files/{stored.json()['file_id']}"
        assert (await client.get(f"{path}/content")).content == b"kept"
        assert (await client.delete(path)).status_code == 204
        await until(lambda: len([r for r in caplog.records if r.levelno == logging.ERROR]) == 2)
        trail: list[dict[str, Any]] = []
        while len(trail) < 4:
            trail = (await client.get(f"{path}/audit")).json()["audit"]

    assert sorted(row["action"] for row in trail) == ["complete", "delete", "hook_fail", "hook_fail"]
    failed = [row for row in trail if row["action"] == "hook_fail"]
    assert sorted(row["details"]["hook"] for row in failed) == ["completed", "deleted"]
    assert "12345" not in str(trail)
    assert f"completed failed: file {stored.json()['file_id']}" in caplog.text


async def test_the_answer_does_not_wait_for_who_is_told_but_the_end_does(tmp_path: Path) -> None:
    told: list[StoredFile] = []

    def slowly(file: StoredFile) -> None:
        time.sleep(0.3)
        told.append(file)

    async with embedded(tmp_path, completed=slowly) as client:
        assert (await client.put("/files/a.txt", content=b"a")).status_code == 201
        assert told == []

    assert len(told) == 1


async def test_slow_listeners_leave_threads_to_those_who_are_asked(tmp_path: Path) -> None:
    free = threading.Event()

    def stuck(_: StoredFile) -> None:
        free.wait(5)

    async with embedded(tmp_path, completed=stuck, authenticate=lambda _: "ann") as client:
        try:
            sent = await asyncio.gather(*(client.put(f"/files/{n}", content=b"a") for n in range(40)))
            assert {answer.status_code for answer in sent} == {201}
            assert len((await client.get("/api/v1/files?page_size=100")).json()["files"]) == 40
        finally:
            free.set()
