"""What is special about the catalog in PostgreSQL: connections that end, servers that do not answer, other writers."""

import asyncio
import contextlib
import functools
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import ClauseElement, Connection, Executable, Select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from tests import postgres
from tests.contracts.catalog import NOON, a_file, a_session, created, ended, of, published
from uploadstream.adapters.catalog import postgres as adapter
from uploadstream.adapters.catalog import queries, searches, writes
from uploadstream.adapters.catalog.commits import Write
from uploadstream.adapters.catalog.postgres_schema import PostgresCatalog, migrate, open_postgres
from uploadstream.core.dsns import Dsn
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.core.files import Action, Audit
from uploadstream.core.listings import Sort, Wanted


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """A catalog that the tests here share: each has files and users of its own."""
    yield asyncio.run(postgres.new_catalog("special"))
    postgres.cluster().drop("special")


@pytest.fixture
async def catalog(dsn: str) -> AsyncIterator[PostgresCatalog]:
    catalog = await open_postgres(Dsn(dsn), connections=5, durable=True)
    yield catalog
    await catalog.close()


@contextlib.contextmanager
def frozen(cluster: postgres.Cluster) -> Iterator[None]:
    """Inside, the server takes connections and answers nothing, as behind a network that has stalled."""
    processes = cluster.processes()
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


async def seconds_of(act: Awaitable[object]) -> float:
    """How long it takes to be told that the catalog is away."""
    began = time.monotonic()
    with pytest.raises(CatalogUnavailable):
        await act
    return time.monotonic() - began


def _fail(connection: Connection, _: Sequence[None]) -> Sequence[None]:
    connection.execute(text("SELECT 1 / 0"))
    return [None]


def _record_and_fail(connection: Connection, given: Sequence[Audit]) -> Sequence[None]:
    writes.record(connection, [(audit.user_id, audit) for audit in given])
    return _fail(connection, [])


# --- what comes and goes ---


async def test_connections_that_the_server_ends_are_replaced_and_nobody_notices(
    catalog: PostgresCatalog, dsn: str
) -> None:
    file = await published(catalog, a_file())
    await asyncio.gather(*(catalog.file(file.id) for _ in range(20)))
    other = await asyncpg.connect(dsn)
    end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'uploadstream'"

    for _ in range(3):
        await other.execute(end_all)
        assert await catalog.file(file.id) == file
        await other.execute(end_all)
        assert await published(catalog, another := a_file()) == another
    await other.close()


async def test_a_server_that_is_killed_is_away_and_comes_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    cluster = postgres.Cluster()
    try:
        dsn = Dsn(cluster.make("catalog"))
        await migrate(dsn)
        catalog = await open_postgres(dsn, connections=5, durable=True)
        file = await published(catalog, a_file())
        cluster.kill()

        refused = await asyncio.gather(
            *(seconds_of(act) for act in (catalog.file(file.id), published(catalog, a_file()), catalog.check()))
        )
        await asyncio.to_thread(cluster.start)

        assert max(refused) < 6
        assert await catalog.file(file.id) == file
        assert await published(catalog, another := a_file()) == another
        with frozen(cluster):
            stalled = await asyncio.gather(*(seconds_of(act) for act in (catalog.check(), published(catalog, file))))
        assert max(stalled) < 8, "a network that has stalled"
        assert await catalog.file(another.id) == another
        assert await published(catalog, another := a_file()) == another
        await catalog.close()
    finally:
        cluster.stop()


async def test_what_is_asked_for_before_closing_is_done_and_nothing_afterwards(dsn: str) -> None:
    catalog = await open_postgres(Dsn(dsn), connections=3, durable=False)
    files = [a_file(user="closing") for _ in range(300)]
    answers = [asyncio.ensure_future(published(catalog, file)) for file in files]
    await asyncio.sleep(0)

    await catalog.close()

    assert await asyncio.gather(*answers) == files
    with pytest.raises(CatalogUnavailable):
        await published(catalog, files[0])
    with pytest.raises(CatalogUnavailable):
        await catalog.check()


async def test_a_caller_that_goes_disturbs_no_other(catalog: PostgresCatalog) -> None:
    files = [a_file() for _ in range(5)]
    answers = [asyncio.ensure_future(published(catalog, file)) for file in files]
    reading = asyncio.ensure_future(catalog.file(files[0].id))
    await asyncio.sleep(0.001)

    answers[0].cancel()
    reading.cancel()

    assert await asyncio.gather(*answers[1:]) == files[1:]
    assert await catalog.known([file.id for file in files[1:]]) == {file.id for file in files[1:]}


# --- writes ---


