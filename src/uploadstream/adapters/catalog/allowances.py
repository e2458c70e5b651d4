"""The limits of single users: plain functions over a connection, as in queries.py and writes.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from uploadstream.adapters.catalog.tables import OVERRIDES
from uploadstream.core.allowances import READ

_OVERRIDES: Final = select(OVERRIDES).where(OVERRIDES.c.user_id == bindparam("of"))
_OVERRIDDEN: Final = select(OVERRIDES).order_by(OVERRIDES.c.user_id).limit(bindparam("limit"))
_OVERRIDDEN_AFTER: Final = _OVERRIDDEN.where(OVERRIDES.c.user_id > bindparam("after"))
_ADD_OVERRIDES: Final = insert(OVERRIDES)
_DROP_OVERRIDES: Final = delete(OVERRIDES).where(OVERRIDES.c.user_id == bindparam("of"))


def overrides(connection: Connection, user_id: str) -> dict[str, str]:
    """What was said of a user's limits."""
    row = connection.execute(_OVERRIDES, {"of": user_id}).first()
    return {} if row is None else _said(row)


def overridden(connection: Connection, after: str | None, limit: int) -> list[tuple[str, Mapping[str, str]]]:
    """The users of whose limits anything was said, by their names."""
    if after is None:
        rows = connection.execute(_OVERRIDDEN, {"limit": limit})
    else:
        rows = connection.execute(_OVERRIDDEN_AFTER, {"limit": limit, "after": after})
    return [(row.user_id, _said(row)) for row in rows]


def set_overrides(connection: Connection, given: Sequence[tuple[str, Mapping[str, str]]]) -> Sequence[None]:
    """Say this of users' limits, and nothing else any more."""
    for user_id, said in given:
        connection.execute(_DROP_OVERRIDES, {"of": user_id})
        if said:
            connection.execute(_ADD_OVERRIDES, {"user_id": user_id, **{name: said.get(name) for name in READ}})
    return [None] * len(given)


def _said(row: Any) -> dict[str, str]:
    said = {name: getattr(row, name) for name in READ}
    return {name: text for name, text in said.items() if text is not None}
