"""A PostgreSQL of the tests' own: one cluster a test process, made when a test asks for it, gone with the process."""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from uploadstream.adapters.catalog.postgres_schema import migrate
from uploadstream.adapters.catalog.tables import METADATA
from uploadstream.core.dsns import Dsn

# Nothing here has to outlive a power cut: without waiting for the disk a test takes milliseconds.
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
FEW = ("shared_buffers=32MB", "max_connections=100", "max_wal_size=4GB", "checkpoint_timeout=1h")
READY_SECONDS_MAX = 60.0
AS_USER = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version there is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_the_path = shutil.which("postgres")
    return Path(on_the_path).resolve().parent if on_the_path else None


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Cluster:
    """A running PostgreSQL with a folder, a port on 127.0.0.1 and a socket of its own."""

    def __init__(self, *settings: str, careless: bool = True) -> None:
        bin_folder = programs()
        if bin_folder is None:
            pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
        self._bin = bin_folder
        self._settings = (*FEW, *(CARELESS if careless else ()), *settings)
        # It does not run as root. To change its user by itself, Python would fork, which grpc's threads do not outlive.
        self._as_user = AS_USER if os.geteuid() == 0 else ()
        # A path of a socket has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if self._as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        self._run([str(self._bin / "initdb"), f"--pgdata={self.folder / 'data'}", *options])
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [f"port={self.port}", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1"]
        options = [word for setting in (*settings, *self._settings) for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            program = [*self._as_user, str(self._bin / "postgres"), "-D", str(self.folder / "data"), *options]
            self._process = subprocess.Popen(program, stdout=log, stderr=log, cwd="/")
        give_up_at = time.monotonic() + READY_SECONDS_MAX
        ask = [str(self._bin / "pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port)]
        while subprocess.run(ask, check=False).returncode != 0:
            assert self._process.poll() is None, f"{self._process.returncode}: {(self.folder / 'log').read_text()}"
            assert time.monotonic() < give_up_at, (self.folder / "log").read_text()
            time.sleep(0.02)

    def processes(self) -> list[int]:
        """All of it that runs."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def kill(self) -> None:
        """SIGKILL to all of it, as a power cut would; `start` brings it back."""
        assert self._process is not None
        processes = self.processes()
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        give_up_at = time.monotonic() + READY_SECONDS_MAX
        while any(map(_lives, processes[1:])):  # their memory would keep the next one from starting
            assert time.monotonic() < give_up_at
            time.sleep(0.002)

    def stop(self) -> None:
        """End it at once; nothing of it is kept."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str = "postgres") -> str:
        """The DSN of a database in it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, *, database: str = "postgres") -> list[list[str]]:
        """Rows of text, by psql."""
        ask = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(database)]
        done = self._run([*ask, "-c", statement])
        return [line.split("\t") for line in done.splitlines()]

    def make(self, database: str, *, template: str = "template0") -> str:
        """A new database, as another is; its DSN."""
        self.sql(f'CREATE DATABASE "{database}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.dsn(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run([*self._as_user, *command], check=False, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


_clusters: dict[int, Cluster] = {}


def cluster() -> Cluster:
    """The one of this process, which all its tests share; whoever wants to stop one makes its own."""
    if os.getpid() not in _clusters:
        made = _clusters[os.getpid()] = Cluster()
        atexit.register(made.stop)
    return _clusters[os.getpid()]


TEMPLATE = "template_of_catalogs"
_templates: set[int] = set()


async def new_catalog(name: str) -> str:
    """The DSN of a new catalog with nothing in it."""
    if os.getpid() not in _templates:
        await migrate(Dsn(cluster().make(TEMPLATE)))
        _templates.add(os.getpid())
    return cluster().make(name, template=TEMPLATE)


CATALOG = "catalog"
_made: set[int] = set()


async def empty_catalog() -> str:
    """The DSN of a catalog with nothing in it: one a process, emptied for each test."""
    if os.getpid() not in _made:
        _made.add(os.getpid())
        return await new_catalog(CATALOG)
    connection = await asyncpg.connect(cluster().dsn(CATALOG))
    # where there are few rows, that takes a tenth of the time that TRUNCATE does
    await connection.execute("; ".join(str(table.delete()) for table in reversed(METADATA.sorted_tables)))
    await connection.close()
    return cluster().dsn(CATALOG)
