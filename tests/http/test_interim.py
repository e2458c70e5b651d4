"""Interim responses are sent where the server can, and are nothing elsewhere."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from uploadstream.http.interim import EXTENSION, Interim


async def test_an_interim_response_is_a_message_to_the_server() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    interim = Interim({"extensions": {EXTENSION: {}}}, send)
    await interim.send(104, {"Location": "/files/1"})

    assert interim.is_possible
    assert sent == [{"type": EXTENSION, "status": 104, "headers": [(b"location", b"/files/1")]}]


@pytest.mark.parametrize("scope", [{}, {"extensions": None}, {"extensions": {}}])
async def test_a_server_that_cannot_is_told_nothing(scope: dict[str, Any]) -> None:
    async def send(message: MutableMapping[str, Any]) -> None:
        pytest.fail("a message that no server knows")

    interim = Interim(scope, send)
    await interim.send(104, {})

    assert not interim.is_possible
