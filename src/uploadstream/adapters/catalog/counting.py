"""What each user has, counted by the database itself: triggers on the rows that are counted.

So whoever writes such a row, however, has counted it, in the same transaction. A user who has no row in `usage` is not
counted, which costs nothing but looking it up. The rules of counting are those of core/allowances.py.

A migration that changes a rule calls `create` again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

_OPEN: Final = "(SELECT user_id FROM uploads WHERE id = {key} AND ended_at IS NULL)"
_LENGTH: Final = "(SELECT coalesce(length, 0) FROM uploads WHERE id = {key})"
_OF_A_FILE: Final = "EXISTS (SELECT 1 FROM parts WHERE key = OLD.id)"
_MINUS: Final = "open_uploads = open_uploads - 1, declared_bytes = declared_bytes - "
_PLUS: Final = "open_uploads = open_uploads + 1, declared_bytes = declared_bytes + "


@dataclass(frozen=True, slots=True)
class _Rule:
    """At each row of an event: what changes for which user. `given` before the event sees the rows before this one."""

    name: str
    event: str
    table: str
    given: str
    change: str
    user: str


_RULES: Final = (
    _Rule(
        "usage_upload_added",
        "AFTER INSERT",
        "uploads",
        given="NEW.ended_at IS NULL",
        change=f"{_PLUS}coalesce(NEW.length, 0)",
        user="NEW.user_id",
    ),
    _Rule(
        "usage_upload_declared",
        "AFTER UPDATE OF length",
        "uploads",
        given=f"NEW.ended_at IS NULL AND NOT {_OF_A_FILE}",
        change="declared_bytes = declared_bytes - coalesce(OLD.length, 0) + coalesce(NEW.length, 0)",
        user="NEW.user_id",
    ),
    _Rule(
        "usage_upload_ended",
        "AFTER UPDATE OF ended_at",
        "uploads",
        given=f"OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL AND NOT {_OF_A_FILE}",
        change=f"{_MINUS}coalesce(OLD.length, 0)",
        user="NEW.user_id",
    ),
    _Rule(
        "usage_upload_gone",
        "AFTER DELETE",
        "uploads",
        given=f"OLD.ended_at IS NULL AND NOT {_OF_A_FILE}",
        change=f"{_MINUS}coalesce(OLD.length, 0)",
        user="OLD.user_id",
    ),
    # An upload whose bytes are a file's counts no more; it does again if no file has them any more.
    _Rule(
        "usage_part_added",
        "BEFORE INSERT",
        "parts",
        given="NOT EXISTS (SELECT 1 FROM parts WHERE key = NEW.key)",
        change=_MINUS + _LENGTH.format(key="NEW.key"),
        user=_OPEN.format(key="NEW.key"),
    ),
    _Rule(
        "usage_part_gone",
        "BEFORE DELETE",
        "parts",
        given="NOT EXISTS (SELECT 1 FROM parts WHERE key = OLD.key AND file_id <> OLD.file_id)",
        change=_PLUS + _LENGTH.format(key="OLD.key"),
        user=_OPEN.format(key="OLD.key"),
    ),
    _Rule(
        "usage_file_added",
        "AFTER INSERT",
        "files",
        given="",
        change="stored_bytes = stored_bytes + NEW.size",
        user="NEW.user_id",
    ),
    _Rule(
        "usage_file_gone",
        "AFTER DELETE",
        "files",
        given="",
        change="stored_bytes = stored_bytes - OLD.size",
        user="OLD.user_id",
    ),
)


def create(connection: Connection) -> None:
    """Make the triggers, in the place of those that are there."""
    statements = _on_sqlite if connection.dialect.name == "sqlite" else _on_postgresql
    for rule in _RULES:
        for statement in statements(rule):
            connection.exec_driver_sql(statement)


def _update(rule: _Rule) -> str:
    return f"UPDATE usage SET {rule.change} WHERE user_id = {rule.user}"  # noqa: S608 - all of it is written above


def _on_sqlite(rule: _Rule) -> Iterator[str]:
    given = f" WHEN {rule.given}" if rule.given else ""
    yield f"DROP TRIGGER IF EXISTS {rule.name}"
    yield f"CREATE TRIGGER {rule.name} {rule.event} ON {rule.table}{given} BEGIN {_update(rule)}; END"


def _on_postgresql(rule: _Rule) -> Iterator[str]:
    act = f"IF {rule.given} THEN {_update(rule)}; END IF;" if rule.given else f"{_update(rule)};"
    result = "OLD" if "DELETE" in rule.event else "NEW"  # of a trigger before the event: go on
    yield (
        f"CREATE OR REPLACE FUNCTION {rule.name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {act} RETURN {result}; END $$"
    )
    yield (
        f"CREATE OR REPLACE TRIGGER {rule.name} {rule.event} ON {rule.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {rule.name}()"
    )
