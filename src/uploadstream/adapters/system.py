"""The clock and the source of ids: the only module that reads the time of day."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


class SystemClock:
    """The machine's own clock, and random UUIDs."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """A random UUID in its canonical spelling."""
        return str(uuid.uuid4())
