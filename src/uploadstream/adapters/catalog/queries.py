"""What is read of the catalog: plain functions over a connection.

Every statement is built once and remembered, so that its compiled form is found again. Pages continue behind a row's
place (time and id), never at a row's number: a listing costs the same on its last page as on its first.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Executable,
    Select,
    bindparam,
    exists,
    func,
    select,
    tuple_,
    union_all,
)

from uploadstream.adapters.catalog.columns import Id, Instant, among
from uploadstream.adapters.catalog.rows import FILE_FIELDS, audit_of, file_of, session_of
from uploadstream.adapters.catalog.tables import (
    AUDIT,
    DELETIONS,
    FILES,
    IN_TRASH,
    IN_USE,
    OPEN,
    PARTS,
    PROPERTIES,
    STORE_ID,
    UPLOADS,
)
from uploadstream.core.files import Audit, File
from uploadstream.core.pages import Position
from uploadstream.core.session import Session
from uploadstream.core.stats import TYPES_MAX, DeletionStats, Tally, stats_of

# SQLite takes 32,766 parameters in a statement.
KEYS_MAX: Final = 10_000

_UPLOAD: Final = select(UPLOADS).where(UPLOADS.c.id == bindparam("id"))
_FILES: Final = select(*(FILES.c[name] for name in FILE_FIELDS))
_FILE: Final = _FILES.where(FILES.c.id == bindparam("id"))
_EVENTS: Final = (
    select(AUDIT)
    .where(AUDIT.c.owner == bindparam("of"), AUDIT.c.number > bindparam("after"))
    .order_by(AUDIT.c.number)
    .limit(bindparam("limit"))
)
_NEWEST: Final = select(func.max(AUDIT.c.number)).where(AUDIT.c.owner == bindparam("of"))
_OWNER: Final = (
    select(AUDIT.c.owner).where(AUDIT.c.file_id == bindparam("of", type_=Id)).order_by(AUDIT.c.at, AUDIT.c.id).limit(1)
)
_NO_TALLY: Final = asdict(Tally())
_PROPERTY: Final = select(PROPERTIES.c.value).where(PROPERTIES.c.name == bindparam("name"))
_CHECK: Final = select(FILES.c.id).limit(1)
_UPLOADS: Final = select(UPLOADS).where(among(UPLOADS.c.id))
_OPEN_UPLOADS: Final = select(UPLOADS.c.id).where(OPEN, among(UPLOADS.c.id))
_KNOWN: Final = union_all(
    _OPEN_UPLOADS,
    select(FILES.c.id).where(among(FILES.c.id), ~exists().where(PARTS.c.file_id == FILES.c.id)),
    select(PARTS.c.key).where(among(PARTS.c.key)),
)


def upload(connection: Connection, upload_id: str) -> Session | None:
    """An upload, open or ended."""
    row = connection.execute(_UPLOAD, {"id": upload_id}).first()
    return None if row is None else session_of(row)


def uploads_with(connection: Connection, keys: Collection[str]) -> dict[str, Session]:
    """Uploads, open or ended, by their ids."""
    sessions = (session_of(row) for some in _groups(keys) for row in connection.execute(_UPLOADS, {"keys": some}))
    return {session.id: session for session in sessions}


def file(connection: Connection, file_id: str) -> File | None:
    """A file, in use or in the trash."""
    row = connection.execute(_FILE, {"id": file_id}).first()
    return None if row is None else file_of(row)


def uploads(
    connection: Connection, user_id: str | None, after: Position | None, limit: int, *, partial: bool
) -> list[Session]:
    """Open uploads, the newest first."""
    statement = _uploads_statement(of_user=user_id is not None, continued=after is not None, partial=partial)
    return [session_of(row) for row in connection.execute(statement, _place(user_id, after, limit))]


def files(
    connection: Connection, user_id: str | None, after: Position | None, limit: int, *, deleted: bool
) -> list[File]:
    """Files in use or in the trash, the newest upload first."""
    statement = _files_statement(of_user=user_id is not None, continued=after is not None, deleted=deleted)
    return [file_of(row) for row in connection.execute(statement, _place(user_id, after, limit))]


def joined(connection: Connection, after: str | None, limit: int) -> list[File]:
    """Files in use that have parts of which no open upload has any, by their ids."""
    statement = _joined_statement(continued=after is not None)
    values = {"limit": limit} if after is None else {"limit": limit, "after": after}
    return [file_of(row) for row in connection.execute(statement, values)]


def audit(connection: Connection, file_id: str, after: Position | None, limit: int) -> list[tuple[Position, Audit]]:
    """The trail of one upload or file, the oldest row first."""
    rows = connection.execute(_audit_statement(continued=after is not None), _place(file_id, after, limit))
    return [(Position(row.at, row.id), audit_of(row)) for row in rows]


def events(connection: Connection, owner: str, after: int, limit: int) -> list[tuple[int, Audit]]:
    """What happened to one user's uploads and files, in the order of the commits."""
    rows = connection.execute(_EVENTS, {"of": owner, "after": after, "limit": limit})
    return [(row.number, audit_of(row)) for row in rows]


def newest_events(connection: Connection, owners: Collection[str]) -> dict[str, int]:
    """The number of each user's last row: a step into the index for each, however long its trail is."""
    return {owner: connection.execute(_NEWEST, {"of": owner}).scalar() or 0 for owner in owners}


