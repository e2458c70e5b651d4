"""Empties the trash of the files that have been in it for their time.

First the file's row goes, with a row of the trail that says so; then its bytes, as far as nothing else needs them:
parts may be other files' too, or an open upload's. A file that is being gathered waits for the next round. It goes on
in small steps with as long a rest after each, and any number of processes may do it at once.

Invariant: no row is ever without its bytes. Whatever stops this leaves blobs that nothing knows, which the sweeper
removes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from uploadstream.core.access import Caller
from uploadstream.core.errors import Busy, StorageUnavailable, Unavailable
from uploadstream.core.files import Action, File, audit_of_file
from uploadstream.core.pages import Position
from uploadstream.engine.cancels import uncancelled
from uploadstream.engine.pairing import is_pair
from uploadstream.ports import Ports

# One of the processes that do it by themselves is enough: a lease on a key that no upload can have.
LEASE: Final = "purger"
# Looked up at once, and kept in memory.
BATCH: Final = 500
# Purged in one transaction.
STEP: Final = 50

Done = Counter[str]


@dataclass(frozen=True, slots=True)
class Purged:
    """A file that is no more, and how many bytes the store has got back; None: the file was left for later."""

    file: File
    freed: int | None


class Purger:
    """Purges the files of one service."""

    def __init__(self, ports: Ports, *, trash_ttl: timedelta) -> None:
        self._ports = ports
        self._catalog = ports.catalog
        self._blobs = ports.blobs
        self._trash_ttl = trash_ttl

    async def sweep(self, caller: Caller) -> Done:
        """One round, unless another process is at it: what was done, counted."""
        done = Done()
        with suppress(Busy):
            async with self._ports.leases.hold(LEASE):
                try:
                    async for one in self.purge(caller):
                        done["purged" if one.freed is not None else "not purged: in use"] += 1
                        done["purged bytes"] += one.freed or 0
                except Unavailable as error:  # what was done until then is told
                    done[f"not purged: {error.reason}"] += 1
        return done

    async def due(self) -> AsyncIterator[File]:
        """The files whose time in the trash is over, the longest there first."""
        async for files in self._batches():
            for file in files:
                yield file

    async def purge(self, caller: Caller) -> AsyncIterator[Purged]:
        """Purge them, each in its turn. StorageUnavailable, CatalogUnavailable."""
        loop = asyncio.get_running_loop()
        async for files in self._batches():
            for start in range(0, len(files), STEP):
                begun = loop.time()
                if not await is_pair(self._catalog, self._blobs):
                    raise StorageUnavailable
                # what has begun is finished, so that it leaves nothing for the sweeper
                step = await uncancelled(self._step(files[start : start + STEP], caller))
                for purged in step.purged:
                    yield purged
                if step.error is not None:
                    raise step.error
                await asyncio.sleep(loop.time() - begun)

    async def _batches(self) -> AsyncIterator[Sequence[File]]:
        before = self._ports.clock.now() - self._trash_ttl
        after: Position | None = None
        while rows := await self._catalog.purgeable(before=before, after=after, limit=BATCH):
            yield [file for _, file in rows]
            after = rows[-1][0]

    async def _step(self, files: Sequence[File], caller: Caller) -> _Step:
        """Purge these. Those whose row is gone lose their bytes, whatever became of the others."""
        step = _Step()
        async with AsyncExitStack() as held:
            free = [file for file in files if await self._is_free(file, held, step)]
            outcomes = await asyncio.gather(*(self._forget(file, caller) for file in free), return_exceptions=True)
            for outcome in outcomes:
                step.error = outcome if isinstance(outcome, BaseException) else step.error
            try:
                await self._remove(
                    [file for file, outcome in zip(free, outcomes, strict=True) if outcome is True], step
                )
            except Unavailable as error:
                step.error = error
        return step

    async def _is_free(self, file: File, held: AsyncExitStack, step: _Step) -> bool:
        """Whether it is nobody else's now; of a joined file, whose bytes may be moved, that must stay so."""
        if file.parts:
            try:
                await held.enter_async_context(self._ports.leases.hold(file.id))
            except Busy:
                step.purged.append(Purged(file, None))
                return False
        return True

    async def _forget(self, file: File, caller: Caller) -> bool:
        audit = audit_of_file(file, Action.PURGE, caller, at=self._ports.clock.now())
        return await self._catalog.purge(file, audit)

    async def _remove(self, files: Sequence[File], step: _Step) -> None:
        """Remove the blobs of files that are no more: a joined one may have a copy of its parts as well."""
        keys = {file.id: {file.id, *(part.key for part in file.parts)} for file in files}
        known = await self._catalog.known(set().union(*keys.values()))
        for file in files:
            freed = sum({part.key: part.size for part in file.blobs if part.key not in known}.values())
            step.purged.append(Purged(file, freed))
        unknown = sorted(set().union(*keys.values()) - known)
        failures = await asyncio.gather(*map(self._blobs.remove, unknown), return_exceptions=True)
        step.error = next((failure for failure in failures if failure is not None), step.error)


@dataclass(slots=True)
class _Step:
    """What became of some files; `error` keeps from going on."""

    purged: list[Purged] = field(default_factory=list)
    error: BaseException | None = None
