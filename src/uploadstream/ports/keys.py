"""What is known of API keys, and what we sign ourselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from uploadstream.core.files import Audit
from uploadstream.core.keys import Key
from uploadstream.core.pages import Position


class KeyStore(Protocol):
    """API keys by the digests of their texts, which are themselves kept nowhere; writes are as those of Catalog."""

    async def add_key(self, key: Key, digest: bytes, audit: Audit) -> None:
        """Remember a new key."""
        ...

    async def keys_with(self, digests: Collection[bytes]) -> Mapping[bytes, Key]:
        """Those of these keys that are known, also such as are good no more."""
        ...

    async def keys(self, user_id: str | None, *, after: Position | None, limit: int) -> Sequence[Key]:
        """Keys, the newest first, of one user or of all (None)."""
        ...

    async def key(self, key_id: str) -> Key | None:
        """One key, also when it is good no more."""
        ...

    async def revoke_key(self, key: Key, audit: Audit) -> bool:
        """Let a key be good no more, from `audit.at` on; False, and nothing, if it is not."""
        ...

    async def use_key(self, key_id: str, at: datetime) -> None:
        """Remember that a key was used, unless a later use is remembered."""
        ...

    async def secret(self, given: str) -> str:
        """The secret that all servers of this catalog sign with: the first that was ever given."""
        ...


class Signer(Protocol):
    """Texts that only we can have made, good for one purpose and a time."""

    def sign(self, claims: Mapping[str, Any], *, purpose: str, until: datetime) -> str:
        """Claims as a text, which anybody can read and nobody change."""
        ...

    def read(self, text: str, *, purpose: str) -> Mapping[str, Any] | None:
        """The claims of a text that was signed for this purpose, and counts now; None of any other."""
        ...
