"""The server as a whole: asking for bodies, encryption, the end."""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.http_rig import (
    BUFFER_SIZE,
    FakeIntake,
    PouringApp,
    Receive,
    Scope,
    Send,
    Serving,
    chunked,
    respond,
    serving,
    sized,
)
from uploadstream.http.pour import ClientGone, pour_body
from uploadstream.servers.certificates import Certificate
from uploadstream.servers.listening import listen

HERE = Path(__file__).parent
CHAIN, KEY = HERE / "localhost.pem", HERE / "localhost.key.pem"
CERTIFICATE = Certificate(CHAIN.read_bytes(), KEY.read_bytes())
EXPECT = "Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FORMS = [pytest.param(sized, id="sized"), pytest.param(chunked, id="chunked")]
Form = Callable[..., bytes]


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def silent(running: Serving) -> bool:
    """Whether the last client hears nothing for a while."""
    try:
        async with asyncio.timeout(0.2):
            await running.clients[-1].reader.readexactly(1)
    except TimeoutError:
        return True
    return False


# Expect: 100-continue (RFC 9110, section 10.1.1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["pour", "receive"])
async def test_a_body_is_asked_for_when_it_is_wanted_and_not_before(form: Form, way: str) -> None:
    wanted = asyncio.Event()

    async def late(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
        await wanted.wait()
        await pour_body(scope if way == "pour" else {}, receive, intake)

    app = PouringApp(late)
    head, body = form(b"body", "/", EXPECT).split(b"\r\n\r\n", 1)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(head + b"\r\n\r\n")

        assert await silent(running)
        wanted.set()
        assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
        await client.send(body)
        answer = await client.answer()

    assert (answer.status, answer.body) == (200, b"/ 4")
    assert "connection" not in answer.fields


async def test_what_is_written_is_sent_at_once() -> None:
    """Not only when the client has acknowledged what was sent before, which systems put off by 40 ms."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, body=b"hello")

    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b""))
        await client.answer()
        [connection] = running.server.server_state.connections
        plain = connection.transport.get_extra_info("socket")

        assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_body_that_is_not_wanted_is_not_asked_for() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 413)

    async with serving(refuse) as running:
        client = await running.connect()

        await client.send(sized(b"body", "/", EXPECT)[:-4])
        answer = await client.answer()

    assert (answer.status, answer.fields["connection"]) == (413, "close")


@pytest.mark.parametrize("form", FORMS)
async def test_who_did_not_wait_is_not_asked(form: Form) -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(form(b"body", "/", EXPECT) + sized(b"", "/", EXPECT))
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]

        await client.send(form(b"body", "/", EXPECT)[:-2], form(b"body")[-2:])
        assert (await client.answer()).status == 200


async def test_an_old_client_does_not_know_the_question() -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()
        request = sized(b"body", "/", EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0")

        await client.send(request[:-4])
        assert await silent(running)
        await client.send(b"body")
        answer = await client.answer()

    assert (answer.status, answer.fields["connection"]) == (200, "close")


# TLS


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CHAIN)
    context.check_hostname = False
    return context


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [0, 1, 16_383, 16_385, 1_000_000, 5 * BUFFER_SIZE + 1])
async def test_bodies_are_poured_out_of_tls_as_well(form: Form, size: int) -> None:
    app = PouringApp(pour_body)
    async with serving(app, certificate=CERTIFICATE) as running:
        client = await running.connect(ssl=trusting())

        answers = []
        for body in (content(size), b"next"):
            await client.send(form(body))
            answers.append(await client.answer())

    assert [answer.status for answer in answers] == [200, 200]
    assert [one.intake.content for one in app.poured] == [content(size), b"next"]
    assert app.poured[0].scope["scheme"] == "https"


async def test_backpressure_reaches_through_tls() -> None:
    app = PouringApp.into(pour_body, busy_after=1)
    body = content(8 * BUFFER_SIZE)
    async with serving(app, certificate=CERTIFICATE) as running:
        client = await running.connect(ssl=trusting())
        sending = asyncio.create_task(client.send(sized(body)))
        await app.begun.wait()
        await app.poured[0].intake.touched.wait()
        await asyncio.sleep(0.3)

        taken = len(app.poured[0].intake.content)
        app.poured[0].intake.free(for_good=True)
        answer = await client.answer()
        await sending

    assert taken <= BUFFER_SIZE
    assert answer.status == 200
    assert app.poured[0].intake.content == body


@pytest.mark.parametrize("form", FORMS)
async def test_who_is_refused_in_the_middle_can_read_why_over_tls(form: Form) -> None:
    app = PouringApp.into(pour_body, refuse_after=100_000)
    async with serving(app, certificate=CERTIFICATE) as running:
        client = await running.connect(ssl=trusting())

        await client.send(form(content(4 * BUFFER_SIZE)))
        answer = await client.answer()

    assert (answer.body, answer.fields["connection"]) == (b"/ ValueError", "close")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_in_the_middle_is_gone_at_once_over_tls(form: Form, reset: bool) -> None:
    app = PouringApp(pour_body)
    body = content(BUFFER_SIZE)
    async with serving(app, certificate=CERTIFICATE) as running:
        client = await running.connect(ssl=trusting())
        await client.send(form(body)[:-1000])
        await app.begun.wait()
        if reset:
            client.reset()
        else:
            client.close()

        async with asyncio.timeout(2):
            await app.poured[0].ended.wait()

    assert isinstance(app.poured[0].error, ClientGone)
    assert body.startswith(app.poured[0].intake.content)


def shown(certificate: Path) -> ssl.SSLContext:
    """A client that is content with this certificate alone."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    return context


@pytest.mark.parametrize("host", [None, "localhost", "elsewhere.example"])
async def test_a_renewed_certificate_is_shown_to_new_connections_while_old_ones_go_on(host: str | None) -> None:
    chain, key = (HERE / "renewed.pem").read_bytes(), (HERE / "renewed.key.pem").read_bytes()  # of another kind
    app = PouringApp(pour_body)
    async with serving(app, certificate=CERTIFICATE) as running:
        old = await running.connect(ssl=shown(CHAIN), server_hostname=host or "")
        with pytest.raises(OSError, match="CERTIFICATE"):
            running.server.renew_certificate(Certificate(chain, CERTIFICATE.key))
        same = await running.connect(ssl=shown(CHAIN), server_hostname=host or "")

        running.server.renew_certificate(Certificate(chain, key))
        new = await running.connect(ssl=shown(HERE / "renewed.pem"), server_hostname=host or "")
        with pytest.raises(ssl.SSLCertVerificationError):
            await running.connect(ssl=shown(CHAIN), server_hostname=host or "")

        for client in (old, same, new):
            await client.send(sized(b"body"))
            assert (await client.answer()).status == 200


# With a real client


async def test_a_foreign_client_uploads_in_both_forms_over_one_connection() -> None:
    app = PouringApp(pour_body)
    body = content(3 * BUFFER_SIZE)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 70_000):
            yield body[start : start + 70_000]

    async with serving(app) as running, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{running.port}/"

        answers = [await client.put(url, content=body), await client.put(url, content=pieces())]
        connections = len(running.server.server_state.connections)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(one.intake.content == body for one in app.poured)
    assert connections == 1


