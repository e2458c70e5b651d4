"""What every blob store promises."""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from uploadstream.core.errors import OffsetMismatch, StorageUnavailable
from uploadstream.core.parts import Span
from uploadstream.core.sizes import KIB, MIB
from uploadstream.ports import Blob, BlobStore, Bytes, Sink

# A file's time of change comes from the kernel's coarse clock.
CLOCK_GRAIN = timedelta(milliseconds=50)


def a_key() -> str:
    return str(uuid.uuid4())


async def write(sink: Sink, views: Sequence[Bytes]) -> None:
    """Write, and wait until it is done if that takes its time."""
    going_on: Awaitable[None] | None = sink.write(views, sum(map(len, views)))
    if going_on is not None:
        await going_on


async def store_bytes(store: BlobStore, key: str, *chunks: Bytes, at: int = 0, complete: bool = False) -> None:
    sink = await store.append(key, at=at)
    for chunk in chunks:
        await write(sink, [chunk])
    await sink.close(complete=complete)


async def pieces(store: BlobStore, key: str, start: int, stop: int, *, piece_size: int = MIB) -> list[bytes]:
    return [piece async for piece in store.read(key, start=start, stop=stop, piece_size=piece_size)]


async def content(store: BlobStore, key: str) -> bytes | None:
    """All of a blob, None if there is none."""
    blob = await store.stat(key)
    return None if blob is None else b"".join(await pieces(store, key, 0, blob.size))


async def write_in_vain(sink: Sink, views: Sequence[Bytes]) -> None:
    """Write to a blob that was fenced: nothing comes of it, and a store may say so."""
    with contextlib.suppress(StorageUnavailable):
        await write(sink, views)


def divide_by_zero() -> None:
    raise ZeroDivisionError


async def listed(store: BlobStore) -> dict[str, Blob]:
    return {blob.key: blob async for blob in store.blobs()}


