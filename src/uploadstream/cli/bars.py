"""Transfers on a terminal: a bar for each that is under way, and one for all of them if there are several.

What moves disappears when it is over; what was said stays.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.cells import cell_len, chop_cells
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from uploadstream.cli import screen
from uploadstream.cli.course import Course, Report, duration, percent_of, rate
from uploadstream.cli.pace import Pace
from uploadstream.client.values import Progress, Step
from uploadstream.core.sizes import UNITS, iec

NAME_WIDTH_MAX: Final = 32
BAR_WIDTH_MAX: Final = 28

# What has its place on every terminal, and what on wide ones only.
_PERCENT_WIDTH: Final = 5
_PACE_WIDTH: Final = 24
_AMOUNT_WIDTH: Final = 20
_WIDE: Final = 78
_MEDIUM: Final = 50

_HOUR: Final = 3600
_LONG_SECONDS: Final = 100 * _HOUR


class PercentColumn(ProgressColumn):
    """How much of it in hundredths; never all of it before it is."""

    def render(self, task: Task) -> Text:
        """` 57 %`."""
        return Text(f"{percent_of(int(task.completed), int(task.total or 0)):>5}")


class AmountColumn(ProgressColumn):
    """How much of how much."""

    def render(self, task: Task) -> Text:
        """`57.2 of 100 MiB`."""
        total = iec(int(task.total or 0))
        done = f"{task.completed / UNITS[total.split()[1]]:.1f}".removesuffix(".0")
        return Text(f"{done} of {total}")


class PaceColumn(ProgressColumn):
    """How fast it goes and how long it will take, or why it does neither."""

    def render(self, task: Task) -> Text:
        """`12.3 MiB/s, 4.0 s left`."""
        status = task.fields["status"]
        if status:
            return Text(status, style="yellow")
        bytes_per_second = task.fields["pace"].bytes_per_second()
        if bytes_per_second is None:
            return Text("")
        if bytes_per_second < 1:
            return Text("nothing moves", style="yellow")
        seconds = ((task.total or 0) - task.completed) / bytes_per_second
        return Text(f"{rate(bytes_per_second)}, {_left(seconds)}", style="dim")


class BarBoard:
    """The terminal's last lines; each bar has one, however narrow the terminal is."""

    def __init__(self, *, files: int, size: int) -> None:
        self._console = screen.console(on_stderr=True)
        columns: list[tuple[ProgressColumn, int]] = [(PercentColumn(_fixed(_PERCENT_WIDTH)), _PERCENT_WIDTH)]
        if self._console.width >= _WIDE:
            columns.append((AmountColumn(_fixed(_AMOUNT_WIDTH, is_number=True)), _AMOUNT_WIDTH))
        if self._console.width >= _MEDIUM:
            columns.append((PaceColumn(_fixed(_PACE_WIDTH)), _PACE_WIDTH))
        room = self._console.width - 2 - sum(width + 1 for _, width in columns)
        self.name_width = max(1, min(NAME_WIDTH_MAX, room * 2 // 3))
        bar_width = max(1, min(BAR_WIDTH_MAX, room - self.name_width))
        self._bars = Bars(
            TextColumn("{task.description}", style="bold", markup=False, table_column=_fixed(self.name_width)),
            BarColumn(bar_width, complete_style="cyan", finished_style="cyan"),
            *(column for column, _ in columns),
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

    def refresh(self) -> None:
        """Draw the bars now."""
        self._bars.refresh()

    def transfer(self, name: str) -> Report:
        """A bar, from the transfer's first word to its last."""
        return BarTransfer(self, self._bars, name, self._total)


class TotalBar:
    """All transfers together."""

    def __init__(self, bars: Bars, *, files: int, size: int) -> None:
        self._bars = bars
        self._files = files
        self._finished = 0
        self._pace = Pace()
        self._task = bars.add_task(f"0 of {files} files", total=size, status="", pace=self._pace)

    def moved(self, count: int, *, is_now: bool) -> None:
        """So many bytes more are there; what was there before the try began says nothing of the pace."""
        if is_now:
            self._pace.move(count)
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
        self._pace = Pace()

    def __call__(self, progress: Progress) -> None:
        """Move the bar, and say what is worth to stay."""
        match progress.step:
            case Step.STARTED | Step.RESUMED:
                self._begin(progress)
            case Step.ADVANCED:
                self._course.move()
                self._move(progress)
            case Step.WAITING:
                self._wait(progress)
            case Step.FINISHED:
                self._finish(progress)

    def _begin(self, progress: Progress) -> None:
        self._say(self._course.begin(progress), style="cyan")
        # A new pace: what was there before says nothing about how fast it goes.
        self._pace = Pace()
        if self._task is None:
            name = _short(self._name, self._board.name_width)
            self._task = self._bars.add_task(name, total=progress.size, status="", pace=self._pace)
        self._bars.update(self._task, completed=progress.offset, status="", pace=self._pace)
        self._count(progress, is_now=False)

    def _move(self, progress: Progress) -> None:
        self._pace.move(progress.offset - self._offset)
        if self._task is not None:
            self._bars.update(self._task, completed=progress.offset, status="")
        self._count(progress, is_now=True)

    def _wait(self, progress: Progress) -> None:
        self._say(self._course.wait(progress), style="yellow")
        if self._task is not None:
            self._bars.update(self._task, status=f"again in {duration(progress.wait_seconds)}")

    def _finish(self, progress: Progress) -> None:
        self._count(progress, is_now=False)
        if self._task is not None:
            self._bars.remove_task(self._task)
        if self._total is not None:
            self._total.finish_one()
        self._say(f"✓ {self._course.finished(progress)}", style="green")

    def _say(self, text: str, *, style: str) -> None:
        if text:
            self._board.note(text, style=style)

    def _count(self, progress: Progress, *, is_now: bool) -> None:
        if self._total is not None:
            self._total.moved(progress.offset - self._offset, is_now=is_now)
        self._offset = progress.offset


def _fixed(width: int, *, is_number: bool = False) -> Column:
    """A column that never takes a second line."""
    return Column(width=width, no_wrap=True, overflow="ellipsis", justify="right" if is_number else "left")


def _left(seconds: float) -> str:
    """A time to come, short enough for a bar."""
    if seconds > _LONG_SECONDS:
        return "days left"
    return f"{seconds / _HOUR:.0f} h left" if seconds >= _HOUR else f"{duration(seconds)} left"


def _short(name: str, width: int) -> str:
    """A name that leaves room for its bar: its beginning and its end."""
    if cell_len(name) <= width:
        return name
    begin = chop_cells(name, (width - 1) // 2)[0]
    end = chop_cells(name[::-1], width - 1 - cell_len(begin))[0][::-1]
    return f"{begin}…{end}"
