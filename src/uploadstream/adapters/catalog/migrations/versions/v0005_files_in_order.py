"""Files are found by parts of their names, and listed by name and by size."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Id, Word
from uploadstream.core.listings import name_key

revision = "0005"
down_revision = "0004"

BATCH = 1000


def upgrade() -> None:
    """The names that are there get their keys, some at a time."""
    op.add_column("files", sa.Column("name_key", Word, nullable=False, server_default=""))
    files = sa.table("files", sa.column("id", Id), sa.column("filename", sa.Text), sa.column("name_key", sa.Text))
    first = sa.select(files.c.id, files.c.filename).order_by(files.c.id).limit(BATCH)
    following = first.where(files.c.id > sa.bindparam("after"))
    setting = sa.update(files).where(files.c.id == sa.bindparam("key_of")).values(name_key=sa.bindparam("key"))
    connection = op.get_bind()
    rows = connection.execute(first).all()
    while rows:
        connection.execute(setting, [{"key_of": row.id, "key": name_key(row.filename)} for row in rows])
        rows = connection.execute(following, {"after": rows[-1].id}).all()
    in_use = sa.text("deleted_at IS NULL")
    for name, column in (("files_in_use_by_name", "name_key"), ("files_in_use_by_size", "size")):
        op.create_index(name, "files", ["user_id", column, "id"], sqlite_where=in_use, postgresql_where=in_use)
