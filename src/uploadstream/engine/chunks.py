"""Chunks of a sender that cannot continue inside one: they may come again, and before their turn."""

from __future__ import annotations

import asyncio
from typing import Final

from uploadstream.core.access import Caller
from uploadstream.core.errors import OffsetMismatch
from uploadstream.engine.uploads import Uploaded, Uploads
from uploadstream.engine.watch import Incoming

LOOK_SECONDS: Final = 0.1
# So long a chunk waits for the ones before it while they bring nothing; its sender tries again anyway.
PATIENCE_SECONDS: Final = 5.0


class Chunks:
    """The way to write for such senders."""

    def __init__(self, uploads: Uploads, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._uploads = uploads
        self._patience_seconds = patience_seconds

    async def append(self, upload_id: str, caller: Caller, incoming: Incoming, *, filename: str = "") -> Uploaded:
        """Append a chunk; what of it is stored already is compared. BadField, and the errors of Uploads.append.

        `filename` names the upload if it has no name yet. Nothing is read of a chunk that has to wait for its turn, so
        that several may be sent at once: the connections of all but one stand still.
        """
        await self._uploads.describe(upload_id, caller, incoming, filename=filename)
        await self._turn(upload_id, caller, incoming.at or 0)
        try:
            return await self._uploads.append(upload_id, caller, incoming)
        except OffsetMismatch:
            await self._uploads.describe(upload_id, caller, incoming, is_early=True)
            raise

    async def _turn(self, upload_id: str, caller: Caller, at: int) -> None:
        """Wait until the bytes before `at` are here, as long as more of them come."""
        loop = asyncio.get_running_loop()
        reached, quiet_since = -1, loop.time()
        while (session := (await self._uploads.status(upload_id, caller)).session).may_wait(at=at):
            if session.offset != reached:
                reached, quiet_since = session.offset, loop.time()
            elif loop.time() - quiet_since >= self._patience_seconds:
                return
            await asyncio.sleep(LOOK_SECONDS)
