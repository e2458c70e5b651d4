"""What is special about the catalog in a file: processes that die or share it, a full disk, an event loop kept free."""

import asyncio
import contextlib
import functools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Select

from tests.contracts.catalog import NOON, a_file, a_session, created, of, published
from uploadstream.adapters.catalog import queries, searches, sqlite, writes
from uploadstream.adapters.catalog.commits import Write
from uploadstream.adapters.catalog.schema import HEAD, Seen
from uploadstream.adapters.catalog.sqlite_desks import SqliteCatalog, open_sqlite
from uploadstream.adapters.catalog.writes import Act
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.core.files import Action, Audit, File
from uploadstream.core.listings import Place, Sort, Wanted

ROOT = Path(__file__).parents[2]
LAG_SECONDS_MAX = 0.3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
async def catalog(path: Path) -> AsyncIterator[SqliteCatalog]:
    catalog = await open_sqlite(path, durable=False)
    yield catalog
    await catalog.close()


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteCatalog]:
    catalog = await open_sqlite(path, durable=True)
    try:
        yield catalog
    finally:
        await catalog.close()


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


async def the_longest_lag_during(act: Awaitable[object]) -> float:
    """Seconds for which the event loop did not come round while `act` went on."""
    longest, done = 0.0, asyncio.ensure_future(act)
    while not done.done():
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - before - 0.005)
    await done
    return longest


def _settings(connection: Connection, _: Sequence[None]) -> list[dict[str, object]]:
    names = ("synchronous", "foreign_keys", "journal_mode")
    return [{name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}]


def _plan(connection: Connection, statement: Select[Any]) -> list[str]:
    compiled = statement.compile(dialect=connection.dialect)
    explain = f"EXPLAIN QUERY PLAN {compiled}"
    return [row.detail for row in connection.exec_driver_sql(explain, (None,) * len(compiled.params))]


@contextlib.contextmanager
def one_group(catalog: SqliteCatalog) -> Iterator[None]:
    """What is asked to be written inside the context is written together: the writer is busy until its end."""
    go_on = threading.Event()
    busy = catalog.database.writer.ask(Write(_after(threading.Event(), go_on), None))
    while not catalog.database.writer._queue.empty():
        time.sleep(0.001)
    yield
    go_on.set()
    assert not busy.cancelled()


def _after(is_going_on: threading.Event, go_on: threading.Event) -> Act:
    def act(_: Connection, given: Sequence[None]) -> Sequence[None]:
        is_going_on.set()
        assert go_on.wait(30)
        return given

    return act


def _record_and_fail(connection: Connection, given: Sequence[tuple[str, Audit]]) -> Sequence[None]:
    writes.record(connection, given)
    connection.exec_driver_sql("INSERT INTO files (id) VALUES ('nonsense')")
    return [None]


def _orphan_a_job(connection: Connection, _: Sequence[None]) -> list[None]:
    """Nothing is wrong with it before the commit."""
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    connection.exec_driver_sql("INSERT INTO jobs VALUES ('a', 'nobody', 'process', 'pending', 0, 0, 0)")
    return [None]


def _count_slowly(connection: Connection) -> object:
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT count(*) FROM n"
    return connection.exec_driver_sql(count).scalar()


class SmallDisk:
    """Where a catalog soon finds no more room: a file system of 2 MiB, or as many pages where none may be mounted."""

    def __init__(self, folder: Path) -> None:
        mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
        self.path = folder / "catalog.db"
        self._ballast = folder / "ballast"

    async def fill(self, catalog: SqliteCatalog) -> None:
        if not self.is_mounted:
            await self._set_pages_max(catalog, 60)
            return
        with contextlib.suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))

    async def make_room(self, catalog: SqliteCatalog) -> None:
        if self.is_mounted:
            self._ballast.unlink()
        else:
            await self._set_pages_max(catalog, 1_000_000)

    async def _set_pages_max(self, catalog: SqliteCatalog, count: int) -> None:
        def act(connection: Connection, _: Sequence[None]) -> list[None]:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {count}")
            return [None]

        await catalog.database.writer.ask(Write(act, None))

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", str(self.path.parent)], check=True)


async def publish_on_and_on(catalog: SqliteCatalog, published_files: list[File]) -> None:
    while len(published_files) < 100_000:
        published_files += [await published(catalog, a_file())]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path)
    yield disk
    disk.close()


# --- what a process can rely on ---


async def test_a_new_file_has_a_job_to_be_processed(catalog: SqliteCatalog, path: Path) -> None:
    file = await published(catalog, a_file())

    jobs = rows(path, "SELECT file_id, kind, state, attempts, created_at, run_at FROM jobs")

    microseconds = int(NOON.timestamp() * 1_000_000)
    assert jobs == [(file.id, "process", "pending", 0, microseconds, microseconds)]


