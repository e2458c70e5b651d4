"""An act is cut at every place where it waits, and at every call of a port: what is left is whole or nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from tests.contracts.leases import is_free
from tests.engine.faults import Faults
from tests.engine.world import ANN, Engine, World, blob_keys, body, content, declared, memory_world
from uploadstream.adapters.memory_catalog import MemoryCatalog
from uploadstream.core.allowances import Allowance
from uploadstream.core.digests import Digest, crc32c
from uploadstream.core.errors import (
    CatalogUnavailable,
    Gone,
    LengthMismatch,
    StorageUnavailable,
    TypeMismatch,
)
from uploadstream.core.files import Audit, File
from uploadstream.core.session import State
from uploadstream.engine.intake import Intake
from uploadstream.engine.sweeper import GRACE
from uploadstream.engine.watch import Incoming

SENT = bytes(range(256)) * 8
HALF = len(SENT) // 2
PATIENCE_SECONDS = 20


async def pour(intake: Intake) -> None:
    """All of SENT that is still to come, in two pieces, waiting between them."""
    rest = SENT[intake.offset :]
    for piece in (rest[:700], rest[700:]):
        await asyncio.sleep(0)
        busy = intake.feed(piece)
        if busy is not None:
            await busy
        await asyncio.sleep(0)


@dataclass
class Outcome:
    """How an act in a world of its own ended, and whether it had been cut."""

    world: World
    engine: Engine
    error: BaseException | None
    cut: str

    async def assert_sound(self) -> None:
        """Whatever happened, nothing is held, every listed file is whole, and the sweeper leaves nothing over."""
        assert self.engine.buffers.out == 0, self.cut
        assert len(self.engine.watch) == 0, self.cut
        files = (await self.world.engine.files.list(ANN)).rows
        for file in files:
            assert await content(self.world.engine, file) == SENT, self.cut
            assert file.crc32c == crc32c(SENT), self.cut
        self.world.clock.ahead = 2 * GRACE
        await self.world.engine.sweeper.sweep()
        known = {file.id for file in (await self.world.engine.files.list(ANN)).rows}
        known |= {session.id for session in (await self.world.engine.uploads.list(ANN)).rows}
        assert await blob_keys(self.world) <= known, self.cut


Act = Callable[[Engine], Awaitable[object]]


async def struck(act: Act, *, at: int, error: Exception | None, prepare: Act | None = None) -> Outcome:
    """Run `act` and strike at its place number `at`: with an error, or by cancelling it."""
    world = memory_world()
    if prepare is not None:
        await prepare(world.engine)

    def strike() -> None:
        if error is not None:
            raise error
        task.cancel()

    faults = Faults(at=at, strike=strike)
    engine = faults.engine(world)
    task = asyncio.ensure_future(act(engine))
    await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    assert task.done()
    failure = asyncio.CancelledError() if task.cancelled() else task.exception()
    cut = f"{error!r} {faults.places[at] if faults.struck else 'not struck'} (place {at})"
    return Outcome(world, engine, failure, cut)


async def places(act: Act, prepare: Act | None = None) -> int:
    """How many places `act` comes by when all goes well."""
    world = memory_world()
    if prepare is not None:
        await prepare(world.engine)
    faults = Faults()
    await act(faults.engine(world))
    return len(faults.places)


ERRORS = [
    pytest.param(None, id="cancelled"),
    pytest.param(StorageUnavailable(), id="unavailable"),
    pytest.param(CatalogUnavailable(), id="no catalog"),
    pytest.param(ZeroDivisionError(), id="a bug"),
]


async def store_whole(engine: Engine) -> None:
    await engine.uploads.store_whole(declared(len(SENT)), ANN, pour)


@pytest.mark.parametrize("error", ERRORS)
async def test_a_whole_file_is_stored_whole_or_not_at_all(error: Exception | None) -> None:
    count = await places(store_whole)
    assert count > 10

    for at in range(count):
        outcome = await struck(store_whole, at=at, error=error)
        files = (await outcome.world.engine.files.list(ANN)).rows
        assert outcome.error is not None or files, outcome.cut
        assert (await outcome.world.engine.uploads.list(ANN)).rows == []
        # where the catalog was away, a commit may still come: the sweeper does it later
        if not isinstance(outcome.error, CatalogUnavailable | None) and not files and "remove" not in outcome.cut:
            assert await blob_keys(outcome.world) == set(), outcome.cut
        for file in files:
            assert await is_free(outcome.world.engine.ports.leases, file.id)
        await outcome.assert_sound()


async def test_a_commit_that_comes_after_its_answer_was_lost_finds_the_bytes() -> None:
    class Late(MemoryCatalog):
        """Its connection breaks while it commits."""

        async def publish(self, file: File, audit: Audit, allowance: Allowance | None = None) -> File:
            committing.append(super().publish(file, audit, allowance))
            raise CatalogUnavailable

    committing: list[Awaitable[File]] = []
    world = memory_world()
    world.catalog = Late()
    engine = world.start()

    with pytest.raises(CatalogUnavailable):
        await store_whole(engine)
    file = await committing[0]

    assert await content(engine, file) == SENT


@pytest.mark.parametrize("turns", range(60))
async def test_a_whole_file_whose_request_is_cancelled_at_any_moment_is_whole_or_not_there(turns: int) -> None:
    world = memory_world()
    engine = Faults().engine(world)
    task = asyncio.ensure_future(store_whole(engine))

    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_SECONDS)

    files = (await world.engine.files.list(ANN)).rows
    assert await blob_keys(world) == {file.id for file in files}
    await Outcome(world, engine, None, f"cancelled after {turns} turns").assert_sound()


async def test_a_commit_that_goes_on_after_its_request_was_cancelled_is_waited_for() -> None:
    class Grouping(MemoryCatalog):
        """Commits for many at once, and does not stop for one of them."""

        def __init__(self) -> None:
            super().__init__()
            self.commits: list[asyncio.Task[File]] = []

        async def publish(self, file: File, audit: Audit, allowance: Allowance | None = None) -> File:
            assert allowance is None
            self.commits.append(asyncio.create_task(self._commit(file, audit)))
            return await asyncio.shield(self.commits[-1])

        async def _commit(self, file: File, audit: Audit) -> File:
            await asyncio.sleep(0.03)
            return await super().publish(file, audit)

    world = memory_world()
    world.catalog = catalog = Grouping()
    engine = world.start()
    storing = asyncio.create_task(store_whole(engine))
    while not catalog.commits:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)

    storing.cancel()
    await asyncio.wait([storing, *catalog.commits])

    assert storing.cancelled()
    (file,) = (await engine.files.list(ANN)).rows
    assert await content(engine, file) == SENT


@pytest.mark.parametrize("sent", [SENT[:-1], SENT + b"x", b""])
async def test_a_whole_file_of_another_length_than_declared_leaves_nothing(world: World, sent: bytes) -> None:
    async def bring(intake: Intake) -> None:
        intake.feed(sent[:HALF])
        intake.feed(sent[HALF:])

    with pytest.raises(LengthMismatch) as caught:
        await world.engine.uploads.store_whole(declared(len(SENT)), ANN, bring)

    assert (caught.value.received, caught.value.declared) == (len(sent), len(SENT))
    assert await blob_keys(world) == set()
    assert (await world.engine.files.list(ANN)).rows == []


async def test_a_whole_file_of_another_type_than_declared_leaves_nothing(world: World) -> None:
    with pytest.raises(TypeMismatch):
        await world.engine.uploads.store_whole(declared(None, content_type="image/png"), ANN, pour)

    assert await blob_keys(world) == set()


async def test_a_whole_file_that_is_cut_leaves_nothing(world: World) -> None:
    async def cut(intake: Intake) -> None:
        intake.feed(SENT[:HALF])
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await world.engine.uploads.store_whole(declared(len(SENT)), ANN, cut)

    assert await blob_keys(world) == set()


@pytest.mark.parametrize("length", [None, len(SENT)])
async def test_a_whole_file_is_stored_whether_or_not_its_length_is_told(world: World, length: int | None) -> None:
    file = await world.engine.uploads.store_whole(declared(length), ANN, pour)

    assert file.size == len(SENT)
    assert await content(world.engine, file) == SENT


async def test_a_whole_file_may_be_empty(world: World) -> None:
    async def nothing(_: Intake) -> None:
        return

    for length in (0, None):
        file = await world.engine.uploads.store_whole(declared(length), ANN, nothing)
        assert (file.size, await content(world.engine, file)) == (0, b"")


# An upload that can be resumed

UPLOADS: dict[int, str] = {}


async def create_one(engine: Engine) -> None:
    UPLOADS.clear()
    UPLOADS[0] = (await engine.uploads.create(declared(len(SENT)), ANN)).session.id


async def append_half(engine: Engine) -> None:
    async def half(intake: Intake) -> None:
        for at in range(0, HALF, 700):
            await asyncio.sleep(0)
            intake.feed(SENT[at : min(at + 700, HALF)])

    await engine.uploads.append(UPLOADS[0], ANN, Incoming(half, at=0))


async def append_rest(engine: Engine) -> None:
    await engine.uploads.append(UPLOADS[0], ANN, Incoming(pour))


async def create_and_append_half(engine: Engine) -> None:
    await create_one(engine)
    await append_half(engine)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("prepare", "act"),
    [
        pytest.param(create_one, append_half, id="first half"),
        pytest.param(create_one, append_rest, id="all"),
        pytest.param(create_and_append_half, append_rest, id="second half"),
    ],
)
async def test_an_upload_that_was_cut_anywhere_is_resumed_to_the_right_file(
    prepare: Act, act: Act, error: Exception | None
) -> None:
    for at in range(await places(act, prepare)):
        outcome = await struck(act, at=at, error=error, prepare=prepare)
        engine, upload_id = outcome.world.engine, UPLOADS[0]
        assert await is_free(engine.ports.leases, upload_id), outcome.cut

        found = await engine.uploads.status(upload_id, ANN)
        assert found.session.offset >= (HALF if prepare is create_and_append_half else 0), outcome.cut
        uploaded = await engine.uploads.append(upload_id, ANN, Incoming(pour, at=found.session.offset))

        assert uploaded.session.state is State.COMPLETE, outcome.cut
        await outcome.assert_sound()


async def append_rest_checked(engine: Engine) -> None:
    digest = Digest("crc32c", crc32c(SENT[HALF:]).to_bytes(4, "big"))
    await engine.uploads.append(UPLOADS[0], ANN, Incoming(pour, at=HALF, digest=digest))


@pytest.mark.parametrize("error", ERRORS)
async def test_t23_of_a_checked_body_that_was_cut_anywhere_all_is_there_or_nothing(error: Exception | None) -> None:
    for at in range(await places(append_rest_checked, create_and_append_half)):
        outcome = await struck(append_rest_checked, at=at, error=error, prepare=create_and_append_half)
        engine, upload_id = outcome.world.engine, UPLOADS[0]

        found = await engine.uploads.status(upload_id, ANN)
        assert found.session.offset in {HALF, len(SENT)}, outcome.cut
        uploaded = await engine.uploads.append(upload_id, ANN, Incoming(pour, at=found.session.offset))

        assert uploaded.session.state is State.COMPLETE, outcome.cut
        await outcome.assert_sound()


async def abort(engine: Engine) -> None:
    await engine.uploads.abort(UPLOADS[0], ANN)


@pytest.mark.parametrize("error", ERRORS)
async def test_an_upload_whose_abort_was_cut_is_open_or_gone(error: Exception | None) -> None:
    for at in range(await places(abort, create_and_append_half)):
        outcome = await struck(abort, at=at, error=error, prepare=create_and_append_half)
        engine = outcome.world.engine
        try:
            found = await engine.uploads.status(UPLOADS[0], ANN)
        except Gone:
            pass
        else:
            assert outcome.error is not None
            assert found.session.offset == HALF, outcome.cut
            await engine.uploads.abort(UPLOADS[0], ANN)
        await outcome.assert_sound()
        assert await blob_keys(outcome.world) == set()


async def append_script(engine: Engine) -> None:
    async def script(intake: Intake) -> None:
        for _ in range(9):
            await asyncio.sleep(0)
            intake.feed(b"function hello() { return 'world'; }\n" * 3)

    await engine.uploads.append(UPLOADS[0], ANN, Incoming(script, at=0))


async def create_image(engine: Engine) -> None:
    UPLOADS.clear()
    UPLOADS[0] = (await engine.uploads.create(declared(9999, content_type="image/png"), ANN)).session.id


@pytest.mark.parametrize("error", ERRORS)
async def test_a_refusal_that_was_cut_never_makes_a_file(error: Exception | None) -> None:
    async def refused(engine: Engine) -> None:
        with pytest.raises(TypeMismatch):
            await append_script(engine)

    for at in range(await places(refused, create_image)):
        outcome = await struck(append_script, at=at, error=error, prepare=create_image)
        assert outcome.error is not None, outcome.cut
        with pytest.raises((TypeMismatch, Gone)):
            await append_again(outcome.world.engine)
        await outcome.assert_sound()
        assert await blob_keys(outcome.world) == set()
        assert (await outcome.world.engine.files.list(ANN)).rows == []


async def append_again(engine: Engine) -> None:
    """What a client does that was told of a fault: it asks where to go on."""

    async def script(intake: Intake) -> None:
        intake.feed(b"function hello() { return 'world'; }\n" * 30)

    await engine.uploads.append(UPLOADS[0], ANN, Incoming(script))


async def create(engine: Engine) -> None:
    await engine.uploads.create(declared(10), ANN)


async def create_empty(engine: Engine) -> None:
    await engine.uploads.create(declared(0), ANN)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("act", [create, create_empty])
async def test_a_creation_that_was_cut_leaves_an_upload_or_nothing(act: Act, error: Exception | None) -> None:
    for at in range(await places(act)):
        outcome = await struck(act, at=at, error=error)
        rows = (await outcome.world.engine.uploads.list(ANN)).rows
        files = (await outcome.world.engine.files.list(ANN)).rows
        assert len(rows) + len(files) <= 1, outcome.cut
        for row in rows:
            await outcome.world.engine.uploads.abort(row.id, ANN)
        assert await blob_keys(outcome.world) == set(), outcome.cut


async def create_partials(engine: Engine) -> None:
    UPLOADS.clear()
    for number, data in enumerate((SENT[:HALF], SENT[HALF:])):
        said = replace(declared(HALF), is_partial=True)
        UPLOADS[number] = (await engine.uploads.create(said, ANN)).session.id
        await engine.uploads.append(UPLOADS[number], ANN, Incoming(body(data), at=0))


async def join(engine: Engine) -> None:
    await engine.uploads.join(replace(declared(None), joins="final"), ANN, list(UPLOADS.values()))


async def end_a_joined_part(engine: Engine) -> None:
    await engine.uploads.abort(UPLOADS[1], ANN)


async def create_partials_and_join(engine: Engine) -> None:
    await create_partials(engine)
    await join(engine)


@pytest.mark.parametrize("error", ERRORS)
async def test_t27_a_joining_that_was_cut_anywhere_makes_a_whole_file_or_none(error: Exception | None) -> None:
    for at in range(await places(join, create_partials)):
        outcome = await struck(join, at=at, error=error, prepare=create_partials)
        engine = outcome.world.engine
        assert len((await engine.files.list(ANN)).rows) <= 1, outcome.cut

        await join(engine)

        for file in (await engine.files.list(ANN)).rows:
            assert await content(engine, file) == SENT, outcome.cut
            assert file.crc32c == crc32c(SENT), outcome.cut
        assert await blob_keys(outcome.world) == set(UPLOADS.values()), outcome.cut


@pytest.mark.parametrize("error", ERRORS)
async def test_t28_wherever_the_end_of_a_joined_part_is_cut_the_file_stays_whole(error: Exception | None) -> None:
    for at in range(await places(end_a_joined_part, create_partials_and_join)):
        outcome = await struck(end_a_joined_part, at=at, error=error, prepare=create_partials_and_join)
        engine = outcome.world.engine
        outcome.world.clock.ahead = 2 * engine.limits.upload_ttl
        await engine.sweeper.sweep()

        [file] = (await engine.files.list(ANN)).rows
        assert await content(engine, file) == SENT, outcome.cut
        assert await blob_keys(outcome.world) == set(UPLOADS.values()), outcome.cut
