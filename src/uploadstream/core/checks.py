"""Checks of one message: whatever is wrong with it is said at once, so that nobody mends one field after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from uploadstream.core.errors import BadField, Refusal


def together(bad: Iterable[BadField]) -> BadField:
    """Several bad fields of one message as one refusal; there is at least one."""
    first, *others = (one for each in bad for one in each.all)
    return BadField(first.field, first.problem, tuple(others))


def check_each(*checks: Callable[[], object]) -> None:
    """Raise what all of these checks raise: their bad fields as one refusal, else the first that is of another kind."""
    bad: list[BadField] = []
    worse: list[Refusal] = []
    for check in checks:
        try:
            check()
        except BadField as error:
            bad.append(error)
        except Refusal as error:
            worse.append(error)
    if bad:
        raise together(bad)
    if worse:
        raise worse[0]
