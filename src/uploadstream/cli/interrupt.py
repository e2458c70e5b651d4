"""Work that Ctrl-C ends in order: it is cancelled once, has its time to clean up, and then KeyboardInterrupt is raised.

asyncio.run would raise KeyboardInterrupt out of the cleaning itself when the signal comes twice, as it does from
`timeout -s INT` and from impatient fingers. Once interrupted, a command is ending, and is not interrupted again: there
is no moment at which a second signal finds nobody to take it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

INTERRUPTED: Final = 130
CLEANING_SECONDS: Final = 1.0

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """What the work gives; KeyboardInterrupt if the user did not want to wait for it."""
    interrupted_at: list[float] = []
    loop_and_task: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Result]]] = []

    def interrupt(_number: int, _frame: object) -> None:
        if not interrupted_at:
            interrupted_at.append(time.monotonic())
            for loop, task in loop_and_task:
                loop.call_soon_threadsafe(task.cancel)
        elif time.monotonic() - interrupted_at[0] > CLEANING_SECONDS:
            os._exit(INTERRUPTED)

    async def watched() -> Result:
        task = asyncio.ensure_future(work)
        loop_and_task.append((asyncio.get_running_loop(), task))
        if interrupted_at:
            task.cancel()
        try:
            return await task
        finally:
            loop_and_task.clear()

    # Not by the loop's add_signal_handler: when a loop closes, it gives the signal back to Python.
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if interrupted_at:
            raise KeyboardInterrupt from None
        raise
    finally:
        if not interrupted_at:
            signal.signal(signal.SIGINT, before)


def end() -> None:
    """Let nothing interrupt the way out: what was to be done is done, and the exit status says how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
