"""Two clients, cuts and crashes in any order, compared with plain bytes.

A crash throws the process away: its requests never run on, its leases are free, the blobs and the catalog stay.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.engine.world import ANN, BOB, World, blob_keys, body, content, declared, disk_world, memory_world, received
from uploadstream.core.digests import crc32c
from uploadstream.core.errors import (
    Gone,
    LengthMismatch,
    NotFound,
    OffsetMismatch,
    Refusal,
    TakenOver,
    TooLarge,
    TypeMismatch,
    UploadClosed,
)
from uploadstream.core.session import Limits, State
from uploadstream.engine.intake import Intake
from uploadstream.engine.watch import Incoming

Result = TypeVar("Result")
SIZE_MAX = 3000
TTL = timedelta(hours=1)
PNG = b"\x89PNG\r\n\x1a\n"
CHUNKS = st.lists(st.binary(max_size=700), max_size=4)


class Cut(Exception):
    """The client went away."""


class Upload:
    """What a client knows of one upload: a plain `bytes`."""

    def __init__(self, upload_id: str, length: int | None, content_type: str) -> None:
        self.id = upload_id
        self.length = length
        self.content_type = content_type
        self.stored = b""
        self.is_file = False
        self.end = ""

    def fits(self, data: bytes) -> bool:
        return len(self.stored) + len(data) <= (SIZE_MAX if self.length is None else self.length)

    @property
    def is_full(self) -> bool:
        return len(self.stored) == self.length

    @property
    def may_be_what_was_declared(self) -> bool:
        """No refusal of the content is due: too little is there to tell, or it is what was declared."""
        too_little = not self.stored or (len(self.stored) < 512 and not self.is_full)
        return not self.content_type or self.stored.startswith(PNG) or too_little


class UploadModel(RuleBasedStateMachine):
    """To be given a `make_world`."""

    uploads = Bundle("uploads")
    make_world: Callable[[Path], World]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp())
        self.known: list[Upload] = []
        self.world = self.run(self.open_world())

    async def open_world(self) -> World:
        world = type(self).make_world(self.root)
        world.start(limits=Limits(file_size_max=SIZE_MAX, upload_ttl=TTL))
        return world

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.close())
        self.runner.close()
        shutil.rmtree(self.root)

    async def close(self) -> None:
        self.world.close()

    # What clients do

    @initialize(target=uploads)
    def begin_with_one(self) -> Upload:
        return self.run(self._create(2000, ""))

    @rule(target=uploads, length=st.none() | st.integers(0, SIZE_MAX), is_image=st.booleans())
    def create(self, length: int | None, is_image: bool) -> Upload:
        return self.run(self._create(length, "image/png" if is_image else ""))

    async def _create(self, length: int | None, content_type: str) -> Upload:
        uploaded = await self.world.engine.uploads.create(declared(length, content_type=content_type), ANN)
        upload = Upload(uploaded.session.id, length, content_type)
        upload.is_file = length == 0
        self.known.append(upload)
        return upload

    @rule(upload=uploads, chunks=CHUNKS, image=st.booleans(), cut=st.booleans(), by_socket=st.booleans())
    def append(self, upload: Upload, chunks: list[bytes], image: bool, cut: bool, by_socket: bool) -> None:
        """One request at the right place, perhaps cut after its last chunk."""
        if image and not upload.stored:
            chunks = [PNG, *chunks]
        bring = received if by_socket else body

        async def pour(intake: Intake) -> None:
            await bring(*chunks)(intake)
            if cut:
                raise Cut

        self.run(self._append(upload, chunks, cut, pour))

    @rule(
        upload=uploads, extra=st.sampled_from([-1, 0, 0, 1]), cut=st.booleans(), seed=st.binary(min_size=1, max_size=9)
    )
    def append_the_rest(self, upload: Upload, extra: int, cut: bool, seed: bytes) -> None:
        """All bytes that are missing, or one less, or one more."""
        if upload.length is None or upload.is_full:
            return
        rest = (seed * SIZE_MAX)[: max(upload.length - len(upload.stored) + extra, 0)]
        if upload.content_type and not upload.stored:
            rest = (PNG + rest)[: len(rest)]
        chunks = [rest[: len(rest) // 3], rest[len(rest) // 3 :]]

        async def pour(intake: Intake) -> None:
            await body(*chunks)(intake)
            if cut:
                raise Cut

        self.run(self._append(upload, chunks, cut, pour))

    async def _append(self, upload: Upload, chunks: list[bytes], cut: bool, pour: Any) -> None:
        was_full = upload.is_full
        error: BaseException | None = None
        try:
            uploaded = await self.world.engine.uploads.append(upload.id, ANN, Incoming(pour, at=len(upload.stored)))
        except (Refusal, Cut) as raised:
            error = raised
        if upload.end:
            assert isinstance(error, Gone)
            return
        if upload.is_file:
            self._check_nothing_taken(error, chunks, cut=cut)
            return
        if not was_full:
            self._store(upload, chunks)
        if not upload.may_be_what_was_declared:
            assert isinstance(error, TypeMismatch | LengthMismatch | TooLarge | Cut)
            if isinstance(error, TypeMismatch):
                upload.end = "refused"
            return
        if was_full:
            upload.is_file = True
            self._check_nothing_taken(error, chunks, cut=cut)
            return
        if sum(map(len, chunks)) and not self.took_all:
            assert isinstance(error, LengthMismatch if upload.length is not None else TooLarge)
            return
        if cut:
            assert isinstance(error, Cut)
            return
        assert error is None
        upload.is_file = upload.is_full
        assert uploaded.session.offset == len(upload.stored)
        assert (uploaded.file is not None) == upload.is_file

    @staticmethod
    def _check_nothing_taken(error: BaseException | None, chunks: list[bytes], *, cut: bool) -> None:
        """An upload that has all its bytes says so to whoever brings none; more are refused."""
        if any(chunks):
            assert isinstance(error, UploadClosed)
        elif cut:
            assert isinstance(error, Cut)
        else:
            assert error is None

    def _store(self, upload: Upload, chunks: list[bytes]) -> None:
        """What a store keeps of a body: every chunk before the first that is one too many."""
        self.took_all = True
        for chunk in chunks:
            if not upload.fits(chunk):
                self.took_all = False
                return
            if chunk and not upload.may_be_what_was_declared:
                return
            upload.stored += chunk

    @rule(upload=uploads, at=st.integers(0, SIZE_MAX))
    def append_elsewhere(self, upload: Upload, at: int) -> None:
        self.run(self._append_elsewhere(upload, at))

    async def _append_elsewhere(self, upload: Upload, at: int) -> None:
        size = len(upload.stored)
        if at == size or upload.end:
            return
        with pytest.raises(OffsetMismatch) as caught:
            await self.world.engine.uploads.append(upload.id, ANN, Incoming(body(b"x"), at=at))
        assert (caught.value.expected, caught.value.given) == (size, at)

    @rule(upload=uploads, first=st.binary(min_size=1, max_size=300), second=st.binary(min_size=1, max_size=300))
    def take_over(self, upload: Upload, first: bytes, second: bytes) -> None:
        """One client stalls in its body; another comes and goes on from where it stopped."""
        if upload.end or upload.is_file or upload.content_type or not upload.fits(first + second):
            return
        self.run(self._take_over(upload, first, second))

    async def _take_over(self, upload: Upload, first: bytes, second: bytes) -> None:
        stalled = asyncio.Event()

        async def stall(intake: Intake) -> None:
            intake.feed(first)
            stalled.set()
            await asyncio.sleep(3600)

        older = asyncio.create_task(self.world.engine.uploads.append(upload.id, ANN, Incoming(stall)))
        await stalled.wait()
        upload.stored += first
        if upload.is_full:
            second = b""
        newer = await self.world.engine.uploads.append(upload.id, ANN, Incoming(body(second), at=len(upload.stored)))
        await asyncio.wait([older])
        assert isinstance(older.exception(), TakenOver)
        upload.stored += second
        upload.is_file = upload.is_full
        assert (newer.file is not None) == upload.is_file

    @rule(upload=uploads, length=st.integers(0, SIZE_MAX + 1))
    def tell_length(self, upload: Upload, length: int) -> None:
        if upload.end or upload.is_file or upload.content_type:
            return
        self.run(self._tell_length(upload, length))

    async def _tell_length(self, upload: Upload, length: int) -> None:
        may = upload.length in {None, length} and len(upload.stored) <= length <= SIZE_MAX
        size = len(upload.stored)
        try:
            await self.world.engine.uploads.append(upload.id, ANN, Incoming(body(), at=size, length=length))
        except Refusal:
            assert not may
            return
        assert may
        upload.length = length
        upload.is_file = upload.is_full

    @rule(upload=uploads)
    def abort(self, upload: Upload) -> None:
        self.run(self._abort(upload))

    async def _abort(self, upload: Upload) -> None:
        if upload.end:
            with pytest.raises(Gone):
                await self.world.engine.uploads.abort(upload.id, ANN)
            return
        await self.world.engine.uploads.abort(upload.id, ANN)
        upload.end = "deleted" if upload.is_file else "aborted"

    @rule(upload=uploads)
    def restore(self, upload: Upload) -> None:
        if upload.end == "deleted":
            self.run(self.world.engine.files.restore(upload.id, ANN))
            upload.end = ""

    @rule(upload=uploads)
    def a_stranger_gets_nowhere(self, upload: Upload) -> None:
        async def try_everything() -> None:
            uploads = self.world.engine.uploads
            for act in (uploads.status(upload.id, BOB), uploads.append(upload.id, BOB, Incoming(body(b"x")))):
                with pytest.raises(NotFound) as caught:
                    await act
                assert type(caught.value) is NotFound

        self.run(try_everything())

    # What befalls the service

    @rule()
    def crash(self) -> None:
        self.run(self._crash())

    async def _crash(self) -> None:
        self.world.start()

    @rule(upload=uploads, data=st.binary(max_size=200))
    def crash_with_bytes_in_the_store(self, upload: Upload, data: bytes) -> None:
        """The process dies in the middle of a request: the store has some bytes, nobody took a note of them."""
        if upload.end or upload.is_file or upload.is_full or upload.content_type:
            return
        data = data[: (upload.length or SIZE_MAX) - len(upload.stored)]
        self.run(self._crash_with_bytes_in_the_store(upload, data))

    async def _crash_with_bytes_in_the_store(self, upload: Upload, data: bytes) -> None:
        sink = await self.world.blobs.append(upload.id, at=len(upload.stored))
        assert sink.write([data], len(data)) is None
        await sink.close(complete=False)
        upload.stored += data
        self.world.start()

    @rule()
    def sweep(self) -> None:
        """Uploads that a crash left full become files."""
        self.run(self._sweep())

    async def _sweep(self) -> None:
        await self.world.engine.sweeper.sweep()
        for upload in self.known:
            if upload.is_full and not upload.is_file and not upload.end:
                if upload.may_be_what_was_declared:
                    upload.is_file = True
                else:
                    upload.end = "refused"

    # What is true at any time

    @invariant()
    def the_engine_and_the_bytes_agree(self) -> None:
        self.run(self._compare())

    async def _compare(self) -> None:
        engine = self.world.engine
        assert engine.buffers.out == 0
        assert len(engine.watch) == 0
        for upload in self.known:
            if upload.end:
                with pytest.raises(Gone) as caught:
                    await engine.uploads.status(upload.id, ANN)
                assert caught.value.how == upload.end
                continue
            found = await engine.uploads.status(upload.id, ANN)
            assert found.session.offset == len(upload.stored)
            assert found.session.length == upload.length
            assert (found.session.state is State.COMPLETE) == upload.is_file
            assert (found.file is not None) == upload.is_file
            if found.file is not None:
                assert await content(engine, found.file) == upload.stored
                assert found.file.crc32c == crc32c(upload.stored)
        open_ids = {upload.id for upload in self.known if not upload.end and not upload.is_file}
        files = {upload.id for upload in self.known if upload.is_file}
        assert {session.id for session in (await engine.uploads.list(ANN, page_size=1000)).rows} == open_ids
        assert await blob_keys(self.world) <= open_ids | files


class InMemory(UploadModel):
    make_world = staticmethod(lambda _: memory_world())


class OnDisk(UploadModel):
    make_world = staticmethod(disk_world)


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@pytest.mark.parametrize(("model", "examples"), [(InMemory, 120), (OnDisk, 10)])
def test_uploads_are_plain_bytes(model: type[UploadModel], examples: int) -> None:
    run_state_machine_as_test(
        model,
        settings=settings(max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=QUIET),
    )
