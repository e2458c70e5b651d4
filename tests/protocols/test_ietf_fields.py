"""The draft's fields, read from and written to dicts; items are those of the checklist (R2 to R39)."""

from datetime import UTC, datetime

import pytest

from tests.http.test_problems import EXPECTED
from uploadstream.core.digests import Digest
from uploadstream.core.errors import (
    BadBodyType,
    BadField,
    ChecksumMismatch,
    LengthMismatch,
    NotFound,
    OffsetMismatch,
    Refusal,
    TooLarge,
    TypeMismatch,
    Unavailable,
    UploadClosed,
    UploadJoined,
    every_refusal,
)
from uploadstream.core.files import File
from uploadstream.core.session import UNNAMED, Declared, Session, State
from uploadstream.http.problems import problem_of
from uploadstream.protocols.ietf.dialects import DIALECTS, LATEST, Dialect, read_dialect
from uploadstream.protocols.ietf.fields import (
    Append,
    check_bare,
    read_append,
    read_creation,
    read_kept,
    read_kept_digest,
    read_whole,
    write_file,
    write_limit,
    write_state,
)
from uploadstream.protocols.ietf.refusals import is_last_word, write_problem, write_status

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PART = {"content-type": "application/partial-upload"}
REGISTRY = "https://iana.org/assignments/http-problem-types#"


def session(length: int | None = 10, *, offset: int = 4, state: State = State.OPEN) -> Session:
    return Session("id", Declared("", "a", length=length), 100, "ietf", NOON, NOON, offset=offset, state=state)


# Which version


@pytest.mark.parametrize("version", range(3, 11))
def test_r39_versions_3_to_10_are_known(version: int) -> None:
    assert read_dialect({"upload-draft-interop-version": str(version)}).version == version


@pytest.mark.parametrize("value", ["2", "11", "-3", "?1", "", "eight", "8.0", "8, 8"])
def test_r39_with_another_version_the_last_draft_is_spoken_without_104(value: str) -> None:
    assert read_dialect({"upload-draft-interop-version": value}) == LATEST
    assert LATEST.version is None


def test_r39_who_says_incomplete_speaks_the_first_draft_also_without_its_number() -> None:
    assert read_dialect({"upload-incomplete": "?0"}).says_incomplete
    assert not read_dialect({"upload-incomplete": "?0", "upload-complete": "?1"}).says_incomplete


@pytest.mark.parametrize(
    ("field", "versions"),
    [
        ("says_incomplete", {3}),
        ("has_media_type", {6, 7, 8, 9, 10}),
        ("tells_progress", {5, 6, 7, 8, 9, 10}),
        ("asks_bare", {3, 4, 5, 6}),
        ("ends_at_length", {3, 4, 5, 6}),
    ],
)
def test_r39_what_differs_between_the_versions(field: str, versions: set[int]) -> None:
    assert {version for version, dialect in DIALECTS.items() if getattr(dialect, field)} == versions


def test_r39_the_lifetime_was_called_expires_once() -> None:
    names = {version: dialect.lifetime for version, dialect in DIALECTS.items()}
    assert names == {**dict.fromkeys(range(3, 7), "expires"), **dict.fromkeys(range(7, 11), "max-age")}


# Complete


@pytest.mark.parametrize(("value", "complete"), [("?1", True), ("?0", False), ("1", None), ("?2", None), ("", None)])
def test_r3_only_a_boolean_says_whether_an_upload_is_complete(value: str, complete: bool | None) -> None:
    assert LATEST.read_complete({"upload-complete": value}) is complete


@pytest.mark.parametrize(("value", "complete"), [("?1", False), ("?0", True), ("no", None)])
def test_r39_version_3_says_it_the_other_way_round(value: str, complete: bool | None) -> None:
    assert DIALECTS[3].read_complete({"upload-incomplete": value}) is complete
    assert DIALECTS[3].write_complete(complete=True) == {"Upload-Incomplete": "?0"}


@pytest.mark.parametrize(("version", "of_a_part"), [(3, None), (6, None), (7, False), (10, False)])
def test_r3_r39_up_to_version_6_a_part_that_reaches_the_length_is_the_last(
    version: int, of_a_part: bool | None
) -> None:
    assert DIALECTS[version].completes(said=False) is of_a_part
    assert DIALECTS[version].completes(said=True) is True


# Creation


def test_r4_the_length_is_that_of_a_body_which_completes() -> None:
    creation = read_creation({"content-length": "5"}, name="", complete=True)

    assert creation.declared.length == 5
    assert creation.first == Append(0, 5, 5, complete=True)


