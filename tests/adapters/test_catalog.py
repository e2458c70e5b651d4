"""The catalogs, by the suite of their port."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.catalog import CatalogContract
from uploadstream.adapters.catalog.catalog import SqliteCatalog
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.ports import Catalog


class TestSqliteCatalog(CatalogContract):
    @pytest.fixture
    async def catalog(self, tmp_path: Path) -> AsyncIterator[Catalog]:
        catalog = await SqliteCatalog.open(tmp_path / "catalog.db", durable=False)
        yield catalog
        await catalog.close()


class TestMemoryCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self) -> Catalog:
        return MemoryCatalog()
