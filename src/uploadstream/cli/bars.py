"""Transfers on a terminal: a bar for each that is under way, and one for all of them if there are several.

What moves disappears when it is over; what was said stays.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from uploadstream.cli import screen
from uploadstream.cli.course import Course, Report, duration, rate
from uploadstream.client.values import Progress, Step
from uploadstream.core.sizes import iec

NAME_WIDTH_MAX: Final = 32
BAR_WIDTH: Final = 28


class AmountColumn(ProgressColumn):
    """How much of how much."""

    def render(self, task: Task) -> Text:
        """`57 MiB of 100 MiB`."""
        return Text(f"{iec(int(task.completed))} of {iec(int(task.total or 0))}")


class PaceColumn(ProgressColumn):
    """How fast it goes and how long it will take, or why it does neither."""

    def render(self, task: Task) -> Text:
        """`12.3 MiB/s, 4 s left`."""
        if task.fields.get("status"):
            return Text(task.fields["status"], style="yellow")
        if not task.speed or task.time_remaining is None:
            return Text("")
        return Text(f"{rate(task.speed)}, {duration(task.time_remaining)} left", style="dim")


class BarBoard:
    """The terminal's last lines."""

    def __init__(self, *, files: int, size: int) -> None:
        self._console = screen.console(on_stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=BAR_WIDTH, complete_style="cyan", finished_style="cyan"),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            AmountColumn(),
            PaceColumn(),
            console=self._console,
            transient=True,
        )
        self._total = TotalBar(self._bars, files=files, size=size) if files > 1 else None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def note(self, text: str, *, style: str = "") -> None:
        """A line above the bars, which stays."""
        self._console.print(text, style=style, soft_wrap=True)

    def transfer(self, name: str) -> Report:
        """A bar, from the transfer's first word to its last."""
        return BarTransfer(self, self._bars, name, self._total)


class TotalBar:
    """All transfers together."""

    def __init__(self, bars: Bars, *, files: int, size: int) -> None:
        self._bars = bars
        self._files = files
        self._finished = 0
        self._task = bars.add_task(f"0 of {files} files", total=size)

    def moved(self, count: int) -> None:
        """So many bytes more are there."""
        self._bars.advance(self._task, count)

    def finish_one(self) -> None:
        """One transfer is over."""
        self._finished += 1
        self._bars.update(self._task, description=f"{self._finished} of {self._files} files")


class BarTransfer:
    """One transfer's bar. It comes with the first byte, and goes with the last."""

    def __init__(self, board: BarBoard, bars: Bars, name: str, total: TotalBar | None) -> None:
        self._board = board
        self._bars = bars
        self._name = name
        self._total = total
        self._course = Course(name)
        self._task: TaskID | None = None
        self._offset = 0
        self._is_waiting = False

    def __call__(self, progress: Progress) -> None:
        """Move the bar, and say what is worth to stay."""
        match progress.step:
            case Step.STARTED | Step.RESUMED:
                self._begin(progress)
            case Step.ADVANCED:
                self._is_waiting = False
                self._move(progress)
            case Step.WAITING:
                self._wait(progress)
            case Step.FINISHED:
                self._finish(progress)

    def _begin(self, progress: Progress) -> None:
        self._course.begin(progress)
        if progress.offset:
            self._board.note(self._course.resumed(progress), style="cyan")
        if self._task is not None:
            self._bars.remove_task(self._task)
        # A new bar: what was there before says nothing about how fast it goes.
        self._task = self._bars.add_task(_short(self._name), total=progress.size, completed=progress.offset, status="")
        self._count(progress)

    def _move(self, progress: Progress) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=progress.offset, status="")
        self._count(progress)

    def _wait(self, progress: Progress) -> None:
        text = "" if self._is_waiting else self._course.waiting(progress)
        self._is_waiting = self._is_waiting or bool(text)
        if text:
            self._board.note(text, style="yellow")
        if self._task is not None:
            self._bars.update(self._task, status=f"again in {duration(progress.wait_seconds)}")

    def _finish(self, progress: Progress) -> None:
        self._count(progress)
        if self._task is not None:
            self._bars.remove_task(self._task)
        if self._total is not None:
            self._total.finish_one()
        self._board.note(f"✓ {self._course.finished(progress)}", style="green")

    def _count(self, progress: Progress) -> None:
        if self._total is not None:
            self._total.moved(progress.offset - self._offset)
        self._offset = progress.offset


def _short(name: str) -> str:
    """A name that leaves room for its bar: its beginning and its end."""
    if len(name) <= NAME_WIDTH_MAX:
        return name
    half = NAME_WIDTH_MAX // 2
    return f"{name[: half - 1]}…{name[-half:]}"