@pytest.mark.parametrize("value", ["-1", "1.5", "?1", "ten", "5, 5", ""])
def test_r4_a_length_that_is_no_integer_is_ignored(value: str) -> None:
    creation = read_creation({"upload-length": value, "content-length": "5"}, name="", complete=False)

    assert creation.declared.length is None


@pytest.mark.parametrize("length", ["4", "6"])
def test_r4_two_lengths_that_differ_are_refused(length: str) -> None:
    with pytest.raises(LengthMismatch, match=f"Received 5 bytes, declared {length}"):
        read_creation({"upload-length": length, "content-length": "5"}, name="", complete=True)


def test_r3_a_sender_in_parts_tells_when_its_upload_is_complete() -> None:
    assert read_creation({"upload-length": "5"}, name="", complete=False).declared.is_told
    assert read_creation({}, name="", complete=True).declared.is_told
    assert not read_creation({"content-length": "5"}, name="", complete=True).declared.is_told
    assert not read_creation({"upload-length": "5"}, name="", complete=None).declared.is_told


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('inline; filename="report.pdf"', "report.pdf"),
        ("inline; filename=plain.txt; filename*=UTF-8''%C3%9Cbung%20%E2%98%83.txt", "Übung ☃.txt"),
        ("attachment; FILENAME*=utf-8''%41", "A"),
        ("inline", "from-address"),
        ("", "from-address"),
    ],
)
def test_r18_a_disposition_names_the_file(disposition: str, name: str) -> None:
    fields = {"content-disposition": disposition}
    assert read_creation(fields, name="from-address", complete=False).declared.filename == name


def test_r18_a_file_nobody_names_has_a_name_too() -> None:
    assert read_creation({}, name="", complete=False).declared.filename == UNNAMED


