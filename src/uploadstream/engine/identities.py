"""From credentials to an identity: API keys, and whatever other proofs there are.

Invariant: a key that was revoked is good for KEEP_SECONDS more at most, in every process. Whoever guesses keys costs
the catalog one question at a time, however many guess at once, and pushes nobody's key out of memory.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from uploadstream.core.access import (
    NO_CREDENTIALS,
    Credentials,
    Identity,
    Unauthenticated,
    WrongCredentials,
    check_user,
)
from uploadstream.core.errors import BadField, CatalogUnavailable, Refusal
from uploadstream.core.keys import PREFIX, Key, digest_of, is_spelled
from uploadstream.ports import Clock
from uploadstream.ports.keys import KeyStore

KEEP_SECONDS: Final = 3.0
KEPT_MAX: Final = 10_000  # of the keys that are known, and as many of those that are not
LOOKUPS_MAX: Final = 500  # at once
USE_EVERY: Final = timedelta(minutes=1)
MISSING: Final = "API key is missing"
NOT_VALID: Final = "API key is not valid"
Place = TypeVar("Place")
Value = TypeVar("Value")


class Proof(Protocol):
    """One kind of credentials."""

    async def identity(self, credentials: Credentials) -> Identity | None:
        """Whom they prove; None if none of them is of this kind. WrongCredentials: one is, and is not good."""
        ...


class Identities:
    """Who sends a request: the first that a proof finds. `required`: who is not known is not let in."""

    def __init__(self, proofs: Sequence[Proof], *, required: bool) -> None:
        self._proofs = proofs
        self.required: Final = required

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Who it is; None for nobody who is known. Unauthenticated, Unavailable."""
        wrong: Unauthenticated | None = None
        if credentials != NO_CREDENTIALS:
            for proof in self._proofs:
                try:
                    if found := await proof.identity(credentials):
                        return found
                except WrongCredentials as error:
                    wrong = wrong or error  # what a later one makes of the same says less
        if not self.required:
            return None
        if credentials == NO_CREDENTIALS:
            raise Unauthenticated(MISSING)
        raise wrong or WrongCredentials(NOT_VALID)


@dataclass(frozen=True, slots=True)
class _Kept:
    key: Key | None
    until: float


class KeyProof:
    """API keys, asked for in the store and kept in memory for a moment."""

    def __init__(self, store: KeyStore, clock: Clock, *, keep_seconds: float = KEEP_SECONDS) -> None:
        self._store = store
        self._clock = clock
        self._keep_seconds = keep_seconds
        self._known: OrderedDict[bytes, _Kept] = OrderedDict()
        self._unknown: OrderedDict[bytes, _Kept] = OrderedDict()
        self._waiting: dict[bytes, asyncio.Future[Key | None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._used: OrderedDict[str, datetime] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until what is to be remembered of uses is."""
        if self._writing:
            await asyncio.wait(self._writing)

    async def identity(self, credentials: Credentials) -> Identity | None:
        """The user of the key. WrongCredentials, CatalogUnavailable."""
        text = credentials.api_key or (credentials.bearer if credentials.bearer.startswith(PREFIX) else "")
        if not text:
            return None
        if not is_spelled(text):
            raise WrongCredentials(NOT_VALID)
        return await self.holder(digest_of(text))

    async def holder(self, digest: bytes) -> Identity:
        """The user of the key with this digest. WrongCredentials, CatalogUnavailable."""
        key = await self._key(digest)
        now = self._clock.now()
        if key is None or not key.is_good(now):
            raise WrongCredentials(NOT_VALID)
        self._note_use(key, now)
        return key.identity(digest)

    async def _key(self, digest: bytes) -> Key | None:
        now = asyncio.get_running_loop().time()
        kept = self._known.get(digest) or self._unknown.get(digest)
        if kept is not None and now < kept.until:
            return kept.key
        waiting = self._waiting.get(digest)
        if waiting is None:
            waiting = self._waiting[digest] = asyncio.get_running_loop().create_future()
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask(), name="keys")
        return await asyncio.shield(waiting)

    async def _ask(self) -> None:
        """Ask the store for all keys that are waited for, until there are none."""
        try:
            while batch := [*self._waiting][:LOOKUPS_MAX]:
                await self._ask_for(batch)
        finally:
            self._asking = None

    async def _ask_for(self, batch: Sequence[bytes]) -> None:
        until = asyncio.get_running_loop().time() + self._keep_seconds
        error: Refusal = CatalogUnavailable()  # unless it answers, or says it better
        found: Mapping[bytes, Key] | None = None
        try:
            found = await self._store.keys_with(batch)
        except Refusal as refusal:
            error = refusal
        finally:
            for digest in batch:
                waiting = self._waiting.pop(digest)
                if found is None:
                    waiting.set_exception(error)
                    waiting.exception()  # those who wait may all have gone
                else:
                    waiting.set_result(self._keep(digest, _Kept(found.get(digest), until)))

    def _keep(self, digest: bytes, kept: _Kept) -> Key | None:
        self._known.pop(digest, None)
        _remember(self._unknown if kept.key is None else self._known, digest, kept)
        return kept.key

    def _note_use(self, key: Key, now: datetime) -> None:
        """Remember that a key is used, about once a minute, and without anybody waiting for that."""
        last = max(filter(None, (self._used.get(key.id), key.last_used_at)), default=None)
        if last is None or now - last >= USE_EVERY:
            _remember(self._used, key.id, now)
            task = asyncio.create_task(self._write_use(key.id, now), name="key use")
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write_use(self, key_id: str, at: datetime) -> None:
        with suppress(Refusal):
            await self._store.use_key(key_id, at)


def _remember(kept: OrderedDict[Place, Value], place: Place, value: Value) -> None:
    """Remember the newest few."""
    kept[place] = value
    kept.move_to_end(place)
    if len(kept) > KEPT_MAX:
        kept.popitem(last=False)


class CertificateProof:
    """The name in a certificate that the client has shown, and that the server has verified."""

    async def identity(self, credentials: Credentials) -> Identity | None:
        """The user of that name. WrongCredentials."""
        if not credentials.certificate:
            return None
        try:
            return Identity(check_user(credentials.certificate))
        except BadField as error:
            raise WrongCredentials(f"The certificate's name {error.problem}") from None
