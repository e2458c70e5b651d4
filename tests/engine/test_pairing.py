"""A catalog meets the store that it belongs to, and no other."""

import asyncio
import re

import pytest

from tests.contracts.blobs import a_key, store_bytes
from tests.engine.world import World
from uploadstream.adapters.memory import MemoryBlobs
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.errors import StorageUnavailable
from uploadstream.engine.pairing import WrongStore, check_pair, is_pair, pair
from uploadstream.ports import BlobStore, Catalog

PLACE = "/srv/blobs"


async def paired(catalog: Catalog, blobs: BlobStore) -> str:
    await pair(catalog, blobs, new_id=a_key(), place=PLACE)
    found = await blobs.store_id()
    assert found is not None
    assert found == await catalog.store_id()
    return found


async def test_a_new_catalog_and_a_new_store_belong_together_from_then_on(world: World) -> None:
    first = await paired(world.catalog, world.blobs)
    await store_bytes(world.blobs, a_key(), b"abc")

    assert await paired(world.catalog, world.blobs) == first
    await check_pair(world.catalog, world.blobs, place=PLACE)


async def test_two_that_have_yet_to_meet_are_not_said_to_be_wrong(world: World) -> None:
    await check_pair(world.catalog, world.blobs, place=PLACE)


async def test_processes_that_start_at_once_agree(world: World) -> None:
    ids = await asyncio.gather(*(paired(world.catalog, world.blobs) for _ in range(10)))

    assert len(set(ids)) == 1


async def test_a_store_without_its_id_is_as_good_as_away(world: World) -> None:
    expected = await paired(world.catalog, world.blobs)
    unmounted = MemoryBlobs(world.clock)

    says = f"Storage at {PLACE} is not the one this catalog belongs to: store {expected} is expected there, none was"
    with pytest.raises(WrongStore, match=f"^{re.escape(says)} found; is a volume not mounted"):
        await pair(world.catalog, unmounted, new_id=a_key(), place=PLACE)

    assert await unmounted.store_id() is None
    assert not await is_pair(world.catalog, unmounted)


async def test_the_store_of_another_catalog_is_refused(world: World) -> None:
    expected = await paired(world.catalog, world.blobs)
    other = MemoryBlobs(world.clock)
    found = await paired(MemoryCatalog(), other)

    with pytest.raises(WrongStore) as caught:
        await pair(world.catalog, other, new_id=a_key(), place=PLACE)

    assert (caught.value.expected, caught.value.found) == (expected, found)


@pytest.mark.parametrize("has_id", [False, True])
async def test_a_store_with_blobs_is_not_for_a_new_catalog(world: World, has_id: bool) -> None:
    if has_id:
        await paired(world.catalog, world.blobs)
    await store_bytes(world.blobs, a_key(), b"abc")
    new = MemoryCatalog()

    with pytest.raises(WrongStore, match=r"has blobs that this new catalog knows nothing of; restore their catalog"):
        await pair(new, world.blobs, new_id=a_key(), place=PLACE)

    assert await new.store_id() is None


async def test_a_store_that_has_an_id_and_no_blobs_is_for_a_new_catalog(world: World) -> None:
    first = await paired(world.catalog, world.blobs)

    assert await paired(MemoryCatalog(), world.blobs) == first


async def test_a_crash_while_they_are_paired_does_not_keep_them_apart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(_: str) -> str:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(world.catalog, "set_store_id", killed)
        with pytest.raises(asyncio.CancelledError):
            await paired(world.catalog, world.blobs)

    await paired(world.catalog, world.blobs)


async def test_a_blob_that_came_while_another_process_paired_them_is_no_strangers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = world.catalog.store_id

    async def other_first() -> str | None:
        monkeypatch.setattr(world.catalog, "store_id", ask)
        before = await ask()
        await paired(world.catalog, world.blobs)
        await store_bytes(world.blobs, a_key(), b"abc")
        return before

    monkeypatch.setattr(world.catalog, "store_id", other_first)

    await paired(world.catalog, world.blobs)


async def test_a_store_that_cannot_say_is_not_taken_for_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await paired(world.catalog, world.blobs)

    async def away() -> str | None:
        raise StorageUnavailable

    monkeypatch.setattr(world.blobs, "store_id", away)

    with pytest.raises(StorageUnavailable):
        await pair(world.catalog, world.blobs, new_id=a_key(), place=PLACE)
