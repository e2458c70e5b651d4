"""Files as people ask for them: by parts of names, types and times, in one of several orders.

A page is read off the order's index. What a filter lets through is not in an index: so many files are looked at for a
page, and no more; then the page says where the next is to go on, however few there are in it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Select, bindparam, func, literal, or_, select, tuple_

from uploadstream.adapters.catalog.columns import Id
from uploadstream.adapters.catalog.rows import FILE_FIELDS, file_of
from uploadstream.adapters.catalog.tables import FILES, IN_TRASH, IN_USE
from uploadstream.core.listings import Found, Place, Sort, Wanted

LOOKS_MAX: Final = 20_000

_KEYS: Final[dict[Sort, Column[Any]]] = {
    Sort.UPLOADED_AT: FILES.c.uploaded_at,
    Sort.FILENAME: FILES.c.name_key,
    Sort.SIZE: FILES.c.size,
}
_COLUMNS: Final = (*(FILES.c[name] for name in FILE_FIELDS), FILES.c.name_key)
_TYPE: Final = func.lower(func.coalesce(func.nullif(FILES.c.declared_type, literal("")), FILES.c.detected_type))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a statement does not depend on values."""

    sort: Sort
    descending: bool
    deleted: bool
    continued: bool
    since: bool
    until: bool
    name: bool
    type_start: bool
    type_name: bool

    @property
    def filters(self) -> bool:
        """Whether files are looked at that are not in the page."""
        return self.name or self.type_start or self.type_name


def search(connection: Connection, user_id: str, wanted: Wanted, after: Place | None, limit: int) -> Found:
    """A page of one user's files."""
    shape = _shape_of(wanted, continued=after is not None)
    values = {"of": user_id, **_values(wanted), "looks": LOOKS_MAX if shape.filters else limit}
    if after is not None:
        values |= {"after_key": after.key, "after_id": after.id}
    rows = connection.execute(statement(shape), {**values, "limit": limit}).all()
    files = [file_of(row[: len(FILE_FIELDS)]) for row in rows]
    if len(files) == limit or not shape.filters:
        return Found(files)
    last = connection.execute(_last_statement(shape), {**values, "looks": LOOKS_MAX - 1}).first()
    return Found(files, None if last is None else Place(last.key, last.id))


@functools.cache
def statement(shape: _Shape) -> Select[Any]:
    """The files that are looked at, or those of them that the filters let through."""
    looked_at = _in_order(_ordered(shape), shape, _KEYS[shape.sort], FILES.c.id).limit(bindparam("looks"))
    if not shape.filters:
        return looked_at
    seen = looked_at.subquery("looked_at")
    let_through = select(*(seen.c[column.name] for column in _COLUMNS)).where(*_filters(shape, seen.c))
    return _in_order(let_through, shape, seen.c[_KEYS[shape.sort].name], seen.c.id).limit(bindparam("limit"))


@functools.cache
def _last_statement(shape: _Shape) -> Select[Any]:
    """The last file that is looked at, if there are as many as that."""
    key = _KEYS[shape.sort]
    rows = _in_order(_ordered(shape), shape, key, FILES.c.id).limit(1).offset(bindparam("looks"))
    return rows.with_only_columns(key.label("key"), FILES.c.id)


def _ordered(shape: _Shape) -> Select[Any]:
    """The user's files behind the place, of the times that are wanted."""
    rows = select(*_COLUMNS, _TYPE.label("type")).where(
        IN_TRASH if shape.deleted else IN_USE, FILES.c.user_id == bindparam("of")
    )
    key = _KEYS[shape.sort]
    if shape.continued:
        after = tuple_(bindparam("after_key", type_=key.type), bindparam("after_id", type_=Id))
        place = tuple_(key, FILES.c.id)
        rows = rows.where(place < after if shape.descending else place > after)
    if shape.since:
        rows = rows.where(FILES.c.uploaded_at >= bindparam("since"))
    if shape.until:
        rows = rows.where(FILES.c.uploaded_at < bindparam("until"))
    return rows


def _in_order(rows: Select[Any], shape: _Shape, key: ColumnElement[Any], row_id: ColumnElement[Any]) -> Select[Any]:
    return rows.order_by(*((key.desc(), row_id.desc()) if shape.descending else (key, row_id)))


def _filters(shape: _Shape, columns: Any) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if shape.name:
        filters.append(columns.name_key.contains(bindparam("name"), autoescape=False, escape="\\"))
    if shape.type_start:
        filters.append(columns.type.startswith(bindparam("type_start"), escape="\\"))
    if shape.type_name:
        parameters = columns.type.startswith(bindparam("type_with_parameters"), escape="\\")
        filters.append(or_(columns.type == bindparam("type_name"), parameters))
    return filters


def _shape_of(wanted: Wanted, *, continued: bool) -> _Shape:
    return _Shape(
        sort=wanted.sort,
        descending=wanted.descending,
        deleted=wanted.deleted,
        continued=continued,
        since=wanted.since is not None,
        until=wanted.until is not None,
        name=bool(wanted.name),
        type_start=bool(wanted.type_start),
        type_name=bool(wanted.type_name),
    )


def _values(wanted: Wanted) -> dict[str, Any]:
    """The parameters of all shapes; a statement takes those that it has."""
    return {
        "since": wanted.since,
        "until": wanted.until,
        "name": _literally(wanted.name_part),
        "type_start": _literally(wanted.type_start),
        "type_name": wanted.type_name,
        "type_with_parameters": _literally(f"{wanted.type_name};"),
    }


def _literally(text: str) -> str:
    """`text` for LIKE, none of whose characters stands for others."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
