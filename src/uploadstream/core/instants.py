"""Points in time as whole microseconds since 1970: how page tokens, ids and some databases keep them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds_of(at: datetime) -> int:
    """How many have passed until then; exactly, as no float could say it."""
    return (at - _EPOCH) // _MICROSECOND


def instant_of(microseconds: int) -> datetime:
    """The same point in time, in UTC. OverflowError beyond the calendar."""
    return _EPOCH + microseconds * _MICROSECOND
