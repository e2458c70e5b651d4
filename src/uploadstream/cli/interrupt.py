"""Work that Ctrl-C ends in order: it is cancelled once, has its time to clean up, and then KeyboardInterrupt is raised.

asyncio.run would raise KeyboardInterrupt out of the cleaning itself when the signal comes twice, as it does from
`timeout -s INT` and from impatient fingers.
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

    async def watched() -> Result:
        task = asyncio.ensure_future(work)

        def interrupt() -> None:
            if not interrupted_at:
                interrupted_at.append(time.monotonic())
                task.cancel()
            elif time.monotonic() - interrupted_at[0] > CLEANING_SECONDS:
                os._exit(INTERRUPTED)

        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
        return await task

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if interrupted_at:
            raise KeyboardInterrupt from None
        raise
