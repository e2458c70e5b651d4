"""API keys: plain functions over a connection, as in queries.py and writes.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, bindparam, insert, literal, or_, select, tuple_, update

from uploadstream.adapters.catalog.columns import Id, Instant
from uploadstream.adapters.catalog.tables import KEYS
from uploadstream.adapters.catalog.writes import record_for
from uploadstream.core.access import Scope
from uploadstream.core.files import Audit
from uploadstream.core.keys import Key
from uploadstream.core.pages import Position

_ID: Final = bindparam("row_id", type_=Id)
_AT: Final = bindparam("at", type_=Instant)
_KEY: Final = select(KEYS).where(KEYS.c.id == _ID)
_WITH: Final = select(KEYS).where(KEYS.c.digest.in_(bindparam("digests", expanding=True, type_=LargeBinary)))
_ALL: Final = select(KEYS).order_by(KEYS.c.created_at.desc(), KEYS.c.id.desc()).limit(bindparam("limit"))
_ADD: Final = insert(KEYS)
_REVOKE: Final = update(KEYS).where(KEYS.c.id == _ID, KEYS.c.revoked_at.is_(None)).values(revoked_at=_AT)
_USE: Final = (
    update(KEYS)
    .where(KEYS.c.id == _ID, or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < _AT))
    .values(last_used_at=_AT)
)


def key(connection: Connection, key_id: str) -> Key | None:
    """One key."""
    row = connection.execute(_KEY, {"row_id": key_id}).first()
    return None if row is None else _key_of(row)


def keys_with(connection: Connection, digests: Collection[bytes]) -> dict[bytes, Key]:
    """The keys of these digests."""
    return {bytes(row.digest): _key_of(row) for row in connection.execute(_WITH, {"digests": list(digests)})}


def keys(connection: Connection, user_id: str | None, after: Position | None, limit: int) -> list[Key]:
    """Keys, the newest first."""
    query = _ALL if user_id is None else _ALL.where(KEYS.c.user_id == user_id)
    if after is not None:
        query = query.where(
            tuple_(KEYS.c.created_at, KEYS.c.id) < tuple_(literal(after.at, Instant), literal(after.id, Id))
        )
    return [_key_of(row) for row in connection.execute(query, {"limit": limit})]


def add_keys(connection: Connection, given: Sequence[tuple[Key, bytes, Audit]]) -> Sequence[None]:
    """Add keys with their rows of the trail."""
    for made, digest, _ in given:
        values = {field: getattr(made, field) for field in ("id", "user_id", "name", "created_at", "expires_at")}
        connection.execute(_ADD, {**values, "digest": digest, "scopes": " ".join(sorted(made.scopes))})
    record_for(connection, [(made.user_id, audit) for made, _, audit in given])
    return [None] * len(given)


def revoke_keys(connection: Connection, given: Sequence[tuple[Key, Audit]]) -> Sequence[bool]:
    """Let keys be good no more; False for those that are not."""
    revoked = []
    for known, audit in given:
        revoked.append(connection.execute(_REVOKE, {"row_id": known.id, "at": audit.at}).rowcount == 1)
        if revoked[-1]:
            record_for(connection, [(known.user_id, audit)])
    return revoked


def use_keys(connection: Connection, given: Sequence[tuple[str, datetime]]) -> Sequence[None]:
    """Note that keys were used."""
    for key_id, at in given:
        connection.execute(_USE, {"row_id": key_id, "at": at})
    return [None] * len(given)


def _key_of(row: Any) -> Key:
    return Key(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes.split())),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
