"""Where transfers are shown while they go: bars on a terminal, a line now and then elsewhere, or not at all.

Everything about them goes to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self

from uploadstream.cli.course import Report
from uploadstream.cli.lines import LineBoard


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
