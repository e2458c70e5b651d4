"""What users have, read and checked inside the transaction of what they want more of: plain functions, as in writes.py.

A user is counted from the first time that a limit of its is to be checked: then its rows are summed up, and from then
on the triggers of counting.py keep the sums. Whatever is wrong with them, summing up again mends it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Select, bindparam, cast, delete, exists, func, insert, select, update

from uploadstream.adapters.catalog.columns import Id, among
from uploadstream.adapters.catalog.tables import FILES, IN_TRASH, IN_USE, OPEN, PARTS, UPLOADS, USAGE
from uploadstream.core.allowances import Allowance, LimitReached, Usage
from uploadstream.core.files import File
from uploadstream.core.ratelimit import Bucket
from uploadstream.core.session import Session

_COUNTED: Final = OPEN & ~exists().where(PARTS.c.key == UPLOADS.c.id)


def _sum(statement: Select[Any]) -> Any:
    return func.coalesce(statement.scalar_subquery(), 0)


def _sums_of(user: Any) -> tuple[Any, ...]:
    """What a user has by its rows. Files in use and in the trash are two sums, as each has an index."""
    size, length = func.sum(FILES.c.size), func.sum(func.coalesce(UPLOADS.c.length, 0))
    in_use = _sum(select(size).where(FILES.c.user_id == user, IN_USE))
    in_trash = _sum(select(size).where(FILES.c.user_id == user, IN_TRASH))
    uploads = UPLOADS.c.user_id == user
    return (
        cast(in_use + in_trash, BigInteger).label("stored_now"),
        cast(_sum(select(length).where(uploads, _COUNTED)), BigInteger).label("declared_now"),
        cast(_sum(select(func.count()).select_from(UPLOADS).where(uploads, _COUNTED)), BigInteger).label("open_now"),
    )


_USAGE: Final = select(USAGE).where(USAGE.c.user_id.in_(bindparam("users", expanding=True)))
_SUMS: Final = select(*_sums_of(bindparam("of")))
_ADD: Final = insert(USAGE)
_SET: Final = (
    update(USAGE)
    .where(USAGE.c.user_id == bindparam("of"))
    .values(stored_bytes=bindparam("stored"), declared_bytes=bindparam("declared"), open_uploads=bindparam("open"))
)
_FORGET: Final = delete(USAGE).where(USAGE.c.user_id == bindparam("of"))
_SET_BUCKET: Final = (
    update(USAGE).where(USAGE.c.user_id == bindparam("of")).values(tokens=bindparam("new"), filled_at=bindparam("at"))
)
_KEPT: Final = select(USAGE, *_sums_of(USAGE.c.user_id)).order_by(USAGE.c.user_id).limit(bindparam("limit"))
_KEPT_AFTER: Final = _KEPT.where(USAGE.c.user_id > bindparam("after"))
_LENGTHS: Final = select(UPLOADS.c.id, UPLOADS.c.user_id, UPLOADS.c.length).where(OPEN, among(UPLOADS.c.id))
_COUNTED_LENGTHS: Final = _LENGTHS.where(_COUNTED)
_DROP_WHOLE: Final = delete(UPLOADS).where(UPLOADS.c.id == bindparam("of", type_=Id), UPLOADS.c.is_whole)


@dataclass(slots=True)
class Ledger:
    """The usages of some users while a group of requests is checked, one after another."""

    connection: Connection
    usages: dict[str, Usage]
    before: Mapping[str, Usage]

    @classmethod
    def of(cls, connection: Connection, users: Collection[str]) -> Ledger:
        """Of these users, who are counted from now on."""
        usages = _usages(connection, users)
        for user in sorted(set(users) - usages.keys()):
            usages[user] = counted = _summed(connection, user)
            connection.execute(_ADD, {"user_id": user, **_columns(counted)})
        return cls(connection, usages, dict(usages))

    def begin(self, session: Session, allowance: Allowance) -> Usage | LimitReached:
        """One more upload."""
        user, size = session.declared.user_id, session.declared.length
        try:
            self.usages[user] = self.usages[user].begun(allowance, size=size, now=session.created_at)
        except LimitReached as error:
            return error
        return self.usages[user]

    def store(self, file: File, allowance: Allowance, *, length: int | None, freed: int) -> LimitReached | None:
        """One more file: of an open upload that has `length` counted, or (None) of none; then it frees so much."""
        usage = self.usages[file.user_id]
        try:
            if length is None:
                after = usage.stored(allowance, size=file.size, in_place_of=freed, now=file.uploaded_at)
            else:
                usage.check_room(allowance, file.size - length)
                after = replace(
                    usage,
                    stored_bytes=usage.stored_bytes + file.size,
                    declared_bytes=usage.declared_bytes - length,
                    open_uploads=usage.open_uploads - 1,
                )
        except LimitReached as error:
            return error
        self.usages[file.user_id] = after
        return None

    def declare(self, user: str, allowance: Allowance, more: int) -> LimitReached | None:
        """So many bytes more of an open upload."""
        usage = self.usages[user]
        try:
            usage.check_room(allowance, more)
        except LimitReached as error:
            return error
        self.usages[user] = replace(usage, declared_bytes=usage.declared_bytes + more)
        return None

    def close(self) -> None:
        """Keep the buckets; all else is counted by the rows' own triggers."""
        changed = {
            user: usage.bucket
            for user, usage in sorted(self.usages.items())
            if usage.bucket is not None and usage.bucket != self.before[user].bucket
        }
        if changed:
            rows = [{"of": user, "new": bucket.level, "at": bucket.at} for user, bucket in changed.items()]
            self.connection.execute(_SET_BUCKET, rows)


