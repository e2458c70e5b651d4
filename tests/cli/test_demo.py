"""The demonstration, with real processes."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.running import CommandLine


def test_the_story_is_told_and_true(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, "", {"TMPDIR": str(tmp_path), "UPLOADSTREAM_MAX_FILE_SIZE": "1MiB"})

    done = cli.run("demo")

    assert done.returncode == 0, done.stderr
    acts = ["is started: process", "is sent to it", "kill -9", "A new one is started", "resumes at", "They are equal"]
    places = [done.stderr.index(act) for act in acts]
    assert places == sorted(places)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("act", ["is sent to it", "kill -9"])
def test_a_story_that_is_cut_ends_quietly_and_leaves_nothing(tmp_path: Path, act: str) -> None:
    cli = CommandLine(tmp_path, "", {"TMPDIR": str(tmp_path)})

    with cli.start("demo") as story:
        assert story.stderr is not None
        told = []
        for line in story.stderr:
            told.append(line)
            if act in line:
                story.send_signal(signal.SIGINT)
                break
        rest = story.stderr.read().splitlines()

    assert story.returncode == 130
    assert rest[-1] == "Interrupted; the server is stopped and everything is removed."
    assert [line for line in rest[:-1] if not line.startswith(("film.bin: ", "A new one is started"))] == []
    (pid,) = re.findall(r"is started: process (\d+)", "".join(told))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert list(tmp_path.iterdir()) == []
