"""API keys as values."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.core.refusals import refusal_of
from uploadstream.core.access import Identity, Scope
from uploadstream.core.errors import BadField
from uploadstream.core.keys import NAME_LENGTH_MAX, Key, digest_of, is_spelled, key_of, read_scopes, spelled

ID = "5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
AT = datetime(2026, 1, 2, tzinfo=UTC)
LATER = AT + timedelta(days=1)
READ = frozenset({Scope.READ})


def key(name: str = "laptop", user_id: str = "ann", expires_at: datetime | None = None) -> Key:
    return key_of(ID, user_id=user_id, name=name, scopes=READ, at=AT, expires_at=expires_at)


def test_a_key_shows_the_beginning_of_its_id_and_is_told_from_other_texts() -> None:
    text = spelled(ID, "A" * 43)

    assert text == f"us_5f0c1a2b_{'A' * 43}"
    assert is_spelled(text)
    others = ["", "us_", text[:-1], f"{text}A", f"{text}\n", text.upper(), text.replace("A", "é")]
    assert not any(map(is_spelled, others))


def test_what_is_kept_of_a_key_is_a_digest() -> None:
    assert len(digest_of("us_a")) == 32
    assert digest_of("us_a") != digest_of("us_b")


def test_a_key_is_good_until_it_expires_or_is_revoked() -> None:
    assert key().is_good(AT + timedelta(days=36_500))
    assert key(expires_at=LATER).is_good(LATER - timedelta(microseconds=1))
    assert not key(expires_at=LATER).is_good(LATER)
    assert not key().revoked(AT).is_good(AT)


def test_a_key_is_revoked_once_and_its_last_use_stays_the_last() -> None:
    assert key().revoked(AT).revoked(LATER).revoked_at == AT
    assert key().used(LATER).used(AT).last_used_at == LATER
    assert key().used(AT).used(LATER).last_used_at == LATER


def test_who_brings_a_key_is_its_user() -> None:
    assert key(expires_at=LATER).identity() == Identity("ann", READ, ID, LATER)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("user", {"user_id": ""}),
        ("user_id", {"user_id": "a\nb"}),
        ("name", {"name": "x" * (NAME_LENGTH_MAX + 1)}),
        ("name", {"name": "a\nb"}),
        ("scopes", {"scopes": frozenset()}),
        ("expires", {"expires_at": AT}),
    ],
)
def test_a_key_that_cannot_be_is_not_made(field: str, wrong: dict[str, object]) -> None:
    values = {"user_id": "ann", "name": "", "scopes": READ, "at": AT, "expires_at": None, **wrong}

    error = refusal_of(lambda: key_of(ID, **values))  # type: ignore[arg-type]

    assert isinstance(error, BadField)
    assert error.field == field


def test_scopes_are_words() -> None:
    assert read_scopes("read,write") == read_scopes(" write  read read ") == frozenset({Scope.READ, Scope.WRITE})
    assert read_scopes("") == frozenset()
    assert str(refusal_of(read_scopes, "read,all")) == "scopes: must be some of read, write, admin, not all"
