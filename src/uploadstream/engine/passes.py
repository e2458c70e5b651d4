"""What we sign ourselves for who is known already: passes for uploads, and for browsers that have logged in.

Invariant: a pass is worth no more than what it was given for. One that rests on a key ends with the key, wherever it
is shown; it names no other user, and nobody gets a further pass for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from uploadstream.core.access import Bounds, Caller, Credentials, Identity, Scope, Unauthenticated, WrongCredentials
from uploadstream.core.errors import BadField
from uploadstream.engine.identities import MISSING, KeyProof
from uploadstream.ports import Clock
from uploadstream.ports.keys import Signer

PREFIX: Final = "up_"
SECONDS_DEFAULT: Final = 15 * 60
SECONDS_MAX: Final = 24 * 60 * 60
LOGIN_LIFE: Final = timedelta(days=7)
_UPLOAD: Final = "upload"
_LOGIN: Final = "login"


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass, the end of its time, and whom it lets in."""

    text: str
    expires_at: datetime
    identity: Identity


class Passes:
    """Gives passes, and knows them again."""

    def __init__(self, signer: Signer, keys: KeyProof, clock: Clock) -> None:
        self._signer = signer
        self._keys = keys
        self._clock = clock

    def for_uploads(self, caller: Caller, bounds: Bounds, *, seconds: int = SECONDS_DEFAULT) -> Pass:
        """A pass for the uploads of the caller's user that are within these bounds. Unauthenticated, Forbidden."""
        if not 0 < seconds <= SECONDS_MAX:
            raise BadField("expires_in", f"must be 1 to {SECONDS_MAX} seconds, is {seconds}")
        if caller.identity is None:  # once it is known who asks, it would have to be asked who this was
            raise Unauthenticated(MISSING)
        caller.check_may(Scope.WRITE)
        until = self._clock.now() + timedelta(seconds=seconds)
        claims: dict[str, Any] = {"sub": caller.name, "key": caller.identity.key_digest.hex()}
        if bounds.upload_id:
            claims["upload"] = bounds.upload_id
        else:
            claims |= {"size": bounds.size_max, "types": bounds.allowed_types}
        text = PREFIX + self._signer.sign(claims, purpose=_UPLOAD, until=until)
        return Pass(text, until, _for_uploads(claims))

    async def log_in(self, api_key: str) -> Pass:
        """A pass for the browser of who has this key. Unauthenticated, CatalogUnavailable."""
        identity = await self._keys.identity(Credentials(api_key=api_key))
        if identity is None:
            raise Unauthenticated(MISSING)
        until = min(filter(None, (self._clock.now() + LOGIN_LIFE, identity.expires_at)))
        claims = {"key": identity.key_digest.hex()}
        return Pass(self._signer.sign(claims, purpose=_LOGIN, until=until), until, identity)

    async def identity(self, credentials: Credentials) -> Identity | None:
        """Whom a pass lets in. WrongCredentials, CatalogUnavailable."""
        if credentials.bearer.startswith(PREFIX):
            claims = self._read(credentials.bearer.removeprefix(PREFIX), _UPLOAD)
            if claims["key"]:
                await self._keys.holder(bytes.fromhex(claims["key"]))
            return _for_uploads(claims)
        if credentials.cookie:
            return await self._keys.holder(bytes.fromhex(self._read(credentials.cookie, _LOGIN)["key"]))
        return None

    def _read(self, text: str, purpose: str) -> Mapping[str, Any]:
        claims = self._signer.read(text, purpose=purpose)
        if claims is None:
            raise WrongCredentials("Token is not valid, or has expired")
        return claims


def _for_uploads(claims: Mapping[str, Any]) -> Identity:
    bounds = Bounds(claims.get("upload", ""), claims.get("size"), tuple(claims.get("types", ())))
    return Identity(claims["sub"], frozenset({Scope.UPLOAD}), bounds=bounds)
