"""What a client may stretch, and how far; and what is no HTTP at all."""

import asyncio
import socket

import pytest

from tests.http_rig import Client, FakeIntake, PouringApp, Receive, Scope, Send, respond, serving, sized
from uploadstream.http.pour import ClientGone, pour_body
from uploadstream.servers.http1 import PIPELINE_MAX, HttpLimits

QUICK = HttpLimits(
    head_seconds=0.3, body_seconds=0.3, idle_seconds=1, send_seconds=0.3, linger_seconds=0.3, look_seconds=0.05
)
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, b"hello")


async def closed(client: Client) -> bytes:
    """What comes until the server closes, which is soon."""
    async with asyncio.timeout(5):
        return await client.rest()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414),
        (b"GET /" + b"a" * 100_000, 414),
        (b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 33_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 200_000, 431),
        (b"GET / HTTP/1.1\r\nHost: here\r\n" + b"a" * 200_000, 431),
        (b"GET / HTTP/1.1\r\nHost: here\r\n" + b"A: b\r\n" * 6000 + b"\r\n", 431),
    ],
)
@pytest.mark.parametrize("piece_size", [3000, 10**6])
async def test_a_head_has_a_size(head: bytes, status: int, piece_size: int) -> None:
    async with serving(hello) as running:
        client = await running.connect()

        await client.send(*(head[start : start + piece_size] for start in range(0, len(head), piece_size)))
        answer = await client.answer()

    assert answer.status == status
    assert answer.fields["connection"] == "close"


async def test_a_head_of_allowed_size_is_served() -> None:
    async with serving(hello) as running:
        client = await running.connect()

        await client.send(b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 22_000 + b"\r\n\r\n")
        answer = await client.answer()

    assert answer.status == 200


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "unknown version": b"GET / HTTP/4.1\r\n\r\n",
    "length and chunks": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and length": b"PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two lengths": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "one length twice": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "list of lengths": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 5, 5\r\n\r\n",
    "negative length": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: -5\r\n\r\n",
    "signed length": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: +5\r\n\r\n",
    "hexadecimal length": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 0x5\r\n\r\n",
    "endless length": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "empty length": b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: \r\n\r\n",
    "coding behind chunked": b"PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nHost: here\r\nA: b\r\n c\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length : 5\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: here\r\nA: b\rC: d\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: here\nA: b\n\n",
    "NUL in a field": b"GET / HTTP/1.1\r\nHost: here\r\nA: \0\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: here\r\n: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: here\r\nHost: there\r\n\r\n",
    "one host twice": b"GET / HTTP/1.1\r\nHost: here\r\nHost: here\r\n\r\n",
    "two hosts in an old request": b"GET / HTTP/1.0\r\nHost: here\r\nHost: there\r\n\r\n",
    "no name of a host": b"GET / HTTP/1.1\r\nHost: he re\r\n\r\n",
    "a tunnel": b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
}


@pytest.mark.parametrize("request_", [pytest.param(text, id=name) for name, text in MALFORMED.items()])
async def test_what_is_malformed_or_ambiguous_is_refused_and_the_connection_closed(request_: bytes) -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(request_ + GET)
        answer = await client.answer()
        rest = await closed(client)

    assert (answer.status, answer.fields["connection"], rest) == (400, "close", b"")
    assert app.poured == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (
            b"PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
    ],
)
async def test_what_this_server_does_not_know_is_refused(request_: bytes, status: int) -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(request_ + GET)
        answer = await client.answer()
        rest = await closed(client)

    assert (answer.status, answer.fields["connection"], rest) == (status, "close", b"")
    assert app.poured == []


BROKEN_CHUNKS = {
    "no size": b"x\r\nabc\r\n",
    "negative size": b"-3\r\nabc\r\n",
    "size and more": b"3 3\r\nabc\r\n",
    "more than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "too large": b"fffffffffffffffff\r\nabc",
    "endless extension": b"3;" + b"a" * 200_000,
    "endless trailer": b"3\r\nabc\r\n0\r\nA: " + b"a" * 200_000,
    "endless trailers": b"3\r\nabc\r\n0\r\n" + b"A: b\r\n" * 100_000,
}


