"""What one user may have at once, and what it has: whether an upload may begin, and whether its bytes may stay.

An upload counts with the bytes that it is declared to have, a file with those that it has, in the trash too: they are
stored until it is purged. A partial upload that a file is joined from counts no more, as its bytes are the file's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Final

from uploadstream.core.errors import RETRY_SECONDS, BadField, Refusal
from uploadstream.core.ratelimit import OFF, Bucket, Rate, parse_byte_rate, parse_rate
from uploadstream.core.sizes import iec, iec_apart, parse_size, spelled_size

# What each limit is called where a client is told of it.
UPLOADS: Final = "uploads"
ACTIVE: Final = "active"
STORED: Final = "stored"


@dataclass(eq=False)
class LimitReached(Refusal):
    """A user has, or would have, more than it may; `policy` is the name of that limit."""

    reason: ClassVar[str] = "LIMIT_REACHED"
    policy: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """It is not among the numbers: whoever refuses says what its user may and has."""
        self.standing: Standing | None = None

    @property
    def retry_seconds(self) -> float | None:
        """When to come back; None if waiting alone does not help."""
        return None


@dataclass(eq=False)
class RateLimited(LimitReached):
    """`limit` uploads in `window` seconds may begin; there is room for the next in `seconds`."""

    limit: int
    window: int
    seconds: float
    reason: ClassVar[str] = "RATE_LIMITED"
    policy: ClassVar[str] = UPLOADS

    def __str__(self) -> str:
        every = _WINDOWS.get(self.window, f"{self.window} s")
        return f"Rate limit: {self.limit} uploads a {every}; retry in {math.ceil(self.seconds)} s"

    @property
    def retry_seconds(self) -> float:
        """Then there is a token."""
        return self.seconds


@dataclass(eq=False)
class TooManyActive(LimitReached):
    """As many uploads are open as the user may have: `limit`."""

    active: int
    limit: int
    reason: ClassVar[str] = "TOO_MANY_ACTIVE"
    policy: ClassVar[str] = ACTIVE

    def __str__(self) -> str:
        return f"Active uploads: {self.active} of {self.limit}; complete or abort one, or retry when one has ended"

    @property
    def retry_seconds(self) -> float:
        """When to ask again: nobody knows when one of them ends."""
        return RETRY_SECONDS


@dataclass(eq=False)
class QuotaExceeded(LimitReached):
    """`size` more bytes do not fit beside the `used` ones in `limit`."""

    size: int
    used: int
    limit: int
    reason: ClassVar[str] = "QUOTA_EXCEEDED"
    policy: ClassVar[str] = STORED

    def __str__(self) -> str:
        wanted, limit = iec_apart(self.used + self.size, self.limit)
        return f"Quota: {iec(self.size)} more would make {wanted} of {limit}; what is in the trash counts until purged"


_WINDOWS: Final = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one user may; None: as it likes."""

    rate_uploads: Rate | None = None
    rate_bytes: Rate | None = None
    max_active_uploads: int | None = None
    quota_bytes: int | None = None

    @property
    def counts(self) -> bool:
        """Whether anything is limited that is counted when an upload begins or a file is stored."""
        return (self.rate_uploads, self.max_active_uploads, self.quota_bytes) != (None, None, None)

    def overridden(self, said: Mapping[str, str]) -> Allowance:
        """With what is said of this user in particular, by names of READ; `off` is no limit. BadField."""
        return replace(self, **{name: _read(name, text) for name, text in said.items()})

    def spelled(self) -> dict[str, str]:
        """Each limit as its setting is written."""
        return {
            "rate_uploads": self.rate_uploads.spelled() if self.rate_uploads else OFF,
            "rate_bytes": self.rate_bytes.spelled(of_bytes=True) if self.rate_bytes else OFF,
            "max_active_uploads": OFF if self.max_active_uploads is None else str(self.max_active_uploads),
            "quota_bytes": OFF if self.quota_bytes is None else spelled_size(self.quota_bytes),
        }