# The end


@pytest.mark.parametrize("form", FORMS)
async def test_told_to_stop_it_finishes_the_body_that_is_coming_and_closes(form: Form) -> None:
    app = PouringApp(pour_body)
    body = content(300_000)
    async with serving(app, drain_seconds=10) as running:
        client, idle = await running.connect(), await running.connect()
        await client.send(form(body)[:-10])
        await app.begun.wait()

        running.server.should_exit = True
        assert await idle.rest() == b""
        await client.send(form(body)[-10:])
        answer = await client.answer()
        rest = await client.rest()
        await running.task

    assert (answer.status, answer.fields["connection"], rest) == (200, "close", b"")
    assert app.poured[0].intake.content == body


async def test_told_to_stop_it_answers_what_it_was_asked_already_and_closes() -> None:
    app = PouringApp.into(pour_body, busy_after=1)
    async with serving(app, drain_seconds=10) as running:
        client = await running.connect()
        await client.send(sized(b"1") + sized(b"2"))
        await app.begun.wait()
        await app.poured[0].intake.touched.wait()

        running.server.should_exit = True
        await asyncio.sleep(0.3)
        app.poured[0].intake.free(for_good=True)
        first = await client.answer()
        await app.poured[1].intake.touched.wait()
        app.poured[1].intake.free(for_good=True)
        second = await client.answer()
        await running.task

    assert (first.status, second.status, second.fields["connection"]) == (200, 200, "close")


