"""What every catalog promises."""

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

import pytest

from tests.contracts.keys import KeysContract
from uploadstream.core.allowances import Allowance, LimitReached, QuotaExceeded, RateLimited, TooManyActive, Usage
from uploadstream.core.errors import BadField, NotFound
from uploadstream.core.files import Action, Audit, File, ProcessingStatus
from uploadstream.core.listings import Place, Sort, Wanted
from uploadstream.core.pages import Position
from uploadstream.core.parts import Part
from uploadstream.core.ratelimit import Bucket, Rate
from uploadstream.core.session import Declared, End, Session, State
from uploadstream.core.stats import OTHER, TYPES_MAX, DeletionStats
from uploadstream.ports import Catalog

NOON = datetime(2026, 3, 4, 12, 0, 0, 123_456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TEXTS = {
    "emoji": "🎬 film 👩‍👩‍👧.mp4",
    "quotes": """'; DROP TABLE files; -- "`${}%s?:id""",
    "right to left": "\u202e\u0642\u0627\u0626\u0645\u0629\u200e",
    "decomposed": "Zu\u0308rich",
    "composed": "Z\u00fcrich",
    "spaces": "  two  and three   ",
    "long": "ä" * 127,
}

SEARCHES = [
    *(
        Wanted(sort=sort, descending=down, deleted=gone)
        for sort in Sort
        for down in (False, True)
        for gone in (False, True)
    ),
    *(Wanted(name=name) for name in ("mp4", "MP4", "größe", "_", "%", "\\", "zürich", "ZU\u0308", "nothing", "e")),
    *(Wanted(content_type=name) for name in ("*/*", "image/*", "image/png", "Video/*", "text/plain", "video/mp4")),
    Wanted(since=NOON + 2 * SECOND, until=NOON + 5 * SECOND),
    Wanted(since=datetime.min.replace(tzinfo=UTC), until=datetime.max.replace(tzinfo=UTC)),
    Wanted(False, "p", "image/*", NOON, NOON + 6 * SECOND, Sort.FILENAME, descending=False),
]

Row = TypeVar("Row")


def an_id() -> str:
    return str(uuid.uuid4())


def a_session(*, user: str = "ada", at: datetime = NOON, upload_id: str = "") -> Session:
    return Session(upload_id or an_id(), Declared(user, "film.mp4", "video/mp4", 1000), 2000, "tus", at, at)


def ended(session: Session, how: End = End.ABORTED) -> Session:
    return replace(session, state=State.ABORTED, end=how)


def a_file(*, user: str = "ada", at: datetime = NOON, file_id: str = "", content_type: str = "video/mp4") -> File:
    return File(file_id or an_id(), user, "film.mp4", 1000, content_type, "video/mp4", 0x1A2B3C4D, at, "tus")


def of(what: Session | File, action: Action, *, at: datetime = NOON) -> Audit:
    return Audit(what.id, action, "ada", at, "tus", "192.0.2.1", {"why": "a test"})


async def created(catalog: Catalog, session: Session) -> Session:
    await catalog.create_upload(session, of(session, Action.CREATE, at=session.created_at))
    return session


async def begun(catalog: Catalog, session: Session, allowance: Allowance) -> Usage | None:
    return await catalog.create_upload(session, of(session, Action.CREATE), allowance)


def of_size(session: Session, size: int | None) -> Session:
    return replace(session, declared=replace(session.declared, length=size))


def file_from(session: Session, size: int, *, parts: tuple[Part, ...] = ()) -> File:
    return replace(a_file(user=session.declared.user_id, file_id=session.id), size=size, parts=parts)


async def stored(catalog: Catalog, file: File, allowance: Allowance | None = None) -> File:
    return await catalog.publish(file, of(file, Action.COMPLETE), allowance)


async def published(catalog: Catalog, file: File) -> File:
    return await catalog.publish(file, of(file, Action.COMPLETE, at=file.uploaded_at))


async def deleted(catalog: Catalog, file: File, *, at: datetime = NOON) -> File:
    file = replace(file, deleted_at=at)
    assert await catalog.set_deleted(file, of(file, Action.DELETE, at=at))
    return file


async def purged(catalog: Catalog, file: File) -> bool:
    return await catalog.purge(file, of(file, Action.PURGE, at=NOON + timedelta(days=40)))


async def trail(catalog: Catalog, file_id: str) -> list[Audit]:
    return [audit for _, audit in await catalog.audit(file_id, after=None, limit=1000)]


async def all_pages(
    page: Callable[[Position | None], Awaitable[Sequence[Row]]], place: Callable[[Row], Position]
) -> list[Row]:
    """Every row of a listing, page by page."""
    found: list[Row] = []
    while rows := await page(place(found[-1]) if found else None):
        found += rows
        assert len(found) < 1000, "a listing that never ends"
    return found


class CatalogContract(KeysContract):
    """To be inherited by a class with a fixture `catalog`: an empty one, closed afterwards."""

    async def test_an_upload_comes_back_as_it_was_written(self, catalog: Catalog) -> None:
        declared = Declared("ada", "film.mp4", "video/mp4; codecs=avc1", 2**53, "filename ZmlsbQ==,key", is_told=True)
        types = ("image/*", "video/mp4")
        session = Session(an_id(), declared, 2**54, "grpc", NOON, NOON + SECOND, allowed_types=types)

        await created(catalog, session)

        assert await catalog.upload(session.id) == session

    async def test_an_upload_of_unknown_length_comes_back_so(self, catalog: Catalog) -> None:
        session = replace(a_session(), declared=Declared("ada", "film.mp4"))

        await created(catalog, session)

        assert await catalog.upload(session.id) == session

    async def test_several_uploads_come_back_at_once_without_those_that_are_not_known(self, catalog: Catalog) -> None:
        open_one, over = await created(catalog, a_session()), await created(catalog, a_session())
        await catalog.end_upload(ended(over), of(over, Action.ABORT))
        file = await published(catalog, a_file())

        found = await catalog.uploads_with([open_one.id, over.id, file.id, an_id(), "lost+found"])

        assert found == {open_one.id: open_one, over.id: await catalog.upload(over.id)}
        assert await catalog.uploads_with([]) == {}

    async def test_a_partial_upload_comes_back_so_and_is_listed_where_it_is_asked_for(self, catalog: Catalog) -> None:
        whole = await created(catalog, a_session())
        part = replace(a_session(at=NOON + SECOND), declared=Declared("ada", "part", is_partial=True))

        await created(catalog, part)

        assert await catalog.upload(part.id) == part
        for user in ("ada", None):
            assert await catalog.uploads(user, after=None, limit=9) == [whole]
            assert await catalog.uploads(user, after=None, limit=9, partial=True) == [part, whole]

    async def test_a_joined_file_comes_back_with_its_parts_and_keeps_them_known(self, catalog: Catalog) -> None:
        one, two = await created(catalog, a_session()), await created(catalog, a_session())
        parts = (Part(one.id, 5), Part(two.id, 990), Part(one.id, 5))
        file = replace(a_file(), parts=parts, joins="final;/files/ä /files/b")

        assert await published(catalog, file) == file
        assert await published(catalog, file) == file
        for session in (one, two):
            await catalog.end_upload(ended(session), of(session, Action.ABORT))

        assert await catalog.file(file.id) == file
        assert await catalog.files(None, deleted=False, after=None, limit=9) == [file]
        assert await catalog.known([one.id, two.id, an_id()]) == {one.id, two.id}
        assert await catalog.known([file.id]) == set()  # there are no bytes under it

    async def test_a_gathered_file_has_its_bytes_under_its_own_id_and_lets_its_parts_go(self, catalog: Catalog) -> None:
        one, two, three = [await created(catalog, a_session()) for _ in range(3)]
        first = await published(catalog, replace(a_file(), parts=(Part(one.id, 5), Part(two.id, 5)), joins="final;a b"))
        second = await published(catalog, replace(a_file(), parts=(Part(two.id, 5), Part(three.id, 5))))
        for session in (one, two, three):
            await catalog.end_upload(ended(session), of(session, Action.ABORT))
        keys = [one.id, two.id, three.id, first.id, second.id]

        assert await catalog.gather(first.id)

        assert await catalog.file(first.id) == replace(first, parts=())
        assert await catalog.file(second.id) == second
        assert await catalog.known(keys) == {two.id, three.id, first.id}
        assert not await catalog.gather(first.id)
        assert await catalog.gather(second.id)
        assert await catalog.known(keys) == {first.id, second.id}

    async def test_what_is_no_file_or_not_joined_is_not_gathered(self, catalog: Catalog) -> None:
        file, session = await published(catalog, a_file()), await created(catalog, a_session())

        for key in (file.id, session.id, an_id()):
            assert not await catalog.gather(key)

        assert await catalog.file(file.id) == file

    async def test_a_file_in_the_trash_is_gathered_too_and_stays_there(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())
        file = await published(catalog, replace(a_file(), parts=(Part(session.id, 5),) * 2))
        await deleted(catalog, file)

        assert await catalog.gather(file.id)

        found = await catalog.file(file.id)
        assert found is not None
        assert (found.parts, found.deleted_at is None) == ((), False)

    async def test_joined_files_are_listed_when_no_open_upload_has_a_part_of_them(self, catalog: Catalog) -> None:
        sessions = [await created(catalog, a_session()) for _ in range(4)]
        pairs = [(0, 1), (1, 2), (2, 3), (0, 3), (1, 1)]
        files = {
            pair: await published(catalog, replace(a_file(), parts=tuple(Part(sessions[one].id, 5) for one in pair)))
            for pair in pairs
        }
        await published(catalog, a_file())
        assert await catalog.joined(after=None, limit=9) == []

        for session in sessions[:3]:
            await catalog.end_upload(ended(session), of(session, Action.EXPIRE))
        expected = sorted((files[pair] for pair in ((0, 1), (1, 2), (1, 1))), key=lambda file: file.id)

        assert await catalog.joined(after=None, limit=9) == expected
        assert await catalog.joined(after=None, limit=2) == expected[:2]
        assert await catalog.joined(after=expected[0].id, limit=1) == expected[1:2]
        assert await catalog.joined(after=expected[2].id, limit=1) == []
        await deleted(catalog, files[0, 1])
        await catalog.gather(files[1, 2].id)
        assert await catalog.joined(after=None, limit=9) == [files[1, 1]]

    async def test_a_file_is_not_joined_from_what_is_not_open(self, catalog: Catalog) -> None:
        open_one, over = await created(catalog, a_session()), await created(catalog, a_session())
        await catalog.end_upload(ended(over), of(over, Action.ABORT))

        for key in (over.id, an_id()):
            file = replace(a_file(), parts=(Part(open_one.id, 5), Part(key, 5)))
            with pytest.raises(NotFound) as caught:
                await published(catalog, file)
            assert caught.value.id == key
            assert await catalog.file(file.id) is None
        assert await catalog.known([over.id]) == set()

    async def test_of_files_joined_at_once_those_with_a_part_that_is_over_are_refused(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())
        files = [replace(a_file(), parts=(Part(session.id if number % 3 else an_id(), 5),)) for number in range(12)]

        outcomes = await asyncio.gather(*(published(catalog, file) for file in files), return_exceptions=True)

        assert [isinstance(outcome, NotFound) for outcome in outcomes] == [number % 3 == 0 for number in range(12)]

    async def test_an_offset_is_not_remembered(self, catalog: Catalog) -> None:
        session = await created(catalog, replace(a_session(), offset=7))

        found = await catalog.upload(session.id)

        assert found == replace(session, offset=0)

    async def test_what_nobody_wrote_is_not_there(self, catalog: Catalog) -> None:
        assert await catalog.upload(an_id()) is None
        assert await catalog.file(an_id()) is None
        assert await catalog.audit(an_id(), after=None, limit=10) == []

    @pytest.mark.parametrize("spell", [str.upper, lambda text: text.replace("-", ""), "{{{}}}".format, "x".__add__])
    async def test_an_id_in_another_spelling_is_the_id_of_nothing(
        self, catalog: Catalog, spell: Callable[[str], str]
    ) -> None:
        file = await published(catalog, a_file(file_id="abcdefab-cdef-4bcd-abcd-efabcdefabcd"))
        session = await created(catalog, a_session(upload_id="bbcdefab-cdef-4bcd-abcd-efabcdefabcd"))

        assert await catalog.file(spell(file.id)) is None
        assert await catalog.upload(spell(session.id)) is None
        assert await catalog.audit(spell(file.id), after=None, limit=10) == []
        assert await catalog.known([spell(file.id), spell(session.id)]) == set()

    async def test_creating_an_upload_again_changes_nothing(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())

        await created(catalog, replace(session, protocol="grpc"))

        assert await catalog.upload(session.id) == session
        assert len(await trail(catalog, session.id)) == 1

    async def test_a_length_is_declared_later(self, catalog: Catalog) -> None:
        session = await created(catalog, replace(a_session(), declared=Declared("ada", "film.mp4")))

        await catalog.declare_length(session, 1234)

        assert await catalog.upload(session.id) == replace(session, declared=Declared("ada", "film.mp4", length=1234))

    async def test_an_upload_is_described_later(self, catalog: Catalog) -> None:
        declared = Declared("ada", "unnamed", length=1000)
        session = await created(catalog, replace(a_session(), declared=declared))
        other = await created(catalog, a_session())

        await catalog.describe_upload(session.id, filename="Zürich.mp4", chunk_size=2**40)

        described = replace(declared, filename="Zürich.mp4", chunk_size=2**40)
        assert await catalog.upload(session.id) == replace(session, declared=described)
        assert await catalog.upload(other.id) == other

    async def test_an_upload_is_described_with_what_can_be_stored_only(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())

        with pytest.raises(BadField):
            await catalog.describe_upload(session.id, filename="a\0b", chunk_size=None)

        assert await catalog.upload(session.id) == session

    async def test_nothing_is_declared_of_an_upload_that_is_not_open(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())
        await catalog.end_upload(ended(session), of(session, Action.ABORT))

        await catalog.declare_length(session, 1234)
        await catalog.declare_length(a_session(), 1234)
        await catalog.describe_upload(session.id, filename="other.mp4", chunk_size=1)
        await catalog.describe_upload(an_id(), filename="other.mp4", chunk_size=1)

        assert await catalog.upload(session.id) == ended(session)

    @pytest.mark.parametrize("how", End)
    async def test_an_ended_upload_is_remembered_and_listed_no_more(self, catalog: Catalog, how: End) -> None:
        session = await created(catalog, a_session())
        row = of(session, Action.ABORT, at=NOON + SECOND)

        await catalog.end_upload(ended(session, how), row)

        assert await catalog.upload(session.id) == ended(session, how)
        assert await catalog.uploads(None, after=None, limit=10) == []
        assert await catalog.known([session.id]) == set()
        assert await trail(catalog, session.id) == [of(session, Action.CREATE), row]

    async def test_an_upload_ends_once(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())
        await catalog.end_upload(ended(session), of(session, Action.ABORT, at=NOON + SECOND))

        await catalog.end_upload(ended(session, End.EXPIRED), of(session, Action.EXPIRE, at=NOON + 2 * SECOND))

        assert await catalog.upload(session.id) == ended(session)
        assert len(await trail(catalog, session.id)) == 2

    async def test_an_upload_that_is_a_file_or_unknown_does_not_end(self, catalog: Catalog) -> None:
        file = await published(catalog, a_file())
        session, stranger = a_session(upload_id=file.id), a_session()

        await catalog.end_upload(ended(session), of(session, Action.ABORT))
        await catalog.end_upload(ended(stranger), of(stranger, Action.ABORT))

        assert await catalog.file(file.id) == file
        assert await catalog.upload(file.id) is None
        assert await catalog.upload(stranger.id) is None
        assert await trail(catalog, stranger.id) == []

    @pytest.mark.parametrize("status", ProcessingStatus)
    async def test_a_file_comes_back_as_it_was_written(self, catalog: Catalog, status: ProcessingStatus) -> None:
        file = File(
            id=an_id(),
            user_id="ada",
            filename="film.mp4",
            size=2**53,
            declared_type="text/plain; charset=utf-8",
            detected_type="text/plain",
            crc32c=2**32 - 1,
            uploaded_at=NOON,
            protocol="grpc",
            metadata="filename ZmlsbQ==,key",
            sha256="ab" * 32,
            processing_status=status,
        )

        answer = await published(catalog, file)

        assert answer == file
        assert await catalog.file(file.id) == file
        assert await catalog.files("ada", deleted=False, after=None, limit=10) == [file]

    async def test_an_upload_becomes_a_file_with_its_row_of_the_trail(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())
        file = a_file(file_id=session.id, at=NOON + SECOND)

        await published(catalog, file)

        assert await catalog.upload(session.id) is None
        assert await catalog.uploads(None, after=None, limit=10) == []
        assert await trail(catalog, file.id) == [
            of(session, Action.CREATE),
            of(file, Action.COMPLETE, at=NOON + SECOND),
        ]

    async def test_publishing_again_changes_nothing(self, catalog: Catalog) -> None:
        first = await published(catalog, a_file())
        second = replace(first, crc32c=1, uploaded_at=NOON + SECOND)

        answer = await published(catalog, second)

        assert answer == first
        assert await catalog.file(first.id) == first
        assert len(await trail(catalog, first.id)) == 1

    async def test_publishing_again_does_not_take_a_file_out_of_the_trash(self, catalog: Catalog) -> None:
        file = await deleted(catalog, await published(catalog, a_file()))

        answer = await published(catalog, replace(file, deleted_at=None))

        assert answer == file
        assert await catalog.file(file.id) == file

    async def test_many_publish_at_once(self, catalog: Catalog) -> None:
        files = [a_file(at=NOON + n * SECOND) for n in range(200)]
        for file in files[::2]:
            await created(catalog, a_session(upload_id=file.id))

        answers = await asyncio.gather(*(published(catalog, file) for file in files))

        assert answers == files
        assert await catalog.files(None, deleted=False, after=None, limit=1000) == files[::-1]
        assert await catalog.uploads(None, after=None, limit=10) == []
        assert [len(await trail(catalog, file.id)) for file in files] == [2, 1] * 100

    async def test_of_many_who_publish_one_upload_all_get_the_same_file(self, catalog: Catalog) -> None:
        files = [replace(a_file(), id="abcdefab-cdef-4bcd-abcd-efabcdefabcd", crc32c=n) for n in range(50)]

        answers = await asyncio.gather(*(published(catalog, file) for file in files))

        assert len(set(answers)) == 1
        assert await catalog.file(files[0].id) == answers[0]
        assert len(await trail(catalog, files[0].id)) == 1

    async def test_acts_of_all_kinds_go_on_at_once(self, catalog: Catalog) -> None:
        sessions = [await created(catalog, a_session(at=NOON + n * SECOND)) for n in range(30)]
        files = [await published(catalog, a_file()) for _ in range(10)]
        new = [a_session(at=NOON + (100 + n) * SECOND) for n in range(10)]

        async with asyncio.TaskGroup() as tasks:
            for n in range(10):
                tasks.create_task(published(catalog, a_file(file_id=sessions[n].id)))
                tasks.create_task(catalog.end_upload(ended(sessions[10 + n]), of(sessions[10 + n], Action.ABORT)))
                tasks.create_task(catalog.declare_length(sessions[20 + n], n))
                tasks.create_task(deleted(catalog, files[n]))
                tasks.create_task(created(catalog, new[n]))
                tasks.create_task(catalog.record(of(files[n], Action.LOSE)))

        uploads = await catalog.uploads(None, after=None, limit=100)
        assert [upload.id for upload in uploads] == [session.id for session in (new[::-1] + sessions[:19:-1])]
        assert [upload.length for upload in uploads[10:]] == list(range(9, -1, -1))
        assert len(await catalog.files(None, deleted=False, after=None, limit=100)) == 10
        assert len(await catalog.files(None, deleted=True, after=None, limit=100)) == 10
        assert [len(await trail(catalog, file.id)) for file in files] == [3] * 10

    async def test_a_caller_that_stops_waiting_disturbs_no_other(self, catalog: Catalog) -> None:
        files = [a_file() for _ in range(60)]
        tasks = [asyncio.ensure_future(published(catalog, file)) for file in files]
        await asyncio.sleep(0)

        for task in tasks[::3]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)

        others = [n for n in range(60) if n % 3]
        assert [answers[n] for n in others] == [files[n] for n in others]
        assert [await catalog.file(files[n].id) for n in others] == [files[n] for n in others]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 30, 1000])
    async def test_uploads_are_listed_from_the_newest_in_pages(self, catalog: Catalog, limit: int) -> None:
        times = [NOON + (n // 3) * timedelta(microseconds=1) for n in range(30)]  # three at a time
        sessions = [
            await created(catalog, a_session(at=at, user="ada" if n % 5 else "bob")) for n, at in enumerate(times)
        ]
        newest = sorted(sessions, key=lambda session: (session.created_at, session.id), reverse=True)

        found = await all_pages(
            lambda after: catalog.uploads(None, after=after, limit=limit),
            lambda row: Position(row.created_at, row.id),
        )
        of_bob = await all_pages(
            lambda after: catalog.uploads("bob", after=after, limit=limit),
            lambda row: Position(row.created_at, row.id),
        )

        assert found == newest
        assert of_bob == [session for session in newest if session.declared.user_id == "bob"]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 30, 1000])
    async def test_files_are_listed_from_the_newest_in_pages(self, catalog: Catalog, limit: int) -> None:
        times = [NOON + (n // 3) * timedelta(microseconds=1) for n in range(30)]
        files = [await published(catalog, a_file(at=at, user="ada" if n % 5 else "bob")) for n, at in enumerate(times)]
        files = [await deleted(catalog, file) if n % 4 == 0 else file for n, file in enumerate(files)]
        newest = sorted(files, key=lambda file: (file.uploaded_at, file.id), reverse=True)

        async def listing(user: str | None, *, in_trash: bool) -> list[File]:
            return await all_pages(
                lambda after: catalog.files(user, deleted=in_trash, after=after, limit=limit),
                lambda row: Position(row.uploaded_at, row.id),
            )

        for user, in_trash in itertools.product([None, "ada", "bob", "nobody"], [False, True]):
            assert await listing(user, in_trash=in_trash) == [
                file for file in newest if (file.deleted_at is not None) is in_trash and user in {None, file.user_id}
            ]

    async def test_a_page_starts_behind_its_place_also_if_no_row_is_there(self, catalog: Catalog) -> None:
        old, new = [await published(catalog, a_file(at=NOON + n * SECOND)) for n in (0, 2)]

        async def behind(at: datetime, row_id: str) -> Sequence[File]:
            return await catalog.files(None, deleted=False, after=Position(at, row_id), limit=10)

        assert await behind(NOON + SECOND, an_id()) == [old]
        assert await behind(datetime.max.replace(tzinfo=UTC), an_id()) == [new, old]
        assert await behind(datetime.min.replace(tzinfo=UTC), an_id()) == []
        assert await behind(NOON, "00000000-0000-0000-0000-000000000000") == []
        assert await behind(NOON, "ffffffff-ffff-ffff-ffff-ffffffffffff") == [old]

    @pytest.mark.parametrize("limit", [3, 100])
    @pytest.mark.parametrize("wanted", SEARCHES, ids=str)
    async def test_files_are_found_and_ordered_as_they_are_wanted(
        self, catalog: Catalog, wanted: Wanted, limit: int
    ) -> None:
        names = ["b.mp4", "A.MP4", "a.mp4", "Größe_1.png", "GRÖSSE%.PNG", "c\\d", "z", "Zu\u0308rich.txt", "ZÜRICH"]
        types = ["video/mp4", "image/png", "IMAGE/PNG; a=b", "", "text/plain;charset=utf-8", "image/pngx"]
        files = [
            replace(a_file(at=NOON + (n % 7) * SECOND), filename=name, declared_type=types[n % 6], size=n % 4)
            for n, name in enumerate(names * 4)
        ]
        for n, file in enumerate(files):
            await published(catalog, file)
            if n % 5 == 0:
                files[n] = await deleted(catalog, file)
        await published(catalog, a_file(user="bob"))

        found: list[File] = []
        after: Place | None = None
        while (page := await catalog.search("ada", wanted, after=after, limit=limit)).files:
            found += page.files
            after = wanted.place_of(found[-1])
            assert len(found) <= len(files)

        expected = [file for file in files if wanted.lets_through(file)]
        expected.sort(key=lambda file: (wanted.place_of(file).key, file.id), reverse=wanted.descending)
        assert found == expected
        assert bool(expected) is (wanted.name != "nothing")

    async def test_a_file_goes_to_the_trash_and_comes_back(self, catalog: Catalog) -> None:
        file = await published(catalog, a_file())

        gone = await deleted(catalog, file, at=NOON + SECOND)

        assert await catalog.file(file.id) == gone
        assert await catalog.files(None, deleted=False, after=None, limit=10) == []
        assert await catalog.files(None, deleted=True, after=None, limit=10) == [gone]

        back = await catalog.set_deleted(file, of(file, Action.RESTORE, at=NOON + 2 * SECOND))

        assert back
        assert await catalog.file(file.id) == file
        assert await catalog.files(None, deleted=True, after=None, limit=10) == []
        assert [row.action for row in await trail(catalog, file.id)] == [
            Action.COMPLETE,
            Action.DELETE,
            Action.RESTORE,
        ]

    @pytest.mark.parametrize("restoring", [False, True])
    async def test_of_many_who_delete_or_restore_one_file_one_wins(self, catalog: Catalog, restoring: bool) -> None:
        file = await published(catalog, a_file())
        if restoring:
            await deleted(catalog, file)
        tries = [replace(file, deleted_at=None if restoring else NOON + n * SECOND) for n in range(20)]
        before = len(await trail(catalog, file.id))

        answers = await asyncio.gather(*(catalog.set_deleted(each, of(each, Action.DELETE)) for each in tries))

        assert answers.count(True) == 1
        assert await catalog.file(file.id) == tries[answers.index(True)]
        assert len(await trail(catalog, file.id)) == before + 1

    async def test_what_is_not_there_is_not_deleted(self, catalog: Catalog) -> None:
        file = replace(a_file(), deleted_at=NOON)

        assert not await catalog.set_deleted(file, of(file, Action.DELETE))

        assert await catalog.file(file.id) is None
        assert await trail(catalog, file.id) == []

    async def test_deleting_writes_nothing_but_the_time(self, catalog: Catalog) -> None:
        file = await published(catalog, a_file())

        await deleted(catalog, replace(file, filename="other", crc32c=1))

        assert await catalog.file(file.id) == replace(file, deleted_at=NOON)

    async def test_a_row_of_the_trail_comes_back_as_it_was_written(self, catalog: Catalog) -> None:
        rows = [
            Audit(an_id(), action, "ada", NOON, "tus", "2001:db8::1", {"why": TEXTS["quotes"], "": ""})
            for action in Action
        ]

        for row in rows:
            await catalog.record(row)

        assert [await trail(catalog, row.file_id) for row in rows] == [[row] for row in rows]

    async def test_a_trail_has_the_oldest_first_and_of_one_time_what_was_first(self, catalog: Catalog) -> None:
        file = a_file()
        rows = [replace(of(file, Action.LOSE, at=NOON + (n // 10) * SECOND), address=str(n)) for n in range(40)]

        for row in rows[20:] + rows[:20]:
            await catalog.record(row)

        assert await trail(catalog, file.id) == rows

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 30])
    async def test_a_trail_is_read_in_pages(self, catalog: Catalog, limit: int) -> None:
        file, other = a_file(), a_file()
        rows = [replace(of(file, Action.LOSE, at=NOON + (n // 5) * SECOND), address=str(n)) for n in range(20)]
        for row in rows:
            await catalog.record(row)
            await catalog.record(replace(row, file_id=other.id))

        found = await all_pages(lambda after: catalog.audit(file.id, after=after, limit=limit), lambda row: row[0])

        assert [audit for _, audit in found] == rows
        assert len({place for place, _ in found}) == len(rows)
        assert all(str(uuid.UUID(place.id)) == place.id for place, _ in found)

    async def test_what_happens_to_a_users_uploads_and_files_is_counted(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session(user="bob", at=NOON + SECOND))
        file = await published(catalog, a_file(user="bob", file_id=session.id, at=NOON))  # its clock was slow
        await deleted(catalog, file)
        await catalog.set_deleted(file, of(file, Action.RESTORE))
        other = await created(catalog, a_session(user="bob"))
        await catalog.end_upload(ended(other), of(other, Action.ABORT))
        await published(catalog, a_file(user="ada"))

        rows = await catalog.events("bob", after=0, limit=10)

        assert [number for number, _ in rows] == [1, 2, 3, 4, 5, 6]
        assert [(row.action, row.file_id) for _, row in rows] == [
            (Action.CREATE, file.id),
            (Action.COMPLETE, file.id),
            (Action.DELETE, file.id),
            (Action.RESTORE, file.id),
            (Action.CREATE, other.id),
            (Action.ABORT, other.id),
        ]
        assert rows[2][1] == of(file, Action.DELETE)  # done by another than the owner
        assert await catalog.newest_events(["bob", "ada", "nobody"]) == {"bob": 6, "ada": 1, "nobody": 0}
        assert await catalog.newest_events([]) == {}

    @pytest.mark.parametrize("limit", [1, 2, 7, 100])
    async def test_events_go_on_behind_a_number(self, catalog: Catalog, limit: int) -> None:
        files = [await published(catalog, a_file(at=NOON + n * SECOND)) for n in range(20)]

        found: list[str] = []
        while rows := await catalog.events("ada", after=len(found), limit=limit):
            assert [number for number, _ in rows] == list(range(len(found) + 1, len(found) + len(rows) + 1))
            found += [row.file_id for _, row in rows]

        assert found == [file.id for file in files]
        assert len(await catalog.events("ada", after=-5, limit=30)) == 20
        assert await catalog.events("ada", after=2**62, limit=limit) == []
        assert await catalog.events("nobody", after=0, limit=limit) == []

    async def test_whoever_follows_events_while_many_are_written_misses_none(self, catalog: Catalog) -> None:
        files = [a_file(at=NOON - n * SECOND, user="ada" if n % 3 else "bob") for n in range(150)]
        writing = asyncio.gather(*(published(catalog, file) for file in files))

        found: list[str] = []
        for _ in range(10_000):
            found += [row.file_id for _, row in await catalog.events("ada", after=len(found), limit=7)]
            if len(found) == 100:
                break
            await asyncio.sleep(0)
        await writing

        assert sorted(found) == sorted(file.id for file in files if file.user_id == "ada")
        assert await catalog.newest_events(["ada", "bob"]) == {"ada": 100, "bob": 50}

    async def test_a_row_that_goes_with_no_change_is_its_users(self, catalog: Catalog) -> None:
        row = of(a_file(user="bob"), Action.LOSE)

        await catalog.record(row)
        await catalog.record(row, owner="bob")

        assert await catalog.events("ada", after=0, limit=10) == [(1, row)]
        assert await catalog.events("bob", after=0, limit=10) == [(1, row)]

    async def test_keys_of_open_uploads_and_of_all_files_are_known(self, catalog: Catalog) -> None:
        session = await created(catalog, a_session())
        over = await created(catalog, a_session())
        await catalog.end_upload(ended(over), of(over, Action.ABORT))
        in_use, in_trash = await published(catalog, a_file()), await published(catalog, a_file())
        await deleted(catalog, in_trash)

        known = await catalog.known([session.id, over.id, in_use.id, in_trash.id, an_id(), "lost+found"])

        assert known == {session.id, in_use.id, in_trash.id}
        assert await catalog.known([]) == set()

    async def test_any_number_of_keys_may_be_asked_for(self, catalog: Catalog) -> None:
        file = await published(catalog, a_file())

        known = await catalog.known([*(an_id() for _ in range(35_000)), file.id])

        assert known == {file.id}

    async def test_uploads_that_ended_long_ago_are_forgotten(self, catalog: Catalog) -> None:
        sessions = [await created(catalog, a_session()) for _ in range(6)]
        for n, session in enumerate(sessions[:5]):
            await catalog.end_upload(ended(session), of(session, Action.EXPIRE, at=NOON + n * SECOND))

        counts = [await catalog.forget_ended(before=NOON + 3 * SECOND, limit=2) for _ in range(3)]

        assert counts == [2, 1, 0]
        assert [await catalog.upload(session.id) for session in sessions] == [
            None,
            None,
            None,
            ended(sessions[3]),
            ended(sessions[4]),
            sessions[5],
        ]
        assert len(await trail(catalog, sessions[0].id)) == 2

    async def test_deletions_are_counted_also_when_they_were_undone(self, catalog: Catalog) -> None:
        film = await published(catalog, a_file())
        page = await published(catalog, replace(a_file(content_type=""), detected_type="text/html"))
        other = await published(catalog, a_file(user="bob"))
        await deleted(catalog, film, at=NOON + 10 * SECOND)
        await catalog.set_deleted(film, of(film, Action.RESTORE, at=NOON + 11 * SECOND))
        await deleted(catalog, film, at=NOON + timedelta(days=1))
        await deleted(catalog, page, at=datetime(2026, 3, 5, 23, 59, 59, 999_999, tzinfo=UTC))
        await deleted(catalog, other, at=datetime(2026, 3, 6, tzinfo=UTC))

        of_ada, of_all = await catalog.deletion_stats("ada"), await catalog.deletion_stats(None)

        assert (of_ada.deleted, of_ada.restored) == (3, 1)
        assert of_ada.by_day == {"2026-03-04": 1, "2026-03-05": 2}
        assert of_ada.by_type == {"text/html": 1, "video/mp4": 2}
        assert of_ada.by_age == {"<1h": 1, "<7d": 2}
        assert list(of_ada.by_age) == ["<1h", "<7d"]
        assert of_ada.age_seconds_max == pytest.approx(129_599.876_543)
        assert of_ada.age_seconds_mean == pytest.approx((10 + 86_400 + 129_599.876_543) / 3)
        assert (of_all.deleted, of_all.restored) == (4, 1)
        assert of_all.by_day == {"2026-03-04": 1, "2026-03-05": 2, "2026-03-06": 1}
        assert list(of_all.by_day) == sorted(of_all.by_day)

    async def test_statistics_outlive_the_files_that_they_are_about(self, catalog: Catalog) -> None:
        kept, film = await published(catalog, a_file()), await published(catalog, a_file())
        for file in (kept, film):
            await deleted(catalog, file, at=NOON + SECOND)
        before = await catalog.deletion_stats("ada")

        assert await purged(catalog, replace(film, deleted_at=NOON + SECOND))

        after = await catalog.deletion_stats("ada")
        assert after == replace(before, purged=1, purged_bytes=film.size)
        assert (after.deleted, after.by_type) == (2, {"video/mp4": 2})
        assert await catalog.deletion_stats(None) == after

    async def test_of_types_those_that_are_deleted_most_are_named(self, catalog: Catalog) -> None:
        names = [f"text/x-{n:03}" for n in range(TYPES_MAX + 20)]
        files = [await published(catalog, a_file(content_type=name)) for name in [*names, names[-1]]]
        await asyncio.gather(*(deleted(catalog, file) for file in files))

        by_type = (await catalog.deletion_stats("ada")).by_type

        assert by_type == {names[-1]: 2, **dict.fromkeys(names[: TYPES_MAX - 1], 1), OTHER: 20}

    async def test_a_purged_file_is_forgotten_but_for_its_trail(self, catalog: Catalog) -> None:
        file = await deleted(catalog, await published(catalog, a_file()), at=NOON + SECOND)

        assert await purged(catalog, file)

        assert await catalog.file(file.id) is None
        assert await catalog.files(None, deleted=True, after=None, limit=10) == []
        assert await catalog.known([file.id]) == set()
        actions = [row.action for row in await trail(catalog, file.id)]
        assert actions == [Action.COMPLETE, Action.DELETE, Action.PURGE]
        assert [number for number, _ in await catalog.events("ada", after=0, limit=10)] == [1, 2, 3]
        assert await catalog.owner_of_trail(file.id) == "ada"
        assert not await catalog.set_deleted(replace(file, deleted_at=None), of(file, Action.RESTORE))

    async def test_only_what_is_in_the_trash_since_that_time_is_purged(self, catalog: Catalog) -> None:
        file, never = await published(catalog, a_file()), a_file()
        first = await deleted(catalog, file, at=NOON + SECOND)

        assert not await purged(catalog, file)
        assert not await purged(catalog, replace(never, deleted_at=NOON))
        await catalog.set_deleted(file, of(file, Action.RESTORE))
        assert not await purged(catalog, first)
        again = await deleted(catalog, file, at=NOON + 2 * SECOND)
        assert not await purged(catalog, first)

        assert await catalog.file(file.id) == again
        assert Action.PURGE not in [row.action for row in await trail(catalog, file.id)]
        assert await trail(catalog, never.id) == []
        assert (await catalog.deletion_stats(None)).purged == 0

    async def test_of_many_who_purge_or_restore_one_file_one_wins(self, catalog: Catalog) -> None:
        files = [await deleted(catalog, await published(catalog, a_file())) for _ in range(5)]

        for file in files:
            back = replace(file, deleted_at=None)
            *purges, restored = await asyncio.gather(
                *(purged(catalog, file) for _ in range(5)), catalog.set_deleted(back, of(file, Action.RESTORE))
            )

            assert [*purges, restored].count(True) == 1
            assert await catalog.file(file.id) == (back if restored else None)
            assert len(await trail(catalog, file.id)) == 3

    @pytest.mark.parametrize("limit", [1, 2, 3, 10])
    async def test_what_is_to_be_purged_is_listed_from_the_longest_in_the_trash_on(
        self, catalog: Catalog, limit: int
    ) -> None:
        times = [3, 1, 2, 2, 2, 5, 4]
        files = [
            await deleted(catalog, await published(catalog, a_file(user=user)), at=NOON + seconds * SECOND)
            for seconds, user in zip(times, itertools.cycle(["ada", "bob"]))
        ]
        await published(catalog, a_file())

        found = await all_pages(
            lambda after: catalog.purgeable(before=NOON + 4 * SECOND, after=after, limit=limit),
            lambda row: row[0],
        )

        due = [file for file in files if file.deleted_at and file.deleted_at <= NOON + 4 * SECOND]
        assert [file for _, file in found] == sorted(due, key=lambda file: (file.deleted_at, file.id))
        assert len(found) == 6

    async def test_a_purged_file_needs_its_parts_no_more(self, catalog: Catalog) -> None:
        uploads = [await created(catalog, a_session()) for _ in range(3)]
        parts = tuple(Part(session.id, 500) for session in uploads)
        file = await published(catalog, replace(a_file(), parts=parts[:2]))
        other = await published(catalog, replace(a_file(), parts=parts[1:]))
        for session in uploads[:2]:
            await catalog.end_upload(ended(session), of(session, Action.ABORT))
        keys = [file.id, other.id, *(session.id for session in uploads)]
        assert await catalog.known(keys) == set(keys[2:])

        assert await purged(catalog, await deleted(catalog, file))

        assert await catalog.known(keys) == {uploads[1].id, uploads[2].id}
        assert await purged(catalog, await deleted(catalog, other))
        assert await catalog.known(keys) == {uploads[2].id}

    async def test_a_trail_has_the_owner_of_what_it_is_about(self, catalog: Catalog) -> None:
        session, file = await created(catalog, a_session(user="bob")), await published(catalog, a_file(user="eve"))

        owners = [await catalog.owner_of_trail(key) for key in (session.id, file.id, an_id(), "", "lost+found")]

        assert owners == ["bob", "eve", None, None, None]

    async def test_where_nothing_was_deleted_nothing_is_counted(self, catalog: Catalog) -> None:
        await published(catalog, a_file())

        assert await catalog.deletion_stats(None) == DeletionStats()
        assert await catalog.deletion_stats("nobody") == DeletionStats()

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    async def test_unusual_text_comes_back_unchanged(self, catalog: Catalog, text: str) -> None:
        session = replace(a_session(), declared=Declared(text, text, text, None, text), protocol=text)
        file = replace(a_file(user=text), filename=text, declared_type=text, detected_type=text, metadata=text)
        row = Audit(file.id, Action.COMPLETE, text, NOON, text, text, {text: text})

        await created(catalog, session)
        await catalog.publish(file, row)

        assert await catalog.uploads(text, after=None, limit=10) == [session]
        assert await catalog.files(text, deleted=False, after=None, limit=10) == [file]
        assert await trail(catalog, file.id) == [row]

    async def test_users_are_told_apart_to_the_letter(self, catalog: Catalog) -> None:
        users = [TEXTS["composed"], TEXTS["decomposed"], "zürich", "Zürich ", "ZÜRICH", "%", "_"]
        files = [await published(catalog, a_file(user=user)) for user in users]

        listings = [await catalog.files(user, deleted=False, after=None, limit=10) for user in users]

        assert listings == [[file] for file in files]

    @pytest.mark.parametrize(
        "text", ["a\0b", "\ud800", "a\udc80"], ids=["NUL", "half a pair", "a byte that is no text"]
    )
    async def test_text_that_no_database_takes_is_refused(self, catalog: Catalog, text: str) -> None:
        session = a_session()
        file = a_file()

        with pytest.raises(BadField, match="metadata: must be text"):
            await created(catalog, replace(session, declared=replace(session.declared, metadata=text)))
        with pytest.raises(BadField, match="filename: must be text"):
            await published(catalog, replace(file, filename=text))
        with pytest.raises(BadField, match="details: must be text"):
            await catalog.record(replace(of(file, Action.LOSE), details={"why": text}))

        assert await catalog.upload(session.id) is None
        assert await catalog.file(file.id) is None
        assert await trail(catalog, file.id) == []

    async def test_a_time_comes_back_to_the_microsecond(self, catalog: Catalog) -> None:
        kathmandu = timezone(timedelta(hours=5, minutes=45))
        times = [
            datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
            datetime(2026, 3, 4, 12, 0, 0, 999_999, tzinfo=kathmandu),
            datetime(9999, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC),
        ]

        files = [await published(catalog, a_file(at=at)) for at in times]
        found = [await catalog.file(file.id) for file in files]

        assert [file and file.uploaded_at for file in found] == times

    async def test_it_answers(self, catalog: Catalog) -> None:
        await catalog.check()

    async def test_a_new_catalog_is_settled_on_no_store(self, catalog: Catalog) -> None:
        assert await catalog.store_id() is None

    async def test_the_first_store_it_was_settled_on_stays(self, catalog: Catalog) -> None:
        first, second = an_id(), an_id()

        settled = [await catalog.set_store_id(first), await catalog.set_store_id(second)]

        assert settled == [first, first]
        assert await catalog.store_id() == first

    async def test_of_stores_it_is_settled_on_at_once_one_stays(self, catalog: Catalog) -> None:
        settled = await asyncio.gather(*(catalog.set_store_id(an_id()) for _ in range(10)))

        assert set(settled) == {await catalog.store_id()}

    async def test_what_users_take_from_their_buckets_they_wait_for_in_turn(self, catalog: Catalog) -> None:
        rate = Rate(1000, 1, 500)

        waits = [await catalog.allot("ada", rate, count=500, now=NOON + number * SECOND / 10) for number in range(4)]
        others = await asyncio.gather(*(catalog.allot("bob", rate, count=500, now=NOON) for _ in range(4)))

        assert waits == [timedelta(), *(timedelta(seconds=seconds) for seconds in (0.4, 0.8, 1.2))]
        assert sorted(others) == [SECOND / 2 * number for number in range(4)]

    async def test_what_is_said_of_a_users_limits_takes_the_place_of_what_was_said_before(
        self, catalog: Catalog
    ) -> None:
        assert await catalog.overrides("ada") == {}
        assert await catalog.overridden(after=None, limit=9) == []

        await catalog.set_overrides("ada", {"quota_bytes": "1GB", "rate_uploads": "off"})
        await catalog.set_overrides("ada", {"quota_bytes": "2GB", "max_active_uploads": "3", "rate_bytes": "1MB/s"})

        assert await catalog.overrides("ada") == {
            "quota_bytes": "2GB",
            "max_active_uploads": "3",
            "rate_bytes": "1MB/s",
        }
        assert await catalog.overrides("bob") == {}
        with pytest.raises(BadField):
            await catalog.set_overrides("nul\0", {"quota_bytes": "1"})

    async def test_users_with_limits_of_their_own_are_listed_page_by_page_until_nothing_is_said_of_them(
        self, catalog: Catalog
    ) -> None:
        for user in ("cyd", "ada", "bob"):
            await catalog.set_overrides(user, {"quota_bytes": "1GB"})

        assert [user for user, _ in await catalog.overridden(after=None, limit=2)] == ["ada", "bob"]
        assert await catalog.overridden(after="bob", limit=2) == [("cyd", {"quota_bytes": "1GB"})]
        await catalog.set_overrides("cyd", {})
        assert await catalog.overridden(after="bob", limit=2) == []
        assert await catalog.overrides("cyd") == {}

    async def test_of_uploads_that_begin_at_once_as_many_begin_as_the_rate_lets_in(self, catalog: Catalog) -> None:
        allowance = Allowance(rate_uploads=Rate(20, 60, 20))
        sessions = [a_session() for _ in range(200)]

        outcomes = await asyncio.gather(
            *(begun(catalog, session, allowance) for session in sessions), return_exceptions=True
        )

        refused = [outcome for outcome in outcomes if isinstance(outcome, RateLimited)]
        assert len(refused) == 180
        assert {error.retry_seconds for error in refused} == {3.0}
        assert len(await catalog.uploads("ada", after=None, limit=999)) == 20
        assert (await catalog.usage("ada")).open_uploads == 20
        assert [await trail(catalog, one.id) for one in sessions].count([]) == 180

    async def test_whoever_comes_back_when_told_begins_and_another_user_need_not_wait(self, catalog: Catalog) -> None:
        allowance = Allowance(rate_uploads=Rate(60, 60, 1))
        assert (await begun(catalog, a_session(), allowance) or Usage()).bucket == Bucket(0, NOON)
        with pytest.raises(RateLimited) as refused:
            await begun(catalog, a_session(at=NOON + SECOND / 4), allowance)

        wait = timedelta(seconds=refused.value.retry_seconds)

        assert wait == SECOND * 0.75
        await begun(catalog, a_session(user="bob"), allowance)
        await begun(catalog, a_session(at=NOON + SECOND / 4 + wait), allowance)
        with pytest.raises(RateLimited):
            await begun(catalog, a_session(at=NOON + SECOND / 4 + wait), allowance)

    async def test_an_upload_that_is_there_already_takes_no_token(self, catalog: Catalog) -> None:
        allowance = Allowance(rate_uploads=Rate(1, 60, 2))
        session = a_session()

        for _ in range(5):
            await begun(catalog, session, allowance)

        assert (await catalog.usage("ada")).bucket == Bucket(1_000_000, NOON)

    @pytest.mark.parametrize("end", ["published", "ended", "dropped"])
    async def test_an_upload_that_is_over_makes_room_for_another(self, catalog: Catalog, end: str) -> None:
        allowance = Allowance(max_active_uploads=2)
        first = replace(a_session(), is_whole=end == "dropped")
        await begun(catalog, first, allowance)
        await begun(catalog, a_session(), allowance)
        with pytest.raises(TooManyActive):
            await begun(catalog, a_session(), allowance)

        if end == "published":
            await stored(catalog, file_from(first, 1000), allowance)
        elif end == "ended":
            await catalog.end_upload(ended(first), of(first, Action.ABORT))
        else:
            await catalog.drop_whole(first)

        usage = await begun(catalog, a_session(), allowance)
        assert usage is not None
        assert (usage.stored_bytes, usage.declared_bytes, usage.open_uploads) == (1000 * (end == "published"), 2000, 2)

    async def test_a_quota_counts_what_is_declared_and_what_is_stored_to_the_byte(self, catalog: Catalog) -> None:
        allowance = Allowance(quota_bytes=3000)
        before = await stored(catalog, a_file())
        first = a_session()
        await begun(catalog, first, allowance)
        with pytest.raises(QuotaExceeded) as refused:
            await begun(catalog, of_size(a_session(), 1001), allowance)
        await begun(catalog, a_session(), allowance)

        assert refused.value.numbers == {"size": 1001, "used": 2000, "limit": 3000}
        await stored(catalog, file_from(first, 1000), allowance)
        await deleted(catalog, before)
        assert await catalog.usage("ada") == Usage(2000, 1000, 1)
        await begun(catalog, of_size(a_session(), 0), allowance)
        await begun(catalog, a_session(user="bob"), allowance)

    async def test_an_upload_of_unknown_length_counts_when_it_is_known(self, catalog: Catalog) -> None:
        allowance = Allowance(quota_bytes=1000)
        one, other = of_size(a_session(), None), of_size(a_session(), None)
        await begun(catalog, one, allowance)
        await begun(catalog, other, allowance)

        await catalog.declare_length(one, 600, allowance)
        with pytest.raises(QuotaExceeded):
            await catalog.declare_length(other, 401, allowance)
        with pytest.raises(QuotaExceeded):
            await stored(catalog, file_from(other, 401), allowance)

        assert await catalog.usage("ada") == Usage(0, 600, 2)
        assert (await catalog.upload(other.id) or one).length is None
        assert await catalog.file(other.id) is None
        await catalog.declare_length(one, 600, allowance)
        await stored(catalog, file_from(one, 600), allowance)
        await stored(catalog, file_from(other, 400), allowance)
        assert await catalog.usage("ada") == Usage(1000, 0, 0)

    async def test_what_was_counted_may_always_become_a_file(self, catalog: Catalog) -> None:
        """A quota lowered meanwhile takes nothing from what was let in."""
        session = a_session()
        await begun(catalog, session, Allowance(quota_bytes=1000))

        await stored(catalog, file_from(session, 1000), Allowance(Rate(1, 60, 1), quota_bytes=1))

        assert await catalog.usage("ada") == Usage(1000, 0, 0)

    async def test_a_file_that_was_no_upload_takes_a_token_and_room(self, catalog: Catalog) -> None:
        allowance = Allowance(Rate(1, 60, 2), max_active_uploads=1, quota_bytes=2500)
        file = await stored(catalog, a_file(), allowance)
        await stored(catalog, a_file(), allowance)

        assert await stored(catalog, file, allowance) == file
        with pytest.raises(RateLimited):
            await stored(catalog, replace(a_file(), size=1), allowance)
        with pytest.raises(QuotaExceeded):
            await stored(catalog, a_file(at=NOON + 60 * SECOND), allowance)
        assert await catalog.usage("ada") == Usage(2000, 0, 0, Bucket(0, NOON))

    async def test_purging_makes_room_again(self, catalog: Catalog) -> None:
        allowance = Allowance(quota_bytes=1000)
        file = await deleted(catalog, await stored(catalog, a_file(), allowance))
        with pytest.raises(QuotaExceeded):
            await begun(catalog, of_size(a_session(), 1), allowance)

        assert await catalog.purge(file, of(file, Action.PURGE))

        assert await begun(catalog, a_session(), allowance) == Usage(0, 1000, 1)

    async def test_the_bytes_of_a_joined_file_count_once(self, catalog: Catalog) -> None:
        allowance = Allowance(quota_bytes=3500)
        parts = [replace(a_session(), declared=Declared("ada", "p", length=1000, is_partial=True)) for _ in range(3)]
        for part in parts:
            await begun(catalog, part, allowance)
        together = tuple(Part(part.id, 1000) for part in parts)

        joined = await stored(catalog, file_from(a_session(), 3000, parts=together), allowance)

        assert await catalog.usage("ada") == Usage(3000, 0, 0)
        with pytest.raises(QuotaExceeded):  # the same bytes once more are gathered as bytes of their own
            await stored(catalog, file_from(a_session(), 1000, parts=together[:1]), allowance)
        await catalog.declare_length(parts[0], 1000)
        await catalog.end_upload(ended(parts[0]), of(parts[0], Action.EXPIRE))
        assert await catalog.usage("ada") == Usage(3000, 0, 0)
        for part in parts[1:]:
            await catalog.end_upload(ended(part), of(part, Action.EXPIRE))
        assert await catalog.gather(joined.id)
        assert await catalog.usage("ada") == Usage(3000, 0, 0)

    async def test_an_upload_that_is_whole_is_counted_and_neither_listed_nor_in_the_trail(
        self, catalog: Catalog
    ) -> None:
        session = replace(a_session(), is_whole=True)

        await catalog.create_upload(session, None, Allowance(max_active_uploads=1))

        assert await catalog.upload(session.id) == session
        assert await catalog.uploads("ada", after=None, limit=9) == []
        assert await catalog.uploads(None, after=None, limit=9, partial=True) == [session]
        assert await trail(catalog, session.id) == []
        assert await catalog.known([session.id]) == {session.id}
        await catalog.drop_whole(session)
        await catalog.drop_whole(a_session())
        assert await catalog.upload(session.id) is None
        assert await catalog.usage("ada") == Usage()

    async def test_counting_begins_with_what_there_is(self, catalog: Catalog) -> None:
        """A limit may be set, taken away and set again: nothing that happened without one is missing."""
        allowance = Allowance(quota_bytes=10**6)
        open_one = await created(catalog, a_session())
        await deleted(catalog, await stored(catalog, a_file()))
        assert await catalog.usages(after=None, limit=9) == []

        usage = await begun(catalog, a_session(), allowance)
        await stored(catalog, file_from(open_one, 1000))
        await created(catalog, a_session())

        assert usage == Usage(1000, 2000, 2)
        assert await catalog.usage("ada") == Usage(2000, 2000, 2)
        [(user, kept, counted)] = await catalog.usages(after=None, limit=9)
        assert (user, kept) == ("ada", counted)
        assert await catalog.usages(after="ada", limit=9) == []
        await catalog.recount("ada")
        assert await catalog.usages(after=None, limit=9) == [("ada", counted, counted)]
        await catalog.recount("ada", keep=False)
        assert await catalog.usages(after=None, limit=9) == []
        assert await catalog.usage("ada") == Usage(2000, 2000, 2)

    async def test_a_refusal_for_one_of_a_group_is_none_for_another(self, catalog: Catalog) -> None:
        small, none = Allowance(quota_bytes=1), None
        sessions = [a_session(user=f"user {number % 3}") for number in range(30)]

        outcomes = await asyncio.gather(
            *(
                catalog.create_upload(session, of(session, Action.CREATE), small if number % 3 else none)
                for number, session in enumerate(sessions)
            ),
            return_exceptions=True,
        )

        assert [isinstance(outcome, LimitReached) for outcome in outcomes] == [number % 3 > 0 for number in range(30)]
        assert len(await catalog.uploads(None, after=None, limit=99)) == 10
