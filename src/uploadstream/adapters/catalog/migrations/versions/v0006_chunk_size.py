"""Uploads of senders that go on at the start of a chunk."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Of those that are there it is not known."""
    op.add_column("uploads", sa.Column("chunk_size", sa.BigInteger))
