"""API keys as whoever runs the service makes, lists and revokes them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from uploadstream.core.access import Caller, Scope
from uploadstream.core.errors import BadField, NotFound
from uploadstream.core.files import Action, audit_of
from uploadstream.core.ids import check_id
from uploadstream.core.keys import ALPHABET, SECRET_LENGTH, Key, digest_of, key_of, spelled
from uploadstream.core.pages import Position
from uploadstream.ports import Clock, KeyStore

OPERATOR: Final = Caller(user_id="operator", protocol="cli")
PAGE: Final = 500


class Keys:
    """The keys of a catalog, in the hands of `caller`."""

    def __init__(self, store: KeyStore, clock: Clock, caller: Caller = OPERATOR) -> None:
        self._store = store
        self._clock = clock
        self._caller = caller

    async def create(
        self, user_id: str, *, name: str, scopes: frozenset[Scope], expires_in: timedelta | None
    ) -> tuple[Key, str]:
        """A new key, and its text, which nobody can show again. BadField."""
        now, key_id = self._clock.now(), self._clock.new_id()
        try:
            expires_at = None if expires_in is None else now + expires_in
        except OverflowError:
            raise BadField("expires", "is later than any date") from None
        key = key_of(key_id, user_id=user_id, name=name, scopes=scopes, at=now, expires_at=expires_at)
        text = spelled(key_id, "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH)))
        said = {"user_id": user_id, "name": name, "scopes": " ".join(sorted(scopes))}
        audit = audit_of(key_id, Action.KEY_CREATE, self._caller, at=now, **said)
        await self._store.add_key(key, digest_of(text), audit)
        return key, text

    async def all(self, user_id: str | None = None) -> AsyncIterator[Key]:
        """Keys, the newest first, of one user or of all (None)."""
        after = None
        while rows := await self._store.keys(user_id, after=after, limit=PAGE):
            for key in rows:
                yield key
            after = Position(rows[-1].created_at, rows[-1].id)

    async def revoke(self, key_id: str) -> Key:
        """Let a key be good no more; one that is revoked stays as it is. NotFound."""
        key = await self._store.key(check_id(key_id, kind="key"))
        if key is None:
            raise NotFound(kind="key", id=key_id)
        now = self._clock.now()
        audit = audit_of(key.id, Action.KEY_REVOKE, self._caller, at=now, user_id=key.user_id)
        await self._store.revoke_key(key, audit)
        return key.revoked(now)
