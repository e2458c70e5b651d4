"""Finished files: listed, described, put in the trash, taken out, and what happened to them."""

from datetime import timedelta

import pytest

from tests.engine.world import ANN, BOB, Engine, World, blob_keys, body, content, declared
from uploadstream.core.access import Caller
from uploadstream.core.errors import BadField, Gone, NotFound
from uploadstream.core.files import Action, Audit, File
from uploadstream.core.listings import Wanted
from uploadstream.engine.files import Files
from uploadstream.engine.watch import Incoming

TEXT = b"0123456789"
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"


@pytest.fixture
def engine(world: World) -> Engine:
    return world.engine


async def stored(engine: Engine, *, name: str = "a.txt", caller: Caller = ANN) -> File:
    return await engine.uploads.store_whole(declared(len(TEXT), name=name), caller, body(TEXT))


async def names(files: Files, caller: Caller = ANN, *, deleted: bool = False) -> list[str]:
    return [file.filename for file in (await files.list(caller, Wanted(deleted=deleted))).rows]


async def test_a_stored_file_is_described_and_listed(engine: Engine) -> None:
    file = await stored(engine)

    assert await engine.files.describe(file.id, ANN) == file
    assert (await engine.files.list(ANN)).rows == [file]
    assert await names(engine.files, deleted=True) == []


async def test_ones_own_files_are_listed_and_nobody_elses(engine: Engine) -> None:
    await stored(engine, name="anns")
    await stored(engine, name="bobs", caller=BOB)
    await stored(engine, name="nobodys", caller=Caller())

    assert await names(engine.files) == ["anns"]
    assert await names(engine.files, BOB) == ["bobs"]
    assert await names(engine.files, Caller()) == ["nobodys"]


async def test_files_are_listed_newest_first_a_page_at_a_time(engine: Engine, world: World) -> None:
    for number in range(7):
        world.clock.ahead = timedelta(seconds=number)
        await stored(engine, name=str(number))

    seen, token, pages = [], "", 0
    while True:
        page = await engine.files.list(ANN, page_size=3, page_token=token)
        seen += [file.filename for file in page.rows]
        pages += 1
        if not (token := page.next_token):
            break

    assert seen == ["6", "5", "4", "3", "2", "1", "0"]
    assert pages == 3


async def test_a_page_has_20_rows_unless_asked_otherwise(engine: Engine) -> None:
    for _ in range(21):
        await stored(engine)

    assert len((await engine.files.list(ANN)).rows) == 20
    assert len((await engine.files.list(ANN, page_size=1000)).rows) == 21
    assert len((await engine.files.list(ANN, page_size=10**9)).rows) == 21


async def test_a_page_that_cannot_be_is_refused(engine: Engine) -> None:
    for act in (
        engine.files.list(ANN, page_size=-1),
        engine.files.list(ANN, page_token="nonsense"),
        engine.files.audit(UNKNOWN, ANN, page_size=-1),
        engine.files.audit(UNKNOWN, ANN, page_token="nonsense"),
    ):
        with pytest.raises(BadField):
            await act


async def test_a_deleted_file_is_in_the_trash_with_its_bytes(engine: Engine, world: World) -> None:
    file = await stored(engine)

    gone = await engine.files.delete(file.id, ANN)

    assert gone.deleted_at is not None
    assert await names(engine.files) == []
    assert await names(engine.files, deleted=True) == ["a.txt"]
    assert await blob_keys(world) == {file.id}
    for act in (
        engine.files.describe(file.id, ANN),
        engine.files.delete(file.id, ANN),
        engine.downloads.open(file.id, ANN),
        engine.uploads.status(file.id, ANN),
    ):
        with pytest.raises(Gone) as caught:
            await act
        assert caught.value.how == "deleted"


async def test_a_restored_file_is_as_it_was(engine: Engine) -> None:
    file = await stored(engine)
    await engine.files.delete(file.id, ANN)

    assert await engine.files.restore(file.id, ANN) == file

    assert await engine.files.describe(file.id, ANN) == file
    assert await names(engine.files, deleted=True) == []
    assert await content(engine, file) == TEXT


async def test_restoring_what_is_in_use_changes_nothing(engine: Engine) -> None:
    file = await stored(engine)

    assert await engine.files.restore(file.id, ANN) == file

    assert [entry.action for entry in (await engine.files.audit(file.id, ANN)).rows] == [Action.COMPLETE]


async def test_an_empty_file_is_deleted_and_restored_too(engine: Engine) -> None:
    file = (await engine.uploads.create(declared(0), ANN)).file
    assert file is not None
    await engine.files.delete(file.id, ANN)

    assert await engine.files.restore(file.id, ANN) == file


