"""The KeyStore port in a dict, for tests and first looks: nothing outlives the process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from uploadstream.core.files import Audit
from uploadstream.core.keys import Key
from uploadstream.core.pages import Position


class MemoryKeys:
    """Each method runs without waiting, so that it is a transaction by itself."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}
        self._ids: dict[bytes, str] = {}
        self.trail: list[Audit] = []

    async def add_key(self, key: Key, digest: bytes, audit: Audit) -> None:
        """Remember a new key."""
        self._keys[key.id] = key
        self._ids[digest] = key.id
        self.trail.append(audit)

    async def keys_with(self, digests: Collection[bytes]) -> Mapping[bytes, Key]:
        """Those of these keys that are known."""
        return {digest: self._keys[self._ids[digest]] for digest in digests if digest in self._ids}

    async def keys(self, user_id: str | None, *, after: Position | None, limit: int) -> Sequence[Key]:
        """Keys, the newest first."""
        places = {(key.created_at, key.id): key for key in self._keys.values() if user_id in {None, key.user_id}}
        newest = sorted(places, reverse=True)
        return [places[place] for place in newest if after is None or place < (after.at, after.id)][:limit]

    async def revoke_key(self, key_id: str, audit: Audit) -> Key | None:
        """Let a key be good no more; one that is revoked stays as it is."""
        key = self._keys.get(key_id)
        if key is not None and key.revoked_at is None:
            key = self._keys[key_id] = key.revoked(audit.at)
            self.trail.append(audit)
        return key

    async def use_key(self, key_id: str, at: datetime) -> None:
        """Remember that a key was used."""
        if key_id in self._keys:
            self._keys[key_id] = self._keys[key_id].used(at)
