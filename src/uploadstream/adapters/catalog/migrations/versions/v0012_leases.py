"""Leases among servers on several hosts."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Id, Instant, Word

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Nobody holds any yet."""
    op.create_table(
        "lease_holders",
        sa.Column("id", Id, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("until", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lease_holders"),
    )
    op.create_table(
        "leases",
        sa.Column("key", Word, nullable=False),
        sa.Column("holder", Id),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("dirty", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_leases"),
    )
    op.create_index("leases_of_holder", "leases", ["holder"])