def known(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of `keys` under which there are bytes of an open upload or of a file."""
    return _in_groups(connection, _KNOWN, keys)


def open_uploads(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of `keys` that an open upload has."""
    return _in_groups(connection, _OPEN_UPLOADS, keys)


def purgeable(
    connection: Connection, before: datetime, after: Position | None, limit: int
) -> list[tuple[Position, File]]:
    """Files in the trash since then or longer, the longest first."""
    values = _place(None, after, limit) | {"before": before}
    rows = connection.execute(_purgeable_statement(continued=after is not None), values)
    return [(Position(row.deleted_at, row.id), file_of(row)) for row in rows]


def owner_of_trail(connection: Connection, file_id: str) -> str | None:
    """Whose upload or file its first row is about."""
    return connection.execute(_OWNER, {"of": file_id}).scalar()


def deletion_stats(connection: Connection, user_id: str | None) -> DeletionStats:
    """Deletions and what became of them, which are added up already as far as they can be."""
    total, *counts = _deletions_statements(of_user=user_id is not None)
    values = {} if user_id is None else {"of": user_id}
    by_day, by_type, by_age = (
        [(name, int(times)) for name, times in connection.execute(one, values)] for one in counts
    )
    sums = connection.execute(total, values).mappings().one()
    # sums of whole numbers are NUMERIC on PostgreSQL, and NULL where there is no row
    numbers = {name: type(default)(sums[name] or 0) for name, default in _NO_TALLY.items()}
    return stats_of(Tally(**numbers), by_day=by_day, by_type=by_type, by_age=by_age)


def store_id(connection: Connection) -> str | None:
    """The id of the store that has the bytes."""
    return property_of(connection, STORE_ID)


def property_of(connection: Connection, name: str) -> str | None:
    """What is known of the catalog as a whole."""
    return connection.execute(_PROPERTY, {"name": name}).scalar()


def check(connection: Connection) -> None:
    """Touch the data: an error is the answer."""
    connection.execute(_CHECK).first()


def _in_groups(connection: Connection, statement: Executable, keys: Collection[str]) -> set[str]:
    found: set[str] = set()
    for some in _groups(keys):
        found.update(connection.execute(statement, {"keys": some}).scalars())
    return found


def _groups(keys: Collection[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while some := list(islice(rest, KEYS_MAX)):
        yield some


def _place(of: str | None, after: Position | None, limit: int) -> dict[str, Any]:
    values: dict[str, Any] = {"limit": limit}
    if of is not None:
        values["of"] = of
    if after is not None:
        values |= {"after_at": after.at, "after_id": after.id}
    return values


def _listing(
    statement: Select[Any], at: Column[Any], key: Column[Any], *, continued: bool, newest: bool
) -> Select[Any]:
    """A page in the order of time and id, behind a place if it goes on from one."""
    place = tuple_(at, key)
    after = tuple_(bindparam("after_at", type_=Instant), bindparam("after_id", type_=Id))
    if continued:
        statement = statement.where(place < after if newest else place > after)
    order = (at.desc(), key.desc()) if newest else (at, key)
    return statement.order_by(*order).limit(bindparam("limit"))


@functools.cache
def _uploads_statement(*, of_user: bool, continued: bool, partial: bool) -> Select[Any]:
    statement = _of_user(select(UPLOADS).where(OPEN), UPLOADS.c.user_id, of_user=of_user)
    if not partial:
        statement = statement.where(~UPLOADS.c.is_partial, ~UPLOADS.c.is_whole)
    return _listing(statement, UPLOADS.c.created_at, UPLOADS.c.id, continued=continued, newest=True)


@functools.cache
def _files_statement(*, of_user: bool, continued: bool, deleted: bool) -> Select[Any]:
    statement = _of_user(_FILES.where(IN_TRASH if deleted else IN_USE), FILES.c.user_id, of_user=of_user)
    return _listing(statement, FILES.c.uploaded_at, FILES.c.id, continued=continued, newest=True)


@functools.cache
def _joined_statement(*, continued: bool) -> Select[Any]:
    in_parts = select(PARTS.c.file_id).distinct()
    if continued:
        in_parts = in_parts.where(PARTS.c.file_id > bindparam("after", type_=Id))
    of_open = select(PARTS.c.key).join(UPLOADS, UPLOADS.c.id == PARTS.c.key)
    is_held = of_open.where(PARTS.c.file_id == FILES.c.id, OPEN).correlate(FILES).exists()
    statement = _FILES.where(FILES.c.id.in_(in_parts), IN_USE, ~is_held)
    return statement.order_by(FILES.c.id).limit(bindparam("limit"))


@functools.cache
def _audit_statement(*, continued: bool) -> Select[Any]:
    statement = select(AUDIT).where(AUDIT.c.file_id == bindparam("of"))
    return _listing(statement, AUDIT.c.at, AUDIT.c.id, continued=continued, newest=False)


@functools.cache
def _purgeable_statement(*, continued: bool) -> Select[Any]:
    statement = _FILES.where(IN_TRASH, FILES.c.deleted_at <= bindparam("before", type_=Instant))
    return _listing(statement, FILES.c.deleted_at, FILES.c.id, continued=continued, newest=False)


@functools.cache
def _deletions_statements(*, of_user: bool) -> Sequence[Select[Any]]:
    """The total; and deletions by day, by type (of which there may be any number), by age."""
    columns = DELETIONS.c
    sums = (func.max(columns[name]) if name == "age_seconds_max" else func.sum(columns[name]) for name in _NO_TALLY)
    total = select(*(one.label(name) for one, name in zip(sums, _NO_TALLY, strict=True)))
    times = func.sum(columns.deleted)
    by_day, by_type, by_age = (
        select(name, times).group_by(name) for name in (columns.day, columns.content_type, columns.age)
    )
    by_type = by_type.order_by(times.desc(), columns.content_type).limit(TYPES_MAX)
    return [_of_user(one, columns.owner, of_user=of_user) for one in (total, by_day, by_type, by_age)]


def _of_user(statement: Select[Any], user: Column[Any], *, of_user: bool) -> Select[Any]:
    return statement.where(user == bindparam("of")) if of_user else statement
