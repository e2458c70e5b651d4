"""What an application around the service may decide of an upload, and is told of files.

Asked and told in one place each, whatever the protocol: before an upload begins (uploads.py), when a file is published
(receiving.py), when it goes to the trash (files.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from uploadstream.core.access import Caller
from uploadstream.core.files import File
from uploadstream.core.session import Declared


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an upload begins. `allowed_types`: beside those of the service; none: all of these."""

    declared: Declared
    size_max: int
    allowed_types: tuple[str, ...] = ()


class Hooks(Protocol):
    """The application's side."""

    async def before_create(self, terms: Terms, caller: Caller) -> Terms:
        """The terms on which an upload begins that is in order by itself. Any refusal; HookFailed."""
        ...

    async def completed(self, file: File) -> None:
        """The file is published, whatever becomes of this call. Returns without waiting for what it causes."""
        ...

    async def deleted(self, file: File) -> None:
        """The file is in the trash; else as `completed`."""
        ...

    async def close(self) -> None:
        """Wait for what the calls have caused."""
        ...


class NoHooks:
    """Nobody is asked or told."""

    async def before_create(self, terms: Terms, _: Caller) -> Terms:
        """The terms that there are."""
        return terms

    async def completed(self, _: File) -> None:
        """Nothing."""

    async def deleted(self, _: File) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""
