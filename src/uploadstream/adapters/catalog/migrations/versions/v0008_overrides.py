"""Limits of single users."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Word

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nobody has any yet."""
    op.create_table(
        "overrides",
        sa.Column("user_id", Word, nullable=False),
        sa.Column("rate_uploads", sa.Text),
        sa.Column("rate_bytes", sa.Text),
        sa.Column("max_active_uploads", sa.Text),
        sa.Column("quota_bytes", sa.Text),
        sa.PrimaryKeyConstraint("user_id", name="pk_overrides"),
    )
