"""Content through a real server and a socket: by the kernel, and cut where there is no right end."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from tests.engine.world import ANN, World, body, declared, disk_world
from tests.http_rig import Client, Serving, serving
from uploadstream.engine.watch import Incoming
from uploadstream.protocols.content.endpoint import Content
from uploadstream.protocols.content.sending import PIECE_SIZE

LARGE = os.urandom(20 * PIECE_SIZE + 7)
PATIENCE_SECONDS = 20


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[World]:
    made = disk_world(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def server(disk: World) -> AsyncIterator[Serving]:
    async with serving(Starlette(routes=Content(disk.engine.downloads).routes())) as running:
        yield running


async def asked(server: Serving, file_id: str, *lines: str, query: str = "") -> Client:
    client = await server.connect()
    target = f"/api/v1/files/{file_id}/content{query}"
    await client.send("\r\n".join([f"GET {target} HTTP/1.1", "Host: here", *lines, "", ""]).encode())
    return client


async def until_closed(client: Client) -> bytes:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await client.rest()


async def stored(world: World, sent: bytes) -> str:
    return (await world.engine.uploads.store_whole(declared(len(sent)), ANN, body(sent))).id


async def test_a_large_file_and_ranges_of_it_arrive_on_one_connection(disk: World, server: Serving) -> None:
    file_id = await stored(disk, LARGE)
    client = await asked(server, file_id)

    whole = await client.answer()
    await client.send(f"GET /api/v1/files/{file_id}/content HTTP/1.1\r\nHost: here\r\nRange: bytes=5-\r\n\r\n".encode())
    part = await client.answer()

    assert (whole.status, whole.body) == (200, LARGE)
    assert (part.status, part.body) == (206, LARGE[5:])


async def test_parts_of_a_large_file_arrive_between_their_heads(disk: World, server: Serving) -> None:
    stop = 2 * PIECE_SIZE
    client = await asked(server, await stored(disk, LARGE), f"Range: bytes=-7,10-{stop}")

    answer = await client.answer()

    boundary = answer.fields["content-type"].partition("boundary=")[2].encode()
    parts = answer.body.split(b"\r\n--" + boundary)
    assert parts[0].startswith(b"--" + boundary)
    assert parts[0].endswith(b"\r\n\r\n" + LARGE[-7:])
    assert parts[1].endswith(b"\r\n\r\n" + LARGE[10 : stop + 1])
    assert parts[2:] == [b"--\r\n"]


async def test_a_file_removed_while_its_reader_is_slow_arrives_whole(disk: World, server: Serving) -> None:
    sent = os.urandom(16 * 1024 * 1024)
    file_id = await stored(disk, sent)
    client = await asked(server, file_id, "Connection: close")
    head = await client.reader.readuntil(b"\r\n\r\n")

    await disk.blobs.remove(file_id)

    assert b" 200 " in head
    assert await until_closed(client) == sent


@pytest.mark.parametrize("length", [None, 10])
async def test_an_upload_that_ends_as_no_file_ends_the_connection_and_not_the_response(
    disk: World, server: Serving, length: int | None
) -> None:
    uploads = disk.engine.uploads
    upload_id = (await uploads.create(declared(length), ANN)).session.id
    await uploads.append(upload_id, ANN, Incoming(body(b"abc")))
    client = await asked(server, upload_id, query="?follow=true")
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert await client.reader.readexactly(3 if length else 6) in {b"abc", b"3\r\nabc"}

    await uploads.abort(upload_id, ANN)

    assert (b"content-length: 10" in head) == (length is not None)
    assert await until_closed(client) in {b"", b"\r\n"}  # and not the chunk of no bytes that is the end


async def test_an_upload_followed_to_its_end_ends_the_response_and_not_the_connection(
    disk: World, server: Serving
) -> None:
    uploads = disk.engine.uploads
    upload_id = (await uploads.create(declared(len(LARGE)), ANN)).session.id
    client = await asked(server, upload_id, query="?follow=true")
    following = asyncio.create_task(client.answer())

    for at in range(0, len(LARGE), 3_000_000):
        await uploads.append(upload_id, ANN, Incoming(body(LARGE[at : at + 3_000_000]), at=at))
        await asyncio.sleep(0.05)

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await following).body == LARGE
    await client.send(f"HEAD /api/v1/files/{upload_id}/content HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert b" 200 " in await client.reader.readuntil(b"\r\n\r\n")


async def test_nobody_goes_on_following_for_a_client_that_left(disk: World, server: Serving) -> None:
    upload_id = (await disk.engine.uploads.create(declared(10), ANN)).session.id
    before = asyncio.all_tasks()
    client = await asked(server, upload_id, query="?follow=true")
    await client.reader.readuntil(b"\r\n\r\n")

    client.reset()

    async with asyncio.timeout(PATIENCE_SECONDS):
        while asyncio.all_tasks() - before:  # noqa: ASYNC110 - there is nothing else to wait for
            await asyncio.sleep(0.01)
