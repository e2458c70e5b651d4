"""Uploads that may be of some types only."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Those that are there may be of all that the service takes."""
    op.add_column("uploads", sa.Column("allowed_types", sa.Text, nullable=False, server_default=""))
