"""The key that requests are sent with: always the same, or one that is asked for when the last is not good any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import iscoroutinefunction
from typing import Any, Final

from uploadstream.client.errors import UNAUTHENTICATED, WRONG_CREDENTIALS, UploadError
from uploadstream.core.errors import BadField

# What gives a key: a plain function, which may take its time, or a coroutine function.
KeySource = Callable[[], str | Awaitable[str]]
# So many new keys in a row that the server does not take, and it will take the next no more.
_RENEWALS_MAX: Final = 2
_REFUSED: Final = {UNAUTHENTICATED, WRONG_CREDENTIALS}


class ApiKey:
    """Gives each request its key."""

    def __init__(self, source: str | KeySource) -> None:
        self._source = None if isinstance(source, str) else source
        self._key = check_key(source) if isinstance(source, str) else None
        self._renewals = 0
        self._asking = asyncio.Lock()

    @asynccontextmanager
    async def for_request(self) -> AsyncGenerator[str]:
        """The key for the request inside; if that is refused for it, and there is another, the request may pass."""
        key = await self._after(None)
        try:
            yield key
        except UploadError as error:
            if error.reason in _REFUSED and self._source is not None and self._renewals < _RENEWALS_MAX:
                error.is_passing = await self._after(key) != key
            raise
        self._renewals = 0

    async def _after(self, refused: str | None) -> str:
        """The key that there is; a new one if that is the refused one, or if there is none yet."""
        async with self._asking:  # of many requests that are refused, one asks
            if self._source is not None and self._key in {None, refused}:
                self._key = check_key(await _asked(self._source))
                self._renewals += refused is not None
            return self._key or ""


async def _asked(source: KeySource) -> str:
    function: Callable[[], Any] = source
    given = await function() if iscoroutinefunction(function) else await asyncio.to_thread(function)
    return str(given or "")


def check_key(key: str) -> str:
    """`key`, if a field can have it. UploadError."""
    if not (key.isascii() and key.isprintable()):
        error = BadField(field="api_key", problem="must be printable ASCII")
        raise UploadError(error.reason, str(error), {"field": error.field})
    return key
