"""Where the keys of tokens come from: a setting, a file that may change, or a URL that may be away.

Invariant: whatever becomes of a file or a URL, the keys that were read last stay in use until others can be read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import httpx

from uploadstream.adapters.jwt_keys import BadKey, Key, read_key_set
from uploadstream.core.claims import KeysUnavailable

SIZE_MAX: Final = 1 << 20
FETCH_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 300.0
# A name that is not among the keys may be that of a new one; who makes names up must not make us ask more than this.
AGAIN_SECONDS: Final = 30.0
NOTHING_SECONDS: Final = 2.0  # while there are no keys at all

Warn = Callable[[str], None]


class KeySource(Protocol):
    """The keys that tokens may be signed with."""

    async def keys(self, name: str | None) -> Sequence[Key]:
        """Those that a token may be signed with that names this one, or none. KeysUnavailable."""
        ...


def _named(keys: Sequence[Key], name: str | None) -> Sequence[Key]:
    return keys if name is None else [key for key in keys if key.name == name]


class OneKey:
    """The key of a setting. It has no name: a token may call it what it likes."""

    def __init__(self, key: Key) -> None:
        self._keys = [key]

    async def keys(self, _name: str | None) -> Sequence[Key]:
        """It."""
        return self._keys


class KeyFile:
    """A key set in a file, read again when that has changed. BadKey from the constructor."""

    def __init__(self, path: Path, *, warn: Warn) -> None:
        self._path = path
        self._warn = warn
        self._seen = self._state()
        self._keys = self._read()

    async def keys(self, name: str | None) -> Sequence[Key]:
        """As the port has it."""
        seen = self._state()
        if seen != self._seen:
            self._seen = seen
            try:
                self._keys = self._read()
            except BadKey as error:
                self._warn(f"{error}; the keys before it stay in use")
        return _named(self._keys, name)

    def _state(self) -> tuple[int, ...] | None:
        with suppress(OSError):
            found = os.stat(self._path)  # noqa: PTH116 - at each token; a Path takes three times as long
            return (found.st_mtime_ns, found.st_size, found.st_ino)
        return None

    def _read(self) -> Sequence[Key]:
        try:
            with self._path.open("rb") as file:
                content = file.read(SIZE_MAX + 1)
        except OSError as error:
            raise BadKey(f"{self._path}: {error.strerror}; name a file that this user may read") from None
        if len(content) > SIZE_MAX:
            raise BadKey(f"{self._path} is larger than {SIZE_MAX} bytes")
        try:
            return read_key_set(content, secrets=True)
        except BadKey as error:
            raise BadKey(f"{self._path} {error}") from None


class KeyUrl:
    """A key set at a URL, asked for beside the requests that need it.

    Only who comes before any keys are there, or with the name of a key that is not among them, waits for an answer.
    """

    def __init__(
        self,
        url: str,
        *,
        warn: Warn,
        fresh_seconds: float = FRESH_SECONDS,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self._url = url
        self._warn = warn
        self._fresh_seconds = fresh_seconds
        self._again_seconds = again_seconds
        self._keys: Sequence[Key] | None = None
        self._asked_at: float | None = None
        self._is_answered = False  # the last time
        self._asking: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        if self._client is not None:
            await self._client.aclose()

    async def keys(self, name: str | None) -> Sequence[Key]:
        """As the port has it."""
        if self._keys is None:
            await self._asked_again(NOTHING_SECONDS)
        elif self._age() > (self._fresh_seconds if self._is_answered else self._again_seconds):
            self._ask()
        found = _named(self._keys or (), name)
        if not found and self._keys is not None:
            await self._asked_again(self._again_seconds)
            found = _named(self._keys, name)
        if not found and not self._is_answered:
            raise KeysUnavailable  # the token may be good
        return found

    def _age(self) -> float:
        return float("inf") if self._asked_at is None else asyncio.get_running_loop().time() - self._asked_at

    async def _asked_again(self, seconds: float) -> None:
        """Wait for an answer that is on its way, or, unless one was asked for so long ago or less, for the next."""
        if self._age() > seconds:
            self._ask()
        if self._asking is not None:
            await asyncio.wait([self._asking])  # it goes on when this request is cut

    def _ask(self) -> None:
        if self._asking is None:
            self._asked_at = asyncio.get_running_loop().time()
            self._asking = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = read_key_set(await self._fetch(), secrets=False)
            self._is_answered = True
        except (httpx.HTTPError, httpx.InvalidURL, OSError, BadKey) as error:  # a timeout is an OSError
            self._is_answered = False
            self._warn(f"{self._url} {str(error) or 'did not answer in time'}; the keys before it stay in use")
        finally:
            self._asking = None

    async def _fetch(self) -> bytes:
        if self._client is None:  # a redirect is not followed: it would be asked where the operator did not say
            self._client = httpx.AsyncClient(timeout=FETCH_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))
        content = bytearray()
        async with self._client.stream("GET", self._url, headers={"Accept": "application/json"}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise BadKey(f"answered with status {answer.status_code}")
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > SIZE_MAX:
                    raise BadKey(f"is larger than {SIZE_MAX} bytes")
        return bytes(content)