def begin(
    connection: Connection, given: Sequence[tuple[Session, Allowance | None]]
) -> Mapping[str, Usage | LimitReached]:
    """Whether these uploads may begin, by their ids: what their users have then. Whom nothing limits is left out."""
    limited = [(session, allowance) for session, allowance in given if allowance is not None]
    if not limited:
        return {}
    ledger = Ledger.of(connection, {session.declared.user_id for session, _ in limited})
    outcomes = {session.id: ledger.begin(session, allowance) for session, allowance in limited}
    ledger.close()
    return outcomes


def store(connection: Connection, given: Sequence[tuple[File, Allowance | None]]) -> Mapping[str, LimitReached]:
    """Which of these files may not be stored, by their ids."""
    limited = [(file, allowance) for file, allowance in given if allowance is not None]
    if not limited:
        return {}
    ledger = Ledger.of(connection, {file.user_id for file, _ in limited})
    lengths = {row.id: row.length or 0 for row in _rows(connection, _LENGTHS, [file.id for file, _ in limited])}
    keys = {part.key for file, _ in limited for part in file.parts}
    freed = {row.id: row for row in _rows(connection, _COUNTED_LENGTHS, keys)}
    refused: dict[str, LimitReached] = {}
    for file, allowance in limited:
        parts = [freed[key] for key in {part.key for part in file.parts} if key in freed]
        frees = sum(row.length or 0 for row in parts if row.user_id == file.user_id)
        error = ledger.store(file, allowance, length=lengths.get(file.id), freed=frees)
        if error is not None:
            refused[file.id] = error
            continue
        for part in file.parts:  # what one file has, the next finds counted
            freed.pop(part.key, None)
    ledger.close()
    return refused


def declare(
    connection: Connection, given: Sequence[tuple[str, int, Allowance | None]]
) -> Mapping[tuple[str, int], LimitReached]:
    """Which of these lengths may not be declared."""
    limited = [(upload_id, length, allowance) for upload_id, length, allowance in given if allowance is not None]
    if not limited:
        return {}
    rows = {row.id: row for row in _rows(connection, _LENGTHS, [upload_id for upload_id, *_ in limited])}
    ledger = Ledger.of(connection, {row.user_id for row in rows.values()})
    refused: dict[tuple[str, int], LimitReached] = {}
    for upload_id, length, allowance in limited:
        row = rows.get(upload_id)
        error = None if row is None else ledger.declare(row.user_id, allowance, length - (row.length or 0))
        if error is not None:
            refused[upload_id, length] = error
    return refused


def usage(connection: Connection, user_id: str) -> Usage:
    """What a user has: kept, or summed up now if it is not counted."""
    return _usages(connection, [user_id]).get(user_id) or _summed(connection, user_id)


def usages(connection: Connection, after: str | None, limit: int) -> list[tuple[str, Usage, Usage]]:
    """Users that are counted, by their names: what is kept of each, and what it has by its rows at the same moment."""
    values = {"limit": limit} if after is None else {"limit": limit, "after": after}
    rows = connection.execute(_KEPT if after is None else _KEPT_AFTER, values)
    return [(row.user_id, _usage_of(row), _now(row, _bucket_of(row))) for row in rows]


def recount(connection: Connection, given: Sequence[str]) -> Sequence[None]:
    """Sum up what users have again; of whom nothing is kept, nothing will be."""
    for user_id in given:
        summed = _summed(connection, user_id)
        values = {"stored": summed.stored_bytes, "declared": summed.declared_bytes, "open": summed.open_uploads}
        connection.execute(_SET, {"of": user_id, **values})
    return [None] * len(given)


def forget(connection: Connection, given: Sequence[str]) -> Sequence[None]:
    """Count users no more."""
    connection.execute(_FORGET, [{"of": user_id} for user_id in given])
    return [None] * len(given)


def drop_wholes(connection: Connection, given: Sequence[str]) -> Sequence[None]:
    """Forget uploads that are all or nothing."""
    connection.execute(_DROP_WHOLE, [{"of": upload_id} for upload_id in given])
    return [None] * len(given)


def _rows(connection: Connection, statement: Select[Any], ids: Collection[str]) -> Iterable[Any]:
    return connection.execute(statement, {"keys": list(ids)}) if ids else ()


def _usages(connection: Connection, users: Collection[str]) -> dict[str, Usage]:
    return {row.user_id: _usage_of(row) for row in connection.execute(_USAGE, {"users": list(users)})}


def _summed(connection: Connection, user_id: str) -> Usage:
    return _now(connection.execute(_SUMS, {"of": user_id}).one(), None)


def _now(row: Any, bucket: Bucket | None) -> Usage:
    return Usage(row.stored_now, row.declared_now, row.open_now, bucket)


def _usage_of(row: Any) -> Usage:
    return Usage(row.stored_bytes, row.declared_bytes, row.open_uploads, _bucket_of(row))


def _bucket_of(row: Any) -> Bucket | None:
    return None if row.tokens is None else Bucket(row.tokens, row.filled_at)


def _columns(counted: Usage) -> dict[str, int]:
    return {
        "stored_bytes": counted.stored_bytes,
        "declared_bytes": counted.declared_bytes,
        "open_uploads": counted.open_uploads,
    }
