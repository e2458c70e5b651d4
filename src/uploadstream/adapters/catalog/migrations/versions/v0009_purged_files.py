"""Files are purged from the trash, and what happened to them is added up before they go."""

from dataclasses import asdict

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Instant, Word
from uploadstream.core.stats import Kept, Tally, age_of, type_of

revision = "0009"
down_revision = "0008"

BATCH = 1000

_FILES = sa.table(
    "files",
    *(sa.column(name) for name in ("id", "user_id", "declared_type", "detected_type")),
    sa.column("uploaded_at", Instant()),
)
_AUDIT = sa.table("audit", sa.column("file_id"), sa.column("id"), sa.column("at", Instant()), sa.column("action"))
_PLACE = sa.tuple_(_AUDIT.c.file_id, _AUDIT.c.id)
_ROWS = (
    sa.select(*_AUDIT.c, *(column for column in _FILES.c if column.name != "id"))
    .join_from(_AUDIT, _FILES, _AUDIT.c.file_id == _FILES.c.id)
    .where(_AUDIT.c.action.in_([sa.literal_column("'delete'"), sa.literal_column("'restore'")]))
    .order_by(_AUDIT.c.file_id, _AUDIT.c.id)
    .limit(BATCH)
)


def upgrade() -> None:
    """What was deleted and restored until now is added up, some rows at a time."""
    deletions = op.create_table(
        "deletions",
        *(sa.Column(name, Word, primary_key=True) for name in ("owner", "day", "content_type", "age")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("deleted", "restored", "purged", "purged_bytes")),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("age_seconds_sum", "age_seconds_max")),
        sqlite_with_rowid=False,
    )
    if tallies := _added_up(op.get_bind()):
        op.bulk_insert(deletions, [asdict(kept) | asdict(tally) for kept, tally in tallies.items()])
    op.drop_index("audit_of_deletions", "audit")
    in_trash = sa.text("deleted_at IS NOT NULL")
    op.create_index("files_to_purge", "files", ["deleted_at", "id"], sqlite_where=in_trash, postgresql_where=in_trash)


def _added_up(connection: sa.Connection) -> dict[Kept, Tally]:
    tallies: dict[Kept, Tally] = {}
    page = _ROWS
    while rows := connection.execute(page).all():
        for row in rows:
            age = row.at - row.uploaded_at
            kind = type_of(row.declared_type or row.detected_type)
            kept = Kept(row.user_id, row.at.date().isoformat(), kind, age_of(age))
            tallies[kept] = tallies.get(kept, Tally()) + (
                Tally(restored=1) if row.action == "restore" else Tally.of_deletion(age)
            )
        page = _ROWS.where(sa.tuple_(sa.literal(rows[-1].file_id), sa.literal(rows[-1].id)) < _PLACE)
    return tallies