class BlobStoreContract:
    """To be inherited with a fixture `store`."""

    async def test_what_is_not_kept_is_surely_not_on_the_disk(self, store: BlobStore) -> None:
        sink = await store.append(a_key(), at=0, staged=True)
        await write(sink, [b"abc"])

        assert not await sink.close(complete=True, keep=False)

    async def test_a_blob_that_was_never_written_is_not_there(self, store: BlobStore) -> None:
        key = a_key()

        assert await store.stat(key) is None
        assert await store.note(key) is None
        assert await listed(store) == {}

    async def test_what_was_appended_is_read_back(self, store: BlobStore) -> None:
        key = a_key()

        await store_bytes(store, key, b"first ", b"second ", complete=False)
        await store_bytes(store, key, b"third", at=13, complete=True)

        assert await content(store, key) == b"first second third"

    async def test_the_size_is_true_as_soon_as_a_write_is_done(self, store: BlobStore) -> None:
        key = a_key()
        sink = await store.append(key, at=0)

        sizes = []
        for chunk in (b"a", b"bc", b"", b"def"):
            await write(sink, [chunk])
            blob = await store.stat(key)
            sizes.append(blob and blob.size)
        await sink.close(complete=False)

        assert sizes == [1, 3, 3, 6]

    async def test_a_blob_opened_and_closed_without_a_byte_is_an_empty_one(self, store: BlobStore) -> None:
        key = a_key()

        await store_bytes(store, key)

        blob = await store.stat(key)
        assert blob is not None
        assert blob.size == 0
        assert await content(store, key) == b""

    async def test_a_blob_knows_when_it_got_its_last_byte(self, store: BlobStore) -> None:
        key = a_key()
        await store_bytes(store, key, b"old")
        before = datetime.now(UTC) - CLOCK_GRAIN

        await store_bytes(store, key, b"new", at=3)

        blob = await store.stat(key)
        assert blob is not None
        assert blob.touched_at.tzinfo is UTC
        assert before <= blob.touched_at <= datetime.now(UTC) + CLOCK_GRAIN

    @pytest.mark.parametrize("at", [0, 2, 4, 10**12])
    async def test_bytes_for_another_place_than_the_end_are_refused(self, store: BlobStore, at: int) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")

        with pytest.raises(OffsetMismatch) as caught:
            await store.append(key, at=at)

        assert (caught.value.expected, caught.value.given) == (3, at)
        assert await content(store, key) == b"abc"

    async def test_a_refused_append_makes_no_blob(self, store: BlobStore) -> None:
        key = a_key()

        with pytest.raises(OffsetMismatch) as caught:
            await store.append(key, at=5)

        assert (caught.value.expected, caught.value.given) == (0, 5)
        assert await store.stat(key) is None

    async def test_the_views_of_one_write_are_stored_in_order(self, store: BlobStore) -> None:
        key = a_key()
        sink = await store.append(key, at=0)

        await write(sink, [b"one,", bytearray(b"two,"), memoryview(b"-three-")[1:-1]])
        await sink.close(complete=True)

        assert await content(store, key) == b"one,two,three"

    async def test_a_write_takes_more_views_than_one_system_call_does(self, store: BlobStore) -> None:
        key = a_key()
        sink = await store.append(key, at=0)
        views = [number.to_bytes(2, "big") for number in range(3000)]

        await write(sink, views)
        await write(sink, [b"end"])
        await sink.close(complete=True)

        assert await content(store, key) == b"".join(views) + b"end"

    async def test_tiny_and_large_writes_follow_each_other(self, store: BlobStore) -> None:
        key = a_key()
        dice = random.Random(7)
        chunks = [dice.randbytes(size) for size in (1, 3 * MIB, 2, 511, 1, 9 * MIB, 64 * KIB, 1)]

        await store_bytes(store, key, *chunks, complete=True)

        assert await content(store, key) == b"".join(chunks)

    async def test_memory_may_be_used_again_once_it_is_written(self, store: BlobStore) -> None:
        key = a_key()
        buffer = bytearray(b"abc")
        sink = await store.append(key, at=0)

        await write(sink, [memoryview(buffer)])
        buffer[:] = b"xyz"
        await write(sink, [memoryview(buffer)])
        await sink.close(complete=False)

        assert await content(store, key) == b"abcxyz"

    @pytest.mark.parametrize("piece_size", [1, 7, 99, 100, 101, MIB])
    @pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 1), (99, 100), (13, 77), (50, 50), (100, 100)])
    async def test_any_range_is_read_in_pieces_of_the_size_asked_for(
        self, store: BlobStore, start: int, stop: int, piece_size: int
    ) -> None:
        key, stored = a_key(), bytes(range(100))
        await store_bytes(store, key, stored)

        found = await pieces(store, key, start, stop, piece_size=piece_size)

        assert b"".join(found) == stored[start:stop]
        assert all(0 < len(piece) <= piece_size for piece in found)

    async def test_pieces_do_not_change_after_they_were_read(self, store: BlobStore) -> None:
        key, stored = a_key(), bytes(range(100))
        await store_bytes(store, key, stored)

        found = await pieces(store, key, 0, 100, piece_size=10)

        assert found == [stored[at : at + 10] for at in range(0, 100, 10)]

    async def test_reading_leaves_others_their_turns(self, store: BlobStore) -> None:
        key, turns = a_key(), 0
        await store_bytes(store, key, bytes(100))

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        running = asyncio.create_task(other())
        await asyncio.sleep(0)
        turns = 0
        await pieces(store, key, 0, 100, piece_size=1)
        running.cancel()

        assert turns >= 90

    async def test_bytes_that_are_not_there_are_not_made_up(self, store: BlobStore) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")

        with pytest.raises(StorageUnavailable):
            await pieces(store, key, 0, 4)
        with pytest.raises(StorageUnavailable):
            await pieces(store, a_key(), 0, 1)

    async def test_bytes_are_copied_from_one_blob_behind_another(self, store: BlobStore) -> None:
        one, two, key = a_key(), a_key(), a_key()
        await store_bytes(store, one, b"0123456789", complete=True)
        await store_bytes(store, two, random.Random(3).randbytes(3 * MIB), complete=True)

        await store.copy(Span(one, 2, 5), key=key, at=0)
        await store.copy(Span(two, 1, 3 * MIB), key=key, at=3)
        await store.copy(Span(one, 0, 10), key=key, at=3 * MIB + 2)

        expected = b"234" + b"".join(await pieces(store, two, 1, 3 * MIB)) + b"0123456789"
        assert await content(store, key) == expected
        assert await content(store, one) == b"0123456789"
        await store.remove(one)
        assert await content(store, key) == expected

    async def test_what_is_not_there_is_not_copied(self, store: BlobStore) -> None:
        key, staged = a_key(), a_key()
        await store_bytes(store, key, b"abc")
        sink = await store.append(staged, at=0, staged=True)
        await write(sink, [b"abc"])

        for span in (Span(key, 1, 4), Span(staged, 0, 1), Span(a_key(), 0, 1)):
            target = a_key()
            with pytest.raises(StorageUnavailable):
                await store.copy(span, key=target, at=0)
            assert not await content(store, target)
        await sink.close(complete=False, keep=False)

    async def test_bytes_are_copied_to_the_end_of_a_blob_and_nowhere_else(self, store: BlobStore) -> None:
        key, target = a_key(), a_key()
        await store_bytes(store, key, b"abc")
        await store_bytes(store, target, b"12345")

        for where, at, expected in ((target, 0, 5), (target, 6, 5), (a_key(), 1, 0)):
            with pytest.raises(OffsetMismatch) as caught:
                await store.copy(Span(key, 0, 3), key=where, at=at)
            assert (caught.value.expected, caught.value.given) == (expected, at)
        assert await content(store, target) == b"12345"

    async def test_nothing_of_a_missing_blob_is_nothing(self, store: BlobStore) -> None:
        assert await pieces(store, a_key(), 0, 0) == []

    async def test_a_blob_is_read_while_it_is_written(self, store: BlobStore) -> None:
        key = a_key()
        sink = await store.append(key, at=0)
        await write(sink, [b"abc"])

        early = await pieces(store, key, 0, 3)
        await write(sink, [b"def"])
        late = await pieces(store, key, 2, 6)
        await sink.close(complete=True)

        assert (early, late) == ([b"abc"], [b"cdef"])

    async def test_a_reader_that_has_begun_reads_on_when_the_blob_is_removed(self, store: BlobStore) -> None:
        key, stored = a_key(), bytes(range(200))
        await store_bytes(store, key, stored)
        reader = aiter(store.read(key, start=0, stop=200, piece_size=10))
        first = await anext(reader)

        await store.remove(key)
        rest = [piece async for piece in reader]

        assert first + b"".join(rest) == stored
        assert await store.stat(key) is None

    async def test_a_reader_may_stop_early(self, store: BlobStore) -> None:
        key = a_key()
        await store_bytes(store, key, bytes(100))

        async with contextlib.aclosing(store.read(key, start=0, stop=100, piece_size=10)) as reader:  # type: ignore[type-var]
            assert await anext(reader) == bytes(10)

        assert await content(store, key) == bytes(100)

    async def test_a_removed_blob_is_gone_with_its_note(self, store: BlobStore) -> None:
        key, other = a_key(), a_key()
        for each in (key, other):
            await store_bytes(store, each, b"abc")
            await store.set_note(each, each.encode())

        await store.remove(key)

        assert await store.stat(key) is None
        assert await store.note(key) is None
        assert await content(store, other) == b"abc"
        assert await store.note(other) == other.encode()

    async def test_a_removed_blob_may_begin_again(self, store: BlobStore) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")

        await store.remove(key)
        await store_bytes(store, key, b"x")

        assert await content(store, key) == b"x"

    async def test_removing_or_syncing_what_is_not_there_is_fine(self, store: BlobStore) -> None:
        key = a_key()

        await store.remove(key)
        await store.drop_note(key)
        await store.sync(key)

        assert await store.stat(key) is None

    async def test_a_note_is_kept_beside_its_blob(self, store: BlobStore) -> None:
        key, other = a_key(), a_key()
        await store_bytes(store, key, b"abc")

        await store.set_note(key, b"first")
        await store.set_note(key, b"\x00second\n")

        assert await store.note(key) == b"\x00second\n"
        assert await store.note(other) is None
        assert await content(store, key) == b"abc"

    async def test_a_note_can_be_forgotten(self, store: BlobStore) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")
        await store.set_note(key, b"note")

        await store.drop_note(key)

        assert await store.note(key) is None
        assert await content(store, key) == b"abc"

    async def test_every_blob_is_listed_as_it_is_and_no_note_is(self, store: BlobStore) -> None:
        keys = [a_key() for _ in range(300)]
        for number, key in enumerate(keys):
            await store_bytes(store, key, bytes(number))
            if number % 3 == 0:
                await store.set_note(key, b"note")
        await store.remove(keys.pop())

        found = await listed(store)

        assert found == {key: await store.stat(key) for key in keys}

    async def test_every_note_is_listed_with_or_without_its_blob(self, store: BlobStore) -> None:
        noted = [a_key() for _ in range(10)]
        for key in noted:
            await store.set_note(key, b"note")
        for key in (noted[0], a_key()):
            await store_bytes(store, key, b"abc")
        await store.drop_note(noted.pop())

        assert sorted([key async for key in store.notes()]) == sorted(noted)

    async def test_what_is_in_order_is_no_leftover(self, store: BlobStore) -> None:
        key = a_key()
        store_id = await store.set_store_id(a_key())
        await store_bytes(store, key, b"abc")
        await store.set_note(key, b"note")

        assert await store.remove_leftovers(before=datetime.now(UTC) + timedelta(days=1)) == 0

        assert await content(store, key) == b"abc"
        assert await store.note(key) == b"note"
        assert await store.store_id() == store_id

    async def test_blobs_may_go_while_they_are_listed(self, store: BlobStore) -> None:
        keys = {a_key() for _ in range(50)}
        for key in keys:
            await store_bytes(store, key, b"abc")

        seen = set()
        async for blob in store.blobs():
            seen.add(blob.key)
            for key in keys:
                await store.remove(key)

        assert seen <= keys

    async def test_synced_blobs_are_as_they_were(self, store: BlobStore) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")

        await store.sync(key)

        assert await content(store, key) == b"abc"

    @pytest.mark.parametrize("before", [b"", b"abc"])
    async def test_staged_bytes_are_no_part_of_the_blob_until_they_are_kept(
        self, store: BlobStore, before: bytes
    ) -> None:
        key, end = a_key(), len(before)
        await store_bytes(store, key, before)
        sink = await store.append(key, at=end, staged=True)
        await write(sink, [b"defg", b"hi"])

        blob = await store.stat(key)
        assert blob is not None
        assert blob.size == end
        assert await content(store, key) == before
        assert (await listed(store))[key].size == end
        with pytest.raises(StorageUnavailable):
            await pieces(store, key, 0, end + 1)

        await sink.close(complete=False, keep=True)

        assert await content(store, key) == before + b"defghi"
        assert (await listed(store))[key].size == end + 6

    @pytest.mark.parametrize("complete", [False, True])
    @pytest.mark.parametrize("before", [b"", b"abc"])
    async def test_staged_bytes_that_are_not_kept_are_gone(
        self, store: BlobStore, before: bytes, complete: bool
    ) -> None:
        key, end = a_key(), len(before)
        await store_bytes(store, key, before)
        sink = await store.append(key, at=end, staged=True)
        await write(sink, [bytes(2 * MIB)])

        await sink.close(complete=complete, keep=False)

        assert await content(store, key) == before
        await store_bytes(store, key, b"xyz", at=end, complete=True)
        assert await content(store, key) == before + b"xyz"

    @pytest.mark.parametrize("staged", [False, True])
    async def test_bytes_staged_by_a_process_that_died_are_gone(self, store: BlobStore, staged: bool) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")
        left = await store.append(key, at=3, staged=True)
        await write(left, [b"never kept"])

        with pytest.raises(OffsetMismatch) as caught:
            await store.append(key, at=13)
        sink = await store.append(key, at=3, staged=staged)
        await write(sink, [b"def"])
        await sink.close(complete=True)

        assert caught.value.expected == 3
        assert await content(store, key) == b"abcdef"
        await left.close(complete=False)

    async def test_a_blob_of_nothing_but_staged_bytes_is_an_empty_one(self, store: BlobStore) -> None:
        key = a_key()

        sink = await store.append(key, at=0, staged=True)
        await write(sink, [b"abc"])
        assert await content(store, key) == b""
        await sink.close(complete=True)

        assert await content(store, key) == b"abc"

    async def test_staged_bytes_follow_each_other(self, store: BlobStore) -> None:
        key, expected = a_key(), b""
        for number, keep in enumerate([True, False, True, True, False, True]):
            chunk = bytes([number]) * (number + 1)
            sink = await store.append(key, at=len(expected), staged=True)
            await write(sink, [chunk])
            await sink.close(complete=False, keep=keep)
            expected += chunk if keep else b""

        assert await content(store, key) == expected

    async def test_a_blob_is_removed_with_its_staged_bytes(self, store: BlobStore) -> None:
        key = a_key()
        sink = await store.append(key, at=0, staged=True)
        await write(sink, [b"abc"])

        await store.remove(key)
        await sink.close(complete=False, keep=False)

        assert await store.stat(key) is None
        await store_bytes(store, key, b"anew")
        assert await content(store, key) == b"anew"

    async def test_a_blob_with_staged_bytes_is_no_leftover(self, store: BlobStore) -> None:
        key = a_key()
        sink = await store.append(key, at=0, staged=True)
        await write(sink, [b"abc"])

        assert await store.remove_leftovers(before=datetime.now(UTC) + timedelta(days=1)) == 0

        assert await content(store, key) == b""
        await sink.close(complete=True)
        assert await content(store, key) == b"abc"

    @pytest.mark.parametrize("complete", [False, True])
    async def test_who_opened_a_blob_before_it_was_fenced_changes_it_no_more(
        self, store: BlobStore, complete: bool
    ) -> None:
        key = a_key()
        before = await store.append(key, at=0)
        await write(before, [b"abc"])
        blob = await store.stat(key)

        await store.fence(key)
        assert await store.stat(key) == blob
        await write_in_vain(before, [b"old"])
        sink = await store.append(key, at=3)
        await write(sink, [b"new"])
        await write_in_vain(before, [bytes(9)])
        await before.close(complete=complete)
        await sink.close(complete=complete)

        assert sink.blob_id != before.blob_id
        assert await content(store, key) == b"abcnew"
        assert list(await listed(store)) == [key]

    @pytest.mark.parametrize("keep", [False, True])
    @pytest.mark.parametrize("complete", [False, True])
    @pytest.mark.parametrize("staged", [False, True])
    async def test_bytes_staged_before_a_blob_was_fenced_are_none_of_it_and_their_end_disturbs_nobody(
        self, store: BlobStore, staged: bool, complete: bool, keep: bool
    ) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")
        before = await store.append(key, at=3, staged=True)
        await write(before, [b"old, and longer"])

        await store.fence(key)
        assert await content(store, key) == b"abc"
        sink = await store.append(key, at=3, staged=staged)
        await write(sink, [b"new"])
        await before.close(complete=complete, keep=keep)

        assert await content(store, key) == (b"abc" if staged else b"abcnew")
        await sink.close(complete=True)
        assert await content(store, key) == b"abcnew"

    async def test_a_note_about_a_blob_that_was_fenced_is_not_read_of_the_one_in_its_place(
        self, store: BlobStore
    ) -> None:
        key = a_key()
        before = await store.append(key, at=0)
        await write(before, [b"abc"])
        await store.set_note(key, b"abc", of=before.blob_id)

        await store.fence(key)
        early = await store.note(key)
        await write_in_vain(before, [b"def"])
        await store.set_note(key, b"abcdef", of=before.blob_id)
        late = await store.note(key)
        await before.close(complete=False)

        assert early in {b"abc", None}
        assert late is None
        await store.set_note(key, b"another")
        assert await store.note(key) == b"another"

    async def test_a_blob_is_fenced_only_if_that_is_still_wanted(self, store: BlobStore) -> None:
        key = a_key()
        sink = await store.append(key, at=0)
        await write(sink, [b"abc"])

        for where in (key, a_key()):
            with pytest.raises(ZeroDivisionError):
                await store.fence(where, check=divide_by_zero)
        await write(sink, [b"def"])
        await sink.close(complete=False)

        assert await content(store, key) == b"abcdef"
        assert await store.remove_leftovers(before=datetime.now(UTC) + timedelta(days=1)) == 0

    async def test_a_blob_that_is_not_there_can_be_fenced(self, store: BlobStore) -> None:
        key = a_key()

        await store.fence(key)

        assert await store.stat(key) is None
        await store_bytes(store, key, b"abc")
        assert await content(store, key) == b"abc"

    @pytest.mark.parametrize("staged", [False, True])
    async def test_who_may_not_write_any_more_when_a_blob_is_open_changes_nothing(
        self, store: BlobStore, staged: bool
    ) -> None:
        key = a_key()
        await store_bytes(store, key, b"abc")
        other = await store.append(key, at=3, staged=True)
        await write(other, [b"def"])

        with pytest.raises(ZeroDivisionError):
            await store.append(key, at=3, staged=staged, check=divide_by_zero)

        assert await content(store, key) == b"abc"
        await other.close(complete=True)
        assert await content(store, key) == b"abcdef"

    async def test_a_new_store_has_no_id(self, store: BlobStore) -> None:
        assert await store.store_id() is None

    async def test_a_store_keeps_the_first_id_it_was_given(self, store: BlobStore) -> None:
        first, second = a_key(), a_key()

        given = [await store.set_store_id(first), await store.set_store_id(second)]

        assert given == [first, first]
        assert await store.store_id() == first
        assert await listed(store) == {}

    async def test_of_ids_given_at_once_one_is_kept(self, store: BlobStore) -> None:
        given = await asyncio.gather(*(store.set_store_id(a_key()) for _ in range(10)))

        assert set(given) == {await store.store_id()}

    async def test_a_store_that_works_says_so(self, store: BlobStore) -> None:
        await store.check()

        free = await store.free()
        assert free is None or free >= 0
        assert await listed(store) == {}
