"""The schema, as it is now; `migrations/` leads to it.

A listing is one index read backwards: its columns are the filter, the time and the id, and its condition leaves out
what the listing never shows.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
    false,
    literal_column,
)

from uploadstream.adapters.catalog import counting
from uploadstream.adapters.catalog.columns import Chosen, Details, Id, Instant, PartsOf, Word
from uploadstream.core.files import Action, ProcessingStatus
from uploadstream.core.session import End

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# An upload that has become a file has no row here: it is in `files`.
UPLOADS: Final = Table(
    "uploads",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("user_id", Word, nullable=False),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("length", BigInteger),
    Column("metadata", Text, nullable=False),
    Column("size_max", BigInteger, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("touched_at", Instant, nullable=False),
    Column("ended_how", Chosen(End)),
    Column("ended_at", Instant),
    Column("is_told", Boolean, nullable=False, server_default=false()),
    Column("is_partial", Boolean, nullable=False, server_default=false()),
    Column("chunk_size", BigInteger),
    Column("allowed_types", Text, nullable=False, server_default=""),
    Column("is_whole", Boolean, nullable=False, server_default=false()),
)

# The columns are named after the fields of core.files.File; `name_key` is what core.listings makes of the name.
FILES: Final = Table(
    "files",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("user_id", Word, nullable=False),
    Column("filename", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("declared_type", Text, nullable=False),
    Column("detected_type", Text, nullable=False),
    Column("crc32c", BigInteger, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("sha256", Text),
    Column("deleted_at", Instant),
    Column("processing_status", Chosen(ProcessingStatus), nullable=False),
    Column("parts", PartsOf),
    Column("joins", Text, nullable=False, server_default=""),
    Column("name_key", Word, nullable=False, server_default=""),
)

# The same parts once more, to be asked for by their keys: a blob is kept while a file is joined from it.
PARTS: Final = Table(
    "parts",
    METADATA,
    Column("key", Id, primary_key=True),
    Column("file_id", Id, ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)

Index("parts_of_file", PARTS.c.file_id)

# No foreign key: the trail is also about uploads, and outlives what it is about. On SQLite the key is the table.
# `user_id` is who did it, `owner` whose upload or file it is; `number` counts the owner's rows from 1.
AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("file_id", Id, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("action", Chosen(Action), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("details", Details, nullable=False),
    Column("owner", Word, nullable=False, server_default=""),
    Column("number", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
# The rows of one owner in the order of their commits: whoever adds one at the same time collides, and tries again.
Index("audit_of_owner", AUDIT.c.owner, AUDIT.c.number, unique=True)

# What happened to files in the trash, added up: core.stats.Kept is the key, and core.stats.Tally the counts.
DELETIONS: Final = Table(
    "deletions",
    METADATA,
    Column("owner", Word, primary_key=True),
    Column("day", Word, primary_key=True),
    Column("content_type", Word, primary_key=True),
    Column("age", Word, primary_key=True),
    Column("deleted", BigInteger, nullable=False),
    Column("restored", BigInteger, nullable=False),
    Column("purged", BigInteger, nullable=False),
    Column("purged_bytes", BigInteger, nullable=False),
    Column("age_seconds_sum", Double, nullable=False),
    Column("age_seconds_max", Double, nullable=False),
    sqlite_with_rowid=False,
)

# The outbox: what is to be done to a file after its last byte.
JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("file_id", Id, ForeignKey("files.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("run_at", Instant, nullable=False),
    UniqueConstraint("file_id", "kind"),
)

# Of a key, its digest is kept, and nothing that it could be made of; `scopes` with spaces between them.
KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    UniqueConstraint("digest"),
)
Index("api_keys_newest", KEYS.c.created_at, KEYS.c.id)
Index("api_keys_of_user", KEYS.c.user_id, KEYS.c.created_at, KEYS.c.id)

# What is true of the catalog as a whole.
PROPERTIES: Final = Table(
    "properties", METADATA, Column("name", Text, primary_key=True), Column("value", Text, nullable=False)
)
STORE_ID: Final = "store_id"
SECRET: Final = "secret"  # noqa: S105 - its name

# What is said of single users' limits, each as its setting is written; null: nothing.
OVERRIDES: Final = Table(
    "overrides",
    METADATA,
    Column("user_id", Word, primary_key=True),
    Column("rate_uploads", Text),
    Column("rate_bytes", Text),
    Column("max_active_uploads", Text),
    Column("quota_bytes", Text),
)

# What a user has, from when a limit of its was first checked on; counting.py keeps it. `tokens` and `filled_at` are
# the bucket of uploads that begin (core/ratelimit.py); null: it is full.
USAGE: Final = Table(
    "usage",
    METADATA,
    Column("user_id", Word, primary_key=True),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("declared_bytes", BigInteger, nullable=False),
    Column("open_uploads", BigInteger, nullable=False),
    Column("tokens", BigInteger),
    Column("filled_at", Instant),
)


@event.listens_for(METADATA, "after_create")
def _count(_: MetaData, connection: Connection, **__: object) -> None:
    counting.create(connection)


# Used on PostgreSQL alone, where servers on several hosts may have one catalog: who holds which key, and until when a
# process is taken for alive. A dirty lease was taken by force, and what is under its key is not yet fenced.
LEASE_HOLDERS: Final = Table(
    "lease_holders",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("place", Text, nullable=False),
    Column("until", Instant, nullable=False),
)
LEASES: Final = Table(
    "leases",
    METADATA,
    Column("key", Word, primary_key=True),
    Column("holder", Id),
    Column("number", BigInteger, nullable=False),
    Column("dirty", Boolean, nullable=False),
)
Index("leases_of_holder", LEASES.c.holder)
# What users may still send, in the units of core/ratelimit.py; no row: as much as a full bucket has.
BYTE_BUCKETS: Final = Table(
    "byte_buckets",
    METADATA,
    Column("user_id", Word, primary_key=True),
    Column("level", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
)


def _partial(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    """An index of the rows that fulfil a condition; it is used by a query that states the same condition."""
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


OPEN: Final = UPLOADS.c.ended_at.is_(None)
_partial("uploads_open", UPLOADS.c.created_at, UPLOADS.c.id, where=OPEN)
_partial("uploads_open_of_user", UPLOADS.c.user_id, UPLOADS.c.created_at, UPLOADS.c.id, where=OPEN)

ENDED: Final = UPLOADS.c.ended_at.is_not(None)
_partial("uploads_ended", UPLOADS.c.ended_at, where=ENDED)

IN_USE: Final = FILES.c.deleted_at.is_(None)
_partial("files_in_use", FILES.c.uploaded_at, FILES.c.id, where=IN_USE)
_partial("files_in_use_of_user", FILES.c.user_id, FILES.c.uploaded_at, FILES.c.id, where=IN_USE)

_partial("files_in_use_by_name", FILES.c.user_id, FILES.c.name_key, FILES.c.id, where=IN_USE)
_partial("files_in_use_by_size", FILES.c.user_id, FILES.c.size, FILES.c.id, where=IN_USE)

IN_TRASH: Final = FILES.c.deleted_at.is_not(None)
_partial("files_in_trash", FILES.c.uploaded_at, FILES.c.id, where=IN_TRASH)
_partial("files_in_trash_of_user", FILES.c.user_id, FILES.c.uploaded_at, FILES.c.id, where=IN_TRASH)
_partial("files_to_purge", FILES.c.deleted_at, FILES.c.id, where=IN_TRASH)

# Literals, not parameters: what a statement's parameters will be is not known when its index is chosen.
WAITING: Final = literal_column("state") == literal_column("'pending'")
_partial("jobs_waiting", JOBS.c.run_at, JOBS.c.id, where=WAITING)
