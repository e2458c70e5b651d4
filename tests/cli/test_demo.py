"""The demonstration, with real processes."""

from pathlib import Path

from tests.cli.running import CommandLine


def test_the_story_is_told_and_true(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, "", {"TMPDIR": str(tmp_path), "UPLOADSTREAM_MAX_FILE_SIZE": "1MiB"})

    done = cli.run("demo")

    assert done.returncode == 0, done.stderr
    acts = ["is started: process", "is sent to it", "kill -9", "A new one is started", "resumes at", "They are equal"]
    places = [done.stderr.index(act) for act in acts]
    assert places == sorted(places)
    assert list(tmp_path.iterdir()) == []
