"""Who asks, and whose things they may see."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final

from uploadstream.core.allowances import Standing
from uploadstream.core.errors import BadField, Refusal
from uploadstream.core.wording import said

ANONYMOUS: Final = "anonymous"
USER_LENGTH_MAX: Final = 128


@dataclass(eq=False)
class Forbidden(Refusal):
    """Whoever decides about it does not let it happen; `why` is what it says."""

    why: str
    reason: ClassVar[str] = "FORBIDDEN"

    def __str__(self) -> str:
        return said(self.why)


@dataclass(eq=False)
class Unauthenticated(Forbidden):
    """It is not known who asks; `why` says what is missing."""

    reason: ClassVar[str] = "UNAUTHENTICATED"


@dataclass(eq=False)
class WrongCredentials(Unauthenticated):
    """There are credentials, and they are not good, or not any more."""

    reason: ClassVar[str] = "WRONG_CREDENTIALS"


@dataclass(eq=False)
class ScopeMissing(Forbidden):
    """It is known who asks, and with other credentials it might; one of the scopes `needed` is what these lack."""

    needed: str
    reason: ClassVar[str] = "SCOPE_MISSING"


class Scope(enum.StrEnum):
    """What credentials may be used for."""

    READ = "read"  # to see files and uploads, and hear of them
    WRITE = "write"  # to send, end, delete and restore them
    ADMIN = "admin"  # both, with everybody's
    UPLOAD = "upload"  # to send, look at and end uploads within bounds; of no key, but of tokens for that


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings to say who sends it; an empty text is none of its kind. None of it is ever shown.

    `certificate`: the name in one that the client has shown and the server has verified.
    """

    bearer: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    cookie: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)


NO_CREDENTIALS: Final = Credentials()


@dataclass(frozen=True, slots=True)
class Bounds:
    """All that a token for uploads is good for: one upload, or new ones of so many bytes and these types at most."""

    upload_id: str = ""
    size_max: int | None = None
    allowed_types: tuple[str, ...] = ()

    def reach(self, upload_id: str, *, size_max: int, allowed_types: tuple[str, ...] | None) -> bool:
        """Whether an upload that takes so much of these types (None: of one that was taken) is within them."""
        if self.upload_id:
            return self.upload_id == upload_id
        if self.size_max is not None and size_max > self.size_max:
            return False
        return not self.allowed_types or allowed_types in {None, self.allowed_types}

    def size_max_of_new(self, size_max: int) -> int:
        """The size that a new upload may have, of those of up to `size_max`. Forbidden: they are of another upload."""
        if self.upload_id:
            raise Forbidden(f"This token is for upload {self.upload_id}, and for no other")
        return size_max if self.size_max is None else min(size_max, self.size_max)


UNBOUNDED: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom credentials prove their sender to be, and what they are good for.

    `key_id` and `key_digest`: the key that this rests on, by which it is listed and by which it is found.
    """

    user_id: str
    scopes: frozenset[Scope] = frozenset({Scope.READ, Scope.WRITE})
    key_id: str = ""
    expires_at: datetime | None = None
    bounds: Bounds | None = None
    key_digest: bytes = field(default=b"", repr=False)

    @property
    def is_admin(self) -> bool:
        """Whether it may name another user, and see what is anybody's."""
        return Scope.ADMIN in self.scopes


# Who sends a request, by what it brings; None: nobody who is known, which is let in. Unauthenticated, Unavailable.
Identify = Callable[[Credentials], Awaitable[Identity | None]]


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's sender. `user_id` is empty when it names nobody; `address` is where it comes from.

    `identity`: what has been found out of it. What it says of its user itself then counts only if it is an admin.
    `told`: it is to hear of what its user may and has, where that was looked at for its sake.
    """

    user_id: str = ""
    protocol: str = ""
    address: str = ""
    identity: Identity | None = None
    told: Callable[[Standing], None] = field(default=lambda _: None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The user that new uploads belong to and that listings show."""
        if self._is_held:
            return self.actor
        return self.user_id or self.actor

    @property
    def actor(self) -> str:
        """The user that does it, for the trail."""
        return self.identity.user_id if self.identity else self.user_id or ANONYMOUS

    @property
    def bounds(self) -> Bounds:
        """What it may send; all that anybody may, unless it has a token for uploads."""
        return (self.identity.bounds if self.identity else None) or UNBOUNDED

    @property
    def _is_held(self) -> bool:
        """It is known to be a user, and nobody else."""
        return self.identity is not None and not self.identity.is_admin

    def owner_of(self, named: str) -> str:
        """The user of what it makes, and for which it names `named`."""
        return self.name if self._is_held else named or self.name

    def may_see(self, owner: str) -> bool:
        """One that names a user is held to it; one that names nobody reaches anything by its id, unless it is known."""
        return owner == self.actor if self._is_held else self.user_id in {"", owner}

    def check_may(self, *scopes: Scope) -> None:
        """Raise ScopeMissing unless it may do what any one of `scopes` is for. Who is not known may all."""
        identity = self.identity
        if identity is None or identity.is_admin or identity.scopes.intersection(scopes):
            return
        needed = " or ".join(scope for scope in scopes if scope is not Scope.UPLOAD)  # which nobody can ask for
        why = f"Scope {needed} is needed; these credentials have {', '.join(sorted(identity.scopes)) or 'none'}"
        raise ScopeMissing(why, needed)


def caller_as(identity: Identity | None, named: str, protocol: str, address: str) -> Caller:
    """The sender of a request that names this user, and has been found to be that. BadField."""
    user_id = named if identity is None or identity.is_admin else identity.user_id
    return Caller(check_user(user_id), protocol, address, identity)


def check_user(user_id: str) -> str:
    """`user_id` if it is empty or 1 to 128 characters of text."""
    if len(user_id) > USER_LENGTH_MAX:
        raise BadField(field="user_id", problem=f"must be 1 to {USER_LENGTH_MAX} characters, has {len(user_id)}")
    # surrogates are no text; format characters are: they join the parts of letters and emoji
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in user_id):
        raise BadField(field="user_id", problem="must be text without control characters")
    return user_id
