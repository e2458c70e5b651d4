"""What a token that its issuer signed says: whether it counts now, and whom it means (RFC 7519, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from uploadstream.core.access import Unauthenticated, check_user
from uploadstream.core.errors import BadField, Unavailable

# By so much may the clocks of the issuer and of this machine differ.
LEEWAY: Final = timedelta(seconds=30)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token means, and until when. `words` are those of its scope; None where it has none."""

    user_id: str
    words: frozenset[str] | None
    expires_at: datetime


def bad_token(problem: str) -> Unauthenticated:
    """A token does not count, and why."""
    return Unauthenticated(f"Token is not valid: {problem}")


@dataclass(eq=False)
class KeysUnavailable(Unavailable):
    """The keys that a token may be signed with cannot be had just now."""

    reason: ClassVar[str] = "KEYS_UNAVAILABLE"

    def __str__(self) -> str:
        return "Keys of tokens are not reachable; nothing was lost, retry"


def read_claims(claims: Mapping[str, Any], *, now: datetime, user_claim: str = "sub") -> Bearer:
    """Whom these claims mean. Unauthenticated if they do not count now.

    A token without an end would be good for ever for whoever finds it, and is refused.
    """
    ends = _instant(claims, "exp")
    if ends is None:
        raise bad_token("it has no exp, and would never expire")
    if ends <= now - LEEWAY:
        raise bad_token("it has expired")
    begins = _instant(claims, "nbf")
    if begins is not None and begins > now + LEEWAY:
        raise bad_token("it does not count yet (nbf)")
    issued = _instant(claims, "iat")
    if issued is not None and issued > now + LEEWAY:
        raise bad_token("it was issued in the future (iat)")
    return Bearer(_user(claims, user_claim), _words(claims.get("scope")), ends)


def _instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    """A NumericDate as a time, the last there is if it is later still."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise bad_token(f"its {name} is no time")
    return _LAST if value >= _LAST.timestamp() else datetime.fromtimestamp(value, UTC)


def _user(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise bad_token(f"its {name} must be text, and names the user")
    try:
        return check_user(value)
    except BadField as error:
        raise bad_token(f"its {name} {error.problem}") from None


def _words(scope: object) -> frozenset[str] | None:
    """Words of a scope: a text with spaces between (RFC 8693, section 4.2), or a list as some issuers write it."""
    if scope is None:
        return None
    words = scope.split(" ") if isinstance(scope, str) else scope
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise bad_token("its scope must be words with spaces between")
    return frozenset(word for word in words if word)
