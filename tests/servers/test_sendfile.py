"""Files that the kernel sends: the right bytes, whatever the client does, and nobody waits for anybody."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_rig import App, Client, Receive, Scope, Send, respond, serving, sized
from tests.servers.other_server import other_server
from tests.servers.test_http1_server import CERTIFICATE, trusting
from uploadstream.http.zero_copy import EXTENSION, send_file
from uploadstream.servers.http1 import HttpLimits
from uploadstream.servers.sendfile import PIECE_SIZE, QUICK_IN_A_ROW, TURN_SIZE

CONTENT = os.urandom(3 * PIECE_SIZE + 100)
SIZE = len(CONTENT)
BIG = 64 * 1024 * 1024
QUICK = HttpLimits(send_seconds=0.3, linger_seconds=0.3, look_seconds=0.05)
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"

Body = Callable[[Scope, Send], Awaitable[None]]


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(CONTENT)
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    yield opened
    os.fstat(opened)  # nobody has closed it
    os.close(opened)


@pytest.fixture
def big(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "big", os.O_RDWR | os.O_CREAT)
    os.truncate(opened, BIG)
    yield opened
    os.close(opened)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def sending(body: Body, *, length: int | None = None, status: int = 200) -> App:
    """An application that answers with what `body` sends; without a length, in chunks."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        fields = [] if length is None else [(b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await body(scope, send)

    return app


def whole(fd: int, at: int = 0, count: int = SIZE) -> App:
    async def body(scope: Scope, send: Send) -> None:
        await send_file(scope, send, fd, at=at, count=count)

    return sending(body, length=count)


async def chunked_body(client: Client) -> bytes:
    await client.reader.readuntil(b"\r\n\r\n")
    body = b""
    while size := int(await client.reader.readuntil(b"\r\n"), 16):
        body += await client.reader.readexactly(size)
        assert await client.reader.readexactly(2) == b"\r\n"
    assert await client.reader.readexactly(2) == b"\r\n"
    return body


@pytest.mark.parametrize(
    ("at", "count"),
    [(0, SIZE), (0, 0), (SIZE, 0), (0, 1), (SIZE - 1, 1), (5, 70_000), (0, PIECE_SIZE), (1, PIECE_SIZE + 1)],
)
async def test_the_client_gets_the_bytes_that_were_asked_for_and_the_connection_lives_on(
    fd: int, at: int, count: int
) -> None:
    async with serving(whole(fd, at, count)) as running:
        client = await running.connect()

        bodies = []
        for _ in range(3):
            await client.send(GET)
            bodies.append((await client.answer()).body)

    assert bodies == [CONTENT[at : at + count]] * 3
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0


async def test_requests_that_do_not_wait_for_answers_get_theirs_in_order(fd: int) -> None:
    async def body(scope: Scope, send: Send) -> None:
        await send_file(scope, send, fd, at=int(scope["path"][1:]), count=1_000_000)

    async with serving(sending(body, length=1_000_000)) as running:
        client = await running.connect()
        places = [0, 5, 1_000_000, 7]
        await client.send(b"".join(GET.replace(b"/ ", b"/%d " % place) for place in places))

        bodies = [(await client.answer()).body for _ in places]

    assert bodies == [CONTENT[place : place + 1_000_000] for place in places]


@pytest.mark.parametrize("length", [None, 4 + 10 + 500_000 + 3])
async def test_files_and_other_bytes_make_one_body(fd: int, length: int | None) -> None:
    async def body(scope: Scope, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"head", "more_body": True})
        await send_file(scope, send, fd, at=100, count=10, more_body=True)
        await send_file(scope, send, fd, at=0, count=0, more_body=True)
        await send_file(scope, send, fd, at=7, count=500_000, more_body=True)
        await send({"type": "http.response.body", "body": b"end"})

    expected = b"head" + CONTENT[100:110] + CONTENT[7:500_007] + b"end"
    async with serving(sending(body, length=length)) as running:
        client = await running.connect()
        for _ in range(2):
            await client.send(GET)
            got = await chunked_body(client) if length is None else (await client.answer()).body

            assert got == expected


async def test_in_chunks_a_file_ends_the_body(fd: int) -> None:
    async def body(scope: Scope, send: Send) -> None:
        await send_file(scope, send, fd, at=0, count=SIZE)

    async with serving(sending(body)) as running:
        client = await running.connect()
        for _ in range(2):
            await client.send(GET)

            assert await chunked_body(client) == CONTENT


