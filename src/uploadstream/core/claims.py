"""What a token that its issuer signed says: whether it counts now, and whom it means (RFC 7519, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from uploadstream.core.access import Identity, Scope, WrongCredentials, check_user
from uploadstream.core.errors import BadField, Unavailable
from uploadstream.core.keys import SCOPES

# By so much may the clocks of the issuer and of this machine differ.
LEEWAY: Final = timedelta(seconds=30)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def bad_token(problem: str) -> WrongCredentials:
    """A token does not count, and why."""
    return WrongCredentials(f"Token is not valid: {problem}")


@dataclass(eq=False)
class KeysUnavailable(Unavailable):
    """The keys that a token may be signed with cannot be had just now."""

    reason: ClassVar[str] = "KEYS_UNAVAILABLE"

    def __str__(self) -> str:
        return "Keys of tokens are not reachable; nothing was lost, retry"


def read_claims(claims: Mapping[str, Any], *, now: datetime, user_claim: str = "sub") -> Identity:
    """Whom these claims mean. WrongCredentials if they do not count now.

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
    return Identity(_user(claims, user_claim), _scopes(claims.get("scope")), expires_at=ends)


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


def _scopes(scope: object) -> frozenset[Scope]:
    """What a scope lets its user do: words with spaces between (RFC 8693, section 4.2), or a list as some write it.

    Words of others are passed over. A scope that has none of ours says nothing of this service, as no scope does.
    """
    words = scope.split(" ") if isinstance(scope, str) else scope or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise bad_token("its scope must be words with spaces between")
    return frozenset(SCOPES[word] for word in words if word in SCOPES) or frozenset({Scope.READ, Scope.WRITE})