@dataclass(frozen=True, slots=True)
class Quota:
    """`used` bytes of `limit`."""

    used: int
    limit: int

    @property
    def left(self) -> int:
        """How many more there is room for; below 0 where the limit was lowered."""
        return self.limit - self.used

    def exceeded(self, size: int) -> QuotaExceeded:
        """What is wrong with `size` bytes that do not fit."""
        return QuotaExceeded(size=size, used=self.used, limit=self.limit)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one user has. `bucket` is that of uploads that begin; None: a full one."""

    stored_bytes: int = 0
    declared_bytes: int = 0
    open_uploads: int = 0
    bucket: Bucket | None = None

    @property
    def used_bytes(self) -> int:
        """What counts against the quota."""
        return self.stored_bytes + self.declared_bytes

    def begun(self, allowance: Allowance, *, size: int | None, now: datetime) -> Usage:
        """With one more upload of `size` bytes (None: not known yet). LimitReached, with the user's standing."""
        try:
            return self._begun(allowance, size=size, now=now)
        except LimitReached as error:
            error.standing = Standing(allowance, self, now)
            raise

    def _begun(self, allowance: Allowance, *, size: int | None, now: datetime) -> Usage:
        self.check_room(allowance, size or 0)
        limit = allowance.max_active_uploads
        if limit is not None and self.open_uploads >= limit:
            raise TooManyActive(active=self.open_uploads, limit=limit)
        after = self.counted(allowance, now=now)
        return replace(after, open_uploads=self.open_uploads + 1, declared_bytes=self.declared_bytes + (size or 0))

    def stored(self, allowance: Allowance, *, size: int, in_place_of: int, now: datetime) -> Usage:
        """With one more file, that was no upload before; its bytes take the place of so many. LimitReached."""
        self.check_room(allowance, size - in_place_of)
        after = self.counted(allowance, now=now)
        return replace(after, stored_bytes=self.stored_bytes + size, declared_bytes=self.declared_bytes - in_place_of)

    def counted(self, allowance: Allowance, *, now: datetime) -> Usage:
        """With one more beginning. RateLimited."""
        rate = allowance.rate_uploads
        if rate is None:
            return self
        wait = rate.wait(self.bucket, now)
        if wait:
            raise RateLimited(limit=rate.count, window=rate.seconds, seconds=wait.total_seconds())
        return replace(self, bucket=rate.take(self.bucket, now))

    def quota(self, allowance: Allowance) -> Quota | None:
        """What the quota leaves; None: there is none."""
        return None if allowance.quota_bytes is None else Quota(self.used_bytes, allowance.quota_bytes)

    def check_room(self, allowance: Allowance, size: int) -> None:
        """Raise unless there is room for `size` more bytes; who needs none is let through. QuotaExceeded."""
        quota = self.quota(allowance)
        if quota is not None and size > max(0, quota.left):
            raise quota.exceeded(size)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user may, and what it has, at one time."""

    allowance: Allowance
    usage: Usage
    at: datetime


def _read(name: str, text: str) -> Any:
    try:
        return READ[name](text)
    except ValueError as error:
        raise BadField(name, str(error)) from None


def _read_count(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or not int(text[:10]):
        message = f"{text!r} is not a number above 0; write such as 10, or off"
        raise ValueError(message)
    return int(text[:10])


def _or_off(read: Callable[[str], int | None]) -> Callable[[str], int | None]:
    return lambda text: None if text.strip().lower() in {"", OFF} else read(text.strip())


def _read_size(text: str) -> int:
    size = parse_size(text)
    if not size:
        message = "must be more than 0; off sets no limit"
        raise ValueError(message)
    return size


# How the text of each limit is read: the same in settings, in the catalog and in commands. ValueError.
READ: Final[Mapping[str, Callable[[str], Rate | int | None]]] = {
    "rate_uploads": parse_rate,
    "rate_bytes": parse_byte_rate,
    "max_active_uploads": _or_off(_read_count),
    "quota_bytes": _or_off(_read_size),
}
