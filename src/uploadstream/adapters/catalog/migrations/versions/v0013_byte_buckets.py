"""What users may still send."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Instant, Word

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """All buckets are full."""
    op.create_table(
        "byte_buckets",
        sa.Column("user_id", Word, nullable=False),
        sa.Column("level", sa.BigInteger, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_byte_buckets"),
    )
