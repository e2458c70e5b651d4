"""What is written to the catalog: plain functions over a connection, each for many requests of one kind at once.

A group of requests costs a few statements instead of a few for each. An act depends on its arguments and on the
database alone, so that it may be undone and done again. `IN_ORDER` is the order of an upload's life: requests that
wait together are carried out so, whichever kind was asked for first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, case, delete, func, insert, select, update

from uploadstream.adapters.catalog import usage
from uploadstream.adapters.catalog.columns import Id, among
from uploadstream.adapters.catalog.queries import file as read_file
from uploadstream.adapters.catalog.queries import open_uploads as read_open_uploads
from uploadstream.adapters.catalog.queries import property_of
from uploadstream.adapters.catalog.rows import audit_values, file_values, job_values, session_values
from uploadstream.adapters.catalog.tables import (
    AUDIT,
    DELETIONS,
    ENDED,
    FILES,
    IN_TRASH,
    IN_USE,
    JOBS,
    OPEN,
    PARTS,
    PROPERTIES,
    SECRET,
    STORE_ID,
    UPLOADS,
)
from uploadstream.core.allowances import Allowance, LimitReached, Usage
from uploadstream.core.errors import NotFound
from uploadstream.core.files import Audit, File
from uploadstream.core.session import Session
from uploadstream.core.stats import Kept, Tally, tally_of

Act = Callable[[Connection, Sequence[Any]], Sequence[Any]]

_ID: Final = bindparam("row_id", type_=Id)
_THERE: Final = {table: select(table.c.id).where(among(table.c.id)) for table in (UPLOADS, FILES)}
_ADD_UPLOADS: Final = insert(UPLOADS)
_ADD_FILES: Final = insert(FILES)
_EARLIER: Final = AUDIT.alias("earlier")
_ADD_AUDIT: Final = insert(AUDIT).values(
    number=select(func.coalesce(func.max(_EARLIER.c.number), 0) + 1)
    .where(_EARLIER.c.owner == bindparam("of_owner"))
    .scalar_subquery()
)
_ADD_JOBS: Final = insert(JOBS)
_ADD_PARTS: Final = insert(PARTS)
_DROP_PARTS: Final = delete(PARTS).where(PARTS.c.file_id == _ID)
_NO_PARTS: Final = update(FILES).where(FILES.c.id == _ID).values(parts=None)
_ADD_PROPERTY: Final = insert(PROPERTIES)
_DROP_UPLOADS: Final = delete(UPLOADS).where(UPLOADS.c.id == _ID)
_DECLARE: Final = update(UPLOADS).where(UPLOADS.c.id == _ID, OPEN).values(length=bindparam("new_length"))
_DESCRIBE: Final = (
    update(UPLOADS)
    .where(UPLOADS.c.id == _ID, OPEN)
    .values(filename=bindparam("new_filename"), chunk_size=bindparam("new_chunk_size"))
)
_END: Final = (
    update(UPLOADS).where(UPLOADS.c.id == _ID, OPEN).values(ended_how=bindparam("how"), ended_at=bindparam("at"))
)
_DELETE: Final = update(FILES).where(FILES.c.id == _ID, IN_USE).values(deleted_at=bindparam("at"))
_RESTORE: Final = update(FILES).where(FILES.c.id == _ID, IN_TRASH).values(deleted_at=bindparam("at"))
_PURGE: Final = delete(FILES).where(FILES.c.id == _ID, IN_TRASH, FILES.c.deleted_at == bindparam("at"))
_ADD_DELETIONS: Final = insert(DELETIONS)
_KEPT: Final = {field.name: DELETIONS.c[field.name] for field in fields(Kept)}
_MORE: Final = {
    field.name: bindparam(f"more_{field.name}", type_=DELETIONS.c[field.name].type) for field in fields(Tally)
}
_GREATEST: Final = "age_seconds_max"
_ADD_TO_DELETIONS: Final = (
    update(DELETIONS)
    .where(*(column == bindparam(f"of_{name}") for name, column in _KEPT.items()))
    .values({name: DELETIONS.c[name] + more for name, more in _MORE.items() if name != _GREATEST})
    .values(
        {_GREATEST: case((DELETIONS.c[_GREATEST] < _MORE[_GREATEST], _MORE[_GREATEST]), else_=DELETIONS.c[_GREATEST])}
    )
)
_FORGET: Final = delete(UPLOADS).where(
    UPLOADS.c.id.in_(
        select(UPLOADS.c.id)
        .where(ENDED, UPLOADS.c.ended_at < bindparam("before"))
        .order_by(UPLOADS.c.ended_at)
        .limit(bindparam("limit"))
    )
)


def create_uploads(
    connection: Connection, given: Sequence[tuple[Session, Audit | None, Allowance | None]]
) -> Sequence[Usage | LimitReached | None]:
    """Add uploads with their first rows of the trail; one that is there already stays as it is."""
    there = _there(connection, UPLOADS, [session.id for session, *_ in given])
    new: dict[str, tuple[Session, Audit | None]] = {}
    limits: dict[str, Allowance | None] = {}
    for session, audit, allowance in given:
        if session.id not in there:
            new.setdefault(session.id, (session, audit))
            limits.setdefault(session.id, allowance)
    outcomes = usage.begin(connection, [(session, limits[session.id]) for session, _ in new.values()])
    begun = [row for row in new.values() if not isinstance(outcomes.get(row[0].id), LimitReached)]
    if begun:
        connection.execute(_ADD_UPLOADS, [session_values(session) for session, _ in begun])
        record_for(connection, [(session.declared.user_id, audit) for session, audit in begun if audit is not None])
    return [outcomes.get(session.id) for session, *_ in given]


def declare_lengths(
    connection: Connection, given: Sequence[tuple[str, int, Allowance | None]]
) -> Sequence[LimitReached | None]:
    """Set the lengths of open uploads."""
    refused = usage.declare(connection, given)
    rows = [{"row_id": one, "new_length": length} for one, length, _ in given if (one, length) not in refused]
    if rows:
        connection.execute(_DECLARE, rows)
    return [refused.get((upload_id, length)) for upload_id, length, _ in given]


def describe_uploads(connection: Connection, given: Sequence[tuple[str, str, int | None]]) -> Sequence[None]:
    """Set the names and chunk sizes of open uploads."""
    values = [{"row_id": one, "new_filename": name, "new_chunk_size": size} for one, name, size in given]
    connection.execute(_DESCRIBE, values)
    return [None] * len(given)


def publish(
    connection: Connection, given: Sequence[tuple[File, Audit, Allowance | None]]
) -> Sequence[File | LimitReached]:
    """Turn uploads into files, with their rows of the trail and their jobs; what is there already stays as it is."""
    there = _there(connection, FILES, [file.id for file, *_ in given])
    new: dict[str, tuple[File, Audit]] = {}
    limits: dict[str, Allowance | None] = {}
    for file, audit, allowance in given:
        if file.id not in there:
            new.setdefault(file.id, (file, audit))
            limits.setdefault(file.id, allowance)
    refused = usage.store(connection, [(file, limits[file.id]) for file, _ in new.values()])
    for file_id in refused:
        del new[file_id]
    if new:
        joined = [file for file, _ in new.values() if file.parts]
        _check_parts(connection, joined)
        connection.execute(_ADD_FILES, [file_values(file) for file, _ in new.values()])
        connection.execute(_ADD_JOBS, [job_values(file) for file, _ in new.values()])
        record_for(connection, [(file.user_id, audit) for file, audit in new.values()])
        uses = {(part.key, file.id) for file in joined for part in file.parts}
        if uses:
            connection.execute(_ADD_PARTS, [{"key": key, "file_id": file_id} for key, file_id in sorted(uses)])
    stored = [file.id for file, *_ in given if file.id not in refused]
    if stored:
        connection.execute(_DROP_UPLOADS, [{"row_id": file_id} for file_id in stored])
    there_now = {file_id: _there_already(connection, file_id) for file_id in stored if file_id not in new}
    return [refused.get(file.id) or there_now.get(file.id) or new[file.id][0] for file, *_ in given]


def end_uploads(connection: Connection, given: Sequence[tuple[Session, Audit]]) -> Sequence[None]:
    """Close open uploads that became no file; nothing for those that are closed already."""
    for session, audit in given:
        values = {"row_id": session.id, "how": session.end, "at": audit.at}
        if connection.execute(_END, values).rowcount:
            record_for(connection, [(session.declared.user_id, audit)])
    return [None] * len(given)


def set_deleted(connection: Connection, given: Sequence[tuple[File, Audit]]) -> Sequence[bool]:
    """Move files to the trash or out of it; False for those that are there already."""
    moved = []
    for file, _ in given:
        statement = _RESTORE if file.deleted_at is None else _DELETE
        moved.append(connection.execute(statement, {"row_id": file.id, "at": file.deleted_at}).rowcount == 1)
    _tell(connection, list(itertools.compress(given, moved)))
    return moved


def purge(connection: Connection, given: Sequence[tuple[File, Audit]]) -> Sequence[bool]:
    """Drop the rows of files in the trash, and with them those of their parts and jobs; False for those not there."""
    gone = []
    for file, _ in given:
        gone.append(connection.execute(_PURGE, {"row_id": file.id, "at": file.deleted_at}).rowcount == 1)
    _tell(connection, list(itertools.compress(given, gone)))
    return gone


def gather(connection: Connection, given: Sequence[str]) -> Sequence[bool]:
    """Note that files have no parts any more; False for those that had none."""
    outcomes = [connection.execute(_DROP_PARTS, {"row_id": file_id}).rowcount > 0 for file_id in given]
    connection.execute(_NO_PARTS, [{"row_id": file_id} for file_id in given])
    return outcomes


def record(connection: Connection, given: Sequence[tuple[str, Audit]]) -> Sequence[None]:
    """Add rows to the trails of their owners."""
    record_for(connection, given)
    return [None] * len(given)


def forget_ended(connection: Connection, given: Sequence[tuple[datetime, int]]) -> Sequence[int]:
    """Drop the rows of uploads that ended long ago; how many they were."""
    return [connection.execute(_FORGET, {"before": before, "limit": limit}).rowcount for before, limit in given]


def set_store_id(connection: Connection, given: Sequence[str]) -> Sequence[str]:
    """Settle which store has the bytes: the first that was ever given."""
    return _settle(connection, STORE_ID, given)


def set_secret(connection: Connection, given: Sequence[str]) -> Sequence[str]:
    """Settle what servers sign with: the first that was ever given."""
    return _settle(connection, SECRET, given)


def _settle(connection: Connection, name: str, given: Sequence[str]) -> Sequence[str]:
    known = property_of(connection, name)
    if known is None:
        known = given[0]
        connection.execute(_ADD_PROPERTY, {"name": name, "value": known})
    return [known] * len(given)


IN_ORDER: Final[Sequence[Act]] = (
    create_uploads,
    declare_lengths,
    describe_uploads,
    publish,
    end_uploads,
    set_deleted,
    purge,
    record,
    forget_ended,
)


def _there(connection: Connection, table: Table, ids: Collection[str]) -> set[str]:
    """Those of `ids` that have a row. Should another process add one now, inserting it fails, and is tried again."""
    return set(connection.execute(_THERE[table], {"keys": list(ids)}).scalars())


def _check_parts(connection: Connection, joined: Sequence[File]) -> None:
    """NotFound unless the uploads that these files are joined from are all open, so that their blobs are kept."""
    keys = {part.key for file in joined for part in file.parts}
    missing = keys - read_open_uploads(connection, keys)
    if missing:
        raise NotFound(kind="upload", id=min(missing))


def _there_already(connection: Connection, file_id: str) -> File:
    found = read_file(connection, file_id)
    if found is None:
        raise LookupError(file_id)  # inside one transaction: cannot be
    return found


def record_for(connection: Connection, audits: Sequence[tuple[str, Audit]]) -> None:
    """Add rows to the trails of their owners, each numbered behind the one before."""
    if not audits:
        return
    rows = [{**audit_values(audit, owner=owner), "of_owner": owner} for owner, audit in audits]
    connection.execute(_ADD_AUDIT, rows)


def _tell(connection: Connection, done: Sequence[tuple[File, Audit]]) -> None:
    """Add what happened to files to the trail, and to the statistics."""
    if not done:
        return
    record_for(connection, [(file.user_id, audit) for file, audit in done])
    tallies: dict[Kept, Tally] = {}
    for kept, tally in filter(None, itertools.starmap(tally_of, done)):
        tallies[kept] = tallies.get(kept, Tally()) + tally
    for kept, tally in tallies.items():
        key, numbers = asdict(kept), asdict(tally)
        values = {f"of_{name}": value for name, value in key.items()} | {
            f"more_{name}": value for name, value in numbers.items()
        }
        if not connection.execute(_ADD_TO_DELETIONS, values).rowcount:
            connection.execute(_ADD_DELETIONS, key | numbers)
