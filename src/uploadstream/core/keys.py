"""API keys: what one is good for, how it is spelled, and what of it is kept.

Invariant: only the digest of a key is kept. A key has 256 random bits, so that a plain SHA-256 cannot be turned round;
a slow one, as passwords need it, would only cost every request its time.
"""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from uploadstream.core.access import Identity, Scope, check_user
from uploadstream.core.errors import BadField
from uploadstream.core.wording import said

PREFIX: Final = "us_"
ALPHABET: Final = string.ascii_letters + string.digits
SECRET_LENGTH: Final = 43  # 62 ** 43 > 2 ** 256
SHOWN_LENGTH: Final = 8  # of the key's id, by which one that is found somewhere can be told
NAME_LENGTH_MAX: Final = 100
# What one can be good for.
SCOPES: Final = {scope.value: scope for scope in (Scope.READ, Scope.WRITE, Scope.ADMIN)}
_SPELLED: Final = re.compile(rf"{PREFIX}[0-9a-f]{{{SHOWN_LENGTH}}}_[A-Za-z0-9]{{{SECRET_LENGTH}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A key, as it is kept and listed."""

    id: str
    user_id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it lets anybody in."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def identity(self, digest: bytes = b"") -> Identity:
        """Who brings it."""
        return Identity(self.user_id, self.scopes, self.id, self.expires_at, key_digest=digest)

    def revoked(self, at: datetime) -> Key:
        """The key, good no more; one that was revoked stays as it is."""
        return self if self.revoked_at else replace(self, revoked_at=at)

    def used(self, at: datetime) -> Key:
        """The key, used at that time or later."""
        return replace(self, last_used_at=max(at, self.last_used_at or at))


def key_of(
    key_id: str, *, user_id: str, name: str, scopes: frozenset[Scope], at: datetime, expires_at: datetime | None
) -> Key:
    """A new key. BadField."""
    if not user_id:
        raise BadField("user", "must be 1 to 128 characters, has 0")
    if len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise BadField("name", f"must be up to {NAME_LENGTH_MAX} characters that can be printed, has {len(name)}")
    if not scopes:
        raise BadField("scopes", f"must be some of {', '.join(SCOPES)}")
    if expires_at is not None and expires_at <= at:
        raise BadField("expires", "must be later than now")
    return Key(key_id, check_user(user_id), name, scopes, at, expires_at)


def read_scopes(text: str) -> frozenset[Scope]:
    """Scopes with commas or spaces between them. BadField."""
    words = text.replace(",", " ").split()
    for word in words:
        if word not in SCOPES:
            raise BadField("scopes", f"must be some of {', '.join(SCOPES)}, not {said(word)}")
    return frozenset(SCOPES[word] for word in words)


def spelled(key_id: str, secret: str) -> str:
    """The key's text, which is shown once."""
    return f"{PREFIX}{key_id[:SHOWN_LENGTH]}_{secret}"


def is_spelled(text: str) -> bool:
    """Whether a key could be spelled so."""
    return _SPELLED.fullmatch(text) is not None


def digest_of(text: str) -> bytes:
    """What is kept of a key's text."""
    return hashlib.sha256(text.encode()).digest()
