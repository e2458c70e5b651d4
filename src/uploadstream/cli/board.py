"""How transfers are shown while they go: bars on a terminal, a line now and then elsewhere, or not at all.

Everything here goes to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

import typer

from uploadstream.client.values import Progress, Step
from uploadstream.core.sizes import iec

Report = Callable[[Progress], None]

LINE_SECONDS_MIN: Final = 1.0
LINE_SHARE_MIN: Final = 0.1

SILENT_SECONDS_MAX: Final = 3.0

_MINUTE: Final = 60


class Board(Protocol):
    """Where transfers are shown. A context: what moves on the screen stops at its end."""

    def transfer(self, name: str) -> Report:
        """What is to be told of one transfer."""
        ...

    def note(self, text: str, *, style: str = "") -> None:
        """Say something that stays; a style is for terminals."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def board(*, files: int = 1, size: int = 0, is_quiet: bool = False) -> Board:
    """The board for this stderr, and for so many files of so many bytes; a quiet one says nothing in lines."""
    if sys.stderr.isatty():
        from uploadstream.cli.bars import BarBoard  # noqa: PLC0415 - Rich is loaded for terminals only

        return BarBoard(files=files, size=size)
    return LineBoard(is_quiet=is_quiet)


class Course:
    """What there is to say of one transfer, from the first byte of this run to the last."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: int | None = None
        self._began = self._try_began = time.monotonic()
        self._try_first = 0

    def begin(self, progress: Progress) -> None:
        """The first bytes of a try are about to go."""
        self._try_first, self._try_began = progress.offset, time.monotonic()
        if self._first is None:
            self._first = progress.offset

    def resumed(self, progress: Progress) -> str:
        """Where it goes on."""
        return f"{self._name} resumes at {iec(progress.offset)} of {iec(progress.size)} ({percent(progress)})"

    def waiting(self, progress: Progress) -> str:
        """Why it waits; nothing while it has hardly been tried."""
        if self._first is None and _seconds_since(self._began) < SILENT_SECONDS_MAX:
            return ""
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


class LineBoard:
    """Plain lines, for logs: at most one a second and one for each tenth of a transfer."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing moves here."""

    def note(self, text: str, *, style: str = "") -> None:  # noqa: ARG002 - a file has no colours
        """A line."""
        if not self._is_quiet:
            typer.echo(text, err=True)

    def transfer(self, name: str) -> Report:
        """Lines that begin with the name."""
        return LineTransfer(name, self.note)


class LineTransfer:
    """One transfer in lines."""

    def __init__(self, name: str, note: Callable[[str], None]) -> None:
        self._course = Course(name)
        self._note = note
        self._said_at = time.monotonic()
        self._said_share = 0.0
        self._is_waiting = False

    def __call__(self, progress: Progress) -> None:
        """Say what is worth a line."""
        match progress.step:
            case Step.STARTED | Step.RESUMED:
                self._course.begin(progress)
                self._said_share = share(progress)
                if progress.offset:
                    self._note(self._course.resumed(progress))
            case Step.ADVANCED:
                self._advance(progress)
            case Step.WAITING:
                text = "" if self._is_waiting else self._course.waiting(progress)
                self._is_waiting = self._is_waiting or bool(text)
                if text:
                    self._note(text)
            case Step.FINISHED:
                self._note(self._course.finished(progress))

    def _advance(self, progress: Progress) -> None:
        self._is_waiting = False
        now, reached = time.monotonic(), share(progress)
        if now - self._said_at >= LINE_SECONDS_MIN and reached - self._said_share >= LINE_SHARE_MIN:
            self._said_at, self._said_share = now, reached
            self._note(self._course.advanced(progress))


def share(progress: Progress) -> float:
    """How much of it is there, 0 to 1."""
    return progress.offset / progress.size if progress.size else 1.0


def percent(progress: Progress) -> str:
    """The same in words; never all of it before it is."""
    return f"{100 * progress.offset // progress.size if progress.size else 100} %"


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
