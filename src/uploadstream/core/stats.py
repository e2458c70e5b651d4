"""Deletion analytics: what is deleted, when, how old it was, and how much of it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DeletionStats:
    """Counts of soft deletions. Days are UTC dates as `2026-01-31`; age is from upload to deletion."""

    deleted: int = 0
    restored: int = 0
    by_day: Mapping[str, int] = field(default_factory=dict)
    by_type: Mapping[str, int] = field(default_factory=dict)
    age_seconds_mean: float = 0.0
    age_seconds_max: float = 0.0

    @property
    def restored_share(self) -> float:
        """The part of the deletions that was undone, 0 to 1."""
        return self.restored / self.deleted if self.deleted else 0.0
