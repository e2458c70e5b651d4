"""What users have, counted by triggers; uploads in one request that are counted too."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog import counting
from uploadstream.adapters.catalog.columns import Instant, Word

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Nobody is counted yet."""
    op.add_column("uploads", sa.Column("is_whole", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "usage",
        sa.Column("user_id", Word, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger, nullable=False),
        sa.Column("declared_bytes", sa.BigInteger, nullable=False),
        sa.Column("open_uploads", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger),
        sa.Column("filled_at", Instant),
        sa.PrimaryKeyConstraint("user_id", name="pk_usage"),
    )
    counting.create(op.get_bind())
