"""What each user may: the service's limits, and what the catalog says of this user in particular.

Invariant: what an operator sets counts in every process within FRESH; where no limit is set and none was ever set for
anybody, that costs one look at the catalog in that time, and nothing an upload.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from uploadstream.core.allowances import Allowance
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

    async def counting(self, user_id: str) -> Allowance | None:
        """The same, if anything is limited that the catalog counts; None is for it to count nothing."""
        allowance = await self.allowance(user_id)
        return allowance if allowance.counts else None
