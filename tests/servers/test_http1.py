"""A body's way from the socket into an intake, and what the connection is good for afterwards."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.http_rig import (
    BUFFER_SIZE,
    FakeIntake,
    PouringApp,
    Receive,
    Scope,
    Send,
    chunked,
    respond,
    serving,
    sized,
)
from uploadstream.http.pour import EXTENSION, ClientGone, pour_body
from uploadstream.servers.http1 import CHUNKED_READ_SIZE, READ_SIZE, HttpLimits

SIZES = [
    0,
    1,
    511,
    READ_SIZE - 200,
    READ_SIZE,
    CHUNKED_READ_SIZE + 1,
    *range(BUFFER_SIZE - 1, BUFFER_SIZE + 2),
    3_145_745,
]
FORMS = [pytest.param(sized, id="sized"), pytest.param(chunked, id="chunked")]
Form = Callable[[bytes], bytes]
MUCH = 64 * 1024 * 1024


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", SIZES)
async def test_the_intake_gets_the_body_and_nothing_else(form: Form, size: int) -> None:
    app = PouringApp(pour_body)
    body = content(size)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(form(body))
        answer = await client.answer()

    assert answer.body == f"/ {size}".encode()
    assert app.poured[0].intake.content == body


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(20))
async def test_however_a_request_is_cut_up_pouring_and_receiving_give_the_same(form: Form, seed: int) -> None:
    chance = random.Random(seed)
    body = chance.randbytes(chance.choice([3, 5_000, 200_000]))
    request = form(body)
    cuts = sorted(chance.sample(range(len(request)), k=min(12, len(request))))
    pieces = [request[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(request)], strict=True)]

    async def by_receive(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
        await pour_body({**scope, "extensions": {}}, receive, intake)

    contents = []
    for way in (pour_body, by_receive):
        app = PouringApp(way)
        async with serving(app) as running:
            client = await running.connect()
            await client.send(*pieces, sized(b"next"))
            await client.answer()
            answer = await client.answer()
        assert answer.body == b"/ 4"
        contents.append(bytes(app.poured[0].intake.content))

    assert contents == [body, body]


async def test_chunks_of_one_byte_are_put_together() -> None:
    app = PouringApp(pour_body)
    body = content(20_000)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(chunked(body, chunk_size=1))
        await client.answer()

    assert app.poured[0].intake.content == body


async def test_fields_behind_a_chunked_body_do_not_become_fields_of_the_request() -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(chunked(b"body", trailer="X-User-Id: mallory\r\n"), sized(b"next"))
        answers = [await client.answer(), await client.answer()]

    assert [answer.status for answer in answers] == [200, 200]
    assert b"x-user-id" not in dict(app.poured[0].scope["headers"])


@pytest.mark.parametrize("form", FORMS)
async def test_what_follows_a_body_in_the_same_packets_is_the_next_request(form: Callable[[bytes, str], bytes]) -> None:
    app = PouringApp(pour_body)
    bodies = [content(size, seed=size) for size in (10, 300_000, 0, 2 * BUFFER_SIZE, 70_000)]
    async with serving(app) as running:
        client = await running.connect()
        sending = asyncio.create_task(client.send(b"".join(form(body, f"/{len(body)}") for body in bodies)))

        answers = [await client.answer() for _ in bodies]
        await sending

    assert [answer.body.decode() for answer in answers] == [f"/{len(body)} {len(body)}" for body in bodies]
    assert [one.intake.content for one in app.poured] == bodies


async def test_a_connection_lives_on_after_its_bodies() -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()

        answers = []
        for size in (100_000, 5, 2 * BUFFER_SIZE):
            for form in (sized, chunked):
                await client.send(form(content(size)))
                answers.append(await client.answer())

    assert [answer.status for answer in answers] == [200] * 6
    assert all("connection" not in answer.fields for answer in answers)


@pytest.mark.parametrize("form", FORMS)
async def test_while_the_intake_is_busy_the_bytes_stay_with_the_client(form: Form) -> None:
    app = PouringApp.into(pour_body, busy_after=1)
    body = content(MUCH)
    async with serving(app) as running:
        client = await running.connect()
        sending = asyncio.create_task(client.send(form(body)))
        await app.begun.wait()
        intake = app.poured[0].intake
        await intake.touched.wait()
        await asyncio.sleep(0.3)

        taken, was_sent = len(intake.content), sending.done()
        for _ in range(10):
            intake.free()
            await asyncio.sleep(0.05)
        intake.free(for_good=True)
        answer = await client.answer()

    assert taken <= BUFFER_SIZE
    assert not was_sent
    assert intake.content == body
    assert answer.status == 200


@pytest.mark.parametrize("form", FORMS)
async def test_the_error_of_the_store_ends_the_pouring_and_the_connection(form: Form) -> None:
    app = PouringApp.into(pour_body, busy_after=1)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(form(content(300_000)))
        await app.begun.wait()
        await app.poured[0].intake.touched.wait()

        app.poured[0].intake.free(OSError("disk"))
        answer = await client.answer()

    assert answer.body == b"/ OSError"
    assert answer.fields["connection"] == "close"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("refuse_after", [0, 200_000, 3 * BUFFER_SIZE])
async def test_who_is_refused_in_the_middle_can_read_why(form: Form, refuse_after: int) -> None:
    app = PouringApp.into(pour_body, refuse_after=refuse_after)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(form(content(8 * BUFFER_SIZE)))
        answer = await client.answer()
        rest = await client.rest()

    assert answer.body == b"/ ValueError"
    assert answer.fields["connection"] == "close"
    assert rest == b""
    assert len(app.poured[0].intake.content) <= refuse_after


@pytest.mark.parametrize("form", FORMS)
async def test_who_is_refused_before_the_body_can_read_why(form: Form) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 413, b"too large")

    async with serving(app) as running:
        client = await running.connect()

        await client.send(form(content(8 * BUFFER_SIZE)))
        answer = await client.answer()

    assert (answer.status, answer.body, answer.fields["connection"]) == (413, b"too large", "close")


async def test_a_body_that_nobody_wanted_but_is_there_costs_no_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 404)

    async with serving(app) as running:
        client = await running.connect()

        await client.send(sized(b"small"), chunked(b"small"))
        answers = [await client.answer(), await client.answer()]

    assert all("connection" not in answer.fields for answer in answers)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(15))
async def test_a_client_that_closes_in_the_middle_is_gone_at_once_and_its_bytes_stay(form: Form, seed: int) -> None:
    app = PouringApp(pour_body)
    body = content(3 * BUFFER_SIZE)
    request = form(body)
    cut = random.Random(seed).randrange(200, len(request) - 5)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(request[:cut])
        client.close()

        await app.begun.wait()
        async with asyncio.timeout(1):
            await app.poured[0].ended.wait()

    assert isinstance(app.poured[0].error, ClientGone)
    assert body.startswith(app.poured[0].intake.content)
    assert len(app.poured[0].intake.content) >= cut - 2000


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(10))
async def test_a_connection_reset_in_the_middle_is_gone_at_once(form: Form, seed: int) -> None:
    app = PouringApp(pour_body)
    body = content(2 * BUFFER_SIZE)
    request = form(body)
    cut = random.Random(seed).randrange(200, len(request) - 5)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(request[:cut])
        await app.begun.wait()
        client.reset()

        async with asyncio.timeout(1):
            await app.poured[0].ended.wait()

    assert isinstance(app.poured[0].error, ClientGone)
    assert body.startswith(app.poured[0].intake.content)


@pytest.mark.parametrize("form", FORMS)
async def test_a_client_that_says_it_sends_no_more_in_the_middle_is_gone(form: Form) -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(form(content(1000))[:-10])
        await app.begun.wait()
        client.writer.write_eof()

        async with asyncio.timeout(1):
            await app.poured[0].ended.wait()

    assert isinstance(app.poured[0].error, ClientGone)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("requests", [1, 3])
async def test_a_client_that_says_it_sends_no_more_gets_its_answers_and_then_the_end(form: Form, requests: int) -> None:
    app = PouringApp.into(pour_body, busy_after=1)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(form(b"body") * requests)
        client.writer.write_eof()
        answers = []
        for number in range(requests):
            async with asyncio.timeout(1):
                await app.begun.wait()
                app.begun.clear()
                await app.poured[number].intake.touched.wait()
            await asyncio.sleep(0.05)  # the end has been seen by now
            app.poured[number].intake.free(for_good=True)
            answers.append(await client.answer())
        async with asyncio.timeout(1):
            rest = await client.rest()

    assert [answer.body for answer in answers] == [b"/ 4"] * requests
    assert ["connection" in answer.fields for answer in answers] == [*[False] * (requests - 1), True]
    assert rest == b""


@pytest.mark.parametrize("before", [b"", sized(b"body"), b"GET / HT"])
async def test_a_connection_without_a_request_ends_with_the_clients_half(before: bytes) -> None:
    async with serving(PouringApp(pour_body)) as running:
        client = await running.connect()
        if before.startswith(b"PATCH"):
            await client.send(before)
            await client.answer()
        elif before:
            await client.send(before)
        await asyncio.sleep(0.05)
        client.writer.write_eof()

        async with asyncio.timeout(1):
            assert await client.rest() == b""


async def test_a_request_that_is_cut_behind_a_whole_one_takes_no_answer_from_it() -> None:
    app = PouringApp.into(pour_body, busy_after=1)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(b"body") + b"GET / HT")
        client.writer.write_eof()
        await app.begun.wait()
        await app.poured[0].intake.touched.wait()
        await asyncio.sleep(0.05)
        app.poured[0].intake.free(for_good=True)

        async with asyncio.timeout(1):
            answer, rest = await client.answer(), await client.rest()

    assert (answer.body, rest) == (b"/ 4", b"")
    assert len(app.poured) == 1


async def test_an_answer_that_has_begun_is_finished_for_a_client_that_sends_no_more() -> None:
    half = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await half.wait()
        await send({"type": "http.response.body", "body": b"done"})

    async with serving(slow) as running:
        client = await running.connect()
        await client.send(sized(b""))
        await client.reader.readuntil(b"\r\n\r\n")
        client.writer.write_eof()
        await asyncio.sleep(0.05)
        half.set()

        async with asyncio.timeout(1):
            assert await client.rest() == b"done"


async def test_a_client_that_is_gone_altogether_is_noticed_when_it_is_written_to() -> None:
    ended = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await asyncio.wait([watching := asyncio.ensure_future(receive())], timeout=0.01))[1]:
            watching.cancel()
            await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
        ended.set()

    async with serving(endless) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await client.reader.readexactly(10)
        client.close()

        async with asyncio.timeout(2):
            await ended.wait()


@pytest.mark.parametrize("brought", [0, 500])
async def test_a_client_that_left_before_the_pouring_began_is_gone(brought: int) -> None:
    left = asyncio.Event()

    async def late(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
        await left.wait()
        await pour_body(scope, receive, intake)

    app = PouringApp(late)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(sized(content(1000))[: brought - 1000])
        await app.begun.wait()
        client.reset()
        await asyncio.sleep(0.05)
        left.set()

        async with asyncio.timeout(1):
            await app.poured[0].ended.wait()

    assert isinstance(app.poured[0].error, ClientGone)


@pytest.mark.parametrize("form", FORMS)
async def test_a_client_that_leaves_with_its_whole_body_sent_is_poured(form: Form) -> None:
    app = PouringApp(pour_body)
    body = content(200_000)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(form(body))
        client.close()
        await app.begun.wait()
        await app.poured[0].ended.wait()

    assert app.poured[0].error is None
    assert app.poured[0].intake.content == body


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("busy", [False, True])
async def test_a_cancelled_pouring_ends_at_once_and_the_response_is_the_last(form: Form, busy: bool) -> None:
    app = PouringApp.into(pour_body, busy_after=1 if busy else MUCH)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(form(content(400_000))[:-10])
        await app.begun.wait()
        await app.poured[0].intake.touched.wait()
        await asyncio.sleep(0.05)

        assert app.poured[0].task is not None
        app.poured[0].task.cancel()
        async with asyncio.timeout(1):
            answer = await client.answer()
        taken = bytes(app.poured[0].intake.content)
        await client.send(bytes(100_000))
        await asyncio.sleep(0.05)

    assert app.poured[0].intake.content == taken
    assert answer.body == b"/ CancelledError"
    assert answer.fields["connection"] == "close"


@pytest.mark.parametrize("form", FORMS)
async def test_the_rest_of_an_abandoned_body_is_not_taken_for_a_request(form: Form) -> None:
    app = PouringApp.into(pour_body, refuse_after=0)
    hidden = sized(b"", "/hidden")
    async with serving(app) as running:
        client = await running.connect()

        await client.send(form(b"x" * 10 + hidden * 1000)[:10_000], hidden, hidden)
        await client.answer()
        rest = await client.rest()

    assert rest == b""
    assert [one.scope["path"] for one in app.poured] == ["/"]


async def test_what_was_said_to_be_the_last_response_is_the_last_even_if_the_body_ends_meanwhile() -> None:
    async def eager(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await pour_body(scope, receive, FakeIntake())
        await send({"type": "http.response.body", "body": b"done"})

    async with serving(eager) as running:
        client = await running.connect()

        await client.send(sized(b"body")[:-2], b"dy")
        answer = await client.answer()

        assert (answer.body, answer.fields["connection"]) == (b"done", "close")
        async with asyncio.timeout(1):
            assert await client.rest() == b""


async def test_who_is_refused_right_after_connecting_has_its_time_to_read_why() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 413, b"too large")

    async with serving(app, limits=HttpLimits(linger_seconds=30, look_seconds=0.1)) as running:
        client = await running.connect()
        await client.send(b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(10):  # looked at several times meanwhile
            await client.send(bytes(1000))
            await asyncio.sleep(0.05)

        assert (await client.answer()).body == b"too large"


async def test_a_client_that_never_stops_sending_is_cut_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 413)

    async with serving(app, limits=HttpLimits(linger_seconds=0.3, look_seconds=0.05)) as running:
        client = await running.connect()
        await client.send(b"PATCH / HTTP/1.1\r\nHost: here\r\nContent-Length: 100000000000\r\n\r\n")
        sent = 0

        with suppress(ConnectionError):
            while sent < 100:
                await client.send(bytes(BUFFER_SIZE))
                sent += 1

    assert sent < 40


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_a_wish_for_another_protocol_is_not_granted_and_the_body_is_read(method: str) -> None:
    app = PouringApp(pour_body)
    wish = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
    request = sized(b"body", "/", *wish).replace(b"PATCH", method.encode())
    async with serving(app) as running:
        client = await running.connect()

        await client.send(request + chunked(b"chunks", "/", *wish) + sized(b"next"))
        answers = [await client.answer() for _ in range(3)]

    assert [answer.body for answer in answers] == [b"/ 4", b"/ 6", b"/ 4"]
    assert [one.intake.content for one in app.poured] == [b"body", b"chunks", b"next"]


async def test_little_of_a_body_is_read_before_somebody_asks_for_it() -> None:
    asked = asyncio.Event()

    async def late(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
        await asked.wait()
        await scope["extensions"][EXTENSION](intake)

    app = PouringApp(late)
    body = content(MUCH)
    async with serving(app) as running:
        client = await running.connect()
        sending = asyncio.create_task(client.send(sized(body)))
        await app.begun.wait()
        await asyncio.sleep(0.2)

        was_sent = sending.done()
        asked.set()
        answer = await client.answer()

    assert not was_sent
    assert answer.status == 200
    assert app.poured[0].intake.content == body


async def test_a_body_that_is_received_slowly_stays_with_the_client() -> None:
    received = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
        await receive()
        received.set()
        await asyncio.Event().wait()

    async with serving(PouringApp(slow)) as running:
        client = await running.connect()
        sending = asyncio.create_task(client.send(sized(content(MUCH))))
        await received.wait()
        await asyncio.sleep(0.3)

        assert not sending.done()
        sending.cancel()


async def test_what_is_left_of_a_refused_body_is_not_received_either() -> None:
    async def pour_and_look(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
        with suppress(ValueError):
            await pour_body(scope, receive, intake)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while True:
                    intake.content += (await receive())["body"]

    app = PouringApp.into(pour_and_look, refuse_after=0)
    async with serving(app) as running:
        client = await running.connect()

        await client.send(chunked(content(4 * BUFFER_SIZE)))
        answer = await client.answer()

    assert (answer.body, answer.fields["connection"]) == (b"/ 0", "close")


async def test_everybody_who_is_to_be_answered_learns_that_the_client_has_gone() -> None:
    learned = asyncio.Event()

    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        learned.set()

    async with serving(patient) as running:
        client = await running.connect()
        await client.send(sized(b"", "/1") + sized(b"", "/2"))
        await asyncio.sleep(0.05)
        client.reset()

        async with asyncio.timeout(1):
            await learned.wait()
