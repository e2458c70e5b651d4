"""What there is to say of a transfer, in the same words wherever it is shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from uploadstream.client.values import Progress
from uploadstream.core.sizes import iec

Report = Callable[[Progress], None]

SILENT_SECONDS_MAX: Final = 3.0

_MINUTE: Final = 60


class Course:
    """What there is to say of one transfer, from the first byte of this run to the last."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: int | None = None
        self._began = self._try_began = time.monotonic()
        self._try_first = 0
        self._is_waiting = False
        self._is_place_said = False

    def begin(self, progress: Progress) -> str:
        """The first bytes of a try are about to go; where, if that is worth to be said: once, until bytes have gone."""
        self._try_first, self._try_began = progress.offset, time.monotonic()
        if self._first is None:
            self._first = progress.offset
        if self._is_place_said or not (progress.offset or self._is_waiting):
            return ""
        self._is_place_said = True
        return f"{self._name} resumes at {iec(progress.offset)} of {iec(progress.size)} ({percent(progress)})"

    def move(self) -> None:
        """Bytes have gone; what keeps them from going next is news."""
        self._is_waiting = self._is_place_said = False

    def wait(self, progress: Progress) -> str:
        """A try has failed; why, if that is worth to be said: not while it has hardly been tried, and once."""
        is_early = self._first is None and _seconds_since(self._began) < SILENT_SECONDS_MAX
        if is_early or self._is_waiting:
            return ""
        self._is_waiting, self._is_place_said = True, False
        error = progress.error
        why = error.message if error is not None and error.came_from_server else "The server does not answer"
        return f"{self._name}: {why}; trying again"

    def advanced(self, progress: Progress) -> str:
        """How far it is, and, of this try, how fast and how long it will take."""
        moved, seconds = progress.offset - self._try_first, _seconds_since(self._try_began)
        left = duration((progress.size - progress.offset) * seconds / moved) if moved else "some time"
        amounts = f"{iec(progress.offset)} of {iec(progress.size)}"
        return f"{self._name}: {percent(progress)}, {amounts}, {rate(moved / seconds)}, {left} left"

    def finished(self, progress: Progress) -> str:
        """That all of it is there."""
        moved, seconds = progress.size - (self._first or 0), _seconds_since(self._began)
        if self._first is None and progress.size:
            return f"{self._name}: all {iec(progress.size)} were there already, verified"
        part = "" if moved == progress.size else f"the last {iec(moved)} of "
        return f"{self._name}: {part}{iec(progress.size)} in {duration(seconds)} ({rate(moved / seconds)}), verified"


def share(progress: Progress) -> float:
    """How much of it is there, 0 to 1."""
    return progress.offset / progress.size if progress.size else 1.0


def percent(progress: Progress) -> str:
    """The same in words."""
    return percent_of(progress.offset, progress.size)


def percent_of(part: int, whole: int) -> str:
    """`57 %`; never all of it before it is."""
    return f"{100 * part // whole if whole else 100} %"


def rate(bytes_per_second: float) -> str:
    """`12.3 MiB/s`."""
    return f"{iec(int(bytes_per_second))}/s"


def duration(seconds: float) -> str:
    """A time as one would say it: `0.4 s`, `12 s`, `3 min`, `2 h 5 min`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - one decimal has meaning there
    minutes = round(seconds / _MINUTE)
    return f"{minutes} min" if minutes < _MINUTE else f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def _seconds_since(began: float) -> float:
    """Never 0."""
    return max(time.monotonic() - began, 1e-3)