@pytest.mark.parametrize("left", [None, TEXT[:4]])
async def test_a_file_whose_bytes_are_gone_stays_in_the_trash(engine: Engine, world: World, left: bytes | None) -> None:
    file = await stored(engine)
    await engine.files.delete(file.id, ANN)
    await world.blobs.remove(file.id)
    if left is not None:
        sink = await world.blobs.append(file.id, at=0)
        assert sink.write([left], len(left)) is None
        await sink.close(complete=True)

    with pytest.raises(Gone) as caught:
        await engine.files.restore(file.id, ANN)

    assert caught.value.how == "lost"
    assert await names(engine.files, deleted=True) == ["a.txt"]


async def test_of_two_that_delete_at_once_one_is_told_it_is_gone(engine: Engine) -> None:
    file = await stored(engine)
    found = await engine.files.describe(file.id, ANN)
    await engine.files.delete(file.id, ANN)

    class Stale(type(engine.ports.catalog)):  # type: ignore[misc] # a catalog that is a moment behind
        async def file(self, file_id: str) -> File | None:
            return found

    stale = Stale.__new__(Stale)
    stale.__dict__.update(vars(engine.ports.catalog))
    engine.files._catalog = stale

    with pytest.raises(Gone):
        await engine.files.delete(file.id, ANN)


@pytest.mark.parametrize("file_id", [UNKNOWN, "", "../../etc/passwd", UNKNOWN.upper(), "\x00", "a" * 100_000])
async def test_what_is_no_file_is_not_found(engine: Engine, file_id: str) -> None:
    for act in (
        engine.files.describe(file_id, ANN),
        engine.files.delete(file_id, ANN),
        engine.files.restore(file_id, ANN),
        engine.files.audit(file_id, ANN),
        engine.downloads.open(file_id, ANN),
        engine.downloads.open_or_follow(file_id, ANN),
    ):
        with pytest.raises(NotFound) as caught:
            await act
        assert type(caught.value) is NotFound


async def test_anothers_file_is_as_unknown(engine: Engine) -> None:
    file = await stored(engine)
    await engine.files.delete((await stored(engine)).id, ANN)

    for act in (
        engine.files.describe(file.id, BOB),
        engine.files.delete(file.id, BOB),
        engine.files.restore(file.id, BOB),
        engine.files.audit(file.id, BOB),
        engine.downloads.open(file.id, BOB),
    ):
        with pytest.raises(NotFound) as caught:
            await act
        assert str(caught.value) == f"No file {file.id}"


async def test_who_names_nobody_reaches_any_file_by_its_id(engine: Engine) -> None:
    file = await stored(engine)

    assert await engine.files.describe(file.id, Caller()) == file
    await engine.files.delete(file.id, Caller())
    await engine.files.restore(file.id, Caller())

    assert await engine.files.describe(file.id, ANN) == file


async def test_the_trail_tells_who_did_what_the_oldest_first(engine: Engine, world: World) -> None:
    upload_id = (await engine.uploads.create(declared(10), ANN)).session.id
    await engine.uploads.append(upload_id, Caller("", "other", "192.0.2.9"), Incoming(body(TEXT)))
    world.clock.ahead = timedelta(seconds=1)
    await engine.files.delete(upload_id, ANN)
    world.clock.ahead = timedelta(seconds=2)
    await engine.files.restore(upload_id, ANN)

    seen: list[Audit] = []
    token = ""
    while True:
        page = await engine.files.audit(upload_id, ANN, page_size=3, page_token=token)
        seen += page.rows
        if not (token := page.next_token):
            break

    assert [entry.action for entry in seen] == [Action.CREATE, Action.COMPLETE, Action.DELETE, Action.RESTORE]
    assert [entry.user_id for entry in seen] == ["ann", "anonymous", "ann", "ann"]
    assert [(entry.protocol, entry.address) for entry in seen[:2]] == [("test", "192.0.2.1"), ("other", "192.0.2.9")]
    assert seen[1].details == {"size": "10", "content_type": "text/plain"}
    assert seen == sorted(seen, key=lambda entry: entry.at)


async def test_the_trail_is_there_after_the_upload_has_gone(engine: Engine) -> None:
    upload_id = (await engine.uploads.create(declared(10), ANN)).session.id
    await engine.uploads.abort(upload_id, ANN)

    rows = (await engine.files.audit(upload_id, ANN)).rows

    assert [entry.action for entry in rows] == [Action.CREATE, Action.ABORT]
    with pytest.raises(NotFound):
        await engine.files.audit(upload_id, BOB)


async def test_deletions_are_counted_for_their_owner(engine: Engine, world: World) -> None:
    files = [await stored(engine) for _ in range(3)]
    await engine.files.delete((await stored(engine, caller=BOB)).id, BOB)
    world.clock.ahead = timedelta(hours=1)
    for file in files[:2]:
        await engine.files.delete(file.id, ANN)
    await engine.files.restore(files[0].id, ANN)

    stats = await engine.files.deletion_stats(ANN)

    assert (stats.deleted, stats.restored, stats.restored_share) == (2, 1, 0.5)
    assert dict(stats.by_type) == {"text/plain": 2}
    assert sum(stats.by_day.values()) == 2
    assert stats.age_seconds_max == pytest.approx(3600, abs=60)
