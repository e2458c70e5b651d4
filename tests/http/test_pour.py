"""What a protocol calls: the server's extension where there is one, `receive` where there is none."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx
import pytest

from tests.http_rig import FakeIntake, PouringApp
from uploadstream.http.pour import EXTENSION, ClientGone, Intake, pour_body

Message = MutableMapping[str, Any]


class Messages:
    """A `receive` that gives what it was given."""

    def __init__(self, *messages: Message) -> None:
        self.left = list(messages)

    async def __call__(self) -> Message:
        return self.left.pop(0)


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_the_extension_of_the_server_does_it_alone() -> None:
    poured = []

    async def pour(intake: Intake) -> None:
        poured.append(intake)

    intake = FakeIntake()

    await pour_body({"extensions": {EXTENSION: pour}}, Messages(), intake)

    assert poured == [intake]


@pytest.mark.parametrize("scope", [{}, {"extensions": None}, {"extensions": {"http.response.trailers": {}}}])
async def test_without_the_extension_the_body_is_received(scope: dict[str, Any]) -> None:
    intake = FakeIntake()

    await pour_body(scope, Messages(piece(b"a"), piece(b""), piece(b"bc"), piece(b"d", more=False)), intake)

    assert intake.content == b"abcd"


async def test_a_message_may_leave_out_what_has_a_default() -> None:
    intake = FakeIntake()

    await pour_body({}, Messages({"type": "http.request"}), intake)

    assert intake.content == b""


async def test_a_disconnect_in_the_middle_is_the_client_gone() -> None:
    intake = FakeIntake()

    with pytest.raises(ClientGone):
        await pour_body({}, Messages(piece(b"a"), {"type": "http.disconnect"}), intake)

    assert intake.content == b"a"


async def test_nothing_is_received_while_the_intake_is_busy() -> None:
    intake = FakeIntake(busy_after=1)
    messages = Messages(piece(b"a"), piece(b"b", more=False))
    pouring = asyncio.create_task(pour_body({}, messages, intake))
    await intake.touched.wait()
    await asyncio.sleep(0)

    assert len(messages.left) == 1
    intake.free(for_good=True)
    await pouring

    assert intake.content == b"ab"


async def test_the_error_of_the_store_ends_it() -> None:
    intake = FakeIntake(busy_after=1)
    pouring = asyncio.create_task(pour_body({}, Messages(piece(b"a"), piece(b"b", more=False)), intake))
    await intake.touched.wait()

    intake.free(OSError("disk"))

    with pytest.raises(OSError, match="disk"):
        await pouring
    assert intake.content == b"a"


async def test_it_is_cancelled_at_once_while_the_intake_is_busy() -> None:
    intake = FakeIntake(busy_after=1)
    pouring = asyncio.create_task(pour_body({}, Messages(piece(b"a"), piece(b"b", more=False)), intake))
    await intake.touched.wait()
    await asyncio.sleep(0)

    pouring.cancel()

    with pytest.raises(asyncio.CancelledError):
        await pouring
    intake.free()


async def test_an_application_in_the_same_process_is_poured_into_as_well() -> None:
    app = PouringApp(pour_body)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"in "
        yield b"process"

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        answer = await client.put("/", content=pieces())

    assert answer.status_code == 200
    assert app.poured[0].intake.content == b"in process"
