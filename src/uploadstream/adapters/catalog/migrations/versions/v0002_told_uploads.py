"""Uploads whose sender says when they are complete."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Those that are there are complete when their length is reached, as before."""
    op.add_column("uploads", sa.Column("is_told", sa.Boolean, nullable=False, server_default=sa.false()))
