"""A file's bytes as a response's body: by the kernel where the server can, through memory elsewhere.

The standard extension `http.response.zerocopysend` (ASGI, "Zero Copy Send"). The file is the application's: nobody here
closes it, and with an offset nobody moves its position.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

EXTENSION: Final = "http.response.zerocopysend"
PIECE_SIZE: Final = 256 * 1024

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class FileEnded(OSError):
    """A file has fewer bytes than were to be sent of it."""


async def send_file(
    scope: Mapping[str, Any], send: Send, fd: int, *, at: int, count: int, more_body: bool = False
) -> None:
    """Send `count` bytes of an open file from `at` on, as the body or a piece of it. FileEnded, OSError."""
    if EXTENSION in (scope.get("extensions") or {}):
        await send({"type": EXTENSION, "file": fd, "offset": at, "count": count, "more_body": more_body})
        return
    end = at + count
    while at < end:
        piece = await _in_thread(os.pread, fd, min(PIECE_SIZE, end - at), at)
        if not piece:
            raise FileEnded(f"A file ends {end - at} bytes too early")
        at += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": more_body or at < end})
    if not count:
        await send({"type": "http.response.body", "body": b"", "more_body": more_body})


async def _in_thread(work: Callable[..., bytes], *args: int) -> bytes:
    """Work in a thread that has ended when this has, cancelled or not: until then its descriptor is in use."""
    working = asyncio.get_running_loop().run_in_executor(None, partial(work, *args))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
