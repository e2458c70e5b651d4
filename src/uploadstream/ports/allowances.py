"""What single users may, and what all processes take for them from one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from uploadstream.core.ratelimit import Rate


class Allotments(Protocol):
    """Bytes that users may send: a bucket for each, however many processes take from it. Writes are as Catalog's."""

    async def allot(self, user_id: str, rate: Rate, *, count: int, now: datetime) -> timedelta:
        """Take so many bytes, which may make the bucket owe some; how long to wait until they may be used."""
        ...


class AllowanceStore(Allotments, Protocol):
    """What was said of single users' limits, and their buckets of bytes; writes are as those of Catalog."""

    async def overrides(self, user_id: str) -> Mapping[str, str]:
        """What was said of this user's limits (core/allowances.py), by their names; of the others nothing was."""
        ...

    async def overridden(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Mapping[str, str]]]:
        """The users of whose limits anything was said, by their names, from behind `after` on."""
        ...

    async def set_overrides(self, user_id: str, overrides: Mapping[str, str]) -> None:
        """Say this of a user's limits, and nothing else any more."""
        ...
