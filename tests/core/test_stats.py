"""Deletion analytics."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from uploadstream.core.access import Caller
from uploadstream.core.files import Action, File, audit_of_file
from uploadstream.core.stats import (
    AGES,
    OTHER,
    TYPE_LENGTH_MAX,
    TYPES_MAX,
    DeletionStats,
    Kept,
    Tally,
    age_of,
    stats_of,
    tally_of,
    type_of,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FILE = File("5f0c1a2b-0000-4000-8000-00000000000a", "ann", "a.txt", 3, "", "text/plain", 7, NOON, "tus")


def test_the_share_that_came_back_is_of_all_deletions() -> None:
    assert DeletionStats(deleted=4, restored=1).restored_share == 0.25


def test_where_nothing_was_deleted_nothing_came_back() -> None:
    assert DeletionStats().restored_share == 0.0
    assert stats_of(Tally(), by_day=[], by_type=[], by_age=[]) == DeletionStats()


@pytest.mark.parametrize(
    ("action", "tally"),
    [
        (Action.DELETE, Tally(deleted=1, age_seconds_sum=90.5, age_seconds_max=90.5)),
        (Action.RESTORE, Tally(restored=1)),
        (Action.PURGE, Tally(purged=1, purged_bytes=3)),
        (Action.LOSE, None),
        (Action.COMPLETE, None),
    ],
)
def test_what_happens_to_a_file_in_the_trash_is_counted_once(action: Action, tally: Tally | None) -> None:
    at = NOON + timedelta(seconds=90.5)

    counted = tally_of(FILE, audit_of_file(FILE, action, Caller("bob"), at=at))

    assert counted == (tally and (Kept("ann", "2026-01-02", "text/plain", "<1h"), tally))


def test_a_day_is_one_of_utc() -> None:
    at = datetime(2026, 1, 3, 1, tzinfo=timezone(timedelta(hours=3)))
    counted = tally_of(FILE, audit_of_file(FILE, Action.RESTORE, Caller("ann"), at=at))

    assert counted is not None
    assert counted[0].day == "2026-01-02"


@pytest.mark.parametrize(
    ("age", "name"),
    [
        (timedelta(seconds=-1), "<1h"),  # of two clocks
        (timedelta(), "<1h"),
        (timedelta(minutes=59, seconds=59), "<1h"),
        (timedelta(hours=1), "<1d"),
        (timedelta(days=1), "<7d"),
        (timedelta(days=7), "<30d"),
        (timedelta(days=89), "<90d"),
        (timedelta(days=90), "<1y"),
        (timedelta(days=365), ">=1y"),
        (timedelta(days=100_000), ">=1y"),
    ],
)
def test_an_age_is_in_the_first_that_it_fits(age: timedelta, name: str) -> None:
    assert age_of(age) == name
    assert name in AGES


def test_types_are_counted_without_their_parameters() -> None:
    assert type_of("Text/Plain; charset=utf-8") == "text/plain"
    assert type_of("") == ""
    assert len(type_of("a/" + "b" * 1000)) == TYPE_LENGTH_MAX


def test_tallies_are_added_up() -> None:
    one = Tally(deleted=1, restored=2, purged=3, purged_bytes=4, age_seconds_sum=5.0, age_seconds_max=6.0)

    assert one + replace(one, age_seconds_max=9.0) == Tally(2, 4, 6, 8, 10.0, 9.0)
    assert one + Tally() == one


def test_statistics_are_in_the_order_of_days_types_and_ages() -> None:
    stats = stats_of(
        Tally(deleted=4, restored=1, purged=2, purged_bytes=30, age_seconds_sum=10.0, age_seconds_max=7.0),
        by_day=[("2026-01-03", 3), ("2026-01-02", 1), ("2026-01-01", 0)],
        by_type=[("b/b", 3), ("a/a", 1), ("c/c", 0)],
        by_age=[(">=1y", 1), ("<1h", 3), ("<7d", 0)],
    )

    assert stats == DeletionStats(
        deleted=4,
        restored=1,
        by_day={"2026-01-02": 1, "2026-01-03": 3},
        by_type={"a/a": 1, "b/b": 3},
        age_seconds_mean=2.5,
        age_seconds_max=7.0,
        by_age={"<1h": 3, ">=1y": 1},
        purged=2,
        purged_bytes=30,
    )
    assert [list(counts) for counts in (stats.by_day, stats.by_type, stats.by_age)] == [
        ["2026-01-02", "2026-01-03"],
        ["a/a", "b/b"],
        ["<1h", ">=1y"],
    ]


def test_types_that_are_too_many_are_one() -> None:
    names = [(f"t/{n:03}", 2 if n else 1) for n in range(TYPES_MAX + 1)]

    stats = stats_of(Tally(deleted=2 * TYPES_MAX + 1 + 5), by_day=[], by_type=names, by_age=[])

    assert len(stats.by_type) == TYPES_MAX + 1
    assert "t/000" not in stats.by_type
    assert stats.by_type[OTHER] == 6
