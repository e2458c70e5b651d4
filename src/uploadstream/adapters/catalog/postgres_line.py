"""A connection to PostgreSQL that is one adapter's own: it hears what others say, and waits for nobody.

Invariant: an answer or CatalogUnavailable within so many seconds; a line that failed is made anew for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg

from uploadstream.core.dsns import Dsn
from uploadstream.core.errors import CatalogUnavailable

_SETTINGS: Final = {"application_name": "uploadstream leases", "timezone": "UTC", "tcp_user_timeout": "10000"}


class Line:
    """One connection, for one question at a time."""

    def __init__(self, dsn: Dsn, channel: str, heard: Callable[[str], None], *, answer_seconds: float) -> None:
        """`heard` is called with every word that is said on the channel while the line is open."""
        self._dsn: Final = dsn
        self._channel: Final = channel
        self._heard: Final = heard
        self._answer_seconds: Final = answer_seconds
        self._connection: Any = None

    async def ask(self, *statements: tuple[str, tuple[Any, ...]]) -> list[list[Any]]:
        """The rows of these statements, each committed before the next begins. CatalogUnavailable."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._open()
                return [await self._connection.fetch(sql, *arguments) for sql, arguments in statements]
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            self._hang_up()
            raise CatalogUnavailable from error

    async def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=1)

    async def _open(self) -> Any:
        connection = await asyncpg.connect(
            self._dsn.secret, timeout=self._dsn.connect_seconds, server_settings=_SETTINGS
        )
        try:
            await connection.add_listener(self._channel, lambda *said: self._heard(str(said[-1])))
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
