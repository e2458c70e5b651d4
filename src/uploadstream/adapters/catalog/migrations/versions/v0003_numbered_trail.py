"""Rows of the trail know whose upload or file they are about, and are counted for each owner."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Word

revision = "0003"
down_revision = "0002"

_OWNERS = """
    UPDATE audit SET owner = coalesce(
        (SELECT files.user_id FROM files WHERE files.id = audit.file_id),
        (SELECT uploads.user_id FROM uploads WHERE uploads.id = audit.file_id),
        user_id)
"""
_NUMBERS = """
    UPDATE audit SET number = counted.place
    FROM (SELECT file_id, at, id, row_number() OVER (PARTITION BY owner ORDER BY at, id) AS place FROM audit) AS counted
    WHERE audit.file_id = counted.file_id AND audit.at = counted.at AND audit.id = counted.id
"""


def upgrade() -> None:
    """Those that are there are counted in the order of their times."""
    op.add_column("audit", sa.Column("owner", Word, nullable=False, server_default=""))
    op.add_column("audit", sa.Column("number", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(_OWNERS)
    op.execute(_NUMBERS)
    op.create_index("audit_of_owner", "audit", ["owner", "number"], unique=True)
