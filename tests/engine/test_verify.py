"""Every stored file can be read again and compared with what the catalog says of it."""

import pytest

from tests.contracts.blobs import store_bytes
from tests.engine.world import ANN, World, body, declared
from uploadstream.core.digests import crc32c, spelled
from uploadstream.core.errors import StorageUnavailable
from uploadstream.core.files import File
from uploadstream.engine import verify as verify_module
from uploadstream.engine.verify import Finding, verify

TEXT = b"0123456789" * 1000


async def stored(world: World) -> File:
    return await world.engine.uploads.store_whole(declared(len(TEXT)), ANN, body(TEXT))


async def verdicts(world: World) -> dict[str, tuple[Finding, str]]:
    return {verdict.file.id: (verdict.finding, verdict.says) async for verdict in verify(world.engine.ports)}


async def test_what_is_whole_is_found_so_also_in_the_trash(world: World) -> None:
    file, trash = await stored(world), await stored(world)
    await world.engine.files.delete(trash.id, ANN)
    empty = (await world.engine.uploads.create(declared(0), ANN)).file
    assert empty is not None

    assert await verdicts(world) == {each.id: (Finding.WHOLE, "") for each in (file, trash, empty)}


async def test_what_is_not_as_it_was_is_named_with_its_numbers(world: World) -> None:
    missing, short, changed, whole = [await stored(world) for _ in range(4)]
    for file in (missing, short, changed):
        await world.blobs.remove(file.id)
    other = b"X" + TEXT[1:]
    await store_bytes(world.blobs, short.id, TEXT[:7])
    await store_bytes(world.blobs, changed.id, other)

    assert await verdicts(world) == {
        missing.id: (Finding.MISSING, "0 of 10000 bytes are there"),
        short.id: (Finding.WRONG_SIZE, "7 of 10000 bytes are there"),
        changed.id: (
            Finding.WRONG_DIGEST,
            f"crc32c is {spelled(crc32c(other))}, was {spelled(crc32c(TEXT))}",
        ),
        whole.id: (Finding.WHOLE, ""),
    }


async def test_a_file_that_cannot_be_read_does_not_keep_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await stored(world), await stored(world)
    read = world.blobs.read

    def broken(key: str, *, start: int, stop: int, piece_size: int) -> object:
        if key == bad.id:
            raise StorageUnavailable from OSError("the disk is on fire")
        return read(key, start=start, stop=stop, piece_size=piece_size)

    monkeypatch.setattr(world.blobs, "read", broken)

    assert await verdicts(world) == {
        bad.id: (Finding.MISSING, "cannot be read: the disk is on fire"),
        good.id: (Finding.WHOLE, ""),
    }


async def test_more_than_a_batch_is_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "BATCH", 3)
    files = [await stored(world) for _ in range(8)]
    for file in files[:4]:
        await world.engine.files.delete(file.id, ANN)

    assert set(await verdicts(world)) == {file.id for file in files}
