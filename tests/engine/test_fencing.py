"""Leases that can be lost: what a request says whose lease was, and what is fenced for the next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.engine.world import ANN, World, body, declared, memory_world
from uploadstream.core.errors import TakenOver
from uploadstream.engine.fencing import fencing
from uploadstream.engine.watch import Incoming
from uploadstream.ports import Lease, Leases, Ports


class LosingLease:
    """One that is another's when it is looked at, or only at the end."""

    def __init__(self, key: str, *, early: bool) -> None:
        self._lost = TakenOver(upload_id=key)
        self._early = early

    def check(self) -> None:
        if self._early:
            raise self._lost

    async def give_back(self) -> None:
        raise self._lost


class LosingLeases:
    """Leases of a process that stands still while it holds them."""

    def __init__(self, *, early: bool) -> None:
        self._early = early

    @asynccontextmanager
    async def hold(self, key: str, **_: Any) -> AsyncIterator[Lease]:
        yield LosingLease(key, early=self._early)


@pytest.fixture
def world() -> World:
    return memory_world()


def losing(world: World, *, early: bool) -> World:
    """The same world, in which leases are lost from now on."""
    ports: Ports = replace(world.engine.ports, leases=cast("Leases", LosingLeases(early=early)))
    world.new_leases = lambda: ports.leases
    world.start()
    return world


async def test_a_request_that_lost_its_lease_is_no_success(world: World) -> None:
    upload_id = (await world.engine.uploads.create(declared(6), ANN)).session.id
    uploads = losing(world, early=False).engine.uploads

    with pytest.raises(TakenOver):
        await uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0))


async def test_who_lost_its_lease_before_the_blob_was_open_writes_nothing(world: World) -> None:
    upload_id = (await world.engine.uploads.create(declared(6), ANN)).session.id
    uploads = losing(world, early=True).engine.uploads

    with pytest.raises(TakenOver):
        await uploads.append(upload_id, ANN, Incoming(body(b"abc"), at=0))

    assert await world.blobs.stat(upload_id) is None


async def test_what_can_be_gone_on_with_is_fenced_and_nothing_else(world: World) -> None:
    uploads = world.engine.uploads
    begun = (await uploads.create(declared(6), ANN)).session.id
    await uploads.append(begun, ANN, Incoming(body(b"abc"), at=0))
    finished = (await uploads.store_whole(declared(3), ANN, body(b"abc"))).id
    fence = fencing(world.catalog, world.blobs)

    outcomes = []
    for key in (begun, finished):
        sink = await world.blobs.append(key, at=3)
        await fence(key, lambda: None)
        outcomes.append((await world.blobs.append(key, at=3)).blob_id != sink.blob_id)
    await fence("sweeper", lambda: None)

    assert outcomes == [True, False]
