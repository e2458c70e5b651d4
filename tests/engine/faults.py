"""The world's ports with a place to strike before and after each of their calls.

Every place is also a turn of the loop, so that a cancel can arrive there.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from tests.engine.world import Engine, World
from uploadstream.core.session import Limits
from uploadstream.ports import BlobStore, Catalog, Lease, Leases, Ports, Sink


class Faults:
    """Counts the places an act comes by, and strikes at one of them."""

    def __init__(self, *, at: int = -1, strike: Callable[[], None] = lambda: None) -> None:
        self.places: list[str] = []
        self._at = at
        self._strike = strike

    @property
    def struck(self) -> bool:
        return len(self.places) > self._at >= 0

    def come_by(self, place: str) -> None:
        self.places.append(place)
        if len(self.places) - 1 == self._at:
            self._strike()

    async def around(self, name: str, call: Callable[[], Awaitable[object]]) -> object:
        await asyncio.sleep(0)
        self.come_by(f"before {name}")
        result = await call()
        await asyncio.sleep(0)
        self.come_by(f"after {name}")
        return result

    def engine(self, world: World, *, limits: Limits | None = None) -> Engine:
        """A process whose ports can be struck."""
        ports = Ports(
            catalog=cast("Catalog", FaultyPort(world.catalog, self)),
            blobs=cast("BlobStore", FaultyPort(world.blobs, self)),
            leases=cast("Leases", FaultyPort(world.engine.ports.leases, self)),
            clock=world.clock,
        )
        return Engine(ports, limits or world.limits)


class FaultyPort:
    """Any port, struck."""

    def __init__(self, port: object, faults: Faults) -> None:
        self._port, self._faults = port, faults

    def __getattr__(self, name: str) -> object:
        method, faults = getattr(self._port, name), self._faults
        if name == "append":
            return self._append
        if name == "hold":
            return self._hold
        if inspect.isasyncgenfunction(method):
            return lambda *args, **kwargs: self._iterate(name, method(*args, **kwargs))
        return lambda *args, **kwargs: faults.around(name, lambda: method(*args, **kwargs))

    async def _append(self, key: str, **kwargs: Any) -> object:
        blobs = cast("BlobStore", self._port)
        opened = await self._faults.around("append", lambda: blobs.append(key, **kwargs))
        return FaultySink(cast("Sink", opened), self._faults)

    @asynccontextmanager
    async def _hold(self, key: str, **kwargs: Any) -> AsyncIterator[Lease]:
        await asyncio.sleep(0)
        self._faults.come_by("before hold")
        async with cast("Leases", self._port).hold(key, **kwargs) as lease:
            self._faults.come_by("after hold")
            await asyncio.sleep(0)
            yield lease

    async def _iterate(self, name: str, iterator: AsyncIterator[object]) -> AsyncIterator[object]:
        await asyncio.sleep(0)
        self._faults.come_by(f"before {name}")
        async for item in iterator:
            yield item


class FaultySink:
    """A blob's end, struck."""

    def __init__(self, sink: Sink, faults: Faults) -> None:
        self._sink, self._faults = sink, faults

    def write(self, views: Any, count: int) -> Awaitable[None] | None:
        self._faults.come_by("before write")
        done = self._sink.write(views, count)
        self._faults.come_by("after write")
        return done

    @property
    def blob_id(self) -> int:
        return self._sink.blob_id

    async def close(self, *, complete: bool, keep: bool = True) -> bool:
        try:
            await asyncio.sleep(0)
            self._faults.come_by("before close")
        finally:
            durable = await self._sink.close(complete=complete, keep=keep)
        self._faults.come_by("after close")
        return durable
