"""Partial uploads, and files that are joined from them."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Details, Id

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Those that are there are neither."""
    op.add_column("uploads", sa.Column("is_partial", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("files", sa.Column("parts", Details))
    op.add_column("files", sa.Column("joins", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "parts",
        sa.Column("key", Id, nullable=False),
        sa.Column("file_id", Id, nullable=False),
        sa.PrimaryKeyConstraint("key", "file_id", name="pk_parts"),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name="fk_parts_file_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("parts_of_file", "parts", ["file_id"])
