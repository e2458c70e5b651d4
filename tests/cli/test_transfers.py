"""put and get, over a running server."""

import json
import os
import pty
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.running import CommandLine
from uploadstream.core.ids import check_id

DATA = random.Random(5).randbytes(100_000)
LARGE = random.Random(6).randbytes(150_000_000)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    return path


def received(cli: CommandLine) -> int:
    """Bytes that the server holds of the user's one upload; 0 if there is none."""
    uploads = json.loads(cli.succeed("uploads", "--json"))
    return int(uploads[0]["offset"]) if uploads else 0


def stopped_in_the_middle(cli: CommandLine, process: "subprocess.Popen[str]") -> int:
    """Let an upload go on until the server holds some of it, and stop the sender there; how much it holds."""
    while not list(cli.folder.glob("state/*.json")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    while not (held := received(cli)):
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
    return held


def test_put_prints_the_id_and_nothing_else_on_stdout(cli: CommandLine, film: Path) -> None:
    done = cli.run("put", film)

    check_id(done.stdout.rstrip("\n"), kind="file")
    assert done.stderr.startswith("film.bin: 97.7 KiB in ")


def test_put_with_json_prints_one_object_and_is_quiet(cli: CommandLine, film: Path) -> None:
    done = cli.run("put", film, "--name", "Film.bin", "--type", "application/x-film", "--json")

    file = json.loads(done.stdout)
    assert (file["filename"], file["content_type"], file["size"]) == ("Film.bin", "application/x-film", len(DATA))
    assert file == json.loads(cli.succeed("show", file["file_id"], "--json"))
    assert done.stderr == ""


def test_put_sends_several_files_and_folders_at_once(cli: CommandLine, film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films" / "old"
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"{number}.bin").write_bytes(DATA[: number * 1000])

    files = json.loads(cli.succeed("put", film, tmp_path / "films", "-r", "-j", "3", "--json"))

    assert [file["filename"] for file in files] == ["film.bin", *(f"{number}.bin" for number in range(5))]


def test_put_of_a_folder_has_a_list_however_much_is_in_it(grpc_cli: CommandLine, film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()

    done = grpc_cli.run("put", "-r", folder)
    assert (done.returncode, done.stderr) == (1, f"There is no file in {folder}; nothing is sent\n")

    film.rename(folder / "film.bin")
    assert len(json.loads(grpc_cli.succeed("put", "-r", folder, "--json"))) == 1


def test_put_goes_on_with_the_others_when_one_fails(grpc_cli: CommandLine, film: Path, tmp_path: Path) -> None:
    (tmp_path / "a\nb").write_bytes(DATA)

    done = grpc_cli.run("put", tmp_path / "a\nb", film)

    assert done.returncode == 1
    assert done.stdout.endswith("film.bin\n")
    assert "filename: " in done.stderr.splitlines()[-1]


def test_put_sends_what_it_can_and_names_what_it_cannot(grpc_cli: CommandLine, film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    (folder / "old").mkdir(parents=True)
    film.rename(folder / "old" / "film.bin")
    (folder / "link.bin").symlink_to("old/film.bin")
    (folder / "dangling.bin").symlink_to("nowhere")
    (folder / "round").symlink_to(".")
    os.mkfifo(folder / "pipe")

    done = grpc_cli.run("put", "-r", "films", "nothing.bin")

    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["films/link.bin", "films/old/film.bin"]
    said = done.stderr.splitlines()
    assert said[2].startswith("films/old/film.bin: ")  # there may be a film.bin in every folder
    assert said[0] == "films/round is a link to a folder, and is not followed"
    assert said[-3:] == [
        "films/dangling.bin is a link to nowhere, which does not exist",
        "films/pipe is neither a file nor a folder; store it in a file first",
        "nothing.bin does not exist; check the name",
    ]


def test_links_to_folders_alone_are_no_failure(grpc_cli: CommandLine, film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    film.rename(folder / "film.bin")
    (folder / "up").symlink_to("..")

    done = grpc_cli.run("put", "-r", "films")

    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


def test_put_of_what_may_not_be_read_is_one_line(grpc_cli: CommandLine, film: Path, tmp_path: Path) -> None:
    film.chmod(0)
    shut = tmp_path / "shut"
    shut.mkdir(mode=0)
    try:
        done = unprivileged(grpc_cli, "put", "film.bin")
        below = unprivileged(grpc_cli, "put", "shut/film.bin")
        folder = unprivileged(grpc_cli, "put", "-r", "shut")
    finally:
        shut.chmod(0o700)

    assert (done.returncode, done.stderr) == (1, "film.bin cannot be read: Permission denied\n")
    assert (below.returncode, below.stderr) == (1, "shut/film.bin cannot be read: Permission denied\n")
    assert (folder.returncode, folder.stderr) == (1, "shut cannot be read: Permission denied\n")


def unprivileged(cli: CommandLine, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that may not read everything, also where root runs the tests."""
    lost = "-dac_override,-dac_read_search"
    without = ["setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*without, *cli._command(arguments)],
        cwd=cli.folder,
        env=cli.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "advice"),
    [
        (["nothing.bin"], 1, "nothing.bin does not exist; check the name"),
        (["nothing.bin", "--name", "x"], 1, "nothing.bin does not exist; check the name"),
        (["."], 2, "add -r to send what is in it"),
        (["film.bin", "film.bin", "--name", "x"], 2, "goes with one file only"),
        (["/dev/null"], 1, "/dev/null is neither a file nor a folder"),
        ([], 2, "Missing argument"),
    ],
)
def test_put_says_what_it_cannot_send(
    grpc_cli: CommandLine, film: Path, arguments: list[str], status: int, advice: str
) -> None:
    done = grpc_cli.run("put", *arguments)

    assert done.returncode == status
    assert advice in " ".join(done.stderr.replace("│", "").split())


def test_put_of_a_type_that_it_is_not_is_refused_in_one_line(cli: CommandLine, tmp_path: Path) -> None:
    script = tmp_path / "x.png"
    script.write_bytes(b"%PDF-1.7\n" + DATA)

    done = cli.run("put", script, "--type", "image/png")

    assert (done.returncode, done.stdout) == (1, "")
    said = "Declared image/png, content is application/pdf; without --type it is sent as what it is\n"
    assert done.stderr == said


def test_put_that_was_killed_is_continued_by_the_same_command(cli: CommandLine, large: Path) -> None:
    first = cli.start("put", large)
    stopped_in_the_middle(cli, first)
    first.kill()
    first.communicate()

    done = cli.run("put", large)

    assert "large.bin resumes at " in done.stderr
    assert ": the last " in done.stderr
    assert cli.succeed("uploads") == ""
    assert len(json.loads(cli.succeed("ls", "--json"))) == 1


def test_put_that_is_interrupted_says_how_to_go_on(cli: CommandLine, large: Path) -> None:
    first = cli.start("put", large)
    stopped_in_the_middle(cli, first)
    first.send_signal(signal.SIGINT)
    first.send_signal(signal.SIGCONT)
    first.send_signal(signal.SIGINT)
    printed, said = first.communicate(timeout=20)

    assert (first.returncode, printed) == (130, "")
    assert said.endswith("Interrupted. The same command continues where it was.\n")
    assert "Traceback" not in said


def test_put_on_a_terminal_shows_a_bar_and_leaves_one_line(cli: CommandLine, large: Path) -> None:
    screen = on_a_terminal(cli, "put", str(large))

    assert "━" in screen
    assert "✓ large.bin: 143.1 MiB in " in screen


def test_several_on_a_terminal_have_a_bar_together(grpc_cli: CommandLine, large: Path, film: Path) -> None:
    screen = on_a_terminal(grpc_cli, "put", str(large), str(film))

    assert "0 of 2 files" in screen
    assert f"✓ {film}: " in screen


def test_get_brings_the_file_back_under_its_name(cli: CommandLine, film: Path, tmp_path: Path) -> None:
    file_id = cli.succeed("put", film).strip()
    film.unlink()

    assert cli.succeed("get", file_id) == "film.bin\n"

    assert film.read_bytes() == DATA


def test_get_replaces_nothing_that_it_was_not_told_to(cli: CommandLine, film: Path, tmp_path: Path) -> None:
    file_id = cli.succeed("put", film).strip()

    done = cli.run("get", file_id)

    assert (done.returncode, done.stderr) == (1, "film.bin exists already; name another place with -o\n")
    assert cli.succeed("get", file_id, "-o", "film.bin") == "film.bin\n"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("nodir/", "nodir/ is no folder; make it first"),
        ("film.bin/", "film.bin/ is no folder; make it first"),
        ("nodir/film.bin", "The folder nodir does not exist; make it first"),
        ("film.bin/x", "film.bin is no folder; name another place with -o"),
        ("x" * 300, f"{'x' * 300} cannot be written: File name too long"),
        ("loop/x", "loop/x cannot be written: Too many levels of symbolic links"),
    ],
)
def test_get_says_why_it_cannot_write_there(grpc_cli: CommandLine, film: Path, to: str, why: str) -> None:
    file_id = grpc_cli.succeed("put", film).strip()
    (grpc_cli.folder / "loop").symlink_to("loop")

    done = grpc_cli.run("get", file_id, "-o", to)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{why}\n")
    assert not list(grpc_cli.folder.glob("*.part"))


def test_get_into_a_folder_has_the_name_that_the_server_knows(grpc_cli: CommandLine, film: Path) -> None:
    file_id = grpc_cli.succeed("put", film).strip()
    (grpc_cli.folder / "dir").mkdir()

    assert grpc_cli.succeed("get", file_id, "-o", "dir/") == "dir/film.bin\n"


def test_get_to_stdout_writes_the_bytes_and_nothing_else(cli: CommandLine, film: Path) -> None:
    file_id = cli.succeed("put", film).strip()
    film.unlink()
    with (cli.folder / "out").open("wb") as out:
        done = subprocess.run(
            cli._command(["get", file_id, "-o", "-"]),
            cwd=cli.folder,
            env=cli.environment(),
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, (cli.folder / "out").read_bytes()) == (0, DATA)
    assert done.stderr.startswith("film.bin: 97.7 KiB in ")
    assert done.stderr.endswith("verified\n")
    assert sorted(path.name for path in cli.folder.iterdir()) == ["out", "state"]


def test_get_to_a_reader_that_has_enough_ends_quietly(cli: CommandLine, large: Path) -> None:
    file_id = cli.succeed("put", large).strip()
    getting = subprocess.Popen(
        cli._command(["get", file_id, "-o", "-"]),
        cwd=cli.folder,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert getting.stdout is not None
    assert getting.stderr is not None
    assert getting.stdout.read(10) == LARGE[:10]
    getting.stdout.close()

    assert getting.stderr.read() == b""
    getting.stderr.close()
    assert getting.wait(20) == 1


def test_json_and_the_bytes_do_not_go_to_one_place(grpc_cli: CommandLine) -> None:
    assert grpc_cli.run("get", "x", "-o", "-", "--json").returncode == 2


def test_get_goes_on_from_a_part(cli: CommandLine, film: Path, tmp_path: Path) -> None:
    file_id = cli.succeed("put", film).strip()
    (tmp_path / f"{file_id}.part").write_bytes(DATA[:50_000])

    done = cli.run("get", file_id, "-o", "back.bin", "--json")

    assert json.loads(done.stdout)["path"] == "back.bin"
    assert (tmp_path / "back.bin").read_bytes() == DATA


def test_get_of_nothing_is_one_line(cli: CommandLine) -> None:
    done = cli.run("get", "no-such-file")

    assert (done.returncode, done.stderr) == (1, "No file no-such-file; uploadstream ls lists yours\n")


def on_a_terminal(cli: CommandLine, *arguments: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        cli._command(arguments),
        cwd=cli.folder,
        env={**cli.environment(), "TERM": "xterm", "LINES": "30"},
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    written = bytearray()
    try:
        while data := os.read(ours, 65536):
            written += data
    except OSError:  # Linux says so that nobody has the other end any more
        pass
    finally:
        os.close(ours)
    assert process.wait(20) == 0
    return written.decode()
