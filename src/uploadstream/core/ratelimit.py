"""Token buckets: how much may be done in a time, and how long to wait for more. Whoever asks gives the time.

A bucket is two whole numbers, so that any database can keep it and two processes never differ in the last digit.
Invariant: from a full bucket, at most the burst and what the rate has brought since are ever taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from uploadstream.core.sizes import parse_size, spelled_size

OFF: Final = "off"

# What a bucket counts in: millionths of a token.
_PARTS: Final = 1_000_000
# More than any network brings, and few enough for 64 bits.
_MOST: Final = 10**12
_MICROSECOND: Final = timedelta(microseconds=1)
_SECONDS: Final = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86_400}
_NAMES: Final = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}
_SHORT: Final = {1: "s", 60: "min", 3600: "h", 86_400: "day"}
_UPLOADS: Final = re.compile(r"(\d{1,9})\s*/\s*([a-z]+)(?:\s+burst\s+(\d{1,9}))?", re.ASCII)
_BYTES: Final = re.compile(r"(.+?)\s*/\s*([a-z]+)(?:\s+burst\s+(.+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was left at a time, in millionths of a token."""

    level: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` tokens in `seconds`, and never more than `burst` of them saved up."""

    count: int
    seconds: int
    burst: int

    @property
    def unit(self) -> str:
        """`minute`, of so many a minute."""
        return _NAMES[self.seconds]

    def full(self, at: datetime) -> Bucket:
        """A bucket that nobody has taken anything from."""
        return Bucket(self.burst * _PARTS, at)

    def filled(self, bucket: Bucket | None, now: datetime) -> Bucket:
        """The bucket with what the time has brought; None is a full one. For a bucket, time does not go back."""
        if bucket is None:
            return self.full(now)
        elapsed = max(0, (now - bucket.at) // _MICROSECOND)
        brought = elapsed * self.count * _PARTS // (self.seconds * 1_000_000)
        return Bucket(min(self.burst * _PARTS, bucket.level + brought), max(now, bucket.at))

    def tokens(self, bucket: Bucket | None, now: datetime) -> int:
        """How many whole tokens there are."""
        return max(0, self.filled(bucket, now).level // _PARTS)

    def wait(self, bucket: Bucket | None, now: datetime, *, count: int = 1) -> timedelta:
        """How long until there are `count` tokens, if nobody takes any; 0 if they are there."""
        filled = self.filled(bucket, now)
        if bucket is None or filled.level == self.burst * _PARTS:
            bucket = filled  # nothing more is saved up
        # Rounded up: whoever comes back after this long finds them. Counted from the time of the bucket, as what it has
        # by now is rounded down.
        missing = count * _PARTS - bucket.level
        needed = -(-missing * self.seconds // self.count) * _MICROSECOND
        return max(timedelta(), needed - max(timedelta(), now - bucket.at))

    def take(self, bucket: Bucket | None, now: datetime, *, count: int = 1) -> Bucket:
        """The bucket without `count` tokens, which may make it owe some."""
        filled = self.filled(bucket, now)
        return Bucket(filled.level - count * _PARTS, filled.at)

    def until_more(self, bucket: Bucket | None, now: datetime) -> timedelta:
        """How long until there is one token more; 0 if the bucket is full."""
        tokens = self.tokens(bucket, now)
        return timedelta() if tokens >= self.burst else self.wait(bucket, now, count=tokens + 1)

    def spelled(self, *, of_bytes: bool = False) -> str:
        """As its setting is written."""
        shown = spelled_size if of_bytes else str
        burst = "" if self.burst == self.count else f" burst {shown(self.burst)}"
        return f"{shown(self.count)}/{_SHORT[self.seconds]}{burst}"


def parse_rate(text: str) -> Rate | None:
    """`60/min burst 20` as a rate, whose burst is the count if none is said; None for `off`. ValueError."""
    text = text.strip()
    if text.lower() in {"", OFF}:
        return None
    match = _UPLOADS.fullmatch(text.lower())
    if match is None or match[2] not in _SECONDS:
        message = f"{text!r} is no rate; write such as 60/min burst 20 (or /s, /h, /day), or off"
        raise ValueError(message)
    return _rate(int(match[1]), match[2], int(match[3] or match[1]))


def parse_byte_rate(text: str) -> Rate | None:
    """`50MB/s` as a rate of bytes, whose burst is the count if none is said; None for `off`. ValueError."""
    text = text.strip()
    if text.lower() in {"", OFF}:
        return None
    match = _BYTES.fullmatch(text)
    if match is None or match[2] not in _SECONDS:
        message = f"{text!r} is no rate of bytes; write such as 50MB/s, or off"
        raise ValueError(message)
    count = parse_size(match[1])
    return _rate(count, match[2], parse_size(match[3]) if match[3] else count)


def _rate(count: int, unit: str, burst: int) -> Rate:
    if not count or not burst:
        message = "must be more than 0; off sets no limit"
        raise ValueError(message)
    if max(count, burst) > _MOST:
        message = f"must be at most {_MOST}; off sets no limit"
        raise ValueError(message)
    return Rate(count, _SECONDS[unit], burst)
