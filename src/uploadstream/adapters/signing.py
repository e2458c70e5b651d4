"""Our own tokens, signed with a secret that all servers of one catalog know: JSON Web Tokens with HS256.

Invariant: a token for one purpose is none for another. Each has a key of its own, and says what it is for.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import jwt
from jwt.types import Options

from uploadstream.ports import Clock

ALGORITHM: Final = "HS256"
TOKEN_LENGTH_MAX: Final = 4096
# The time is that of our own clock, which is also the one that signed.
_OPTIONS: Final[Options] = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


def new_secret() -> str:
    """A secret that nobody can guess."""
    return secrets.token_urlsafe(32)


class Signatures:
    """Signs with `secret`, and knows its own signatures again."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret.encode()
        self._clock = clock

    def sign(self, claims: Mapping[str, Any], *, purpose: str, until: datetime) -> str:
        """As the port has it."""
        payload = {**claims, "exp": until.timestamp()}
        return jwt.encode(payload, self._key(purpose), ALGORITHM, {"typ": purpose})

    def read(self, text: str, *, purpose: str) -> Mapping[str, Any] | None:
        """As the port has it."""
        if len(text) > TOKEN_LENGTH_MAX:
            return None
        try:
            read = jwt.decode_complete(text, self._key(purpose), [ALGORITHM], _OPTIONS)
        except (jwt.PyJWTError, UnicodeError):
            return None
        claims: Mapping[str, Any] = read["payload"]
        is_good = read["header"].get("typ") == purpose and claims["exp"] > self._clock.now().timestamp()
        return claims if is_good else None

    def _key(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, purpose.encode(), hashlib.sha256)
