"""Deletion analytics: what is deleted, when, how old it was, and how much of it comes back.

What happens to files in the trash is added up as it happens, so that the answer costs the same however much there was,
and is the same when the files are purged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Final, Self

from uploadstream.core.files import Action, Audit, File

# A user may declare any type: those that are deleted most are named, and the others are one.
TYPES_MAX: Final = 100
OTHER: Final = "other"
TYPE_LENGTH_MAX: Final = 100

_AGES: Final[Mapping[str, timedelta]] = {
    "<1h": timedelta(hours=1),
    "<1d": timedelta(days=1),
    "<7d": timedelta(days=7),
    "<30d": timedelta(days=30),
    "<90d": timedelta(days=90),
    "<1y": timedelta(days=365),
}
_OLDER: Final = ">=1y"
# From the youngest on: a file is counted in the first that it fits.
AGES: Final = (*_AGES, _OLDER)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is counted together: one owner's files of one type and age that something happened to on one day."""

    owner: str
    day: str
    content_type: str
    age: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened to the files that are counted together."""

    deleted: int = 0
    restored: int = 0
    purged: int = 0
    purged_bytes: int = 0
    age_seconds_sum: float = 0.0
    age_seconds_max: float = 0.0

    @classmethod
    def of_deletion(cls, age: timedelta) -> Self:
        """One file went to the trash."""
        return cls(deleted=1, age_seconds_sum=age.total_seconds(), age_seconds_max=age.total_seconds())

    def __add__(self, other: Tally) -> Tally:
        """Both."""
        return Tally(
            deleted=self.deleted + other.deleted,
            restored=self.restored + other.restored,
            purged=self.purged + other.purged,
            purged_bytes=self.purged_bytes + other.purged_bytes,
            age_seconds_sum=self.age_seconds_sum + other.age_seconds_sum,
            age_seconds_max=max(self.age_seconds_max, other.age_seconds_max),
        )


def tally_of(file: File, audit: Audit) -> tuple[Kept, Tally] | None:
    """What a row of the trail adds to the statistics, and where; None if it adds nothing."""
    age = audit.at - file.uploaded_at
    match audit.action:
        case Action.DELETE:
            tally = Tally.of_deletion(age)
        case Action.RESTORE:
            tally = Tally(restored=1)
        case Action.PURGE:
            tally = Tally(purged=1, purged_bytes=file.size)
        case _:
            return None
    day = audit.at.astimezone(UTC).date().isoformat()
    return Kept(file.user_id, day, type_of(file.content_type), age_of(age)), tally


def type_of(content_type: str) -> str:
    """A type as it is counted: without parameters, and of bounded length."""
    return content_type.partition(";")[0].strip().lower()[:TYPE_LENGTH_MAX]


def age_of(age: timedelta) -> str:
    """The name of an age, one of AGES."""
    return next((name for name, end in _AGES.items() if age < end), _OLDER)


@dataclass(frozen=True, slots=True)
class DeletionStats:
    """Counts of soft deletions. Days are UTC dates as `2026-01-31`; age is from upload to deletion."""

    deleted: int = 0
    restored: int = 0
    by_day: Mapping[str, int] = field(default_factory=dict)
    by_type: Mapping[str, int] = field(default_factory=dict)
    age_seconds_mean: float = 0.0
    age_seconds_max: float = 0.0
    by_age: Mapping[str, int] = field(default_factory=dict)
    purged: int = 0
    purged_bytes: int = 0

    @property
    def restored_share(self) -> float:
        """The part of the deletions that was undone, 0 to 1."""
        return self.restored / self.deleted if self.deleted else 0.0


Counts = Iterable[tuple[str, int]]


def stats_of(total: Tally, *, by_day: Counts, by_type: Counts, by_age: Counts) -> DeletionStats:
    """The statistics of a total and the deletions in it, each name once; of the types the greatest are enough."""
    ages = dict(by_age)
    types = dict(sorted(by_type, key=lambda pair: (-pair[1], pair[0]))[:TYPES_MAX])
    if unnamed := total.deleted - sum(types.values()):
        types[OTHER] = types.get(OTHER, 0) + unnamed
    return DeletionStats(
        deleted=total.deleted,
        restored=total.restored,
        purged=total.purged,
        purged_bytes=total.purged_bytes,
        by_day=_some(sorted(by_day)),
        by_type=_some(sorted(types.items())),
        by_age=_some((name, ages.get(name, 0)) for name in AGES),
        age_seconds_mean=total.age_seconds_sum / total.deleted if total.deleted else 0.0,
        age_seconds_max=total.age_seconds_max,
    )


def _some(counts: Counts) -> dict[str, int]:
    """Without those that are none."""
    return {name: count for name, count in counts if count}