async def test_what_was_written_is_there_when_opened_again(path: Path) -> None:
    async with opened(path) as catalog:
        file = await published(catalog, a_file())

    async with opened(path) as catalog:
        assert await catalog.file(file.id) == file


async def test_what_is_asked_for_before_closing_is_done(path: Path) -> None:
    files = [a_file() for _ in range(300)]
    catalog = await open_sqlite(path, durable=False)
    answers = [asyncio.ensure_future(published(catalog, file)) for file in files]
    await asyncio.sleep(0)

    await catalog.close()

    assert await asyncio.gather(*answers) == files
    assert rows(path, "SELECT count(*) FROM files") == [(300,)]


async def test_a_closed_catalog_is_unavailable(path: Path) -> None:
    catalog = await open_sqlite(path, durable=False)
    await catalog.close()
    await catalog.close()

    with pytest.raises(CatalogUnavailable):
        await published(catalog, a_file())
    with pytest.raises(CatalogUnavailable):
        await catalog.check()


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 0)])
async def test_a_durable_catalog_waits_for_the_disk(path: Path, *, durable: bool, synchronous: int) -> None:
    catalog = await open_sqlite(path, durable=durable)

    asked = [
        catalog.database.writer.ask(Write(_settings, None)),
        catalog.database.lookups.ask(lambda each: _settings(each, [None])[0]),
    ]
    settings = await asyncio.gather(*asked)
    await catalog.close()

    assert settings == [{"synchronous": synchronous, "foreign_keys": 1, "journal_mode": "wal"}] * 2


@pytest.mark.parametrize("listing", ["uploads", "files in use", "files in the trash"])
@pytest.mark.parametrize("of_user", [False, True])
@pytest.mark.parametrize("continued", [False, True])
async def test_a_page_is_read_off_an_index_without_sorting(
    catalog: SqliteCatalog, listing: str, *, of_user: bool, continued: bool
) -> None:
    if listing == "uploads":
        statement = queries._uploads_statement(of_user=of_user, continued=continued, partial=False)
    else:
        deleted = listing == "files in the trash"
        statement = queries._files_statement(of_user=of_user, continued=continued, deleted=deleted)

    plan = await catalog.database.listings.ask(lambda connection: _plan(connection, statement))

    index = {"uploads": "uploads_open", "files in use": "files_in_use", "files in the trash": "files_in_trash"}[listing]
    assert len(plan) == 1, plan
    assert f"USING INDEX {index}{'_of_user' if of_user else ''}" in plan[0]
    assert not continued or "(" in plan[0], "it starts at the beginning and not behind the place"


@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("sort", "index"),
    [
        (Sort.UPLOADED_AT, "files_in_use_of_user"),
        (Sort.FILENAME, "files_in_use_by_name"),
        (Sort.SIZE, "files_in_use_by_size"),
    ],
)
async def test_files_in_any_order_are_read_off_an_index_without_sorting(
    catalog: SqliteCatalog, sort: Sort, index: str, descending: bool, continued: bool
) -> None:
    for wanted in (Wanted(sort=sort, descending=descending), Wanted(sort=sort, descending=descending, name="a")):
        statement = searches.statement(searches._shape_of(wanted, continued=continued))

        plan = await catalog.database.listings.ask(functools.partial(_plan, statement=statement))

        assert any(f"SEARCH files USING INDEX {index} (user_id=?" in line for line in plan), plan
        assert sum("TEMP B-TREE" in line for line in plan) <= (1 if wanted.name else 0), plan


async def test_so_many_files_are_looked_at_for_a_page_and_no_more(
    catalog: SqliteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "LOOKS_MAX", 10)
    files = [replace(a_file(at=NOON + n * timedelta(seconds=1)), filename=f"{n:02}") for n in range(35)]
    for file in files:
        await published(catalog, file)
    wanted = Wanted(name="02")

    pages: list[list[str]] = []
    after: Place | None = None
    while True:
        found = await catalog.search("ada", wanted, after=after, limit=5)
        pages.append([file.filename for file in found.files])
        if (after := found.looked_to) is None:
            break

    assert pages == [[], [], [], ["02"]]


@pytest.mark.parametrize("statement", [queries._EVENTS, queries._NEWEST])
async def test_events_are_read_off_the_index_of_their_owner(catalog: SqliteCatalog, statement: Select[Any]) -> None:
    plan = await catalog.database.listings.ask(lambda connection: _plan(connection, statement))

    assert len(plan) == 1, plan
    assert "audit_of_owner (owner=?" in plan[0]


