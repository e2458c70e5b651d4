"""Interim responses: before the answer, in their request's turn, and in nobody's way."""

import asyncio
from collections.abc import Callable

import pytest

from tests.http_rig import FakeIntake, Receive, Scope, Send, chunked, respond, serving, sized
from tests.servers.other_server import other_server
from tests.servers.test_http1_server import CERTIFICATE, trusting
from uploadstream.http.interim import EXTENSION
from uploadstream.http.pour import pour_body
from uploadstream.servers.http1 import HttpLimits

FORMS = [pytest.param(sized, id="sized"), pytest.param(chunked, id="chunked")]
Form = Callable[..., bytes]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LOCATION = [(b"Location", b"/files/1"), (b"Upload-Draft-Interop-Version", b"8")]


async def send_interim(scope: Scope, send: Send, status: int, fields: list[tuple[bytes, bytes]]) -> bool:
    """Send it if the server takes such."""
    if EXTENSION not in (scope.get("extensions") or {}):
        return False
    await send({"type": EXTENSION, "status": status, "headers": fields})
    return True


async def telling(scope: Scope, receive: Receive, send: Send) -> None:
    """A place for the upload, then its body, then its end."""
    intake = FakeIntake()
    await send_interim(scope, send, 104, LOCATION)
    await pour_body(scope, receive, intake)
    await send_interim(scope, send, 104, [(b"Upload-Offset", str(len(intake.content)).encode())])
    await respond(send, 201, f"{scope['path']} {len(intake.content)}".encode())


@pytest.mark.parametrize("form", FORMS)
async def test_the_client_hears_of_its_upload_before_it_has_sent_the_body_r10_r11(form: Form) -> None:
    request = form(b"0123456789")
    async with serving(telling) as running:
        client = await running.connect()

        await client.send(request[:-5])
        first = await client.answer()
        await client.send(request[-5:])
        second, last = await client.answer(), await client.answer()
        await client.send(form(b"next"))
        after = [await client.answer() for _ in range(3)]

    assert (first.status, first.fields) == (104, {"location": "/files/1", "upload-draft-interop-version": "8"})
    assert (second.status, second.fields) == (104, {"upload-offset": "10"})
    assert (last.status, last.body) == (201, b"/ 10")
    assert [answer.status for answer in after] == [104, 104, 201]


async def test_the_line_of_each_status_has_its_phrase() -> None:
    async def hinting(scope: Scope, receive: Receive, send: Send) -> None:
        await send_interim(scope, send, 103, [(b"Link", b"</style.css>; rel=preload; as=style")])
        await send_interim(scope, send, 104, [])
        await respond(send)

    async with serving(hinting) as running:
        client = await running.connect()
        await client.send(sized(b""))

        heads = [await client.reader.readuntil(b"\r\n\r\n") for _ in range(3)]

    assert heads[0] == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n"
    assert heads[1] == b"HTTP/1.1 104 Upload Resumption Supported\r\n\r\n"
    assert heads[2].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["pour", "receive"])
async def test_a_104_does_not_take_the_place_of_the_100_r33(form: Form, way: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_interim(scope, send, 104, LOCATION)
        await asyncio.sleep(0.05)
        await pour_body(scope if way == "pour" else {}, receive, FakeIntake())
        await respond(send)

    head, body = form(b"body", "/", "Expect: 100-continue").split(b"\r\n\r\n", 1)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(head + b"\r\n\r\n")

        first = await client.answer()
        asked = await client.reader.readexactly(len(CONTINUE))
        await client.send(body)
        last = await client.answer()

    assert (first.status, asked, last.status) == (104, CONTINUE, 200)


async def test_who_is_told_and_then_refused_is_not_asked_for_the_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_interim(scope, send, 104, LOCATION)
        await respond(send, 413)

    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b"body", "/", "Expect: 100-continue")[:-4])

        statuses = [(await client.answer()).status, (await client.answer()).status]

    assert statuses == [104, 413]