@pytest.mark.parametrize("broken", [pytest.param(text, id=name) for name, text in BROKEN_CHUNKS.items()])
@pytest.mark.parametrize("way", ["pour", "receive"])
async def test_broken_chunks_end_the_body_and_the_connection(broken: bytes, way: str) -> None:
    async def by_receive(scope: Scope, receive: Receive, intake: object) -> None:
        await pour_body({}, receive, intake)  # type: ignore[arg-type]

    app = PouringApp(pour_body if way == "pour" else by_receive)
    async with serving(app, limits=QUICK) as running:
        client = await running.connect()

        await client.send(b"PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        await app.begun.wait()
        await client.send(b"2\r\nok\r\n", broken)
        answer = await client.answer()
        async with asyncio.timeout(QUICK.linger_seconds / 2):
            await app.poured[0].ended.wait()
        rest = await closed(client)

    assert (answer.status, answer.fields["connection"], rest) == (400, "close", b"")
    assert isinstance(app.poured[0].error, ClientGone)
    if way == "pour":
        assert app.poured[0].intake.content in (bytearray(b"ok"), bytearray(b"okabc"))


async def test_a_response_that_has_begun_is_not_interrupted_by_another() -> None:
    async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(talkative, limits=QUICK) as running:
        client = await running.connect()

        await client.send(b"PATCH / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n", b"x\r\n")
        head, _, body = (await closed(client)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    assert body == b"begun"


async def test_nonsense_behind_requests_that_make_sense_ends_the_connection_after_their_answers() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        await respond(send, 200, scope["path"].encode())

    async with serving(slow, limits=QUICK) as running:
        client = await running.connect()

        await client.send(GET.replace(b"/ ", b"/1 ") + GET.replace(b"/ ", b"/2 ") + b"nonsense\r\n\r\n" + GET)
        answers = [await client.answer(), await client.answer()]
        rest = await closed(client)

    assert [answer.body for answer in answers] == [b"/1", b"/2"]
    assert answers[1].fields["connection"] == "close"
    assert rest == b""


async def test_a_request_with_broken_chunks_behind_one_that_is_being_answered_is_not_begun() -> None:
    paths = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await asyncio.sleep(0.1)
        await respond(send)

    async with serving(slow, limits=QUICK) as running:
        client = await running.connect()

        await client.send(GET + b"PATCH /broken HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
        answer = await client.answer()
        rest = await closed(client)

    assert (answer.status, answer.fields["connection"], rest) == (200, "close", b"")
    assert paths == ["/"]


async def test_only_so_many_requests_are_remembered_for_a_client_that_does_not_wait_for_answers() -> None:
    asked = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked += 1
        await respond(send)

    short = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
    async with serving(app, limits=QUICK) as running:
        client = await running.connect()

        await client.send(short * (PIPELINE_MAX + 1))
        answers = [await client.answer() for _ in range(PIPELINE_MAX + 1)]
        await client.send(short * 2000)
        last = [await client.answer() for _ in range(PIPELINE_MAX + 1)][-1]
        rest = await closed(client)

    assert all("connection" not in answer.fields for answer in answers)
    assert (last.fields["connection"], rest) == ("close", b"")
    assert asked == 2 * (PIPELINE_MAX + 1)


async def test_a_client_that_says_nothing_is_left() -> None:
    async with serving(hello, limits=QUICK) as running:
        client = await running.connect()

        assert await closed(client) == b""


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: here\r\nA", b"\r\n"])
async def test_a_head_that_takes_too_long_is_refused(start: bytes) -> None:
    async with serving(hello, limits=QUICK) as running:
        client = await running.connect()

        await client.send(start)
        answer = await client.answer()

        assert (answer.status, answer.fields["connection"]) == (408, "close")
        assert await closed(client) == b""


@pytest.mark.parametrize(("start", "drop"), [(GET[:-2] + b"A: ", b"a"), (b"\r\n", b"\r\n")])
async def test_a_trickling_head_has_no_more_time_than_a_silent_one(start: bytes, drop: bytes) -> None:
    async with serving(hello, limits=QUICK) as running:
        client = await running.connect()
        began = asyncio.get_running_loop().time()

        await client.send(GET)
        await client.answer()
        await client.send(start)
        answering = asyncio.create_task(client.answer())
        while not answering.done():
            await client.send(drop)
            await asyncio.sleep(0.05)

        assert (await answering).status == 408
        assert asyncio.get_running_loop().time() - began < 2


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with serving(hello, limits=QUICK) as running:
        client = await running.connect()

        await client.send(GET)
        await client.answer()

        assert await closed(client) == b""


async def test_an_idle_connection_has_its_time_also_when_that_is_longer_than_a_head_may_take() -> None:
    async with serving(hello, limits=QUICK) as running:
        client = await running.connect()

        for _ in range(2):
            await client.send(GET)
            assert (await client.answer()).status == 200
            await asyncio.sleep(0.6)


async def test_a_response_may_take_longer_than_a_head() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.8)
        await respond(send)

    async with serving(slow, limits=QUICK) as running:
        client = await running.connect()

        await client.send(GET)

        assert (await client.answer()).status == 200


async def test_a_poured_body_may_pause_as_long_as_the_engine_lets_it() -> None:
    app = PouringApp(pour_body)
    async with serving(app, limits=QUICK) as running:
        client = await running.connect()
        request = sized(b"body")

        await client.send(request[:-2])
        await asyncio.sleep(0.8)
        await client.send(request[-2:])

        assert (await client.answer()).body == b"/ 4"


async def test_a_body_that_is_received_otherwise_may_not_pause_for_long() -> None:
    async def by_receive(scope: Scope, receive: Receive, intake: object) -> None:
        await pour_body({}, receive, intake)  # type: ignore[arg-type]

    app = PouringApp(by_receive)
    async with serving(app, limits=QUICK) as running:
        client = await running.connect()

        await client.send(sized(b"body")[:-2])
        answer = await client.answer()
        await app.poured[0].ended.wait()

    assert (answer.status, answer.fields["connection"]) == (408, "close")
    assert isinstance(app.poured[0].error, ClientGone)


async def test_a_body_that_nobody_reads_yet_is_not_the_fault_of_its_client() -> None:
    async def late(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
        await asyncio.sleep(0.8)
        await pour_body({}, receive, intake)

    app = PouringApp(late)
    async with serving(app, limits=QUICK) as running:
        client = await running.connect()

        await client.send(sized(b"body")[:-2])
        await app.begun.wait()
        await client.send(b"", b"dy")

        assert (await client.answer()).body == b"/ 4"


async def test_a_client_may_read_its_response_slowly() -> None:
    whole = 3_000_000

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(whole)})

    async with serving(much, limits=QUICK) as running:
        running.server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000)
        client = await running.connect(limit=50_000)
        await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        start = asyncio.get_running_loop().time()

        size = 0
        while piece := await client.reader.read(100_000):
            size += len(piece)
            await asyncio.sleep(0.05)

    assert size > whole
    assert asyncio.get_running_loop().time() - start > 2 * QUICK.send_seconds


async def test_a_client_that_does_not_read_its_response_is_left() -> None:
    ended = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        ended.set()

    async with serving(endless, limits=QUICK) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET)
        await asyncio.sleep(0.1)
        assert running.server.server_state.connections

        async with asyncio.timeout(5):
            await ended.wait()
        assert not running.server.server_state.connections


async def test_two_hundred_clients_that_bring_nothing_or_little_do_not_slow_another() -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        slow = [await running.connect() for _ in range(200)]
        for client in slow[:100]:
            await client.send(sized(bytes(1000))[:-900])
        body = bytes(32 * 1024 * 1024)
        start = asyncio.get_running_loop().time()

        client = await running.connect()
        await client.send(sized(body))
        answer = await client.answer()

        assert answer.status == 200
        assert asyncio.get_running_loop().time() - start < 5
