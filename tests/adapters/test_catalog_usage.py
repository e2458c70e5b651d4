"""What users have is counted by the database itself: never wrong, whatever happens in whatever order; and mended."""

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests import postgres
from tests.contracts.catalog import (
    NOON,
    a_file,
    a_session,
    an_id,
    created,
    ended,
    file_from,
    of,
    of_size,
    published,
)
from uploadstream.adapters.catalog.postgres_schema import PostgresCatalog, open_postgres
from uploadstream.adapters.catalog.sqlite_desks import SqliteCatalog, open_sqlite
from uploadstream.core.allowances import Allowance, LimitReached, Usage
from uploadstream.core.dsns import Dsn
from uploadstream.core.errors import NotFound
from uploadstream.core.files import Action, File
from uploadstream.core.parts import Part
from uploadstream.core.ratelimit import Bucket, Rate
from uploadstream.core.session import Declared, Session
from uploadstream.ports import Catalog

USERS = ("ada", "bob", "cyd")
CREATE = """
import asyncio, sys
from tests.adapters.test_catalog_usage import begin_many
asyncio.run(begin_many(sys.argv[1], int(sys.argv[2])))
"""


async def opened(where: str) -> SqliteCatalog | PostgresCatalog:
    """The catalog in a file, or with a DSN."""
    if where.startswith("postgresql:"):
        return await open_postgres(Dsn(where), connections=5, durable=False)
    return await open_sqlite(Path(where), durable=False)