async def test_a_bad_write_fails_alone(catalog: PostgresCatalog) -> None:
    files = [a_file(user="group") for _ in range(20)]
    answers = [asyncio.ensure_future(published(catalog, file)) for file in files]
    bad = [
        asyncio.ensure_future(catalog.database.write(Write(_record_and_fail, of(files[0], Action.LOSE), "group"))),
        asyncio.ensure_future(published(catalog, replace(a_file(user="group"), size=2**64))),
    ]
    records = [asyncio.ensure_future(catalog.record(replace(of(file, Action.LOSE), user_id="group"))) for file in files]

    assert await asyncio.gather(*answers) == files
    assert [type(each) for each in await asyncio.gather(*bad, return_exceptions=True)] == [CatalogUnavailable] * 2
    await asyncio.gather(*records)
    assert [number for number, _ in await catalog.events("group", after=0, limit=100)] == list(range(1, 41))


async def test_processes_that_add_to_one_trail_at_once_number_it_without_gaps(dsn: str) -> None:
    catalogs = [await open_postgres(Dsn(dsn), connections=4, durable=False) for _ in range(3)]
    sessions = [a_session(user=f"trail {n % 2}") for n in range(60)]

    async def live(catalog: PostgresCatalog, number: int) -> None:
        session = await created(catalog, sessions[number])
        await catalog.end_upload(ended(session), of(session, Action.ABORT))

    await asyncio.gather(*(live(catalogs[n % 3], n) for n in range(60)))

    for owner in ("trail 0", "trail 1"):
        numbers = [number for number, _ in await catalogs[0].events(owner, after=0, limit=100)]
        assert numbers == list(range(1, 61))
    for catalog in catalogs:
        await catalog.close()


async def test_one_upload_that_several_processes_complete_at_once_becomes_one_file(dsn: str) -> None:
    catalogs = [await open_postgres(Dsn(dsn), connections=4, durable=False) for _ in range(3)]
    files = [a_file(user="once") for _ in range(10)]
    claims = [(catalog, replace(file, crc32c=n)) for file in files for n, catalog in enumerate(catalogs)]

    outcomes = await asyncio.gather(*(published(catalog, file) for catalog, file in claims))

    assert len({(file.id, file.crc32c) for file in outcomes}) == len(files)
    assert len(await catalogs[0].events("once", after=0, limit=100)) == len(files)
    for catalog in catalogs:
        await catalog.close()


@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_what_collides_with_another_is_tried_again_and_is_written_once(
    catalog: PostgresCatalog, state: str
) -> None:
    tries = 0
    row = replace(of(a_file(), Action.LOSE), user_id=f"collides {state}")

    def collide_twice(connection: Connection, given: Sequence[Audit]) -> Sequence[None]:
        nonlocal tries
        tries += 1
        writes.record(connection, [(audit.user_id, audit) for audit in given])
        if tries < 3:
            connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'a collision' USING ERRCODE = '{state}'; END $$"))
        return [None]

    await catalog.database.write(Write(collide_twice, row, row.user_id))

    assert tries == 3
    assert [number for number, _ in await catalog.events(row.user_id, after=0, limit=9)] == [1]