async def test_what_was_written_before_comes_before_also_to_a_slow_reader(fd: int) -> None:
    before = os.urandom(5_000_000)

    async def body(scope: Scope, send: Send) -> None:
        await send({"type": "http.response.body", "body": before, "more_body": True})
        await send_file(scope, send, fd, at=0, count=SIZE)

    async with serving(sending(body, length=len(before) + SIZE)) as running:
        running.server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000)
        client = await running.connect()
        await client.send(GET)
        await asyncio.sleep(0.2)

        assert (await client.answer()).body == before + CONTENT


async def test_without_an_offset_the_file_is_read_from_its_position_which_moves(fd: int, tmp_path: Path) -> None:
    with (tmp_path / "file").open("rb") as file:
        file.read(10)
        os.lseek(fd, 20, os.SEEK_SET)

        async def body(scope: Scope, send: Send) -> None:
            await send({"type": EXTENSION, "file": file, "count": 5, "more_body": True})
            await send({"type": EXTENSION, "file": file, "count": 5, "more_body": True})
            await send({"type": EXTENSION, "file": fd, "count": 5, "more_body": True})
            await send({"type": EXTENSION, "file": fd, "offset": SIZE - 7})

        async with serving(sending(body)) as running:
            client = await running.connect()
            await client.send(GET)
            got = await chunked_body(client)

        assert got == CONTENT[10:20] + CONTENT[20:25] + CONTENT[-7:]
        assert file.tell() == 20
        assert file.read(3) == CONTENT[20:23]
    assert os.lseek(fd, 0, os.SEEK_CUR) == 25


async def test_a_head_request_gets_no_body_and_the_connection_lives_on(fd: int) -> None:
    async with serving(whole(fd)) as running:
        client = await running.connect()
        await client.send(GET.replace(b"GET", b"HEAD"))
        head = await client.reader.readuntil(b"\r\n\r\n")
        await client.send(GET)

        assert f"content-length: {SIZE}".encode() in head
        assert (await client.answer()).body == CONTENT


async def test_the_last_answer_is_sent_to_its_end(fd: int) -> None:
    async with serving(whole(fd)) as running:
        client = await running.connect()
        await client.send(GET[:-2] + b"Connection: close\r\n\r\n")
        answer = await client.answer()

        assert (answer.body, answer.fields["connection"], await client.rest()) == (CONTENT, "close", b"")


async def test_an_old_client_gets_the_file_too(fd: int) -> None:
    async with serving(whole(fd)) as running:
        client = await running.connect()
        await client.send(GET.replace(b"1.1", b"1.0"))

        assert (await client.rest()).endswith(b"\r\n\r\n" + CONTENT)


async def test_an_old_client_gets_what_has_no_length_without_chunks(fd: int) -> None:
    """RFC 9112, section 6.1: whoever speaks HTTP/1.0 would take the sizes of chunks for bytes of the body."""

    async def body(scope: Scope, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"before ", "more_body": True})
        await send_file(scope, send, fd, at=0, count=1000, more_body=True)
        await send({"type": "http.response.body", "body": b" behind"})

    async with serving(sending(body)) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        head = await client.reader.readuntil(b"\r\n\r\n")

        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        assert await client.rest() == b"before " + CONTENT[:1000] + b" behind"


# What does not fit


