"""A sink whose writes are done at once, later, or not at all, as a test plans."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from enum import Enum

from uploadstream.core.errors import StorageFull
from uploadstream.ports import Bytes


class Answer(Enum):
    NOW = "now"
    LATER = "later"
    FAILS_NOW = "fails now"
    FAILS_LATER = "fails later"


class FakeDisk:
    """Takes the bytes out of the views' memory only when a write is done, as a thread would."""

    def __init__(self, plan: Iterable[Answer] = (), *, after: Answer = Answer.NOW, turns: int = 1) -> None:
        self.content = bytearray()
        self.writes: list[int] = []
        self._plan = iter(plan)
        self._after = after
        self._turns = turns  # of the loop, until a later write is done
        self._pending: tuple[list[Bytes], asyncio.Future[None]] | None = None

    @property
    def in_flight(self) -> int:
        return sum(map(len, self._pending[0])) if self._pending else 0

    def write(self, views: Sequence[Bytes], count: int) -> Awaitable[None] | None:
        assert self._pending is None, "a write while one is going on"
        assert sum(map(len, views)) == count
        self.writes.append(count)
        answer = next(self._plan, self._after)
        if answer is Answer.FAILS_NOW:
            raise StorageFull(free=0)
        if answer is Answer.NOW:
            self.content += b"".join(views)
            return None
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._pending = (list(views), done)
        if self._turns:
            self._turn(self._turns, answer)
        return done

    def _turn(self, left: int, answer: Answer) -> None:
        if left:
            asyncio.get_running_loop().call_soon(self._turn, left - 1, answer)
        else:
            self.finish(answer)

    def finish(self, answer: Answer = Answer.LATER) -> None:
        """End the write that is going on."""
        assert self._pending is not None
        views, done = self._pending
        self._pending = None
        if answer is Answer.FAILS_LATER:
            self.content += b"".join(views)[:3]  # a prefix may be stored
            done.set_exception(StorageFull(free=0))
        else:
            self.content += b"".join(views)
            done.set_result(None)

    @property
    def blob_id(self) -> int:
        return 0

    async def close(self, *, complete: bool, keep: bool = True) -> bool:
        assert self._pending is None, "closed while a write is going on"
        return False
