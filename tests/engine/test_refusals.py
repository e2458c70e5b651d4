"""New uploads that are refused are in the trail of whose files they would have been, and do not fill it."""

from datetime import timedelta

import pytest

from tests.engine.world import ANN, World, blob_keys, body, declared
from uploadstream.core.access import Caller, Forbidden
from uploadstream.core.errors import BadField, CatalogUnavailable, TooLarge, TypeMismatch
from uploadstream.core.files import Action, Audit
from uploadstream.core.session import Limits
from uploadstream.engine import refusals as refusals_module
from uploadstream.engine.refusals import OF_A_USER, OF_ALL, Refusals

LARGE = 2000


@pytest.fixture(autouse=True)
async def _small(world: World) -> None:
    world.start(limits=Limits(file_size_max=1000))


async def refused(world: World, *, caller: Caller = ANN, length: int | None = LARGE, user_id: str = "") -> None:
    with pytest.raises(TooLarge):
        await world.engine.uploads.create(declared(length, user_id=user_id), caller)


async def rows(world: World, owner: str = "ann") -> list[Audit]:
    return [row for _, row in await world.catalog.events(owner, after=0, limit=1000)]


async def test_who_asks_for_too_much_is_in_the_trail(world: World) -> None:
    await refused(world)
    await refused(world, caller=Caller("", "test", "192.0.2.9"), user_id="ann")

    first, second = await rows(world)

    assert (first.action, first.user_id, first.protocol, first.address) == (Action.REFUSE, "ann", "test", "192.0.2.1")
    assert first.details == {"why": "File size 2 KiB exceeds limit of 1000 B", "reason": "FILE_TOO_LARGE"}
    assert (second.user_id, second.address) == ("anonymous", "192.0.2.9")
    assert first.file_id != second.file_id


async def test_so_is_a_whole_file_of_another_kind_and_nothing_of_it_stays(world: World) -> None:
    with pytest.raises(TypeMismatch):
        await world.engine.uploads.store_whole(declared(4, content_type="image/png"), ANN, body(b"text"))

    (row,) = await rows(world)

    assert row.action is Action.REFUSE
    assert "image/png" in row.details["why"]
    assert await blob_keys(world) == set()


async def test_what_never_began_is_no_event(world: World) -> None:
    await refused(world)
    ((number, row),) = await world.catalog.events("ann", after=0, limit=10)

    assert await world.engine.events._event(number, row) is None


async def test_what_is_misspelled_is_not_in_the_trail(world: World) -> None:
    with pytest.raises(BadField):
        await world.engine.uploads.create(declared(1, content_type="no type"), ANN)

    assert await rows(world) == []


async def test_a_catalog_that_is_away_refuses_no_less(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise CatalogUnavailable

    monkeypatch.setattr(world.catalog, "record", away)

    await refused(world)


@pytest.fixture
def _standing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on only where a test says so."""
    began = world.clock.now()
    monkeypatch.setattr(world.clock, "now", lambda: began + world.clock.ahead)


@pytest.mark.usefixtures("_standing")
async def test_of_those_that_come_again_and_again_some_are_left_out_and_counted(world: World) -> None:
    for _ in range(OF_A_USER.burst + 7):
        await refused(world)
    assert len(await rows(world)) == OF_A_USER.burst

    world.clock.ahead += timedelta(minutes=1)
    await refused(world)

    assert (await rows(world))[-1].details["left_out"] == "7"
    assert len(await rows(world)) == OF_A_USER.burst + 1


@pytest.mark.usefixtures("_standing")
async def test_many_users_are_left_out_too_and_not_all_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals_module, "USERS_MAX", 10)
    refusals, written = Refusals(world.catalog, world.clock), 0
    for n in range(OF_ALL.burst + 5):
        await refusals.record(declared(1), Caller(f"user {n}"), Forbidden("no"))
        written += len(await rows(world, f"user {n}"))

    assert written == OF_ALL.burst
    assert len(refusals._users) <= 10
