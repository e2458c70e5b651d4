"""Who asks, and whose things they may see."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import ClassVar, Final

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


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's sender. `user_id` is empty when it names nobody; `address` is where it comes from.

    `is_known`: we have found out who it is, and what else it says of its user does not count.
    """

    user_id: str = ""
    protocol: str = ""
    address: str = ""
    is_known: bool = False

    @property
    def name(self) -> str:
        """The user that new uploads belong to and that listings show."""
        return self.user_id or ANONYMOUS

    def owner_of(self, named: str) -> str:
        """The user of what it makes, and for which it names `named`."""
        return self.name if self.is_known else named or self.name

    def may_see(self, owner: str) -> bool:
        """One that names a user is held to it; one that names nobody reaches anything by its id."""
        return self.user_id in {"", owner}


def check_user(user_id: str) -> str:
    """`user_id` if it is empty or 1 to 128 characters of text."""
    if len(user_id) > USER_LENGTH_MAX:
        raise BadField(field="user_id", problem=f"must be 1 to {USER_LENGTH_MAX} characters, has {len(user_id)}")
    # surrogates are no text; format characters are: they join the parts of letters and emoji
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in user_id):
        raise BadField(field="user_id", problem="must be text without control characters")
    return user_id