async def test_deletions_are_counted_off_their_sums_however_long_the_trail_is(catalog: SqliteCatalog) -> None:
    for statement in queries._deletions_statements(of_user=True):
        plan = await catalog.database.listings.ask(lambda connection: _plan(connection, statement))  # noqa: B023 - awaited

        assert plan[0] == "SEARCH deletions USING PRIMARY KEY (owner=?)"


async def test_what_is_to_be_purged_is_read_off_an_index_in_its_order(catalog: SqliteCatalog) -> None:
    statement = queries._purgeable_statement(continued=True)

    plan = await catalog.database.listings.ask(lambda connection: _plan(connection, statement))

    assert len(plan) == 1, plan
    assert "files_to_purge" in plan[0]


# --- errors and how it comes back from them ---


@pytest.mark.parametrize("content", [None, b"this is no database, but long enough to be looked at" * 100])
async def test_what_cannot_be_opened_is_unavailable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "missing" / "catalog.db"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)

    with pytest.raises(CatalogUnavailable):
        await open_sqlite(path, durable=False)


async def test_a_bad_write_fails_alone(catalog: SqliteCatalog) -> None:
    files = [a_file() for _ in range(40)]
    trail = [of(file, Action.LOSE) for file in files]

    with one_group(catalog):
        answers = [asyncio.ensure_future(published(catalog, file)) for file in files[:20]]
        bad = [
            catalog.database.writer.ask(Write(_record_and_fail, ("ada", trail[0]))),
            asyncio.ensure_future(published(catalog, replace(a_file(), size=2**64))),  # no integer of a database
        ]
        answers += [asyncio.ensure_future(published(catalog, file)) for file in files[20:]]
        records = [asyncio.ensure_future(catalog.record(row)) for row in trail]
        await asyncio.sleep(0)

    assert await asyncio.gather(*answers) == files
    assert [type(each) for each in await asyncio.gather(*bad, return_exceptions=True)] == [
        CatalogUnavailable,
        OverflowError,
    ]
    await asyncio.gather(*records)
    assert len(await catalog.files(None, deleted=False, after=None, limit=100)) == 40
    assert [len(await catalog.audit(file.id, after=None, limit=10)) for file in files] == [2] * 40


async def test_a_commit_that_fails_is_told_to_all_whom_it_concerns(catalog: SqliteCatalog) -> None:
    files = [a_file() for _ in range(5)]

    with one_group(catalog):
        answers = [asyncio.ensure_future(published(catalog, file)) for file in files]
        orphan = catalog.database.writer.ask(Write(_orphan_a_job, None))
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*answers, orphan, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [CatalogUnavailable] * 6
    assert await catalog.known([file.id for file in files]) == set()
    assert await published(catalog, files[0]) == files[0]


async def test_a_group_is_written_in_the_order_of_an_uploads_life(catalog: SqliteCatalog) -> None:
    file = a_file()
    session = a_session(upload_id=file.id)

    with one_group(catalog):
        publishes = asyncio.ensure_future(published(catalog, file))
        await asyncio.sleep(0)
        creates = asyncio.ensure_future(created(catalog, session))
        await asyncio.sleep(0)
    await asyncio.gather(publishes, creates)

    assert await catalog.upload(file.id) is None
    assert await catalog.uploads(None, after=None, limit=10) == []


async def test_a_caller_that_goes_while_its_group_is_written_disturbs_no_other(catalog: SqliteCatalog) -> None:
    files = [a_file() for _ in range(5)]
    is_going_on, go_on = threading.Event(), threading.Event()

    with one_group(catalog):
        last = catalog.database.writer.ask(Write(_after(is_going_on, go_on), None))
        answers = [asyncio.ensure_future(published(catalog, file)) for file in files]
        await asyncio.sleep(0)
    await asyncio.to_thread(is_going_on.wait)
    answers[0].cancel()
    await asyncio.sleep(0)
    go_on.set()

    await last
    assert await asyncio.gather(*answers[1:]) == files[1:]
    assert answers[0].cancelled()
    assert await catalog.file(files[0].id) == files[0]


