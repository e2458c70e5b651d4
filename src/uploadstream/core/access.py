"""Who asks, and whose things they may see."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from uploadstream.core.errors import BadField

ANONYMOUS: Final = "anonymous"
USER_LENGTH_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's sender. `user_id` is empty when it names nobody; `address` is where it comes from."""

    user_id: str = ""
    protocol: str = ""
    address: str = ""

    @property
    def name(self) -> str:
        """The user that new uploads belong to and that listings show."""
        return self.user_id or ANONYMOUS

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
