"""What happened to uploads and files, as the catalog remembers it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from uploadstream.core.files import Audit
from uploadstream.core.pages import Position
from uploadstream.core.stats import DeletionStats


class Trail(Protocol):
    """Rows are added, and never changed or removed; they outlive what they are about."""

    async def owner_of_trail(self, file_id: str) -> str | None:
        """Whose upload or file the trail of that id is about; None if there is none. It outlives what it is about."""
        ...

    async def audit(self, file_id: str, *, after: Position | None, limit: int) -> Sequence[tuple[Position, Audit]]:
        """What happened to one upload or file, the oldest first; a Position is the row's own."""
        ...

    async def events(self, owner: str, *, after: int, limit: int) -> Sequence[tuple[int, Audit]]:
        """What happened to the uploads and files of one user, whoever did it, in the order in which it was written.

        Each row has a number, counted from 1 for each owner. When a row can be read, so can all before it: whoever
        goes on behind the last number that it has read misses nothing.
        """
        ...

    async def newest_events(self, owners: Collection[str]) -> Mapping[str, int]:
        """The number of each user's last row; 0 for one that has none."""
        ...

    async def record(self, audit: Audit, *, owner: str | None = None) -> None:
        """Add a row to the trail that goes with no other change, about something of `owner`, or of the row's user."""
        ...

    async def deletion_stats(self, user_id: str | None) -> DeletionStats:
        """Deletions, restores and purges of one user's files, or of everybody's, those that are purged too."""
        ...
