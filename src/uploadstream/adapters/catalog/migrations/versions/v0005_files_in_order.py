"""Files are found by parts of their names, and listed by name and by size."""

import sqlalchemy as sa
from alembic import op

from uploadstream.core.listings import name_key

revision = "0005"
down_revision = "0004"

BATCH = 1000


def upgrade() -> None:
    """The names that are there get their keys, some at a time."""
    op.add_column("files", sa.Column("name_key", sa.Text, nullable=False, server_default=""))
    files = sa.table("files", sa.column("id"), sa.column("filename"), sa.column("name_key"))
    page = sa.select(files.c.id, files.c.filename).where(files.c.id > sa.bindparam("after"))
    page = page.order_by(files.c.id).limit(BATCH)
    setting = sa.update(files).where(files.c.id == sa.bindparam("key_of")).values(name_key=sa.bindparam("key"))
    connection = op.get_bind()
    after = ""
    while rows := connection.execute(page, {"after": after}).all():
        connection.execute(setting, [{"key_of": row.id, "key": name_key(row.filename)} for row in rows])
        after = rows[-1].id
    in_use = sa.text("deleted_at IS NULL")
    for name, column in (("files_in_use_by_name", "name_key"), ("files_in_use_by_size", "size")):
        op.create_index(name, "files", ["user_id", column, "id"], sqlite_where=in_use, postgresql_where=in_use)
