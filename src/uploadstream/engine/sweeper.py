"""Tidies up now and then, in one process at a time. Beside it, the trash is emptied and joined files are gathered.

Uploads that a crash left full are completed; those that nobody came back to expire. Blobs that nothing knows are
removed after a grace; files whose bytes are gone are taken out of the listings; what else a crash left over goes too.

Invariant: nothing is done while the store is not the catalog's own, as when its volume is not mounted any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from uploadstream.core.access import Caller
from uploadstream.core.errors import Busy, Refusal, StorageUnavailable
from uploadstream.core.files import Action, File, audit_of
from uploadstream.core.pages import Position
from uploadstream.engine.contents import Contents
from uploadstream.engine.gathering import Gatherer
from uploadstream.engine.pairing import is_pair
from uploadstream.engine.purging import Purger
from uploadstream.engine.uploads import Uploads
from uploadstream.ports import Blob, Ports

SWEEPER: Final = Caller(user_id="uploadstream", protocol="sweeper")
# One sweep at a time among all processes: a lease on a key that no upload can have.
LEASE: Final = "sweeper"
BATCH: Final = 500
# Of each, all files are looked at.
USERS: Final = 20
THOROUGH_EVERY: Final = 60
# How long a blob must have been let alone before it is removed because nothing knows it.
GRACE: Final = timedelta(minutes=10)


# What one sweep did, counted: actions on uploads, orphans of all kinds.
Sweep = Counter[str]


class Sweeper:
    """The janitor of one service."""

    def __init__(self, ports: Ports, uploads: Uploads, *, trash_ttl: timedelta) -> None:
        self._ports = ports
        self._contents = Contents(ports)
        self._uploads = uploads
        self._tombstone_ttl = trash_ttl  # who ended an upload is told so for as long
        self._gatherer = Gatherer(ports)
        self._purger = Purger(ports, trash_ttl=trash_ttl)

    async def sweep(self, *, thorough: bool = True) -> Sweep:
        """One round, unless another process is at it; a thorough one looks at every blob and every file."""
        sweep = Sweep()
        try:
            async with self._ports.leases.hold(LEASE):
                await self._check_store()
                await self._tidy_uploads(sweep)
                if thorough:
                    await self._remove_orphan_blobs(sweep)
                    await self._drop_orphan_notes(sweep)
                    sweep["leftovers"] = await self._ports.blobs.remove_leftovers(before=self._grace_began)
                    await self._hide_lost_files(sweep)
                    await self._count_again(sweep)
                before = self._ports.clock.now() - self._tombstone_ttl
                sweep["forgotten"] = await self._ports.catalog.forget_ended(before=before, limit=BATCH)
        except Busy:
            sweep["elsewhere"] += 1
        return sweep

    async def run(self, *, every_seconds: float, swept: Callable[[Sweep], None]) -> None:
        """Sweep now and then, until cancelled; `swept` is told what was done. What fails is tried again at the next."""
        rounds = itertools.count()

        async def sweep() -> Sweep:
            return await self.sweep(thorough=next(rounds) % THOROUGH_EVERY == 0)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_again_and_again(sweep, every_seconds, swept))
            # beside the sweeping, which has not to wait for them
            tasks.create_task(_again_and_again(partial(self._purger.sweep, SWEEPER), every_seconds, swept))
            tasks.create_task(_again_and_again(self._gatherer.gather, every_seconds * THOROUGH_EVERY, swept))

    @property
    def _grace_began(self) -> datetime:
        return self._ports.clock.now() - GRACE

    async def _check_store(self) -> None:
        """StorageUnavailable, if the store that is there is another than the catalog's."""
        if not await is_pair(self._ports.catalog, self._ports.blobs):
            raise StorageUnavailable

    async def _tidy_uploads(self, sweep: Sweep) -> None:
        place: Position | None = None
        while rows := await self._ports.catalog.uploads(None, after=place, limit=BATCH, partial=True):
            for session in rows:
                with _one_of_many(sweep):
                    action = await self._uploads.tidy(session, SWEEPER)
                    if action is not None:
                        sweep[action.value] += 1
            place = Position(rows[-1].created_at, rows[-1].id)

    async def _remove_orphan_blobs(self, sweep: Sweep) -> None:
        batch: list[Blob] = []
        async for blob in self._ports.blobs.blobs():
            if blob.touched_at > self._grace_began:
                continue
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
                async with self._ports.leases.hold(key):
                    if not await self._ports.catalog.known([key]):
                        await self._ports.blobs.remove(key)
                        sweep["orphan blobs"] += 1

    async def _drop_orphan_notes(self, sweep: Sweep) -> None:
        """A note is of use to an open upload only."""
        async for key in self._ports.blobs.notes():
            if await self._is_open(key):
                continue
            with _one_of_many(sweep):
                async with self._ports.leases.hold(key):
                    if not await self._is_open(key):
                        await self._ports.blobs.drop_note(key)
                        sweep["orphan notes"] += 1

    async def _is_open(self, key: str) -> bool:
        session = await self._ports.catalog.upload(key)
        return session is not None and session.end is None

    async def _hide_lost_files(self, sweep: Sweep) -> None:
        place: Position | None = None
        while rows := await self._ports.catalog.files(None, deleted=False, after=place, limit=BATCH):
            for file in rows:
                with _one_of_many(sweep):
                    stored = await self._contents.stored_size(file) or 0
                    if not file.is_whole(stored):
                        await self._hide(file, stored=stored)
                        sweep["lost files"] += 1
            place = Position(rows[-1].uploaded_at, rows[-1].id)

    async def _count_again(self, sweep: Sweep) -> None:
        """What users have is counted as it changes; should that ever be wrong, it is not for long.

        Who is not limited any more is counted no more.
        """
        last: str | None = None
        while rows := await self._ports.catalog.usages(after=last, limit=USERS):
            for user_id, kept, counted in rows:
                if await self._uploads.admission.counting(user_id) is None:
                    await self._ports.catalog.recount(user_id, keep=False)
                elif kept != counted:
                    await self._ports.catalog.recount(user_id)
                    sweep["usages corrected"] += 1
                last = user_id

    async def _hide(self, file: File, *, stored: int) -> None:
        await self._check_store()  # it may have gone since the sweep began
        now = self._ports.clock.now()
        audit = audit_of(file.id, Action.LOSE, SWEEPER, at=now, stored=str(stored), size=str(file.size))
        await self._ports.catalog.set_deleted(file.deleted(now), audit)


async def _again_and_again(
    act: Callable[[], Awaitable[Sweep]], every_seconds: float, swept: Callable[[Sweep], None]
) -> None:
    while True:
        try:
            sweep = await act()
        except Refusal as error:
            sweep = Sweep({f"failed: {error.reason}": 1})
        if done := +sweep:  # without what was counted and is none
            swept(done)
        await asyncio.sleep(every_seconds)


@contextmanager
def _one_of_many(sweep: Sweep) -> Iterator[None]:
    """What somebody writes is left alone; what the store cannot do now is counted, and keeps nothing else."""
    try:
        yield
    except Busy:
        return
    except StorageUnavailable as error:
        sweep[f"failed: {error.reason}"] += 1
