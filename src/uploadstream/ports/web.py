"""Other servers, as the engine sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Remote:
    """A file that another server has begun to send, and what that says of it, which may be anything.

    `name`: the last word of the URL's path. `disposition`: the field Content-Disposition, which may have a better one;
    `content_type`: the field Content-Type, or "". `size` None: it does not say how long the file is.
    """

    name: str
    disposition: str | None
    content_type: str
    size: int | None
    pieces: AsyncIterator[bytes]


class Web(Protocol):
    """Files on other servers, whose addresses clients name."""

    def get(self, url: str, *, size_max: int) -> AbstractAsyncContextManager[Remote]:
        """Ask for the file at `url`, of at most `size_max` bytes, and nowhere that the public could not go itself.

        BadField (also when the server fails us) and TooLarge come from entering the context or from the pieces.
        """
        ...