@pytest.fixture(params=["sqlite", "postgresql"])
async def where(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return str(tmp_path / "catalog.db") if request.param == "sqlite" else await postgres.empty_catalog()


@pytest.fixture
async def catalog(where: str) -> AsyncIterator[Catalog]:
    catalog = await opened(where)
    yield catalog
    await catalog.close()


def executed(where: str, statement: str) -> list[tuple[str, ...]]:
    """What somebody else does to the database."""
    if where.startswith("postgresql:"):
        return [tuple(row) for row in postgres.cluster().sql(statement, database=postgres.CATALOG)]
    with closing(sqlite3.connect(where)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        return [tuple(map(str, row)) for row in connection.execute(statement).fetchall()]


class History:
    """Uploads and files of some users, to which anything may happen next."""

    def __init__(self, catalog: Catalog, seed: int) -> None:
        self.catalog = catalog
        self.chance = random.Random(seed)
        self.uploads: list[Session] = []
        self.files: list[File] = []

    async def go_on(self) -> None:
        """One thing more."""
        acts = [self.begin, self.begin, self.declare, self.end, self.complete, self.join, self.store, self.trash]
        allowance = self.chance.choice([None, Allowance(Rate(60, 60, 30), None, 5, 5000)])
        with suppress(LimitReached, NotFound):
            await self.chance.choice([*acts, self.gather, self.drop])(allowance)

    async def begin(self, allowance: Allowance | None) -> None:
        kind, size = self.chance.randrange(3), self.chance.choice([None, 0, 10, 1000])
        declared = Declared(self.chance.choice(USERS), "n", length=size, is_partial=kind == 1)
        session = replace(a_session(), declared=declared, is_whole=kind == 2)
        await self.catalog.create_upload(session, None if kind == 2 else of(session, Action.CREATE), allowance)
        self.uploads.append(session)

    async def declare(self, allowance: Allowance | None) -> None:
        if self.uploads:
            await self.catalog.declare_length(self.chance.choice(self.uploads), self.chance.randrange(99), allowance)

    async def end(self, _: Allowance | None) -> None:
        if self.uploads:
            one = self.chance.choice(self.uploads)
            await self.catalog.end_upload(ended(one), of(one, Action.ABORT))

    async def drop(self, _: Allowance | None) -> None:
        if self.uploads:
            await self.catalog.drop_whole(self.chance.choice(self.uploads))
        await self.catalog.forget_ended(before=NOON + timedelta(days=1), limit=1)

    async def complete(self, allowance: Allowance | None) -> None:
        one = self.chance.choice(self.uploads) if self.uploads else None
        known = one and await self.catalog.upload(one.id)
        if known and not known.end and not known.declared.is_partial:
            await self.publish(file_from(known, known.length or self.chance.randrange(99)), allowance)

    async def store(self, allowance: Allowance | None) -> None:
        user = self.chance.choice(USERS)
        await self.publish(replace(a_file(user=user), size=self.chance.randrange(2000)), allowance)

    async def join(self, allowance: Allowance | None) -> None:
        partial = [one for one in self.uploads if one.declared.is_partial]
        if partial:
            parts = tuple(Part(one.id, 7) for one in self.chance.choices(partial, k=self.chance.randrange(1, 4)))
            await self.publish(replace(file_from(partial[0], 7 * len(parts), parts=parts), id=an_id()), allowance)

    async def publish(self, file: File, allowance: Allowance | None) -> None:
        self.files.append(await self.catalog.publish(file, of(file, Action.COMPLETE), allowance))

    async def trash(self, _: Allowance | None) -> None:
        if self.files:
            place = self.chance.choice([NOON, None])
            file = replace(self.chance.choice(self.files), deleted_at=place)
            await self.catalog.set_deleted(file, of(file, Action.DELETE if place else Action.RESTORE))

    async def gather(self, _: Allowance | None) -> None:
        if self.files:
            await self.catalog.gather(self.chance.choice(self.files).id)


def remove_files(where: str, chance: random.Random) -> None:
    """As purging does: the row goes, and what hangs on it."""
    ids = [file_id for (file_id,) in executed(where, "SELECT id FROM files ORDER BY id") if chance.random() < 0.3]
    if ids:
        executed(where, f"DELETE FROM files WHERE id IN ({', '.join(map(repr, ids))})")  # noqa: S608 - ids of ours


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_history_what_is_kept_is_what_is_there(catalog: Catalog, where: str, seed: int) -> None:
    history = History(catalog, seed)
    for _ in range(4):
        await asyncio.gather(*(history.go_on() for _ in range(40)))
        await asyncio.to_thread(remove_files, where, history.chance)

        usages = await catalog.usages(after=None, limit=9)

        assert [(user, kept) for user, kept, _ in usages] == [(user, counted) for user, _, counted in usages]
    assert {user for user, *_ in usages} == set(USERS)


async def test_what_is_kept_wrongly_is_found_and_mended_and_the_bucket_stays(catalog: Catalog, where: str) -> None:
    allowance = Allowance(Rate(60, 60, 9))
    for user in USERS:
        await catalog.create_upload(session := a_session(user=user), of(session, Action.CREATE), allowance)
    executed(where, "UPDATE usage SET stored_bytes = 7, open_uploads = -1 WHERE user_id = 'bob'")
    bucket = Bucket(8_000_000, NOON)

    wrong = [row for row in await catalog.usages(after=None, limit=9) if row[1] != row[2]]
    assert wrong == [("bob", Usage(7, 1000, -1, bucket), Usage(0, 1000, 1, bucket))]
    await catalog.recount("bob")
    await catalog.recount("nobody")

    assert await catalog.usage("bob") == Usage(0, 1000, 1, bucket)
    assert [user for user, *_ in await catalog.usages(after=None, limit=9)] == sorted(USERS)


async def test_a_user_without_limits_costs_no_row(catalog: Catalog, where: str) -> None:
    one = await created(catalog, a_session())
    await catalog.end_upload(ended(one), of(one, Action.ABORT))
    await published(catalog, a_file())

    assert executed(where, "SELECT count(*) FROM usage") == [("0",)]


async def begin_many(where: str, count: int) -> None:
    """Begin uploads all at once, and print how many began."""
    catalog = await opened(where)
    allowance = Allowance(Rate(20, 60, 20), max_active_uploads=50, quota_bytes=10**6)
    sessions = [of_size(a_session(), 100) for _ in range(count)]
    outcomes = await asyncio.gather(
        *(catalog.create_upload(one, of(one, Action.CREATE), allowance) for one in sessions), return_exceptions=True
    )
    print(sum(isinstance(outcome, Usage) for outcome in outcomes))  # noqa: T201 - to the test
    await catalog.close()


async def test_two_processes_together_let_in_as_many_as_one(catalog: Catalog, where: str) -> None:
    command = [sys.executable, "-W", "error", "-c", CREATE, where, "100"]
    processes = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(2)]

    begun = [int((await process.communicate())[0]) for process in processes]

    assert sum(begun) == 20
    assert await catalog.usage("ada") == Usage(0, 2000, 20, Bucket(0, NOON))
