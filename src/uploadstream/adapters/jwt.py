"""Bearer tokens that others issue: JSON Web Tokens (RFC 7519), checked as RFC 8725 advises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jwt
from jwt.types import Options

from uploadstream.adapters.jwks import KeySource
from uploadstream.adapters.jwt_keys import Key
from uploadstream.core.access import Credentials, Identity
from uploadstream.core.claims import bad_token, read_claims
from uploadstream.ports import Clock

PARTS: Final = 3
TOKEN_LENGTH_MAX: Final = 8192
KEY_NAME_LENGTH_MAX: Final = 256
# Of a set in which several keys have one name, or for a token that names none.
KEYS_TRIED_MAX: Final = 8
# The times are checked by our own clock (core/claims.py).
_OPTIONS: Final[Options] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_sub": False}
_WORDS: Final[Mapping[type[jwt.PyJWTError], str]] = {
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidAudienceError: "it is meant for another audience",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.MissingRequiredClaimError: "its issuer or its audience is missing",
}


class JwtTokens:
    """Tokens of one issuer, for one audience ("": whichever; but what names audiences is meant for those alone)."""

    def __init__(
        self, keys: KeySource, clock: Clock, *, issuer: str = "", audience: str = "", user_claim: str = "sub"
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer or None
        self._audience = audience or None
        self._user_claim = user_claim

    async def identity(self, credentials: Credentials) -> Identity | None:
        """Whom a token means; None if there is nothing like one. WrongCredentials, KeysUnavailable."""
        return await self._read(credentials.bearer) if credentials.bearer.count(".") == PARTS - 1 else None

    async def _read(self, token: str) -> Identity:
        if len(token) > TOKEN_LENGTH_MAX:
            raise bad_token(f"it has {len(token)} characters; at most {TOKEN_LENGTH_MAX}")
        algorithm, name = _head(token)
        fitting = [key for key in await self._keys.keys(name) if key.algorithm == algorithm]
        if not fitting:
            raise bad_token("no key that is known goes with it")
        claims = self._claims(token, fitting[:KEYS_TRIED_MAX])
        return read_claims(claims, now=self._clock.now(), user_claim=self._user_claim)

    def _claims(self, token: str, keys: list[Key]) -> dict[str, Any]:
        """The claims of a token that one of these keys has signed."""
        for key in keys[:-1]:
            try:
                return self._checked(token, key)
            except jwt.InvalidSignatureError:
                continue
        try:
            return self._checked(token, keys[-1])
        except jwt.PyJWTError as error:
            words = (says for kind, says in _WORDS.items() if isinstance(error, kind))
            raise bad_token(next(words, "it is no whole token")) from None

    def _checked(self, token: str, key: Key) -> dict[str, Any]:
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            issuer=self._issuer,
            audience=self._audience,
            options=_OPTIONS,
        )


def _head(token: str) -> tuple[str, str | None]:
    """The algorithm that a token says it is signed by, and the name of the key. WrongCredentials."""
    try:
        head = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, UnicodeError):
        raise bad_token("it is no whole token") from None
    algorithm, name = head.get("alg"), head.get("kid")
    if not isinstance(algorithm, str):
        raise bad_token("it does not say how it is signed")
    if name is not None and (not isinstance(name, str) or len(name) > KEY_NAME_LENGTH_MAX):
        raise bad_token("the name of its key is too long, or no text")
    return algorithm, name
