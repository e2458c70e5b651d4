"""The worlds an engine is tried in: in memory, and on a disk; on a catalog that is not in memory, only the first."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.world import World, disk_world, memory_world


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Blobs on a disk have been tried."""
    if config.getoption("--catalog") != "memory":
        on_disk = [item for item in items if isinstance(item, pytest.Function) and "[disk" in item.name]
        config.hook.pytest_deselected(items=on_disk)
        items[:] = [item for item in items if item not in on_disk]


@pytest.fixture(params=["memory", "disk"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    made = memory_world() if request.param == "memory" else disk_world(tmp_path)
    yield made
    made.close()
