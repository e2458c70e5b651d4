"""Group commit: whatever waits to be written is written in one transaction.

Invariant: a write that fails takes no other with it, and what a group answers is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from uploadstream.adapters.catalog.writes import Act


@dataclass(frozen=True, slots=True)
class Write:
    """One request's part of a group: what to do, with what, and to whose trail it adds ("": to none).

    `claim`: the lease by which it is done, where leases can be lost; whatever the database takes for one.
    """

    act: Act
    argument: Any
    owner: str = ""
    claim: Any = None


def _never(_: Exception) -> bool:
    return False


class Commits:
    """Carries out groups of writes: acts in the order of `order`, then others.

    `begin` says of which writes, by their places, nothing is to be done, and why. An error that `is_passing` is about
    the group as a whole, not about a write in it: it is raised, for the group to be tried again.
    """

    def __init__(
        self,
        begin: Callable[[Connection, Sequence[Write]], Mapping[int, Exception] | None],
        order: Sequence[Act],
        *,
        is_passing: Callable[[Exception], bool] = _never,
    ) -> None:
        self._begin: Final = begin
        self._ranks: Final = {act: rank for rank, act in enumerate(order)}
        self._is_passing: Final = is_passing

    def commit(self, connection: Connection, writes: Sequence[Write]) -> list[Any]:
        """Each write's result, or the error it failed with; raises when nothing of the group was committed."""
        outcomes = self.carry_out(connection, writes)
        connection.commit()
        return outcomes

    def carry_out(self, connection: Connection, writes: Sequence[Write]) -> list[Any]:
        """The same, to be committed by the caller.

        The group is first tried as a whole, as nearly always nothing is wrong with any of it. Savepoints around
        each write would cost more than the writes.
        """
        refused = self._begin(connection, writes)
        try:
            return self._together(connection, writes, refused or {})
        except Exception as error:
            if self._is_passing(error):
                raise
            # tried alone, each write meets its own error
            connection.rollback()
            refused = self._begin(connection, writes)
            return self._one_by_one(connection, writes, refused or {})

    def _together(self, connection: Connection, writes: Sequence[Write], refused: Mapping[int, Exception]) -> list[Any]:
        kinds: dict[Act, list[int]] = {}
        for place, write in enumerate(writes):
            if place not in refused:
                kinds.setdefault(write.act, []).append(place)
        outcomes: list[Any] = [refused.get(place) for place in range(len(writes))]
        for act in sorted(kinds, key=self._rank):
            results = act(connection, [writes[place].argument for place in kinds[act]])
            for place, result in zip(kinds[act], results, strict=True):
                outcomes[place] = result
        return outcomes

    def _rank(self, act: Act) -> int:
        return self._ranks.get(act, len(self._ranks))

    def _one_by_one(
        self, connection: Connection, writes: Sequence[Write], refused: Mapping[int, Exception]
    ) -> list[Any]:
        outcomes: list[Any] = [refused.get(place) for place in range(len(writes))]
        for place in sorted(set(range(len(writes))) - refused.keys(), key=lambda place: self._rank(writes[place].act)):
            outcomes[place] = self._alone(connection, writes[place])
        return outcomes

    def _alone(self, connection: Connection, write: Write) -> Any:
        savepoint = connection.begin_nested()
        try:
            (result,) = write.act(connection, [write.argument])
        except Exception as error:
            if self._is_passing(error):
                raise
            savepoint.rollback()
            return error  # it is raised again where the write was asked for
        savepoint.commit()
        return result