async def test_who_was_shaking_hands_when_it_was_told_to_stop_is_answered_once() -> None:
    app = PouringApp(pour_body)
    async with serving(app, drain_seconds=10, certificate=CERTIFICATE) as running:
        other = await running.connect(ssl=trusting())
        await other.send(sized(b"body")[:-1])
        await app.begun.wait()
        client = await running.connect()
        await asyncio.sleep(0.05)

        running.server.should_exit = True
        await asyncio.sleep(0.3)
        await client.writer.start_tls(trusting(), server_hostname="localhost")
        await client.send(sized(b"late"))
        answer = await client.answer()
        await other.send(b"y")
        await other.answer()
        async with asyncio.timeout(3):
            await running.task

    assert (answer.body, answer.fields["connection"]) == (b"/ 4", "close")


async def test_what_is_not_finished_in_time_is_cancelled_and_the_server_ends(caplog: pytest.LogCaptureFixture) -> None:
    app = PouringApp(pour_body)
    with caplog.at_level(logging.CRITICAL, "uvicorn.error"):
        async with serving(app, drain_seconds=1) as running:
            client = await running.connect()
            await client.send(sized(content(1000))[:-10])
            await app.begun.wait()

            running.server.should_exit = True
            answer = await client.answer()
            async with asyncio.timeout(3):
                await running.task

    assert answer.body == b"/ CancelledError"


async def test_nobody_can_connect_any_more_to_a_server_that_stops() -> None:
    app = PouringApp.into(pour_body, busy_after=1)
    async with serving(app, drain_seconds=10) as running:
        client = await running.connect()
        await client.send(sized(b"1"))
        await app.begun.wait()
        await app.poured[0].intake.touched.wait()

        running.server.should_exit = True
        await asyncio.sleep(0.3)

        with pytest.raises(ConnectionRefusedError):
            await running.connect()
        app.poured[0].intake.free()
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("length", [None, b"10"])
async def test_an_answer_that_is_left_without_its_end_is_cut_and_nobody_calls_it_a_fault(
    caplog: pytest.LogCaptureFixture, length: bytes | None
) -> None:
    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [] if length is None else [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})

    async with serving(leaving) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        rest = await client.rest()

    assert rest.endswith(b"abc" if length else b"3\r\nabc\r\n")
    assert caplog.records == []


async def test_an_application_that_fails_costs_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fail":
            raise LookupError("programmer's mistake")
        await respond(send)

    async with serving(fail) as running:
        client, other = await running.connect(), await running.connect()

        await client.send(sized(content(200_000), "/fail"))
        answer = await client.answer()
        await other.send(sized(b""))

        assert (await other.answer()).status == 200
    assert (answer.status, answer.fields["connection"]) == (500, "close")
    assert "programmer's mistake" in caplog.text


def test_a_port_that_is_taken_is_named() -> None:
    there = listen("127.0.0.1", 0)
    there[0].listen()
    port = there[0].getsockname()[1]

    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
        listen("127.0.0.1", port)

    there[0].close()
