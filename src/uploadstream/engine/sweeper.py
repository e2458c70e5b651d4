"""Tidies up now and then, in one process at a time.

Uploads that a crash left full are completed; those that nobody came back to expire. Blobs that nothing knows are
removed; files whose bytes are gone are taken out of the listings.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from uploadstream.core.access import Caller
from uploadstream.core.errors import Busy, Refusal, StorageUnavailable
from uploadstream.core.files import Action, File, audit_of
from uploadstream.core.pages import Position
from uploadstream.engine.uploads import Uploads
from uploadstream.ports import Blob, Ports

SWEEPER: Final = Caller(user_id="uploadstream", protocol="sweeper")
# One sweep at a time among all processes: a lease on a key that no upload can have.
LEASE: Final = "sweeper"
BATCH: Final = 500
THOROUGH_EVERY: Final = 60


# What one sweep did, counted: actions on uploads, orphans of both kinds.
Sweep = Counter[str]


class Sweeper:
    """The janitor of one service."""

    def __init__(self, ports: Ports, uploads: Uploads, *, tombstone_ttl: timedelta) -> None:
        self._ports = ports
        self._uploads = uploads
        self._tombstone_ttl = tombstone_ttl

    async def sweep(self, *, thorough: bool = True) -> Sweep:
        """One round, unless another process is at it; a thorough one looks at every blob and every file."""
        sweep = Sweep()
        try:
            async with self._ports.leases.hold(LEASE, let_go=_go_on):
                await self._tidy_uploads(sweep)
                if thorough:
                    await self._remove_orphan_blobs(sweep)
                    await self._hide_lost_files(sweep)
                before = self._ports.clock.now() - self._tombstone_ttl
                sweep["forgotten"] = await self._ports.catalog.forget_ended(before=before, limit=BATCH)
        except Busy:
            sweep["elsewhere"] += 1
        return sweep

    async def run(self, *, every_seconds: float, swept: Callable[[Sweep], None]) -> None:
        """Sweep now and then, until cancelled; a round that fails is tried again at the next."""
        for round_number in itertools.count():
            try:
                swept(await self.sweep(thorough=round_number % THOROUGH_EVERY == 0))
            except Refusal as error:
                swept(Sweep({f"failed: {error.reason}": 1}))
            await asyncio.sleep(every_seconds)

    async def _tidy_uploads(self, sweep: Sweep) -> None:
        place: Position | None = None
        while rows := await self._ports.catalog.uploads(None, after=place, limit=BATCH):
            for session in rows:
                with _one_of_many(sweep):
                    action = await self._uploads.tidy(session, SWEEPER)
                    if action is not None:
                        sweep[action.value] += 1
            place = Position(rows[-1].created_at, rows[-1].id)

    async def _remove_orphan_blobs(self, sweep: Sweep) -> None:
        batch: list[Blob] = []
        async for blob in self._ports.blobs.blobs():
            batch.append(blob)
            if len(batch) == BATCH:
                await self._remove_unknown(batch, sweep)
                batch = []
        await self._remove_unknown(batch, sweep)

    async def _remove_unknown(self, batch: list[Blob], sweep: Sweep) -> None:
        keys = {blob.key for blob in batch}
        for key in keys - await self._ports.catalog.known(keys):
            with _one_of_many(sweep):
                # a stream that is all or nothing has no row yet, but it holds the lease
                async with self._ports.leases.hold(key, let_go=_go_on):
                    if not await self._ports.catalog.known([key]):
                        await self._ports.blobs.remove(key)
                        sweep["orphan blobs"] += 1

    async def _hide_lost_files(self, sweep: Sweep) -> None:
        place: Position | None = None
        while rows := await self._ports.catalog.files(None, deleted=False, after=place, limit=BATCH):
            for file in rows:
                with _one_of_many(sweep):
                    blob = await self._ports.blobs.stat(file.id)
                    if file.size and (blob is None or blob.size != file.size):
                        await self._hide(file, stored=blob.size if blob else 0)
                        sweep["lost files"] += 1
            place = Position(rows[-1].uploaded_at, rows[-1].id)

    async def _hide(self, file: File, *, stored: int) -> None:
        now = self._ports.clock.now()
        audit = audit_of(file.id, Action.LOSE, SWEEPER, at=now, stored=str(stored), size=str(file.size))
        await self._ports.catalog.set_deleted(file.deleted(now), audit)


@contextmanager
def _one_of_many(sweep: Sweep) -> Iterator[None]:
    """What somebody writes is left alone; what the store cannot do now is counted, and keeps nothing else."""
    try:
        yield
    except Busy:
        return
    except StorageUnavailable as error:
        sweep[f"failed: {error.reason}"] += 1


def _go_on() -> None:
    """A holder that needs no asking: it is done in a moment."""
