"""The service inside another application: when it starts, when it ends, and what it says of where it is."""

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.protocols.asgi import client_of, cut_request
from uploadstream import UploadStream
from uploadstream.app import WrongStore

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@pytest.fixture
def embedded(tmp_path: Path) -> UploadStream:
    return UploadStream(data_dir=tmp_path / "data", fsync="never", drain_timeout="2s")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def lifespan(app: UploadStream, *, until: asyncio.Event) -> list[MutableMapping[str, Any]]:
    """What an application answers to the messages of its life."""
    sent: list[MutableMapping[str, Any]] = []
    steps = iter(("startup", "shutdown"))

    async def receive() -> dict[str, str]:
        step = next(steps)
        if step == "shutdown":
            await until.wait()
        return {"type": f"lifespan.{step}"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    return sent


async def test_nothing_is_opened_before_it_is_needed(embedded: UploadStream, tmp_path: Path) -> None:
    async with client_of(embedded) as client:
        assert names_in(tmp_path) == []

        assert (await client.get("/readyz")).status_code == 200

    assert names_in(tmp_path) == ["data"]
    await embedded.aclose()


async def test_requests_that_come_at_once_share_one_start(embedded: UploadStream) -> None:
    async with client_of(embedded) as client:
        sent = await asyncio.gather(*(client.put(f"/files/{n}.txt", content=b"a") for n in range(20)))

        assert {answer.status_code for answer in sent} == {201}
        listed = (await client.get("/api/v1/files", params={"page_size": 50})).json()["files"]
        assert len(listed) == 20
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count("uploadstream") == 1
    await embedded.aclose()


async def test_a_first_request_that_goes_away_does_not_take_the_start_along(embedded: UploadStream) -> None:
    async with client_of(embedded) as client:
        first = asyncio.create_task(client.get("/healthz"))
        second = asyncio.create_task(client.get("/healthz"))
        await asyncio.sleep(0)
        first.cancel()

        assert (await second).status_code == 200
    await embedded.aclose()


async def test_its_lifespan_starts_and_ends_it(embedded: UploadStream) -> None:
    until = asyncio.Event()
    living = asyncio.create_task(lifespan(embedded, until=until))
    async with client_of(embedded) as client:
        assert (await client.get("/healthz")).status_code == 200

    until.set()

    assert [message["type"] for message in await living] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [task for task in asyncio.all_tasks() if task.get_name() == "uploadstream"] == []


async def test_what_keeps_it_from_starting_is_said_and_the_next_try_may_succeed(tmp_path: Path) -> None:
    embedded = UploadStream(data_dir=tmp_path / "data")
    async with embedded:
        pass
    (tmp_path / "data/blobs").rename(tmp_path / "away")
    with pytest.raises(WrongStore, match="is not the one this catalog belongs to"):
        await lifespan(embedded, until=asyncio.Event())
    async with client_of(embedded) as client:
        with pytest.raises(WrongStore):
            await client.get("/healthz")
        (tmp_path / "away").rename(tmp_path / "data/blobs")

        assert (await client.get("/healthz")).status_code == 200
    await embedded.aclose()


async def test_it_can_be_started_again_after_its_end(embedded: UploadStream) -> None:
    async with embedded, client_of(embedded) as client:
        sent = await client.put("/files/a.txt", content=b"kept")
    async with embedded, client_of(embedded) as client:
        assert (await client.get(sent.headers["Location"])).content == b"kept"


def test_each_event_loop_has_a_start_of_its_own(embedded: UploadStream) -> None:
    async def ask() -> int:
        async with client_of(embedded) as client:
            return (await client.get("/healthz")).status_code

    assert [asyncio.run(ask()), asyncio.run(ask())] == [200, 200]


async def test_two_event_loops_at_once_are_refused_in_words(embedded: UploadStream) -> None:
    async with embedded:
        with pytest.raises(RuntimeError, match="runs in another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(started(embedded)))


async def started(embedded: UploadStream) -> None:
    await embedded.start()


async def test_the_end_keeps_what_an_upload_has_brought(embedded: UploadStream) -> None:
    async with embedded, client_of(embedded) as client:
        made = await client.post("/files", headers={**TUS, "Upload-Length": "10"})
        location = made.headers["Location"]
        waiting = asyncio.Event()

        async def stay() -> None:
            waiting.set()
            await asyncio.sleep(60)

        sending = asyncio.create_task(cut_request(embedded, "PATCH", location, CHUNK, b"12345", then=stay))
        await waiting.wait()
    [start, *_] = await sending

    assert start["status"] == 503
    async with embedded, client_of(embedded) as client:
        assert (await client.head(location, headers=TUS)).headers["Upload-Offset"] == "5"


async def test_who_listens_to_events_does_not_hold_up_the_end(embedded: UploadStream) -> None:
    heard = asyncio.Event()

    async def send(message: MutableMapping[str, Any]) -> None:
        heard.set()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "asgi": {}, "http_version": "1.1", "method": "GET", "headers": [], "query_string": b""}
    async with embedded:
        listening = asyncio.create_task(embedded({**scope, "path": "/api/v1/events"}, receive, send))
        await heard.wait()
        began = asyncio.get_running_loop().time()
    await listening

    assert asyncio.get_running_loop().time() - began < 1


@pytest.mark.parametrize(
    ("mount", "here"), [("/a b/ü%", "/a%20b/%C3%BC%25"), ("/{tenant}/files", "/x%0D%0A%22y/files")]
)
async def test_addresses_are_below_the_mount_and_percent_encoded(embedded: UploadStream, mount: str, here: str) -> None:
    outer = Starlette(routes=[Mount(mount, embedded)])
    async with embedded, client_of(outer) as client:
        made = await client.post(f"{here}/files", headers={**TUS, "Upload-Length": "10"})
        told = await client.post(f"{here}/files", headers={"Upload-Complete": "?0"}, content=b"a")
        file = await client.put(f"{here}/files/a", content=b"a")

        for answer in (made, told, file):
            assert answer.headers["Location"].startswith(f"{here}/"), answer.headers
        upload = made.headers["Location"].rpartition("/")[2]
        ways = (await client.get(f"{here}/api/v1/uploads/{upload}")).json()["ways"]
        assert all(way["url"].startswith(f"{here}/") for way in ways)
        assert (await client.head(made.headers["Location"], headers=TUS)).status_code == 200


async def test_another_root_of_the_server_comes_before_the_mount(embedded: UploadStream) -> None:
    outer = Starlette(routes=[Mount("/mount", embedded)])
    transport = httpx.ASGITransport(app=outer, root_path="/proxy")
    async with embedded, httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        made = await client.post("/proxy/mount/files", headers={**TUS, "Upload-Length": "10"})

        assert made.headers["Location"].startswith("/proxy/mount/files/")
        servers = (await client.get("/proxy/mount/openapi.json")).json()["servers"]
        assert servers == [{"url": "/proxy/mount"}]


async def test_a_web_socket_is_refused(embedded: UploadStream) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    async with embedded:
        await embedded(scope, receive, send)

    assert [message["type"] for message in sent] == ["websocket.close"]
