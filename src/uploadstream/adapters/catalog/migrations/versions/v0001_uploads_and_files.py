"""Uploads, files, what happened to them, and what is to be done to them."""

import sqlalchemy as sa
from alembic import op

from uploadstream.adapters.catalog.columns import Chosen, Details, Id, Instant, Word
from uploadstream.core.files import Action, ProcessingStatus
from uploadstream.core.session import End

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    _make_uploads()
    _make_files()
    _make_audit()
    _make_jobs()
    _make_properties()


def _make_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Word, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("length", sa.BigInteger),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("size_max", sa.BigInteger, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("touched_at", Instant, nullable=False),
        sa.Column("ended_how", Chosen(End)),
        sa.Column("ended_at", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    _make_index("uploads_open", "uploads", ["created_at", "id"], where="ended_at IS NULL")
    _make_index("uploads_open_of_user", "uploads", ["user_id", "created_at", "id"], where="ended_at IS NULL")
    _make_index("uploads_ended", "uploads", ["ended_at"], where="ended_at IS NOT NULL")


def _make_files() -> None:
    op.create_table(
        "files",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Word, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("declared_type", sa.Text, nullable=False),
        sa.Column("detected_type", sa.Text, nullable=False),
        sa.Column("crc32c", sa.BigInteger, nullable=False),
        sa.Column("uploaded_at", Instant, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("deleted_at", Instant),
        sa.Column("processing_status", Chosen(ProcessingStatus), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
    )
    _make_index("files_in_use", "files", ["uploaded_at", "id"], where="deleted_at IS NULL")
    _make_index("files_in_use_of_user", "files", ["user_id", "uploaded_at", "id"], where="deleted_at IS NULL")
    _make_index("files_in_trash", "files", ["uploaded_at", "id"], where="deleted_at IS NOT NULL")
    _make_index("files_in_trash_of_user", "files", ["user_id", "uploaded_at", "id"], where="deleted_at IS NOT NULL")


def _make_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("file_id", Id, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("action", Chosen(Action), nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("details", Details, nullable=False),
        sa.PrimaryKeyConstraint("file_id", "at", "id", name="pk_audit"),
        sqlite_with_rowid=False,
    )
    _make_index("audit_of_deletions", "audit", ["at", "action"], where="action IN ('delete', 'restore')")


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", Id, nullable=False),
        sa.Column("file_id", Id, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("run_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("file_id", "kind", name="uq_jobs_file_id_kind"),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name="fk_jobs_file_id", ondelete="CASCADE"),
    )
    _make_index("jobs_waiting", "jobs", ["run_at", "id"], where="state = 'pending'")


def _make_properties() -> None:
    op.create_table(
        "properties",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_properties"),
    )


def _make_index(name: str, table: str, columns: list[str], *, where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
