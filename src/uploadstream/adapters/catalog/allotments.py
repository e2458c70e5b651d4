"""The buckets that users' bytes are taken from: a plain function over a connection, as in writes.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from uploadstream.adapters.catalog.tables import BYTE_BUCKETS
from uploadstream.core.ratelimit import Bucket, Rate

_BUCKET: Final = select(BYTE_BUCKETS.c.level, BYTE_BUCKETS.c.at).where(BYTE_BUCKETS.c.user_id == bindparam("of"))
_ADD: Final = insert(BYTE_BUCKETS)
_CHANGE: Final = update(BYTE_BUCKETS).where(BYTE_BUCKETS.c.user_id == bindparam("of"))

Wanted = tuple[str, Rate, int, datetime]


def allot(connection: Connection, given: Sequence[Wanted]) -> Sequence[timedelta]:
    """Take bytes out of users' buckets; how long to wait for each."""
    return [_allot(connection, *wanted) for wanted in given]


def _allot(connection: Connection, user_id: str, rate: Rate, count: int, now: datetime) -> timedelta:
    row = connection.execute(_BUCKET, {"of": user_id}).first()
    bucket = None if row is None else Bucket(row.level, row.at)
    left = rate.take(bucket, now, count=count)
    if bucket is None:
        connection.execute(_ADD, {"user_id": user_id, "level": left.level, "at": left.at})
    else:
        connection.execute(_CHANGE, {"of": user_id, "level": left.level, "at": left.at})
    return rate.wait(bucket, now, count=count)
