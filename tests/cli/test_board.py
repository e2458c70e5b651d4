"""Transfers in lines and in bars."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from uploadstream.cli import course, lines, pace, screen
from uploadstream.cli.bars import BarBoard
from uploadstream.cli.course import duration
from uploadstream.cli.lines import LineBoard
from uploadstream.cli.pace import Pace
from uploadstream.client.errors import UploadError, unreachable
from uploadstream.client.values import Progress, Step

MIB = 2**20
SIZE = 100 * MIB


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(course, "time", clock)
    monkeypatch.setattr(lines, "time", clock)
    monkeypatch.setattr(pace, "time", clock)
    return clock


@pytest.fixture
def board(time: Time, capsys: pytest.CaptureFixture[str]) -> LineBoard:
    return LineBoard(is_quiet=False)


def at(step: Step, mebibytes: int, *, error: UploadError | None = None) -> Progress:
    return Progress(step, mebibytes * MIB, SIZE, error, wait_seconds=2.0)


def test_lines_come_once_a_second_and_once_a_tenth_at_most(
    board: LineBoard, time: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    report = board.transfer("film.mp4")
    report(at(Step.STARTED, 0))

    for mebibytes in range(1, 101):
        time.now += 1 / 16
        report(at(Step.ADVANCED, mebibytes))

    said = capsys.readouterr().err.splitlines()
    assert said == [
        "film.mp4: 16 %, 16 MiB of 100 MiB, 16 MiB/s, 5.2 s left",
        "film.mp4: 32 %, 32 MiB of 100 MiB, 16 MiB/s, 4.2 s left",
        "film.mp4: 48 %, 48 MiB of 100 MiB, 16 MiB/s, 3.2 s left",
        "film.mp4: 64 %, 64 MiB of 100 MiB, 16 MiB/s, 2.2 s left",
        "film.mp4: 80 %, 80 MiB of 100 MiB, 16 MiB/s, 1.2 s left",
        "film.mp4: 96 %, 96 MiB of 100 MiB, 16 MiB/s, 0.2 s left",
    ]


def test_the_time_until_the_server_answers_is_none_of_the_transfer_and_makes_no_line(
    board: LineBoard, time: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    report = board.transfer("film.mp4")

    time.now += 5
    report(at(Step.STARTED, 0))
    time.now += 0.1
    report(at(Step.ADVANCED, 50))

    assert capsys.readouterr().err == ""


def test_a_resumed_transfer_says_where_and_what_was_left(
    board: LineBoard, time: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    report = board.transfer("film.mp4")
    report(at(Step.RESUMED, 57))
    time.now += 4
    report(at(Step.FINISHED, 100))

    assert capsys.readouterr().err.splitlines() == [
        "film.mp4 resumes at 57 MiB of 100 MiB (57 %)",
        "film.mp4: the last 43 MiB of 100 MiB in 4.0 s (10.8 MiB/s), verified",
    ]


def test_a_cut_is_said_once_however_often_it_is_tried(
    board: LineBoard, time: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    report = board.transfer("film.mp4")
    away = unreachable("grpc://127.0.0.1:1", detail="", is_local=True)
    report(at(Step.STARTED, 0))
    for _ in range(5):
        report(at(Step.WAITING, 0, error=away))

    assert capsys.readouterr().err == "film.mp4: The server does not answer; trying again\n"


def test_a_server_that_answers_but_takes_nothing_is_told_once(
    board: LineBoard, time: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    report = board.transfer("film.mp4")
    away = unreachable("grpc://127.0.0.1:1", detail="", is_local=True)
    report(at(Step.STARTED, 0))
    report(at(Step.ADVANCED, 10))
    for _ in range(5):
        report(at(Step.WAITING, 10, error=away))
        report(at(Step.RESUMED, 10))
    report(at(Step.ADVANCED, 20))
    report(at(Step.WAITING, 20, error=away))

    assert capsys.readouterr().err.splitlines() == [
        "film.mp4: The server does not answer; trying again",
        "film.mp4 resumes at 10 MiB of 100 MiB (10 %)",
        "film.mp4: The server does not answer; trying again",
    ]


def test_a_server_that_refuses_for_now_is_quoted(
    board: LineBoard, time: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    report = board.transfer("film.mp4")
    report(at(Step.STARTED, 0))
    report(at(Step.WAITING, 0, error=UploadError("RATE", "Rate limit: 60 uploads a minute", is_passing=True)))

    assert capsys.readouterr().err == "film.mp4: Rate limit: 60 uploads a minute; trying again\n"


def test_a_transfer_that_was_complete_says_so(board: LineBoard, time: Time, capsys: pytest.CaptureFixture[str]) -> None:
    board.transfer("film.mp4")(at(Step.FINISHED, 100))

    assert capsys.readouterr().err == "film.mp4: all 100 MiB were there already, verified\n"


def test_a_quiet_board_says_nothing(time: Time, capsys: pytest.CaptureFixture[str]) -> None:
    report = LineBoard(is_quiet=True).transfer("film.mp4")
    report(at(Step.RESUMED, 57))
    report(at(Step.FINISHED, 100))

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (42, "42 s"), (90, "2 min"), (3_599, "1 h 0 min"), (7_500, "2 h 5 min")],
)
def test_a_time_is_said_as_one_would(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_bars_keep_names_as_they_are_and_count_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=140, markup=False, highlight=False, color_system=None)
    monkeypatch.setattr(screen, "console", lambda *, on_stderr: console)
    away = unreachable("grpc://127.0.0.1:1", detail="", is_local=True)

    with BarBoard(files=2, size=2 * SIZE) as bars:
        report = bars.transfer("[red]film[/red].mp4")
        report(at(Step.STARTED, 0))
        report(at(Step.ADVANCED, 50))
        report(at(Step.WAITING, 50, error=away))
        report(at(Step.RESUMED, 40))
        report(at(Step.FINISHED, 100))
        bars.transfer("a name of many characters, of which the middle is left out.mp4")(at(Step.RESUMED, 10))

    shown = written.getvalue()
    assert "[red]film[/red].mp4 resumes at 40 MiB of 100 MiB (40 %)" in shown
    assert "✓ [red]film[/red].mp4: 100 MiB in " in shown
    assert "1 of 2 files" in shown
    assert "110 of 200 MiB" in shown
    assert "a name of many … is left out.mp4" in shown


def test_a_bar_is_at_100_percent_when_all_is_there_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=140, color_system=None)
    monkeypatch.setattr(screen, "console", lambda *, on_stderr: console)

    with BarBoard(files=1, size=SIZE) as bars:
        report = bars.transfer("film.mp4")
        report(Progress(Step.STARTED, 0, SIZE))
        report(Progress(Step.ADVANCED, SIZE - 1, SIZE))
        bars.refresh()

        assert " 99 %" in written.getvalue()
        assert "100 %" not in written.getvalue()

        report(Progress(Step.ADVANCED, SIZE, SIZE))
        bars.refresh()

    assert "100 %" in written.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_bar_has_one_line_on_every_terminal(monkeypatch: pytest.MonkeyPatch, time: Time, width: int) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width, markup=False, highlight=False, color_system=None)
    monkeypatch.setattr(screen, "console", lambda *, on_stderr: console)
    names = ["a", "film.mp4", "a name of many characters, of which the middle is left out.mp4", "映" * 40]

    with BarBoard(files=4, size=4 * SIZE) as bars:
        for name in names:
            report = bars.transfer(name)
            report(at(Step.STARTED, 0))
            time.now += 2
            report(at(Step.ADVANCED, 99))
        written.truncate(0)
        bars.refresh()
        lines = [line for line in re.split(r"\x1b\[\??[0-9;]*[a-zA-Z]|[\r\n]", written.getvalue().strip("\0")) if line]

    assert len(lines) == 5
    assert all("━" in line and cell_len(line) <= width for line in lines)
    assert all(" MiB/s, " in line or width == 40 for line in lines)


def test_a_bar_knows_how_fast_it_goes_now(time: Time) -> None:
    its = Pace()
    assert its.bytes_per_second() is None

    for _ in range(100):
        time.now += 0.1
        its.move(MIB)
    assert its.bytes_per_second() == pytest.approx(10 * MIB, rel=0.05)

    time.now += 5
    assert its.bytes_per_second() == pytest.approx(5 * MIB, rel=0.05)
    time.now += 10
    assert its.bytes_per_second() == 0