async def test_a_full_disk_is_said_and_forgotten_when_there_is_room(small_disk: SmallDisk) -> None:
    async with opened(small_disk.path) as catalog:
        kept = [await published(catalog, a_file()) for _ in range(20)]
        await small_disk.fill(catalog)

        with pytest.raises(CatalogUnavailable):
            await publish_on_and_on(catalog, kept)
        outcomes = await asyncio.gather(*(published(catalog, a_file()) for _ in range(10)), return_exceptions=True)
        failed = [outcome for outcome in outcomes if not isinstance(outcome, File)]
        kept += [outcome for outcome in outcomes if isinstance(outcome, File)]
        await catalog.check()
        assert await catalog.file(kept[0].id) == kept[0]

        await small_disk.make_room(catalog)
        kept += await asyncio.gather(*(published(catalog, a_file()) for _ in range(100)))

        assert all(isinstance(outcome, CatalogUnavailable) for outcome in failed)
        assert [await catalog.file(file.id) for file in kept] == kept
    assert rows(small_disk.path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_lock_held_too_long_by_another_process_is_said_and_forgotten(
    catalog: SqliteCatalog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS_MAX", 0.2)
    file = a_file()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(CatalogUnavailable):
            await published(catalog, file)
        assert await catalog.file(file.id) is None

    assert await published(catalog, file) == file


# --- the event loop ---


async def test_a_slow_query_keeps_neither_the_event_loop_nor_a_look_up_waiting(catalog: SqliteCatalog) -> None:
    file = await published(catalog, a_file())
    slow = asyncio.gather(*(catalog._list(_count_slowly) for _ in range(2)))

    lag = await the_longest_lag_during(asyncio.gather(*(catalog.file(file.id) for _ in range(100))))
    was_going_on = not slow.done()
    lag = max(lag, await the_longest_lag_during(slow))

    assert was_going_on
    assert lag < LAG_SECONDS_MAX


async def test_waiting_for_another_process_does_not_hold_up_the_event_loop(catalog: SqliteCatalog, path: Path) -> None:
    file = a_file()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.ensure_future(published(catalog, file))

        lag = await the_longest_lag_during(asyncio.sleep(0.5))
        was_waiting = not writing.done()

    assert was_waiting
    assert await writing == file
    assert lag < LAG_SECONDS_MAX


# --- processes ---


@pytest.mark.parametrize("seed", range(2))
async def test_what_was_acknowledged_outlives_kill_9(path: Path, seed: int) -> None:
    chance = random.Random(seed)

    acknowledged = [await asyncio.to_thread(killed_while_publishing, path, chance) for _ in range(3)]

    files = {file_id for each in acknowledged for file_id in each}
    async with opened(path) as catalog:
        assert await catalog.known(files) == files
        assert await published(catalog, file := a_file()) == file
    (counts,) = rows(path, "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM audit), count(*) FROM jobs")
    assert len(set(counts)) == 1, "a file without its row of the trail or its job"
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


async def test_processes_that_start_and_write_at_once_lose_nothing(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(publishing(path, count=300)) for _ in range(4)]
        acknowledged = [line for process in processes for line in process.communicate()[0].split()]

    assert [process.returncode for process in processes] == [0] * 4
    assert len(acknowledged) == 1200
    assert {row[0] for row in rows(path, "SELECT id FROM files")} == set(acknowledged)


def killed_while_publishing(path: Path, chance: random.Random) -> list[str]:
    """The ids of files that a process said were published before it was killed, at some moment, in the midst of it."""
    with publishing(path, count=100_000) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chance.randrange(1, 1000))]
        time.sleep(chance.random() / 100)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return [line.strip() for line in lines if line.endswith("\n")]


def publishing(path: Path, *, count: int) -> "subprocess.Popen[str]":
    """A process that publishes files and prints the id of each, once that is acknowledged."""
    program = [sys.executable, "-W", "error", __file__, str(path), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)


async def publish_and_print(path: Path, count: int) -> None:
    catalog = await open_sqlite(path, durable=False)
    files = (a_file() for _ in range(count))

    async def caller() -> None:
        for file in files:
            await published(catalog, file)
            os.write(sys.stdout.fileno(), f"{file.id}\n".encode())

    await asyncio.gather(*(caller() for _ in range(32)))
    await catalog.close()


if __name__ == "__main__":
    asyncio.run(publish_and_print(Path(sys.argv[1]), int(sys.argv[2])))


async def test_a_look_says_what_a_catalog_is_and_leaves_its_folder_as_it_was(path: Path) -> None:
    async with opened(path) as catalog:
        await catalog.set_store_id("the-store")
        beside = sqlite.look(path)
    before = {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()}

    after = sqlite.look(path)

    assert beside == after == Seen(HEAD, "the-store")
    assert {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir()} == before


def test_a_look_makes_no_catalog_and_does_not_take_anything_for_one(path: Path) -> None:
    with pytest.raises(CatalogUnavailable):
        sqlite.look(path)
    assert not path.exists()

    path.touch()
    assert sqlite.look(path) == Seen(None, None)

    path.write_text("not a database, whatever its name says")
    with pytest.raises(CatalogUnavailable):
        sqlite.look(path)
