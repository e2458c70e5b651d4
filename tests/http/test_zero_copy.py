"""A file as a body, where the server cannot do it by itself."""

import asyncio
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from uploadstream.http.zero_copy import EXTENSION, PIECE_SIZE, FileEnded, send_file

Message = MutableMapping[str, Any]
CONTENT = os.urandom(2 * PIECE_SIZE + 100)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(CONTENT)
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    yield opened
    os.close(opened)


class Sent:
    """What came to the server."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages)

    @property
    def more(self) -> list[bool]:
        return [message["more_body"] for message in self.messages]


async def test_a_server_that_can_is_asked_to(fd: int) -> None:
    sent = Sent()

    await send_file({"extensions": {EXTENSION: {}}}, sent, fd, at=5, count=10, more_body=True)

    assert sent.messages == [{"type": EXTENSION, "file": fd, "offset": 5, "count": 10, "more_body": True}]


@pytest.mark.parametrize(("at", "count"), [(0, len(CONTENT)), (7, PIECE_SIZE), (7, PIECE_SIZE + 1), (0, 1)])
@pytest.mark.parametrize("more", [False, True])
async def test_any_other_gets_the_same_bytes_in_pieces(fd: int, at: int, count: int, more: bool) -> None:
    sent = Sent()

    await send_file({}, sent, fd, at=at, count=count, more_body=more)

    assert sent.body == CONTENT[at : at + count]
    assert sent.more == [*[True] * (len(sent.more) - 1), more]
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0


async def test_no_bytes_end_the_body_as_well(fd: int) -> None:
    sent = Sent()

    await send_file({}, sent, fd, at=0, count=0)

    assert sent.messages == [{"type": "http.response.body", "body": b"", "more_body": False}]


async def test_a_file_that_is_too_short_is_an_error(fd: int) -> None:
    with pytest.raises(FileEnded, match="100 bytes too early"):
        await send_file({}, Sent(), fd, at=len(CONTENT) - 10, count=110)


async def test_a_cancelled_sending_ends_only_when_nobody_uses_the_file_any_more(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, left = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    read = os.pread

    def slow_read(*args: int) -> bytes:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(left.wait(), loop).result(5)
        return read(*args)

    monkeypatch.setattr(os, "pread", slow_read)
    sending = asyncio.create_task(send_file({}, Sent(), fd, at=0, count=1))
    await entered.wait()
    sending.cancel()
    await asyncio.sleep(0.05)

    assert not sending.done()
    left.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
