"""The worlds an engine is tried in: in memory, and on a disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.world import World, disk_world, memory_world


@pytest.fixture(params=["memory", "disk"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    made = memory_world() if request.param == "memory" else disk_world(tmp_path)
    yield made
    made.close()
