"""The service's role in PostgreSQL, with the rights of docs/postgresql.md: to the trail it adds, and no more."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from tests import postgres
from tests.contracts.catalog import (
    NOON,
    SECOND,
    a_file,
    a_session,
    created,
    deleted,
    ended,
    of,
    published,
    purged,
    trail,
)
from uploadstream.adapters.catalog.postgres_schema import open_postgres
from uploadstream.adapters.catalog.tables import METADATA
from uploadstream.core.dsns import Dsn
from uploadstream.core.files import Action
from uploadstream.core.parts import Part
from uploadstream.core.session import End
from uploadstream.ports import Catalog

PAGE = (Path(__file__).parents[2] / "docs/postgresql.md").read_text()
ROLE = "uploadstream_service"


@pytest.fixture
async def dsn() -> str:
    """A catalog with nothing in it, as the role reaches it."""
    owners = await postgres.empty_catalog()
    (grants,) = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
    if [ROLE] not in postgres.cluster().sql("SELECT rolname FROM pg_roles"):
        postgres.cluster().sql(grants, database=postgres.CATALOG)
    return owners.replace("//postgres@", f"//{ROLE}@")


@pytest.fixture
async def catalog(dsn: str) -> AsyncIterator[Catalog]:
    catalog = await open_postgres(Dsn(dsn), connections=3, durable=False)
    yield catalog
    await catalog.close()


async def test_the_role_is_enough_for_the_life_of_uploads_and_files(catalog: Catalog) -> None:
    upload, given_up = await created(catalog, a_session()), await created(catalog, a_session())
    file = await published(catalog, replace(a_file(), parts=(Part(upload.id, 1000),)))
    await catalog.declare_length(upload, 7)
    await catalog.describe_upload(upload.id, filename="b", chunk_size=1)
    await catalog.end_upload(ended(given_up, End.EXPIRED), of(given_up, Action.EXPIRE))
    await deleted(catalog, file, at=NOON + SECOND)
    assert await catalog.set_deleted(file, of(file, Action.RESTORE))
    assert await catalog.gather(file.id)
    assert await purged(catalog, await deleted(catalog, file, at=NOON + 2 * SECOND))
    await catalog.record(of(file, Action.HOOK_FAIL))
    assert await catalog.forget_ended(before=NOON + SECOND, limit=10) == 1
    assert await catalog.set_store_id("store") == "store"

    rows = sorted(row.action for row in await trail(catalog, file.id))
    assert rows == ["complete", "delete", "delete", "hook_fail", "purge", "restore"]
    assert (await catalog.deletion_stats("ada")).purged == 1


@pytest.mark.parametrize("statement", ["UPDATE audit SET user_id = 'eve'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_the_role_cannot_change_what_happened(dsn: str, catalog: Catalog, statement: str) -> None:
    file = await published(catalog, a_file())
    connection = await asyncpg.connect(dsn)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)

    await connection.close()
    assert len(await trail(catalog, file.id)) == 1


async def test_the_role_has_every_table_but_can_only_add_to_the_trail(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    asked = "SELECT has_table_privilege($1, $2)"
    rights = ("SELECT", "INSERT", "UPDATE", "DELETE")

    has = {
        table.name: [right for right in rights if await connection.fetchval(asked, table.name, right)]
        for table in METADATA.sorted_tables
    }

    await connection.close()
    assert has == {name: ["SELECT", "INSERT"] if name == "audit" else [*rights] for name in has}
