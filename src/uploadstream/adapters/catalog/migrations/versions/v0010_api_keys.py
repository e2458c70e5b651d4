"""API keys of users."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Id, Instant

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """There are none yet."""
    op.create_table(
        "api_keys",
        sa.Column("id", Id, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant),
        sa.Column("last_used_at", Instant),
        sa.Column("revoked_at", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("api_keys_newest", "api_keys", ["created_at", "id"])
    op.create_index("api_keys_of_user", "api_keys", ["user_id", "created_at", "id"])
