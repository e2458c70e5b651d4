"""Transfers in plain lines, for logs: at most one a second, and one for each tenth of a transfer."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import typer

from uploadstream.cli.course import Course, Report, share
from uploadstream.client.values import Progress, Step

LINE_SECONDS_MIN: Final = 1.0
LINE_SHARE_MIN: Final = 0.1


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

    def __call__(self, progress: Progress) -> None:
        """Say what is worth a line."""
        match progress.step:
            case Step.STARTED | Step.RESUMED:
                self._said_at, self._said_share = time.monotonic(), share(progress)
                self._say(self._course.begin(progress))
            case Step.ADVANCED:
                self._advance(progress)
            case Step.WAITING:
                self._say(self._course.wait(progress))
            case Step.FINISHED:
                self._say(self._course.finished(progress))

    def _advance(self, progress: Progress) -> None:
        self._course.move()
        now, reached = time.monotonic(), share(progress)
        if now - self._said_at >= LINE_SECONDS_MIN and reached - self._said_share >= LINE_SHARE_MIN:
            self._said_at, self._said_share = now, reached
            self._say(self._course.advanced(progress))

    def _say(self, text: str) -> None:
        if text:
            self._note(text)
