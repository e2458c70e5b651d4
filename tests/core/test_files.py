"""A finished file: in use or in the trash, and seen by its owner only."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.core.refusals import refusal_of
from uploadstream.core.access import Bounds, Caller, Identity
from uploadstream.core.errors import Gone, NotFound
from uploadstream.core.files import (
    Action,
    Audit,
    File,
    ProcessingStatus,
    audit_of,
    audit_of_file,
    check_visible_trail,
    file_of,
    visible_file,
    visible_upload,
)
from uploadstream.core.parts import Part
from uploadstream.core.session import Declared, Sealed, Session

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ID = "5f0c1a2b-0000-4000-8000-00000000000a"
FILE = File(ID, "ann", "a.txt", 3, "", "text/plain", 7, NOON, "tus")
SESSION = Session(ID, Declared("ann", "a.txt", "text/csv", 3, "filename YQ=="), 9, "tus", NOON, NOON, offset=3)


def test_every_walk_between_use_and_trash_changes_nothing_else() -> None:
    for present in (FILE, FILE.restored(), FILE.deleted(LATER).restored()):
        present.check_present()
        assert present == FILE
        gone = present.deleted(LATER)
        assert gone == replace(FILE, deleted_at=LATER)
        for act in (gone.check_present, lambda gone=gone: gone.deleted(LATER)):
            with pytest.raises(Gone) as caught:
                act()
            assert (caught.value.kind, caught.value.id, caught.value.how) == ("file", ID, "deleted")


@pytest.mark.parametrize(("seconds", "is_over"), [(3599, False), (3600, True), (3601, True)])
def test_a_file_is_restored_until_its_time_in_the_trash_is_over(seconds: int, is_over: bool) -> None:
    gone, ttl, now = FILE.deleted(NOON), timedelta(hours=1), NOON + timedelta(seconds=seconds)

    refused = refusal_of(gone.check_restorable, ttl, now=now)

    assert gone.is_over(ttl, now=now) is is_over
    assert str(refused) == (f"No file {ID}: it was purged" if is_over else "None")
    assert not FILE.is_over(ttl, now=now)
    FILE.check_restorable(ttl, now=now)


def test_a_file_is_whole_with_as_many_bytes_as_it_has() -> None:
    FILE.check_whole(3)
    replace(FILE, size=0).check_whole(0)

    for stored in (0, 2, 4):
        assert not FILE.is_whole(stored)
        with pytest.raises(Gone) as caught:
            FILE.check_whole(stored)
        assert (caught.value.kind, caught.value.id, caught.value.how) == ("file", ID, "lost")


def test_a_file_is_served_as_what_was_declared_or_else_as_what_was_seen() -> None:
    assert FILE.content_type == "text/plain"
    assert replace(FILE, declared_type="text/csv").content_type == "text/csv"


def test_a_file_is_what_was_declared_and_what_came() -> None:
    file = file_of(SESSION.after(Sealed()), detected_type="text/plain", crc32c=7, at=LATER)

    assert file == File(
        id=ID,
        user_id="ann",
        filename="a.txt",
        size=3,
        declared_type="text/csv",
        detected_type="text/plain",
        crc32c=7,
        uploaded_at=LATER,
        protocol="tus",
        metadata="filename YQ==",
        sha256=None,
        deleted_at=None,
        processing_status=ProcessingStatus.PENDING,
    )


def test_the_trail_says_who_did_what_from_where() -> None:
    caller = Caller("", "grpc", "192.0.2.1")

    audit = audit_of(ID, Action.DELETE, caller, at=NOON, why="old")

    assert audit == Audit(ID, Action.DELETE, "anonymous", NOON, "grpc", "192.0.2.1", {"why": "old"})


def test_the_trail_says_what_a_file_was() -> None:
    audit = audit_of_file(FILE, Action.PURGE, Caller("bob"), at=LATER)

    assert audit.details == {"content_type": "text/plain", "size": "3", "uploaded_at": "2026-01-02T12:00:00+00:00"}
    assert (audit.file_id, audit.action, audit.user_id, audit.at) == (ID, Action.PURGE, "bob", LATER)


@pytest.mark.parametrize("caller", [Caller("ann"), Caller("")])
def test_ones_own_is_seen(caller: Caller) -> None:
    assert visible_file(FILE, caller, file_id=ID) is FILE
    assert visible_upload(SESSION, caller, file_id=ID) is SESSION
    check_visible_trail("ann", caller, file_id=ID)


def test_anothers_is_as_unknown_to_the_last_letter() -> None:
    bob = Caller("bob")

    refusals = [
        refusal_of(visible_file, None, bob, file_id=ID),
        refusal_of(visible_file, FILE, bob, file_id=ID),
        refusal_of(visible_upload, None, bob, file_id=ID),
        refusal_of(visible_upload, SESSION, bob, file_id=ID),
        refusal_of(check_visible_trail, None, bob, file_id=ID),
        refusal_of(check_visible_trail, "ann", bob, file_id=ID),
    ]

    assert {type(error) for error in refusals} == {NotFound}
    assert {str(error) for error in refusals} == {f"No file {ID}"}
    assert all(error and error.numbers == {"kind": "file", "id": ID} for error in refusals)


def test_a_file_has_its_bytes_in_one_blob_or_in_its_parts() -> None:
    parts = (Part("b", 1), Part("c", 2))

    assert FILE.blobs == (Part(ID, 3),)
    assert replace(FILE, parts=parts).blobs == parts


def test_processing_statuses_have_the_numbers_of_the_wire() -> None:
    assert {status.name: status.value for status in ProcessingStatus} == {
        "PENDING": 1,
        "PROCESSING": 2,
        "COMPLETED": 3,
        "FAILED": 4,
    }


@pytest.mark.parametrize(
    ("parts", "is_scattered"), [((), False), ((Part("a", 9),), False), ((Part("a", 4),) * 2, True)]
)
def test_a_file_in_more_than_one_piece_is_scattered(parts: tuple[Part, ...], is_scattered: bool) -> None:
    assert replace(FILE, parts=parts).is_scattered is is_scattered


def test_what_is_beyond_a_token_for_uploads_is_as_unknown() -> None:
    def caller(bounds: Bounds) -> Caller:
        return Caller(identity=Identity("ann", bounds=bounds))

    for bounds in (Bounds(ID), Bounds(size_max=9)):
        assert visible_file(FILE, caller(bounds), file_id=ID) is FILE
        assert visible_upload(SESSION, caller(bounds), file_id=ID) is SESSION
    for bounds in (Bounds("another"), Bounds(size_max=2)):
        unknown = refusal_of(visible_file, None, caller(bounds), file_id=ID)
        for found in (
            refusal_of(visible_file, FILE, caller(bounds), file_id=ID),
            refusal_of(visible_upload, SESSION, caller(bounds), file_id=ID),
        ):
            assert (type(found), str(found)) == (NotFound, str(unknown))
