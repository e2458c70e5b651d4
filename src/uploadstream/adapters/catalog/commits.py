"""Group commit: whatever waits to be written is written in one transaction.

Invariant: a write that fails takes no other with it, and what a group answers is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from uploadstream.adapters.catalog.writes import Act


@dataclass(frozen=True, slots=True)
class Write:
    """One request's part of a group: what to do, and with what."""

    act: Act
    argument: Any


class Commits:
    """Carries out groups of writes: acts in the order of `order`, then others."""

    def __init__(self, begin: Callable[[Connection], None], order: Sequence[Act]) -> None:
        self._begin: Final = begin
        self._ranks: Final = {act: rank for rank, act in enumerate(order)}

    def commit(self, connection: Connection, writes: Sequence[Write]) -> list[Any]:
        """Each write's result, or the error it failed with; raises when nothing of the group was committed.

        The group is first tried as a whole, as nearly always nothing is wrong with any of it. Savepoints around
        each write would cost more than the writes.
        """
        self._begin(connection)
        try:
            outcomes = self._together(connection, writes)
        except Exception:  # noqa: BLE001 - tried alone, each write meets its own error
            connection.rollback()
            self._begin(connection)
            outcomes = self._one_by_one(connection, writes)
        connection.commit()
        return outcomes

    def _together(self, connection: Connection, writes: Sequence[Write]) -> list[Any]:
        kinds: dict[Act, list[int]] = {}
        for place, write in enumerate(writes):
            kinds.setdefault(write.act, []).append(place)
        outcomes: list[Any] = [None] * len(writes)
        for act in sorted(kinds, key=self._rank):
            results = act(connection, [writes[place].argument for place in kinds[act]])
            for place, result in zip(kinds[act], results, strict=True):
                outcomes[place] = result
        return outcomes

    def _rank(self, act: Act) -> int:
        return self._ranks.get(act, len(self._ranks))

    def _one_by_one(self, connection: Connection, writes: Sequence[Write]) -> list[Any]:
        outcomes: list[Any] = [None] * len(writes)
        for place in sorted(range(len(writes)), key=lambda place: self._rank(writes[place].act)):
            outcomes[place] = _alone(connection, writes[place])
        return outcomes


def _alone(connection: Connection, write: Write) -> Any:
    savepoint = connection.begin_nested()
    try:
        (result,) = write.act(connection, [write.argument])
    except Exception as error:  # noqa: BLE001 - it is raised again where the write was asked for
        savepoint.rollback()
        return error
    savepoint.commit()
    return result
