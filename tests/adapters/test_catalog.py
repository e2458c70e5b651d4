"""The catalogs, by the suite of their port."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import postgres
from tests.contracts.catalog import CatalogContract
from uploadstream.adapters.catalog.postgres_schema import open_postgres
from uploadstream.adapters.catalog.sqlite_desks import open_sqlite
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.dsns import Dsn
from uploadstream.ports import Catalog


class TestSqliteCatalog(CatalogContract):
    @pytest.fixture
    async def catalog(self, tmp_path: Path) -> AsyncIterator[Catalog]:
        catalog = await open_sqlite(tmp_path / "catalog.db", durable=False)
        yield catalog
        await catalog.close()


class TestPostgresCatalog(CatalogContract):
    @pytest.fixture
    async def catalog(self) -> AsyncIterator[Catalog]:
        catalog = await open_postgres(Dsn(await postgres.empty_catalog()), connections=5, durable=False)
        yield catalog
        await catalog.close()


class TestMemoryCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self) -> Catalog:
        return MemoryCatalog()
