"""Deletion analytics."""

from uploadstream.core.stats import DeletionStats


def test_the_share_that_came_back_is_of_all_deletions() -> None:
    assert DeletionStats(deleted=4, restored=1).restored_share == 0.25


def test_where_nothing_was_deleted_nothing_came_back() -> None:
    assert DeletionStats().restored_share == 0.0
