"""Every refusal says its numbers, in the words of the public contract."""

import re
from collections import Counter
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.access import Forbidden, ScopeMissing, Unauthenticated, WrongCredentials
from uploadstream.core.allowances import LimitReached, QuotaExceeded, RateLimited, TooManyActive
from uploadstream.core.claims import KeysUnavailable
from uploadstream.core.errors import (
    BadBodyType,
    BadField,
    BadInput,
    BodyTimeout,
    Busy,
    BytesLost,
    CatalogUnavailable,
    ChecksumMismatch,
    ChunkTooLarge,
    ContentRefused,
    Draining,
    Gone,
    HookFailed,
    LengthMismatch,
    MissingMetadata,
    NotFound,
    NoThumbnail,
    OffsetMismatch,
    RangeNotSatisfiable,
    Refusal,
    StorageFull,
    StorageUnavailable,
    TakenOver,
    TooLarge,
    TooManyListeners,
    TypeMismatch,
    TypeNotAllowed,
    Unavailable,
    UploadClosed,
    UploadJoined,
    every_refusal,
)
from uploadstream.core.sizes import MIB

ABSTRACT = {Refusal, BadInput, ContentRefused, LimitReached, Unavailable}
UNIQUE = 7_654_321

SAID: list[tuple[Refusal, str]] = [
    # word for word as the contract has them
    (TooLarge(size=600 * MIB, limit=512 * MIB), "File size 600 MiB exceeds limit of 512 MiB"),
    (MissingMetadata(), "First message must be metadata"),
    (ChunkTooLarge(size=5 * MIB, limit=4 * MIB), "Chunk of 5 MiB exceeds limit of 4 MiB"),
    (LengthMismatch(received=1025, declared=1024), "Received 1025 bytes, declared 1024"),
    (TypeMismatch(declared="image/png", detected="text/plain"), "Declared image/png, content is text/plain"),
    (
        TypeNotAllowed(detected="application/x-dosexec", allowed=("image/*", "video/*")),
        "Type application/x-dosexec is not allowed; allowed: image/*, video/*",
    ),
    (BadField(field="filename", problem="must be 1 to 255 bytes, has 0"), "filename: must be 1 to 255 bytes, has 0"),
    (OffsetMismatch(expected=8192, given=4096), "Next byte belongs at 8192, not at 4096"),
    (
        ChecksumMismatch(at=8192, algorithm="crc32c", computed="1a2b3c4d", declared="00000000"),
        "Chunk at 8192: crc32c is 1a2b3c4d, declared 00000000",
    ),
    (NotFound(kind="file", id="5f0c"), "No file 5f0c"),
    (Busy(upload_id="5f0c"), "Upload is being written by another request"),
    (StorageUnavailable(), "Storage is not reachable; nothing was lost, retry"),
    (RateLimited(limit=60, window=60, seconds=2.01), "Rate limit: 60 uploads a minute; retry in 3 s"),
    # ours
    (
        TooManyActive(active=10, limit=10),
        "Active uploads: 10 of 10; complete or abort one, or retry when one has ended",
    ),
    (
        QuotaExceeded(size=512 * MIB, used=768 * MIB, limit=1024 * MIB),
        "Quota: 512 MiB more would make 1.2 GiB of 1 GiB; what is in the trash counts until purged",
    ),
    (TooLarge(size=600_000_000, limit=512 * MIB), "File size 572.2 MiB exceeds limit of 512 MiB"),
    (TooLarge(size=512 * MIB + 1, limit=512 * MIB), "File size 536870913 B exceeds limit of 536870912 B"),
    (ChunkTooLarge(size=4 * MIB + 1, limit=4 * MIB), "Chunk of 4194305 B exceeds limit of 4194304 B"),
    (BadBodyType(field="Content-Type", problem="must be text/plain"), "Content-Type: must be text/plain"),
    (UploadClosed(upload_id="5f0c", state="complete"), "Upload 5f0c is complete and takes no more bytes"),
    (
        UploadJoined(upload_id="5f0c", state="complete"),
        "Upload 5f0c was joined from others and takes no bytes of its own",
    ),
    (RangeNotSatisfiable(start=9, size=8), "Bytes from 9 on were asked for, the file has 8"),
    (Gone(kind="upload", id="5f0c", how="expired"), "No upload 5f0c: it was expired"),
    (NoThumbnail("file", "ID", "small", "PENDING"), "No small thumbnail of file ID yet"),
    (TakenOver(upload_id="5f0c"), "Upload was taken over by a newer request"),
    (BodyTimeout(seconds=60.0), "No byte came for 60 s; continue from the last byte received"),
    (StorageFull(free=1536), "Storage is full, 1.5 KiB left; nothing was lost, retry when there is room"),
    (BytesLost(kept=1024), "Storage could not keep what it was given; send it again from byte 1024"),
    (CatalogUnavailable(), "Catalog is not reachable; nothing was lost, retry"),
    (
        TooManyListeners(limit=256),
        "256 clients listen to events already; retry later, or ask for what has changed",
    ),
    (HookFailed(hook="before_create"), "The application's before_create failed; nothing was begun, retry"),
    (Forbidden(why="Members only"), "Members only"),
    (Unauthenticated(why="Log in first"), "Log in first"),
    (KeysUnavailable(), "Keys of tokens are not reachable; nothing was lost, retry"),
    (WrongCredentials(why="API key is not valid"), "API key is not valid"),
    (ScopeMissing(why="Scope write is needed", needed="write"), "Scope write is needed"),
    (Draining(), "Server is about to stop; nothing was lost, retry"),
]


