"""The catalogs, by the suite of their port."""

from collections.abc import AsyncIterator

import pytest

from tests import databases
from tests.contracts.catalog import CatalogContract
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.ports import Catalog


class TestSqliteCatalog(CatalogContract):
    @pytest.fixture
    async def catalog(self) -> AsyncIterator[Catalog]:
        async for catalog in databases.on_sqlite():
            yield catalog


class TestPostgresCatalog(CatalogContract):
    @pytest.fixture
    async def catalog(self) -> AsyncIterator[Catalog]:
        async for catalog in databases.on_postgres():
            yield catalog


class TestMemoryCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self) -> Catalog:
        return MemoryCatalog()
