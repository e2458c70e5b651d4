"""Databases for the catalog: made empty, brought to the project's schema, and filled with files of many users.

PostgreSQL is a cluster of its own in the work folder, with its default settings but for the memory it may use: Debian's
server has 128 MiB of it by default, and here 256.
"""

import csv
import io
import os
import random
import shutil
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rig.peers import BENCH
from rig.servers import free_port, plain_environment

PROGRAM = BENCH.parent / ".venv/bin/uploadstream"
READY_SECONDS = 60
COLUMNS = (
    *("id", "user_id", "filename", "size", "declared_type", "detected_type", "crc32c", "uploaded_at", "protocol"),
    *("metadata", "deleted_at", "processing_status", "name_key"),
)
KINDS = {"jpg": "image/jpeg", "png": "image/png", "mp4": "video/mp4", "pdf": "application/pdf", "txt": "text/plain"}
WORDS = ("report", "holiday", "invoice", "draft", "scan", "meeting", "photo", "backup", "contract", "recording")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DELETED_SHARE = 0.1

Row = tuple[str | int | datetime | None, ...]


@dataclass(frozen=True)
class Filling:
    """What a catalog is filled with: the same rows on every database."""

    files: int
    users: int

    def user(self, dice: random.Random) -> str:
        """One of the users; those with small numbers come up more often: of 1,000 the first has 3 % of all files."""
        return f"user {int(self.users * dice.random() ** 2)}"

    def rows(self) -> Iterator[Row]:
        """As COLUMNS."""
        dice = random.Random(1)
        for number in range(self.files):
            name_end, kind = dice.choice(list(KINDS.items()))
            name = f"{dice.choice(WORDS)} {dice.choice(WORDS)} {number}.{name_end}"
            at = NOW - timedelta(seconds=dice.random() * 365 * 86_400)
            deleted_at = NOW if dice.random() < DELETED_SHARE else None
            file_id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
            # there are no blobs: a sweep would put files that lack bytes into the trash, all the while
            yield (file_id, self.user(dice), name, 0, kind, kind, 0, at, "tus", "", deleted_at, 1, name)


@dataclass(frozen=True)
class Database:
    """One that is up to date and has no files yet."""

    name: str
    dsn: str
    fill: Callable[[Filling], None]
    explain: Callable[[str], str]


@contextmanager
def sqlite(folder: Path) -> Iterator[Database]:
    """A file."""
    folder.mkdir()
    path = folder / "catalog.sqlite"
    dsn = f"sqlite:///{path}"
    migrate(dsn)

    def fill(filling: Filling) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        with closing(sqlite3.connect(path)) as connection, connection:
            rows = (tuple(map(_microseconds, row)) for row in filling.rows())
            connection.executemany(f"INSERT INTO files ({', '.join(COLUMNS)}) VALUES ({marks})", rows)  # noqa: S608

    def explain(query: str) -> str:
        with closing(sqlite3.connect(path)) as connection:
            return "\n".join(row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))

    yield Database("SQLite", dsn, fill, explain)


def _microseconds(value: str | int | datetime | None) -> str | int | None:
    if not isinstance(value, datetime):
        return value
    return (value - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@contextmanager
def postgresql(folder: Path) -> Iterator[Database]:
    """A cluster, stopped in the end."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed (Debian package postgresql)")
    # it does not run as root
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    folder.mkdir()
    if as_user:
        folder.parent.chmod(0o711)
        shutil.chown(folder, "postgres", "postgres")
    port, data, log = free_port(), folder / "data", folder / "log"
    run([*as_user, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--locale=C.UTF-8"])
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c shared_buffers=256MB"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data)]
    run([*control, "-w", "-t", str(READY_SECONDS), "-l", str(log), "-o", options, "start"])
    dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    psql = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn]

    def fill(filling: Filling) -> None:
        copy = f"COPY files ({', '.join(COLUMNS)}) FROM STDIN WITH (FORMAT csv, FORCE_NOT_NULL (metadata))"
        with subprocess.Popen([*psql, "-c", copy], stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            with io.TextIOWrapper(process.stdin, encoding="utf-8", newline="") as text:
                csv.writer(text).writerows(filling.rows())
        assert process.returncode == 0
        run([*psql, "-c", "VACUUM ANALYZE"])

    try:
        migrate(dsn)
        yield Database("PostgreSQL", dsn, fill, lambda query: run([*psql, "-c", f"EXPLAIN (COSTS OFF) {query}"]))
    finally:
        run([*control, "-m", "immediate", "stop"])


DATABASES = {"sqlite": sqlite, "postgresql": postgresql}


def migrate(dsn: str) -> None:
    """The schema, by the project's own command."""
    run([str(PROGRAM), "migrate"], {"UPLOADSTREAM": dsn})


def run(command: list[str], settings: dict[str, str] | None = None) -> str:
    """What a program printed; raises with its words when it failed."""
    environment = {**plain_environment(), **(settings or {})}
    # into a file: a server that is started here keeps the descriptors
    with io.FileIO(os.memfd_create("output"), "r+") as output:
        done = subprocess.run(command, stdout=output, stderr=output, cwd="/", env=environment, check=False)
        output.seek(0)
        said = output.readall().decode()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said}")
    return said


def filled(database: Database, filling: Filling) -> float:
    """Fill it; the seconds that it took."""
    start = time.perf_counter()
    database.fill(filling)
    return time.perf_counter() - start