async def test_requests_that_wait_for_their_turn_say_nothing_before_it() -> None:
    half = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_interim(scope, send, 104, [(b"x-path", scope["path"].encode())])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ha", "more_body": True})
        await half.wait()
        await send({"type": "http.response.body", "body": b"lf"})

    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b"a", "/1") + sized(b"b", "/2"))
        await asyncio.sleep(0.05)
        half.set()

        answers = [await client.answer() for _ in range(4)]

    assert [answer.status for answer in answers] == [104, 200, 104, 200]
    assert [answer.fields.get("x-path") for answer in answers] == ["/1", None, "/2", None]


async def test_a_head_request_and_a_last_one_get_theirs_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_interim(scope, send, 104, [])
        await respond(send, 200, b"" if scope["method"] == "HEAD" else b"body")

    async with serving(app) as running:
        client = await running.connect()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\n")
        statuses = [(await client.answer()).status for _ in range(2)]
        await client.send(sized(b"", "/", "Connection: close"))
        statuses += [(await client.answer()).status for _ in range(2)]
        rest = await client.rest()

    assert (statuses, rest) == ([104, 200, 104, 200], b"")


async def test_an_old_client_gets_none() -> None:
    offered = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        offered.append(EXTENSION in scope["extensions"])
        assert not await send_interim(scope, send, 104, [])
        await respond(send)

    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b"").replace(b"HTTP/1.1", b"HTTP/1.0"))

        assert (await client.answer()).status == 200
    assert offered == [False]


async def test_it_is_the_same_over_tls() -> None:
    async with serving(telling, certificate=CERTIFICATE) as running:
        client = await running.connect(ssl=trusting())
        await client.send(sized(b"body"))

        assert [(await client.answer()).status for _ in range(3)] == [104, 104, 201]


async def test_a_client_that_does_not_read_them_is_not_waited_for() -> None:
    buffered: list[int] = []
    told = asyncio.Event()

    async def chatty(scope: Scope, receive: Receive, send: Send) -> None:
        for number in range(100_000):
            await send_interim(scope, send, 104, [(b"upload-offset", str(number).encode())])
        [connection] = running.server.server_state.connections
        buffered.append(connection.transport.get_write_buffer_size())
        told.set()
        await respond(send)

    async with serving(chatty, limits=HttpLimits(send_seconds=30)) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(sized(b""))
        async with asyncio.timeout(20):
            await told.wait()
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while (status := (await client.answer()).status) == 104:
            pass

    assert buffered[0] < 128 * 1024
    assert status == 200


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_has_gone_disturbs_nobody(reset: bool) -> None:
    gone, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gone.wait()
        for _ in range(20):
            await send_interim(scope, send, 104, LOCATION)
            await asyncio.sleep(0)
        ended.set()

    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b"body")[:-1])
        await asyncio.sleep(0.05)
        if reset:
            client.reset()
        else:
            client.close()
        await asyncio.sleep(0.05)
        gone.set()

        async with asyncio.timeout(2):
            await ended.wait()


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (100, []),
        (101, []),
        (200, []),
        (104, [(b"Content-Length", b"5")]),
        (104, [(b"Transfer-Encoding", b"chunked")]),
        (104, [(b"Connection", b"close")]),
        (104, [(b"Location", b"/a\r\nHTTP/1.1 200 OK")]),
        (104, [(b"Location: /a\r\nX", b"")]),
    ],
)
async def test_what_would_break_the_stream_is_not_sent(status: int, fields: list[tuple[bytes, bytes]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError):
            await send_interim(scope, send, status, fields)
        await respond(send, 204)

    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b""))

        assert (await client.answer()).status == 204


async def test_none_comes_after_the_answer_has_begun() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        with pytest.raises(RuntimeError):
            await send_interim(scope, send, 104, [])
        await send({"type": "http.response.body", "body": b"body"})

    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b""))

        assert (await client.answer()).body == b"body"


async def test_on_another_server_the_same_application_sends_its_answer_alone() -> None:
    async with other_server(telling) as client:
        await client.send(sized(b"body"))

        answer = await client.answer()

    assert (answer.status, answer.body) == (201, b"/ 4")