@pytest.mark.parametrize(("error", "words"), [pytest.param(*row, id=type(row[0]).__name__) for row in SAID])
def test_a_refusal_says_what_happened(error: Refusal, words: str) -> None:
    assert str(error) == words


def test_every_refusal_that_is_ever_raised_has_its_words_in_this_table() -> None:
    assert {type(error) for error, _ in SAID} == set(every_refusal()) - ABSTRACT


def test_every_refusal_has_a_reason_of_its_own_that_machines_can_compare() -> None:
    reasons = Counter(cls.reason for cls in every_refusal())

    assert [reason for reason, count in reasons.items() if count > 1] == []
    assert all(re.fullmatch("[A-Z][A-Z_]*[A-Z]", reason) for reason in reasons)


@pytest.mark.parametrize("error", [pytest.param(error, id=type(error).__name__) for error, _ in SAID])
def test_the_numbers_are_the_attributes(error: Refusal) -> None:
    assert error.numbers.keys() == vars(error).keys() - {"others", "standing"}
    assert all(isinstance(value, str | int | float) for value in error.numbers.values())


def test_a_list_among_the_numbers_is_spelled_with_commas() -> None:
    error = TypeNotAllowed(detected="text/plain", allowed=("image/*", "video/*"))

    assert error.numbers == {"detected": "text/plain", "allowed": "image/*, video/*"}


def test_exact_bytes_are_in_the_numbers_where_the_sentence_rounds_them() -> None:
    assert TooLarge(size=UNIQUE, limit=1).numbers == {"size": UNIQUE, "limit": 1}


def test_no_number_is_named_like_a_member_of_problem_details() -> None:
    names = {name for error, _ in SAID for name in error.numbers}

    assert names.isdisjoint({"type", "title", "status", "detail", "instance", "reason"})


RAISED = sorted(set(every_refusal()) - ABSTRACT, key=lambda cls: cls.__name__)
TEXTS = st.sampled_from(["", "a"])
VALUES = {
    "str": TEXTS,
    "int": st.integers(0, 9),
    "float": st.floats(0, 9),
    "tuple[str, ...]": st.lists(TEXTS, max_size=2).map(tuple),
    "tuple[BadField, ...]": st.lists(st.builds(BadField, TEXTS, TEXTS), max_size=2).map(tuple),
}
HOLE = re.compile(r"^[\W]*$|^[ :;,]|  | [:;,]|[:;,]$|: ;| $")


@given(data=st.data(), kind=st.sampled_from(RAISED))
def test_no_sentence_has_a_hole_where_a_text_is_empty(data: st.DataObject, kind: type[Refusal]) -> None:
    error = kind(**{field.name: data.draw(VALUES[str(field.type)]) for field in fields(kind)})

    assert not HOLE.search(str(error).replace('""', "a")), str(error)


def test_two_refusals_are_never_the_same_one() -> None:
    assert NotFound(kind="file", id="a") != NotFound(kind="file", id="a")


def test_the_tree_begins_at_its_root_and_names_each_class_once() -> None:
    classes = every_refusal()

    assert classes[0] is Refusal
    assert len(classes) == len(set(classes))
    assert all(cls.__mro__[1] in classes for cls in classes[1:])
