"""What migrations do to tables that are in use, so that nobody waits for them.

A step that adds a column, with a default or without, locks its table for a moment and may stay in its transaction. What
looks at every row may not: indexes are made by `make_index`, and rows are changed in `batches`. Each of the two ends
the step's transaction: what stands before it in the step must bear to be done again, should the rest be cut short.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

BATCH: Final = 1000
_IS_VALID: Final = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def make_index(
    name: str, table: str, columns: Sequence[str], *, where: str | None = None, unique: bool = False
) -> None:
    """An index of a table that goes on being written."""
    condition = None if where is None else sa.text(where)
    if op.get_bind().dialect.name != "postgresql":
        op.create_index(name, table, columns, unique=unique, sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        was: str = connection.execute(sa.text("SHOW lock_timeout")).scalar_one()
        # It waits for transactions that began earlier, and nobody waits for it.
        connection.execute(sa.text("SET lock_timeout = 0"))
        is_valid = connection.execute(_IS_VALID, {"name": name}).scalar()
        if is_valid is False:  # left by an attempt that was cut short
            op.drop_index(name, table, postgresql_concurrently=True)
        if not is_valid:
            op.create_index(
                name, table, columns, unique=unique, postgresql_where=condition, postgresql_concurrently=True
            )
        connection.execute(sa.text("SELECT set_config('lock_timeout', :was, false)"), {"was": was})


def batches(change: str) -> Iterator[int]:
    """Carry out an UPDATE or DELETE of at most :batch rows until it changes none; how many it changed, each time."""
    statement = sa.text(change)
    while True:
        if op.get_bind().dialect.name == "postgresql":
            with op.get_context().autocommit_block():
                count = op.get_bind().execute(statement, {"batch": BATCH}).rowcount
        else:
            count = op.get_bind().execute(statement, {"batch": BATCH}).rowcount
        if not count:
            return
        yield count
