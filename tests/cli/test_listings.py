"""The short commands, over a running server."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.running import CommandLine
from uploadstream.cli.advice import advised
from uploadstream.client.errors import GONE, UploadError


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.txt"
    path.write_text("a film, described")
    return path


def test_a_file_is_listed_described_deleted_and_restored(cli: CommandLine, film: Path) -> None:
    file_id = cli.succeed("put", film).strip()

    listed = cli.succeed("ls").split("\t")
    assert listed[:4] == [file_id, "film.txt", "17 B", "text/plain"]
    assert "17 B (17 bytes)" in cli.succeed("show", file_id)
    assert "is in the trash" in cli.succeed("rm", file_id)
    assert cli.succeed("ls") == ""
    assert cli.succeed("ls", "--deleted").startswith(file_id)
    assert cli.succeed("restore", file_id) == f"{file_id} is back: film.txt\n"
    assert [line.split("\t")[1] for line in cli.succeed("audit", file_id).splitlines()] == [
        "create",
        "complete",
        "delete",
        "restore",
    ]
    assert cli.succeed("stats").split()[:5] == ["Deleted", "1", "Restored", "1", "(100"]


def test_every_short_command_has_json(cli: CommandLine, film: Path) -> None:
    file_id = cli.succeed("put", film).strip()

    assert json.loads(cli.succeed("ls", "--json"))[0]["file_id"] == file_id
    assert json.loads(cli.succeed("show", file_id, "--json"))["size"] == 17
    assert json.loads(cli.succeed("rm", file_id, "--json")) == {"file_id": file_id, "deleted": True}
    assert json.loads(cli.succeed("ls", "--deleted", "--json"))[0]["deleted_at"].endswith("Z")
    assert json.loads(cli.succeed("restore", file_id, "--json"))["deleted_at"] is None
    assert json.loads(cli.succeed("audit", file_id, "--json"))[0]["action"] == "create"
    assert json.loads(cli.succeed("stats", "--json"))["restored_share"] == 1.0
    assert json.loads(cli.succeed("uploads", "--json")) == []


def test_more_files_than_a_page_are_listed(grpc_cli: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(230):
        (folder / f"{number}.txt").write_text(str(number))

    grpc_cli.succeed("put", "-r", folder, "-j", "8")

    assert len(grpc_cli.succeed("ls").splitlines()) == 230


def test_another_user_sees_nothing(cli: CommandLine, film: Path) -> None:
    file_id = cli.succeed("put", film).strip()
    other = cli.with_variables({"UPLOADSTREAM_USER": "somebody else"})

    assert other.succeed("ls") == ""
    done = other.run("rm", file_id)
    assert (done.returncode, done.stderr) == (1, f"No file {file_id}; uploadstream ls lists yours\n")


@pytest.mark.parametrize("command", ["show", "rm", "restore", "audit"])
def test_a_file_that_is_none_is_one_line(cli: CommandLine, command: str) -> None:
    done = cli.run(command, "nothing")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "No file nothing; uploadstream ls lists yours\n"


def test_a_deleted_file_is_said_to_be_so_with_how_to_get_it_back(cli: CommandLine, film: Path) -> None:
    file_id = cli.succeed("put", film).strip()
    cli.succeed("rm", file_id)

    done = cli.run("show", file_id)

    said = f"No file {file_id}: it was deleted; back with: uploadstream restore ID\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_file_that_was_lost_is_said_to_be_so_with_what_is_left_to_do() -> None:
    error = UploadError(GONE, "No file 1: it was lost")

    said = "No file 1: it was lost; its bytes are not in the storage any more; ask the server's operator for a backup"
    assert advised(error) == said


def test_the_trail_tells_the_second(grpc_cli: CommandLine, film: Path) -> None:
    file_id = grpc_cli.succeed("put", film).strip()

    times = [line.split("\t")[0] for line in grpc_cli.succeed("audit", file_id).splitlines()]

    assert len(times) == 2
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", time) for time in times)


def test_an_upload_that_is_none_cannot_be_ended(cli: CommandLine) -> None:
    done = cli.run("uploads", "--abort", "nothing")

    assert (done.returncode, done.stderr) == (1, "No upload nothing; uploadstream uploads lists yours\n")


def test_no_id_at_all_ends_no_upload_and_lists_none(cli: CommandLine) -> None:
    done = cli.run("uploads", "--abort", "")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No upload")


def test_an_upload_that_is_complete_is_not_ended(cli: CommandLine, film: Path) -> None:
    file_id = cli.succeed("put", film).strip()

    done = cli.run("uploads", "--abort", file_id)

    said = f"Upload {file_id} is complete and is file {file_id} now; to delete it: uploadstream rm ID\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert cli.succeed("ls").startswith(file_id)