async def test_a_lock_that_another_keeps_is_said_and_forgotten(
    catalog: PostgresCatalog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await created(catalog, a_session(user="locked"))
    other = await asyncpg.connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT * FROM uploads WHERE id = $1 FOR UPDATE", session.id)

    assert await seconds_of(catalog.declare_length(session, 5)) < 6
    await transaction.rollback()
    await other.close()

    await catalog.declare_length(session, 5)
    assert (await catalog.upload(session.id)).declared.length == 5  # type: ignore[union-attr]


async def test_whoever_is_frozen_in_a_transaction_loses_its_locks(dsn: str) -> None:
    """The connection of such a process sends nothing more, which looks to the server as one that is idle."""
    engine = adapter.open_engine(Dsn(dsn), connections=1, durable=False)
    catalog = await open_postgres(Dsn(dsn), connections=3, durable=False)
    async with engine.connect() as frozen_one:
        await frozen_one.run_sync(lambda connection: adapter.lock_owners(connection, [Write(_fail, None, "frozen")]))

        session = await created(catalog, a_session(user="frozen"))

        assert await catalog.upload(session.id) == session
        with pytest.raises(Exception, match=r"closed|terminat"):
            await frozen_one.execute(text("SELECT 1"))
    await engine.dispose()
    await catalog.close()


# --- how rows are found ---


_FILES = """
    INSERT INTO files (id, user_id, filename, name_key, size, declared_type, detected_type, crc32c, uploaded_at,
        protocol, metadata, processing_status, deleted_at)
    SELECT gen_random_uuid(), 'user ' || n % 200, n || '.mp4', n || '.mp4', n, 'video/mp4', 'video/mp4', n,
        '2026-03-04 12:00Z'::timestamptz + n * interval '1 second', 'tus', '', 1,
        CASE WHEN n / 200 % 2 = 0 THEN now() END
    FROM generate_series(1, 20000) AS n
"""
_UPLOADS = """
    INSERT INTO uploads (id, user_id, filename, content_type, metadata, size_max, protocol, created_at, touched_at,
        ended_at)
    SELECT gen_random_uuid(), 'user ' || n % 200, n || '.mp4', '', '', n, 'tus',
        '2026-03-04 12:00Z'::timestamptz + n * interval '1 second', now(), CASE WHEN n / 200 % 2 = 0 THEN now() END
    FROM generate_series(1, 20000) AS n
"""
_TRAIL = """
    INSERT INTO audit (file_id, at, id, action, user_id, protocol, address, details, owner, number)
    SELECT gen_random_uuid(), now(), gen_random_uuid(), 'create', 'ada', 'tus', '', '{}', 'user ' || n % 200, n
    FROM generate_series(1, 20000) AS n
"""


@pytest.fixture(scope="module")
def full(dsn: str) -> str:
    """The catalog with as many rows as the planner needs to prefer an index."""
    for statement in (_FILES, _UPLOADS, _TRAIL, "ANALYZE"):
        postgres.cluster().sql(statement, database="special")
    return dsn


class _Explained(Executable, ClauseElement):
    """What the server would do to execute a statement."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explained)
def _explain(element: _Explained, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN {compiler.process(element.statement, **options)}"


def _plan(connection: Connection, statement: Select[Any], *, key: object = None) -> str:
    """How a page of one user, or of all, is found; `key` is the place that it starts behind."""
    values = {"of": "user 1", "after_at": NOON + timedelta(seconds=18_000), "after_id": a_file().id, "limit": 20}
    values |= {"after_key": key, "looks": 20, "name": "5", "after": 0}
    return "\n".join(connection.execute(_Explained(statement), values).scalars())


@pytest.mark.parametrize("listing", ["uploads", "files in use", "files in the trash"])
@pytest.mark.parametrize("of_user", [False, True])
@pytest.mark.parametrize("continued", [False, True])
async def test_a_page_is_read_off_a_partial_index_without_sorting(
    full: str, catalog: PostgresCatalog, listing: str, *, of_user: bool, continued: bool
) -> None:
    if listing == "uploads":
        statement = queries._uploads_statement(of_user=of_user, continued=continued, partial=False)
    else:
        deleted = listing == "files in the trash"
        statement = queries._files_statement(of_user=of_user, continued=continued, deleted=deleted)

    plan = await catalog.database.list(lambda connection: _plan(connection, statement))

    index = {"uploads": "uploads_open", "files in use": "files_in_use", "files in the trash": "files_in_trash"}[listing]
    assert f"Scan Backward using {index}{'_of_user' if of_user else ''} on" in plan, plan
    assert "Sort" not in plan, plan
    assert not continued or "ROW(" in plan.partition("Index Cond")[2], plan


@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("sort", "index", "keys"),
    [
        (Sort.UPLOADED_AT, "files_in_use_of_user", [NOON + timedelta(seconds=n) for n in (2000, 18_000)]),
        (Sort.FILENAME, "files_in_use_by_name", ["11.mp4", "8.mp4"]),
        (Sort.SIZE, "files_in_use_by_size", [2000, 18_000]),
    ],
)
async def test_files_in_any_order_are_read_off_a_partial_index_without_sorting(
    full: str,
    catalog: PostgresCatalog,
    sort: Sort,
    index: str,
    keys: Sequence[object],
    *,
    descending: bool,
    continued: bool,
) -> None:
    for wanted in (Wanted(sort=sort, descending=descending), Wanted(sort=sort, descending=descending, name="a")):
        statement = searches.statement(searches._shape_of(wanted, continued=continued))

        plan = await catalog.database.list(functools.partial(_plan, statement=statement, key=keys[descending]))

        assert f"using {index} on files" in plan, plan
        assert "Sort" not in plan, plan


@pytest.mark.parametrize("statement", [queries._EVENTS, queries._NEWEST])
async def test_events_are_read_off_the_index_of_their_owner(
    full: str, catalog: PostgresCatalog, statement: Select[Any]
) -> None:
    plan = await catalog.database.list(lambda connection: _plan(connection, statement))

    assert "using audit_of_owner on audit" in plan, plan


async def test_many_rows_are_asked_for_by_one_statement(full: str, catalog: PostgresCatalog) -> None:
    """However many they are, so that it is prepared once."""
    pages = await catalog.files(None, deleted=False, after=None, limit=50)
    for count in (1, 2, 50):
        assert len(await catalog.known([file.id for file in pages[:count]])) == count

    compiled = queries._KNOWN.compile(dialect=catalog.database._engine.dialect)

    assert "ANY" in str(compiled).upper()
    assert "POSTCOMPILE" not in str(compiled)