@pytest.mark.parametrize(
    ("content_type", "declared"),
    [
        ("image/png", "image/png"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("application/partial-upload", ""),
        ("application/x-www-form-urlencoded", ""),
    ],
)
def test_r18_the_type_is_the_files_unless_it_is_only_the_bodys(content_type: str, declared: str) -> None:
    assert read_creation({"content-type": content_type}, name="", complete=False).declared.content_type == declared


def test_a_form_is_no_file() -> None:
    with pytest.raises(BadBodyType, match="multipart/form-data"):
        read_whole({"content-type": "multipart/form-data; boundary=x"}, name="")


def test_r36_a_content_coding_is_refused_for_it_would_be_lost() -> None:
    read_creation({"content-encoding": "Identity"}, name="", complete=False)
    with pytest.raises(BadBodyType, match="Content-Encoding: must be identity, is 'gzip'"):
        read_creation({"content-encoding": "gzip"}, name="", complete=False)


def test_r37_what_the_end_is_to_know_is_kept_from_the_beginning() -> None:
    said = {"repr-digest": "sha=:AAAAAAAAAAAAAAAAAAAAAAAAAAA=:", "want-repr-digest": "sha-256=1"}
    kept = read_creation(said, name="", complete=False).declared

    assert {name: read_kept(kept.metadata, name) for name in said} == said
    assert read_kept_digest(kept) == Digest("sha1", bytes(20))


def test_r37_what_no_end_can_use_is_not_kept() -> None:
    said = {"repr-digest": "unixsum=:AAA=:", "want-repr-digest": "unixsum=1"}
    assert read_creation(said, name="", complete=False).declared.metadata == ""


@pytest.mark.parametrize(
    "metadata",
    ["", "a b", "repr-digest", "repr-digest !", "repr-digest /w==", "repr-digest YQ=", "repr-digest c2hhPTE="],
)
def test_r37_what_is_not_kept_so_is_nothing(metadata: str) -> None:
    assert read_kept(metadata, "want-repr-digest") is None
    assert read_kept_digest(Declared("", "a", metadata=metadata)) is None


# Append


def test_r22_a_part_says_where_it_belongs_and_whether_it_is_the_last() -> None:
    fields = {**PART, "upload-offset": "4", "upload-complete": "?1", "content-length": "6"}
    assert read_append(fields, LATEST) == Append(4, 6, 10, complete=True)


@pytest.mark.parametrize("value", [None, "-1", "1.0", "?1", "x", ""])
def test_r2_r22_a_part_without_a_right_offset_is_refused(value: str | None) -> None:
    fields = {**PART, "upload-complete": "?1"} | ({"upload-offset": value} if value is not None else {})
    with pytest.raises(BadField, match="Upload-Offset"):
        read_append(fields, LATEST)


@pytest.mark.parametrize(("dialect", "name"), [(LATEST, "Upload-Complete"), (DIALECTS[3], "Upload-Incomplete")])
def test_r22_a_part_that_does_not_say_whether_it_is_the_last_is_refused(dialect: Dialect, name: str) -> None:
    with pytest.raises(BadField, match=name):
        read_append({**PART, "upload-offset": "4", "upload-complete": "yes"}, dialect)


@pytest.mark.parametrize("version", range(3, 11))
def test_r22_r39_a_part_has_its_media_type_from_version_6_on(version: int) -> None:
    said = {"upload-offset": "0", "upload-complete": "?1", "upload-incomplete": "?0"}
    if version < 6:
        assert read_append(said, DIALECTS[version]).complete
    else:
        with pytest.raises(BadBodyType):
            read_append(said, DIALECTS[version])


@pytest.mark.parametrize("name", ["Upload-Offset", "Upload-Complete", "Upload-Incomplete", "Upload-Length"])
def test_r39_up_to_version_6_a_question_must_not_look_like_an_append(name: str) -> None:
    check_bare({name.lower(): "1"}, LATEST)
    check_bare({}, DIALECTS[6])
    with pytest.raises(BadField, match=name):
        check_bare({name.lower(): "1"}, DIALECTS[6])


# Answers


def test_r5_limits_are_a_dictionary_of_integers() -> None:
    assert write_limit(size_max=5) == {"Upload-Limit": "max-size=5"}
    assert write_limit(size_max=5, seconds=9.2) == {"Upload-Limit": "max-size=5, max-age=10"}
    assert write_limit(size_max=5, lifetime="expires", seconds=-1) == {"Upload-Limit": "max-size=5, expires=0"}


def test_r19_the_state_of_an_open_upload() -> None:
    assert write_state(session(), LATEST, seconds_left=60) == {
        "Upload-Offset": "4",
        "Upload-Complete": "?0",
        "Upload-Length": "10",
        "Upload-Limit": "max-size=100, max-age=60",
    }


def test_r19_a_length_nobody_told_is_left_out() -> None:
    assert "Upload-Length" not in write_state(session(None), LATEST, seconds_left=60)


def test_r3_a_full_upload_is_not_complete() -> None:
    assert write_state(session(offset=10), LATEST, seconds_left=60)["Upload-Complete"] == "?0"


def test_r19_a_complete_upload_lives_without_end() -> None:
    fields = write_state(session(offset=10, state=State.COMPLETE), LATEST, seconds_left=-5)

    assert fields["Upload-Complete"] == "?1"
    assert fields["Upload-Limit"] == "max-size=100"


def test_r12_a_complete_upload_is_answered_with_its_file() -> None:
    file = File("id", "ann", "a.txt", 3, "text/plain", "text/plain", 0x1A2B, NOON, "ietf")
    assert write_file(file) == {
        "file_id": "id",
        "user_id": "ann",
        "filename": "a.txt",
        "size": 3,
        "content_type": "text/plain",
        "crc32c": "00001a2b",
        "uploaded_at": "2026-01-02T12:00:00Z",
    }


# Refusals


def test_no_refusal_is_missing_in_the_table() -> None:
    statuses = {cls: write_status(cls.__new__(cls)) for cls in every_refusal()}

    assert statuses == {**EXPECTED, UploadClosed: 400, UploadJoined: 400}


def test_r34_the_problem_of_a_wrong_offset_names_both() -> None:
    problem = write_problem(OffsetMismatch(expected=4, given=9))

    assert problem["type"] == f"{REGISTRY}mismatching-upload-offset"
    assert problem["status"] == 409
    assert (problem["expected-offset"], problem["provided-offset"]) == (4, 9)


@pytest.mark.parametrize("error", [LengthMismatch(received=5, declared=4), BadField("size", "is 5 here, was 4")])
def test_r35_the_problem_of_lengths_that_differ(error: Refusal) -> None:
    problem = write_problem(error)

    assert problem["type"] == f"{REGISTRY}inconsistent-upload-length"
    assert problem["status"] == 400
    assert not is_last_word(error)


def test_r35_the_problem_of_an_append_to_a_complete_upload() -> None:
    problem = write_problem(UploadClosed(upload_id="id", state="complete"))

    assert (problem["type"], problem["status"]) == (f"{REGISTRY}completed-upload", 400)


def test_other_problems_are_those_of_every_protocol() -> None:
    error = NotFound(kind="upload", id="x")
    assert write_problem(error) == problem_of(error)


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (TooLarge(size=2, limit=1), True),
        (TypeMismatch(declared="image/png", detected="text/plain"), True),
        (BadField("filename", "is bad"), True),
        (ChecksumMismatch(at=0, algorithm="sha256", computed="", declared="00"), True),
        (Unavailable(), False),
    ],
)
def test_r16_what_no_retry_can_mend_is_the_last_word(error: Refusal, last: bool) -> None:
    assert is_last_word(error) is last
