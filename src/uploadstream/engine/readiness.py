"""One outcome for all who ask within a second: however many ask whether a part works, it is tried once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

FRESH_SECONDS: Final = 1.0


class SharedCheck:
    """A check that is asked for by many, and fails for all of them as it failed."""

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._running: asyncio.Task[None] | None = None
        self._stale_at = 0.0

    async def __call__(self) -> None:
        """Raise what the check raises, now or within the last second."""
        now = asyncio.get_running_loop().time()
        if self._running is None or (self._running.done() and now >= self._stale_at):
            self._stale_at = now + FRESH_SECONDS
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(_retrieve)
        await asyncio.shield(self._running)  # others wait for it too

    async def _run(self) -> None:
        await self._check()


def _retrieve(done: asyncio.Task[None]) -> None:
    """Who asked may have gone meanwhile; the error is no surprise then."""
    if not done.cancelled():
        done.exception()
