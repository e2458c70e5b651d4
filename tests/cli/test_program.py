"""The list of commands, and what they share."""

import inspect
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
import typer

from tests.cli.running import COMMAND, CommandLine
from uploadstream.cli.program import COMMANDS
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo
from uploadstream.protocols.rest.spellings import AuditOut, DeletionStatsOut, FileOut, UploadOut

NOBODY = "grpc://127.0.0.1:1"


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, NOBODY)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_it_says_itself(name: str) -> None:
    command = COMMANDS[name]
    function = getattr(import_module(f"uploadstream.cli.{command.module}"), command.function)

    several = isinstance(function, typer.Typer)
    said = (function.info.help if several else inspect.getdoc(function)) or ""

    assert said.startswith(command.summary.rstrip("."))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help(cli: CommandLine, name: str) -> None:
    assert f"uploadstream {name}" in cli.succeed(name, "--help")


def test_help_breaks_its_lines_where_the_terminal_ends(cli: CommandLine) -> None:
    said = cli.with_variables({"COLUMNS": "160"}).succeed("put", "--help")

    assert "put [OPTIONS] {FILE}..." in said
    assert "the same command goes on from the last byte that the server holds." in said


def test_help_lists_every_command_and_loads_no_library_of_theirs(cli: CommandLine) -> None:
    code = (
        "import sys; from uploadstream.cli.program import run; run(['--help']);"
        "print([name for name in ('grpc', 'httpx', 'fastapi', 'sqlalchemy', 'uvicorn') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert all(f" {name} " in done.stdout for name in COMMANDS)
    assert done.stdout.endswith("[]\n")


def test_a_client_command_loads_no_library_of_the_server(cli: CommandLine) -> None:
    code = (
        "import sys; from uploadstream.cli.program import run; run(['ls', '--server', 'grpc://127.0.0.1:1']);"
        "print([name for name in ('httpx', 'fastapi', 'sqlalchemy', 'uvicorn', 'rich') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_the_version_is_said(cli: CommandLine) -> None:
    assert cli.succeed("--version").startswith("uploadstream 0.")


def test_a_command_that_is_none_is_a_usage_error(cli: CommandLine) -> None:
    done = cli.run("pot", "film.mp4")

    assert done.returncode == 2
    assert "Did you mean 'put'" in done.stderr


def test_an_address_that_is_none_is_a_usage_error(cli: CommandLine) -> None:
    done = cli.run("ls", "--server", "localhost:50051")

    assert done.returncode == 2
    assert "write grpc://host:port" in " ".join(done.stderr.replace("│", "").split())


def test_a_server_that_is_away_is_one_line_with_advice(cli: CommandLine) -> None:
    done = cli.run("ls")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Cannot reach {NOBODY}; is it running? Start it with scripts/serve\n"


def test_json_has_the_field_names_of_the_rest_api() -> None:
    pairs = ((FileInfo, FileOut), (UploadInfo, UploadOut), (AuditEntry, AuditOut), (DeletionStats, DeletionStatsOut))

    for ours, theirs in pairs:
        assert {field.name for field in fields(ours)} == set(theirs.model_fields)


def test_the_package_runs_as_a_module() -> None:
    assert COMMAND[1:] == ("-m", "uploadstream")
