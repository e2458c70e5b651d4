"""Fields behind a chunked body reach who asks for them, and nobody else."""

import asyncio

import pytest

from tests.http_rig import Client, FakeIntake, PouringApp, Receive, Scope, Send, chunked, respond, serving, sized
from tests.servers.other_server import other_server
from uploadstream.http.pour import pour_body
from uploadstream.http.trailers import EXTENSION, trailers_of
from uploadstream.servers.http1 import HttpLimits

CHECKSUM = "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n"


async def by_receive(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
    await pour_body({}, receive, intake)


WAYS = [pytest.param(pour_body, id="pour"), pytest.param(by_receive, id="receive")]


async def telling(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the trailers before and after the body."""
    before = dict(trailers_of(scope) or {})
    await pour_body(scope, receive, FakeIntake())
    await respond(send, 200, f"{before} {trailers_of(scope)}".encode())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0, 4, 500_000])
async def test_they_are_there_when_the_body_has_been_read_t24(way: object, size: int) -> None:
    app = PouringApp(way)  # type: ignore[arg-type]
    async with serving(app) as running:
        client = await running.connect()

        await client.send(chunked(bytes(size), trailer=CHECKSUM + "X: 1\r\n"), chunked(b"next"), sized(b"last"))
        statuses = [(await client.answer()).status for _ in range(3)]

    assert statuses == [200] * 3
    assert [trailers_of(one.scope) for one in app.poured] == [
        {"upload-checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "x": "1"},
        {},
        None,
    ]
    assert b"upload-checksum" not in dict(app.poured[0].scope["headers"])


async def test_they_are_not_there_before() -> None:
    async with serving(telling) as running:
        client = await running.connect()
        request = chunked(b"body", trailer="A: b\r\n")

        await client.send(*(request[place : place + 1] for place in range(len(request))))
        answer = await client.answer()

    assert answer.body == b"{} {'a': 'b'}"


@pytest.mark.parametrize(
    "field", ["Host: there", "Content-Type: text/html", "Authorization: Bearer x", "X-User-Id: mallory"]
)
async def test_what_would_make_another_request_of_it_is_dropped(field: str) -> None:
    async with serving(telling) as running:
        client = await running.connect()
        await client.send(chunked(b"body", trailer=f"A: b\r\n{field}\r\n") + sized(b"next"))
        answers = [await client.answer(), await client.answer()]

    assert [answer.body.partition(b"} ")[2] for answer in answers] == [b"{'a': 'b'}", b"None"]
    assert "connection" not in answers[0].fields


@pytest.mark.parametrize(
    "field",
    ["Content-Length: 5", "Transfer-Encoding: chunked", "Connection: close", "Connection: upgrade", "Upgrade: h2c"],
)
async def test_what_would_frame_it_otherwise_is_refused(field: str) -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(chunked(b"body", trailer=f"A: b\r\n{field}\r\n") + sized(b"next", "/next"))
        answer = await client.answer()
        rest = await closed(client)

    assert (answer.status, answer.fields["connection"], rest) == (400, "close", b"")
    assert all(one.scope["path"] != "/next" for one in app.poured)


@pytest.mark.parametrize(
    ("trailer", "status"),
    [
        ("A: " + "b" * 8000 + "\r\n", 200),
        ("A: b\r\n" * 1300, 200),
        ("A: " + "b" * 8200 + "\r\n", 400),
        ("A: b\r\n" * 1400, 400),
        ("a" * 8200 + ": b\r\n", 400),
    ],
)
async def test_they_have_a_size(trailer: str, status: int) -> None:
    async with serving(telling, limits=HttpLimits(linger_seconds=0.3, look_seconds=0.05)) as running:
        client = await running.connect()
        await client.send(chunked(b"body", trailer=trailer))
        answer = await client.answer()

    assert (answer.status, answer.fields.get("connection")) == (status, None if status == 200 else "close")


@pytest.mark.parametrize("bad", ["A : b\r\n", "A\r\n", ": b\r\n", "A: b\r\n c\r\n", "A: b\rC: d\r\n", "A: b\nC: d\r\n"])
async def test_those_that_are_malformed_end_the_connection(bad: str) -> None:
    app = PouringApp(pour_body)
    async with serving(app) as running:
        client = await running.connect()
        await client.send(chunked(b"body", trailer=bad) + sized(b"next", "/next"))
        answer = await client.answer()
        rest = await closed(client)

    assert (answer.status, rest) == (400, b"")
    assert all(one.scope["path"] != "/next" for one in app.poured)


async def closed(client: Client) -> bytes:
    async with asyncio.timeout(10):
        return await client.rest()


async def test_on_another_server_there_are_none() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert EXTENSION not in (scope.get("extensions") or {})
        await telling(scope, receive, send)

    async with other_server(app) as client:
        await client.send(chunked(b"body", trailer=CHECKSUM))

        assert (await client.answer()).body == b"{} None"
