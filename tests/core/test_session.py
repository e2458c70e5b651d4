"""The session's rules, tried whole: every session that can come about, with every event.

Invariant: the rules are written here a second time, in the words of the protocols' specifications.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.core.refusals import refusal_of
from uploadstream.core.allowances import Quota, QuotaExceeded
from uploadstream.core.errors import (
    BadField,
    Gone,
    LengthMismatch,
    OffsetMismatch,
    Refusal,
    TooLarge,
    UploadClosed,
    UploadJoined,
)
from uploadstream.core.session import (
    TRANSITIONS,
    UNNAMED,
    Aborted,
    Appended,
    Declared,
    End,
    Event,
    LengthDeclared,
    Published,
    Sealed,
    Session,
    State,
    check_declaration,
    check_length,
    diagram,
    told_length,
)

SIZE_MAX = 4  # small enough to try everything
NUMBERS = range(-1, SIZE_MAX + 2)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
EVENTS: list[Event] = [
    *(Appended(count) for count in range(SIZE_MAX + 2)),
    *(LengthDeclared(length) for length in NUMBERS),
    Sealed(),
    Published(),
    *(Aborted(how) for how in End),
]
STARTS = [None, *range(SIZE_MAX + 1)]


def session(length: int | None = None, *, offset: int = 0) -> Session:
    declared = Declared("ann", "a.bin", "text/plain", length)
    return Session("a", declared, SIZE_MAX, "test", created_at=NOON, touched_at=NOON, offset=offset)


def reachable() -> Iterator[tuple[Session, Event, Session | Refusal]]:
    """Every session that can come about, every event, and what comes of it."""
    todo, seen = [session(length) for length in STARTS], set[Session]()
    while todo:
        now = todo.pop()
        if now in seen:
            continue
        seen.add(now)
        for event in EVENTS:
            try:
                after = now.after(event)
            except Refusal as error:
                yield now, event, error
            else:
                yield now, event, after
                todo.append(after)


WALK = list(reachable())
SESSIONS = list(dict.fromkeys(before for before, _, _ in WALK))


def allowed(now: Session, event: Event) -> bool:
    """The rules again."""
    is_open, end = now.state is State.OPEN, now.length
    match event:
        case Appended(count):
            return is_open and now.offset + count <= (SIZE_MAX if end is None else end)
        case LengthDeclared(length):
            return is_open and now.offset <= length <= SIZE_MAX and end in {None, length}
        case Sealed():
            return is_open and end in {None, now.offset}
        case Published():
            return now.state is State.SEALED
        case _:
            return now.state in {State.OPEN, State.SEALED}


def test_the_walk_is_whole() -> None:
    assert {now.state for now in SESSIONS} == set(State)
    assert {now.offset for now in SESSIONS} == set(range(SIZE_MAX + 1))
    assert {now.length for now in SESSIONS} == set(STARTS)
    assert {type(event) for _, event, after in WALK if isinstance(after, Session)} == {type(event) for event in EVENTS}


def test_exactly_what_is_allowed_happens() -> None:
    for now, event, after in WALK:
        assert isinstance(after, Session) == allowed(now, event), f"{event} on {now}"


def test_the_offset_never_goes_back_and_a_length_never_changes() -> None:
    for now, event, after in WALK:
        if isinstance(after, Session):
            assert after.offset == now.offset + (event.count if isinstance(event, Appended) else 0)
            assert now.length in {None, after.length}


def test_there_are_never_more_bytes_than_declared_or_allowed() -> None:
    for now in SESSIONS:
        assert 0 <= now.offset <= (SIZE_MAX if now.length is None else now.length) <= SIZE_MAX
        assert now.room == (SIZE_MAX if now.length is None else now.length) - now.offset
        assert now.is_full == (now.offset == now.length)


def test_nothing_but_offset_length_state_and_end_ever_changes() -> None:
    for now, _, after in WALK:
        if isinstance(after, Session):
            kept = (now.id, now.size_max, now.protocol, now.created_at, now.declared.user_id, now.declared.filename)
            assert kept == (
                *(after.id, after.size_max, after.protocol, after.created_at),
                *(after.declared.user_id, after.declared.filename),
            )


def test_a_sealed_or_complete_upload_has_every_byte_it_declared() -> None:
    assert all(now.is_full for now in SESSIONS if now.state in {State.SEALED, State.COMPLETE})


def test_what_is_complete_or_aborted_stays_so() -> None:
    closed = {State.COMPLETE, State.ABORTED}

    assert closed <= {now.state for now in SESSIONS}
    assert not [after for now, _, after in WALK if now.state in closed and isinstance(after, Session)]


def test_an_upload_that_was_aborted_says_how_and_no_other_does() -> None:
    for now in SESSIONS:
        assert (now.end is not None) == (now.state is State.ABORTED)
    for _, event, after in WALK:
        if isinstance(event, Aborted) and isinstance(after, Session):
            assert after.end is event.how


def test_a_refused_event_names_the_right_numbers() -> None:
    for now, event, error in WALK:
        if not isinstance(error, Refusal):
            continue
        match error, event:
            case UploadClosed(), _:
                assert (now.state, type(event)) not in TRANSITIONS
                assert (error.upload_id, error.state) == (now.id, now.state.value)
            case LengthMismatch(), Appended(count):
                assert (error.received, error.declared) == (now.offset + count, now.length)
            case TooLarge(), Appended(count):
                assert now.length is None
                assert (error.size, error.limit) == (now.offset + count, SIZE_MAX)
            case LengthMismatch(), LengthDeclared(length):
                assert (error.received, error.declared) == (now.offset, length)
            case TooLarge(), LengthDeclared(length):
                assert (error.size, error.limit) == (length, SIZE_MAX)
            case LengthMismatch(), Sealed():
                assert (error.received, error.declared) == (now.offset, now.length)
            case BadField(), LengthDeclared(length):
                assert error.field == "size"
                assert str(length) in error.problem
                assert length < 0 or str(now.length) in error.problem
            case _:
                pytest.fail(f"{error!r} for {event} on {now}")


@pytest.mark.parametrize("at", NUMBERS)
def test_bytes_go_only_where_the_last_ones_ended(at: int) -> None:
    for now in SESSIONS:
        for count in range(SIZE_MAX + 2):
            fits = at == now.offset and allowed(now, Appended(count))
            error = refusal_of(now.check_append, at=at, count=count)
            assert (error is None) == fits
            assert isinstance(error, OffsetMismatch) == (now.state is State.OPEN and at != now.offset)
            if isinstance(error, OffsetMismatch):
                assert (error.expected, error.given) == (now.offset, at)


def test_an_upload_takes_bytes_exactly_while_it_is_open() -> None:
    for now in SESSIONS:
        match now.state, refusal_of(now.check_open):
            case State.OPEN, None:
                pass
            case State.ABORTED, Gone() as error:
                assert (error.kind, error.id, error.how) == ("upload", now.id, now.end)
            case ((State.SEALED | State.COMPLETE), UploadClosed() as error):
                assert (error.upload_id, error.state) == (now.id, now.state)
            case other:
                pytest.fail(f"{other} for {now}")


def test_what_is_said_again_must_be_what_was_said_at_first() -> None:
    now = session(3)

    now.check_agrees()
    now.check_agrees(filename="a.bin", content_type="text/plain", length=3)
    with pytest.raises(BadField, match=r"^filename: is b\.bin here, was a\.bin when the upload began$"):
        now.check_agrees(filename="b.bin")
    with pytest.raises(BadField, match=r"^content_type: is image/png here, was text/plain when"):
        now.check_agrees(content_type="image/png")
    with pytest.raises(BadField, match=r"^size: is 0 here, was 3 when"):
        now.check_agrees(length=0)


def test_what_completed_an_upload_may_be_said_again() -> None:
    complete = replace(session(3, offset=3), state=State.COMPLETE)

    complete.check_said_again(at=None, length=None, count=None)
    complete.check_said_again(at=3, length=3, count=0)
    with pytest.raises(OffsetMismatch):
        complete.check_said_again(at=0, length=None, count=0)
    with pytest.raises(BadField):
        complete.check_said_again(at=3, length=4, count=0)
    with pytest.raises(UploadClosed):
        complete.check_said_again(at=3, length=3, count=1)


def test_what_was_joined_from_others_was_never_completed_by_a_request() -> None:
    declared = replace(session(3).declared, joins="final;/files/b")
    joined = replace(session(3, offset=3), declared=declared, state=State.COMPLETE)

    with pytest.raises(UploadJoined):
        joined.check_said_again(at=3, length=None, count=0)


def test_all_that_is_said_otherwise_is_named() -> None:
    refusal = refusal_of(session(3).check_agrees, filename="b.bin", content_type="image/png", length=0)

    assert isinstance(refusal, BadField)
    assert [bad.field for bad in refusal.all] == ["filename", "content_type", "size"]


def test_what_was_left_out_at_first_is_said_to_have_been_left_out() -> None:
    untyped = replace(session(3), declared=replace(session(3).declared, content_type=""))

    with pytest.raises(BadField, match=r"^content_type: is image/png here, was not given when the upload began$"):
        untyped.check_agrees(content_type="image/png")


def test_a_declaration_is_refused_with_all_its_bad_fields() -> None:
    check_declaration(Declared("ann", "a.bin", "text/plain", 3), size_max=3)
    refusal = refusal_of(check_declaration, Declared("\n", "a/b", "text", -1), size_max=3)

    assert isinstance(refusal, BadField)
    assert [bad.field for bad in refusal.all] == ["user_id", "filename", "content_type", "size"]
    assert isinstance(refusal_of(check_declaration, Declared("ann", "a.bin", "", 4), size_max=3), TooLarge)


def test_a_length_told_later_agrees_with_none_told_before() -> None:
    session(None).check_agrees(length=3)


@pytest.mark.parametrize("length", [None, *NUMBERS])
def test_an_upload_of_any_length_up_to_the_limit_may_begin(length: int | None) -> None:
    expected = BadField if length == -1 else TooLarge if length == SIZE_MAX + 1 else None

    if expected is None:
        check_length(length, size_max=SIZE_MAX)
    else:
        with pytest.raises(expected):
            check_length(length, size_max=SIZE_MAX)


def test_a_full_upload_is_complete_unless_its_sender_is_going_to_say_so() -> None:
    for now in SESSIONS:
        told = replace(now, declared=replace(now.declared, is_told=True))
        assert now.is_left_full == (now.state is State.OPEN and now.offset == now.length)
        assert not told.is_left_full
        for each in (now, told):
            assert each.is_completed_by(complete=None) == (now.offset == now.length)
            assert each.is_completed_by(complete=True)
            assert not each.is_completed_by(complete=False)


def test_an_upload_expires_when_nobody_touched_it_for_its_idle_life() -> None:
    assert session().expires_at(timedelta(hours=24)) == NOON + timedelta(days=1)


def test_the_drawing_has_an_arrow_for_each_row_of_the_table() -> None:
    lines = diagram().splitlines()

    assert lines[:2] == ["stateDiagram-v2", "    [*] --> open"]
    assert lines[2:] == [f"    {a.value} --> {b.value}: {event.__name__}" for (a, event), b in TRANSITIONS.items()]


@pytest.mark.parametrize(
    ("count", "length", "complete", "told"),
    [
        (None, None, True, None),
        (None, 9, True, 9),
        (3, None, True, 7),
        (3, 7, True, 7),
        (3, None, False, None),
        (3, 9, False, 9),
        (3, 9, None, 9),
        (0, None, True, 4),
    ],
)
def test_a_length_is_told_outright_or_by_the_last_bytes(
    count: int | None, length: int | None, complete: bool | None, told: int | None
) -> None:
    assert told_length(at=4, count=count, length=length, complete=complete) == told


@pytest.mark.parametrize("length", [0, 6, 8])
def test_a_length_told_in_two_ways_is_one(length: int) -> None:
    with pytest.raises(LengthMismatch, match=f"^Received 7 bytes, declared {length}$"):
        told_length(at=4, count=3, length=length, complete=True)


@pytest.mark.parametrize(("complete", "is_ended"), [(None, False), (True, True), (False, True)])
def test_bytes_behind_its_length_end_an_upload_whose_sender_keeps_count(complete: bool | None, is_ended: bool) -> None:
    now = session(3)

    assert now.is_ended_by(LengthMismatch(received=4, declared=3), complete=complete) is is_ended
    for other in (LengthMismatch(received=2, declared=3), LengthMismatch(received=4, declared=2)):
        assert not now.is_ended_by(other, complete=complete)
    assert not session(None).is_ended_by(LengthMismatch(received=4, declared=3), complete=complete)


# Partial uploads


def a_partial(length: int | None, offset: int) -> Session:
    declared = Declared("ann", "a", length=length, is_partial=True)
    return Session("a", declared, 100, "tus", NOON, NOON, offset=offset)


@pytest.mark.parametrize("complete", [None, True, False])
def test_t26_a_partial_upload_never_becomes_a_file(complete: bool | None) -> None:
    full = a_partial(10, 10)

    assert not full.is_left_full
    assert not full.is_completed_by(complete=complete)


@pytest.mark.parametrize(
    ("session", "problem"),
    [
        (a_partial(10, 10), None),
        (a_partial(0, 0), None),
        (a_partial(10, 9), "parts: a is not finished: 9 of 10 bytes are there"),
        (a_partial(None, 9), "parts: a is not finished: 9 of unknown bytes are there"),
        (
            Session("a", Declared("ann", "a", length=1), 100, "tus", NOON, NOON, offset=1),
            "parts: a is no partial upload",
        ),
    ],
)
def test_t32_what_is_finished_and_partial_can_be_joined(session: Session, problem: str | None) -> None:
    refusal = refusal_of(session.check_joinable)

    assert (str(refusal) if refusal else None) == problem


# Senders of whole chunks


def chunk_starts(now: Session, size: int) -> set[int]:
    """Where a sender that goes on at `chunk_start` begins its chunks."""
    assert now.length is not None
    return {start for start in range(0, now.length + 1, size) if start >= now.chunk_start}


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_f7_a_sender_of_whole_chunks_leaves_nothing_out(size: int) -> None:
    for now in SESSIONS:
        if now.state is State.OPEN and now.length is not None:
            known = replace(now, declared=replace(now.declared, chunk_size=size))

            for at in (now, known):
                sent = {byte for start in chunk_starts(at, size) for byte in range(start, start + size)}
                assert set(range(now.offset, now.length)) <= sent
            assert known.chunk_start % size == 0
            assert known.offset - known.chunk_start < size


def test_f7_of_a_complete_upload_nothing_is_sent_again() -> None:
    assert replace(session(3, offset=3), state=State.COMPLETE).chunk_start == 3


@pytest.mark.parametrize("length", [*range(SIZE_MAX + 1), None])
@pytest.mark.parametrize("size", range(1, SIZE_MAX + 2))
def test_f7_any_chunk_but_the_last_shows_the_size_of_all(size: int, length: int | None) -> None:
    end = SIZE_MAX if length is None else length
    for at in range(0, end + 1, size):
        described = session(length).described(at=at, count=min(size, end - at))

        learnt = described.declared.chunk_size
        whole = at + size < end or (length is None and at + size <= end)
        only = at == 0 and size >= end > 0 and length is not None
        assert learnt == (size if whole else end if only else None) or (length is None and at + size > end)


def test_f7_what_is_known_of_chunks_stays_when_one_shows_nothing() -> None:
    known = session(4).described(at=0, count=3)

    assert [known.described(at=at, count=count) for at, count in [(3, 1), (1, 2), (0, None), (4, 0)]] == [known] * 4
    assert known.described(at=2, count=1).declared.chunk_size == 1


def test_f7_what_is_known_of_chunks_is_forgotten_when_their_sender_left_some_out() -> None:
    known = session(4).described(at=0, count=1)

    assert known.described(at=3, count=1, is_early=True).declared.chunk_size is None
    assert known.described(at=2, count=1, is_early=True) == known


def test_an_upload_gets_a_name_once() -> None:
    unnamed = replace(session(4), declared=Declared("ann", UNNAMED))

    assert unnamed.described() == unnamed
    assert unnamed.described(filename="b.bin").declared.filename == "b.bin"
    assert unnamed.described(filename="b.bin").described(filename="c.bin").declared.filename == "b.bin"
    assert isinstance(refusal_of(unnamed.described, filename="a/b"), BadField)


def test_bytes_come_again_or_next_or_too_early() -> None:
    now = session(4, offset=2)

    assert [now.known(at=at) for at in (0, 1, 2)] == [2, 1, 0]
    assert isinstance(refusal_of(now.known, at=3), OffsetMismatch)
    assert [now.has(at=1, count=count) for count in (0, 1, 2, None)] == [True, True, False, False]
    assert [now.may_wait(at=at) for at in range(6)] == [False, False, False, True, True, False]
    assert not replace(now, state=State.SEALED).may_wait(at=3)


def test_of_an_unknown_length_as_many_bytes_fit_as_the_quota_leaves() -> None:
    upload = replace(session(), size_max=100, offset=30, quota=Quota(used=60, limit=100))

    assert upload.room == 10
    assert isinstance(upload.overrun(11), QuotaExceeded)
    assert isinstance(upload.overrun(71), TooLarge)
    assert replace(upload, offset=50).room == 0
    assert replace(upload, quota=Quota(used=200, limit=100), offset=0).room == 0
    assert replace(upload, quota=Quota(used=0, limit=1000)).room == 70
