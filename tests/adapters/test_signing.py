"""What we sign ourselves is good for its purpose and its time, and nobody else can make it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from tests.adapters.issuer import forged
from uploadstream.adapters.signing import TOKEN_LENGTH_MAX, Signatures
from uploadstream.ports.keys import Signer

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECRET = "the secret of all servers of a catalog"


@dataclass
class Clock:
    """A clock that a test sets."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def new_id(self) -> str:
        raise NotImplementedError


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> Signer:
    return Signatures(SECRET, clock)


def test_what_was_signed_is_read_by_every_server_until_its_end(signer: Signer, clock: Clock) -> None:
    text = signer.sign({"sub": "ada", "n": 1}, purpose="session", until=NOON + timedelta(seconds=1))

    read = Signatures(SECRET, clock).read(text, purpose="session")
    assert read is not None
    assert (read["sub"], read["n"]) == ("ada", 1)
    clock.time += timedelta(seconds=1)
    assert signer.read(text, purpose="session") is None


def test_what_was_signed_for_one_purpose_is_nothing_for_another(signer: Signer) -> None:
    text = signer.sign({}, purpose="upload", until=NOON + timedelta(days=1))

    assert signer.read(text, purpose="session") is None


def test_another_secret_knows_nothing_of_it(signer: Signer, clock: Clock) -> None:
    text = signer.sign({}, purpose="upload", until=NOON + timedelta(days=1))

    assert Signatures("another", clock).read(text, purpose="upload") is None


@pytest.mark.parametrize("place", range(3))
def test_a_text_that_was_changed_anywhere_is_none(signer: Signer, place: int) -> None:
    parts = signer.sign({"sub": "ada"}, purpose="upload", until=NOON + timedelta(days=1)).split(".")

    parts[place] = ("A" if parts[place][0] != "A" else "B") + parts[place][1:]

    assert signer.read(".".join(parts), purpose="upload") is None


@pytest.mark.parametrize("text", ["", "a", "..", "a.b.c", "é", "\ud800", "A" * (TOKEN_LENGTH_MAX + 1)])
def test_garbage_is_none(signer: Signer, text: str) -> None:
    assert signer.read(text, purpose="session") is None


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512"])
def test_what_others_sign_is_none(signer: Signer, algorithm: str) -> None:
    claims = {"sub": "ada", "exp": (NOON + timedelta(days=1)).timestamp()}

    for secret in (b"", b"session", SECRET.encode()):
        assert signer.read(forged({"alg": algorithm, "typ": "session"}, claims, secret), purpose="session") is None
    assert signer.read(jwt.encode(claims, SECRET.encode(), "HS256", {"typ": "session"}), purpose="session") is None