@pytest.mark.parametrize(("length", "count"), [(10, 11), (10, 9), (0, 1)])
async def test_more_or_less_than_was_promised_ends_the_connection(
    fd: int, length: int, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(scope: Scope, send: Send) -> None:
        await send_file(scope, send, fd, at=0, count=count)

    async with serving(sending(body, length=length)) as running:
        client = await running.connect()
        await client.send(GET + GET)
        head, _, got = (await client.rest()).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    assert CONTENT.startswith(got)
    assert len(got) <= length
    assert "Content-Length" in caplog.text


@pytest.mark.parametrize("length", [None, 20])
async def test_a_file_that_is_too_short_ends_the_connection(
    fd: int, length: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(scope: Scope, send: Send) -> None:
        await send_file(scope, send, fd, at=SIZE - 10, count=20)

    async with serving(sending(body, length=length)) as running:
        client = await running.connect()
        await client.send(GET + GET)
        got = await client.rest()

    assert got.endswith(CONTENT[-10:])
    assert "10 bytes too early" in caplog.text


async def test_a_file_before_the_head_or_behind_the_end_is_the_applications_mistake(fd: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError):
            await send_file(scope, send, fd, at=0, count=1)
        await respond(send, 200, b"body")
        with pytest.raises(RuntimeError):
            await send_file(scope, send, fd, at=0, count=1)

    async with serving(app) as running:
        client = await running.connect()
        await client.send(GET + GET)

        assert [(await client.answer()).body for _ in range(2)] == [b"body", b"body"]


# Clients


async def test_the_rest_stays_in_the_file_while_the_client_does_not_read_and_others_are_served(big: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/other":
            await respond(send, 200, b"other")
        else:
            await whole(big, 0, BIG)(scope, receive, send)

    async with serving(app) as running:
        slow, other = await running.connect(), await running.connect()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await slow.send(GET)
        await asyncio.sleep(0.2)
        unsent = [one.transport.get_write_buffer_size() for one in connections(running)]
        await other.send(GET.replace(b"/ ", b"/other "))
        answer = await other.answer()
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]

        assert (unsent, answer.body) == ([0, 0], b"other")
        assert len((await slow.answer()).body) == BIG


def connections(running: Any) -> list[Any]:
    return list(running.server.server_state.connections)


async def test_others_have_their_turn_every_few_pieces_however_quickly_the_client_reads(big: int) -> None:
    turns, turns_of_sending, ended = 0, 0, asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal turns_of_sending
        before = turns
        await whole(big, 0, BIG)(scope, receive, send)
        turns_of_sending = turns - before

    async def turn() -> None:
        nonlocal turns
        while not ended.is_set():
            await asyncio.sleep(0)
            turns += 1

    def read_all(port: int) -> int:
        with socket.create_connection(("127.0.0.1", port)) as quick:
            quick.sendall(GET[:-2] + b"Connection: close\r\n\r\n")
            size = 0
            while piece := quick.recv(1 << 20):
                size += len(piece)
        return size

    async with serving(app) as running:
        turning = asyncio.create_task(turn())
        size = await asyncio.to_thread(read_all, running.port)
        ended.set()
        await turning

    assert size > BIG
    assert turns_of_sending >= BIG // TURN_SIZE - 1


async def test_a_disk_that_is_slow_holds_up_its_own_client_alone(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    send_now, in_thread = os.sendfile, []

    def slow(*args: int) -> int:
        in_thread.append(threading.current_thread() is not threading.main_thread())
        time.sleep(0.02)
        return send_now(*args)

    monkeypatch.setattr(os, "sendfile", slow)
    async with serving(whole(fd)) as running:
        client = await running.connect()
        await client.send(GET)

        assert (await client.answer()).body == CONTENT
    assert not in_thread[0]
    assert len(in_thread) > 2
    assert all(in_thread[1:])


async def test_a_disk_that_was_slow_once_is_trusted_again(big: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count = (QUICK_IN_A_ROW + 8) * PIECE_SIZE
    os.pwrite(big, bytes(count), 0)  # so that it is in memory
    send_now, in_thread = os.sendfile, []

    def slow_at_first(*args: int) -> int:
        in_thread.append(threading.current_thread() is not threading.main_thread())
        if len(in_thread) == 1:
            time.sleep(0.05)
        return send_now(*args)

    monkeypatch.setattr(os, "sendfile", slow_at_first)
    monkeypatch.setattr("uploadstream.servers.sendfile.SLOW_SECONDS", 0.02)  # a busy machine is not a slow disk
    async with serving(whole(big, 0, count)) as running:
        client = await running.connect()
        await client.send(GET)

        assert len((await client.answer()).body) == count
    assert any(in_thread[1 : QUICK_IN_A_ROW + 1])
    assert not all(in_thread[QUICK_IN_A_ROW + 1 :])


async def test_a_client_that_does_not_read_costs_no_work_even_if_its_file_is_on_the_disk(
    big: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, begun = 0, asyncio.Event()

    def cold(*_: object) -> int:
        nonlocal asked
        asked += 1
        begun.set()
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", cold)
    async with serving(whole(big, 0, BIG)) as running:
        client = await running.connect(limit=50_000)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET)
        await begun.wait()
        await asyncio.sleep(0.3)
        before = asked
        await asyncio.sleep(0.3)

        assert asked == before
        client.reset()


async def test_what_is_not_in_memory_is_read_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cold"
    path.write_bytes(CONTENT)
    cold = os.open(path, os.O_RDONLY)
    os.fsync(cold)
    os.posix_fadvise(cold, 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        os.preadv(cold, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        pass
    except OSError:
        pytest.skip("this filesystem does not tell what is in memory")
    send_now, in_thread = os.sendfile, []

    def noted(*args: int) -> int:
        in_thread.append(threading.current_thread() is not threading.main_thread())
        return send_now(*args)

    monkeypatch.setattr(os, "sendfile", noted)
    os.posix_fadvise(cold, 0, 0, os.POSIX_FADV_DONTNEED)
    async with serving(whole(cold)) as running:
        client = await running.connect()
        await client.send(GET)

        assert (await client.answer()).body == CONTENT
    assert in_thread[0]
    os.close(cold)


async def test_a_client_may_read_a_file_slowly(big: int) -> None:
    count = 3_000_000
    async with serving(whole(big, 0, count), limits=QUICK) as running:
        running.server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000)
        client = await running.connect(limit=50_000)
        await client.send(GET[:-2] + b"Connection: close\r\n\r\n")
        start = asyncio.get_running_loop().time()

        size = 0
        while piece := await client.reader.read(100_000):
            size += len(piece)
            await asyncio.sleep(0.05)

    assert size > count
    assert asyncio.get_running_loop().time() - start > 2 * QUICK.send_seconds


async def test_a_client_that_does_not_read_its_file_is_left(big: int) -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await whole(big, 0, BIG)(scope, receive, send)
        ended.set()

    before = descriptors()
    async with serving(app, limits=QUICK) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET)
        await asyncio.sleep(0.1)
        assert connections(running)

        async with asyncio.timeout(5):
            await ended.wait()
        assert not connections(running)
        client.reset()
    await asyncio.sleep(0.05)
    assert descriptors() == before


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("read", [0, 100, 5_000_000])
async def test_a_client_that_leaves_ends_the_sending_at_once(big: int, reset: bool, read: int) -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await whole(big, 0, BIG)(scope, receive, send)
        await send_file(scope, send, big, at=0, count=1)  # and whatever it sends afterwards goes nowhere
        ended.set()

    before = descriptors()
    async with serving(app) as running:
        client = await running.connect()
        await client.send(GET)
        await client.reader.readexactly(read)
        if reset:
            client.reset()
        else:
            client.close()

        async with asyncio.timeout(2):
            await ended.wait()
        await asyncio.sleep(0.05)
        assert not connections(running)
        again = await running.connect()
        await again.send(GET)
        await again.reader.readexactly(100)
    await asyncio.sleep(0.05)
    assert descriptors() == before


async def test_a_client_that_sends_no_more_gets_its_file_to_the_end(big: int) -> None:
    async with serving(whole(big, 0, BIG)) as running:
        client = await running.connect()
        await client.send(GET)
        client.writer.write_eof()

        _, _, body = (await client.rest()).partition(b"\r\n\r\n")

    assert len(body) == BIG


async def test_a_client_may_send_its_next_request_while_it_is_served(big: int) -> None:
    async with serving(whole(big, 0, BIG)) as running:
        client = await running.connect()
        await client.send(GET)
        await client.reader.readexactly(10)
        await client.send(sized(b"body" * 1000), b"nonsense\r\n\r\n")
        got = await client.rest()

    assert got.count(b"HTTP/1.1 200") == 1  # the second; of the first, these bytes were read above
    assert len(got) > 2 * BIG


async def test_a_server_that_is_stopped_ends_a_sending_that_takes_too_long(
    big: int, caplog: pytest.LogCaptureFixture
) -> None:
    before = descriptors()
    async with serving(whole(big, 0, BIG), drain_seconds=0.2) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET)
        await asyncio.sleep(0.1)
        running.server.should_exit = True

        async with asyncio.timeout(5):
            await running.task
    await asyncio.sleep(0.05)
    assert descriptors() <= before
    assert "CancelledError" in caplog.text


# Without it


async def test_over_tls_the_bytes_go_through_memory(fd: int) -> None:
    offered = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        offered.append(EXTENSION in scope["extensions"])
        await whole(fd)(scope, receive, send)

    async with serving(app, certificate=CERTIFICATE) as running:
        client = await running.connect(ssl=trusting())
        await client.send(GET + GET)

        assert [(await client.answer()).body for _ in range(2)] == [CONTENT, CONTENT]
    assert offered == [False, False]


async def test_on_another_server_the_same_application_sends_the_same_bytes(fd: int) -> None:
    async with other_server(whole(fd)) as client:
        await client.send(GET)

        assert (await client.answer()).body == CONTENT
