"""What each user may, and whether an upload may begin: the service's limits, and what the catalog says of one user.

What a user has is counted in the catalog, and compared there, in the transaction of what it wants more of.

Invariant: what an operator sets counts in every process within FRESH; where no limit is set and none was ever set for
anybody, that costs one look at the catalog in that time, and nothing an upload.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from uploadstream.core.access import Caller
from uploadstream.core.allowances import Allowance, LimitReached, Standing
from uploadstream.core.files import Audit, File
from uploadstream.core.session import Session, State
from uploadstream.ports import Catalog, Clock

FRESH: Final = timedelta(seconds=5)
# Remembered at once; more are asked for again.
_USERS_MAX: Final = 10_000


class Admission:
    """The allowances of one service's users."""

    def __init__(self, catalog: Catalog, clock: Clock, defaults: Allowance | None = None) -> None:
        self._catalog = catalog
        self._clock = clock
        self._defaults = defaults or Allowance()
        self._known: dict[str, tuple[Allowance, datetime]] = {}
        self._is_any = False  # whether any user has limits of its own
        self._looked_until = datetime.min.replace(tzinfo=clock.now().tzinfo)

    async def allowance(self, user_id: str) -> Allowance:
        """What this user may."""
        now = self._clock.now()
        if now >= self._looked_until:
            self._is_any = bool(await self._catalog.overridden(after=None, limit=1))
            self._looked_until = now + FRESH
        if not self._is_any:
            return self._defaults
        allowance, until = self._known.get(user_id, (self._defaults, now))
        if now >= until:
            allowance = self._defaults.overridden(await self._catalog.overrides(user_id))
            if len(self._known) >= _USERS_MAX:
                self._known.clear()
            self._known[user_id] = (allowance, now + FRESH)
        return allowance

    async def begin(self, session: Session, audit: Audit | None, caller: Caller) -> None:
        """Remember a new upload, if its user may have one more. LimitReached."""
        allowance = await self.counting(session.declared.user_id)
        if allowance is None:
            await self._catalog.create_upload(session, audit)
            return
        with _told(caller):
            usage = await self._catalog.create_upload(session, audit, allowance)
        if usage is not None:
            caller.told(Standing(allowance, usage, session.created_at))

    async def publish(self, file: File, audit: Audit, caller: Caller) -> File:
        """Add a file, if its user has room for what was not counted when its upload began. LimitReached."""
        with _told(caller):
            return await self._catalog.publish(file, audit, await self.counting(file.user_id))

    async def declare(self, session: Session, length: int) -> None:
        """Remember the length of an open upload, if its user has room for that. QuotaExceeded."""
        await self._catalog.declare_length(session, length, await self.counting(session.declared.user_id))

    async def bounded(self, session: Session) -> Session:
        """An upload whose length is not known, with the quota that bounds it, if one does."""
        if session.length is not None or session.state is not State.OPEN:
            return session
        allowance = await self.counting(session.declared.user_id)
        if allowance is None or allowance.quota_bytes is None:
            return session
        usage = await self._catalog.usage(session.declared.user_id)
        return replace(session, quota=usage.quota(allowance))

    async def counting(self, user_id: str) -> Allowance | None:
        """The same, if anything is limited that the catalog counts; None is for it to count nothing."""
        allowance = await self.allowance(user_id)
        return allowance if allowance.counts else None


@contextmanager
def _told(caller: Caller) -> Iterator[None]:
    """Whoever is refused hears what its user may and has."""
    try:
        yield
    except LimitReached as error:
        if error.standing is not None:
            caller.told(error.standing)
        raise
