"""What `serve` says of its settings, and how it refuses those that are wrong."""

import inspect
import re
from pathlib import Path

import pytest

from tests.cli.running import CommandLine
from tests.running_server import free_ports
from uploadstream.cli import options as client_options
from uploadstream.cli.serve import serve
from uploadstream.settings import CLIENT_VARIABLES, Settings, option_of, spelled, variable_of

PEM = Path(__file__).parents[1] / "servers"


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    http_port, grpc_port = free_ports(2)
    variables = {"UPLOADSTREAM_HTTP_PORT": str(http_port), "UPLOADSTREAM_GRPC_PORT": str(grpc_port)}
    return CommandLine(tmp_path, "", variables)


def refusal(cli: CommandLine, *options: str | Path, status: int = 1) -> str:
    """The one line that `serve` says instead of serving; nothing was made."""
    done = cli.run("serve", *options)
    assert (done.returncode, done.stdout) == (status, "")
    (line,) = done.stderr.splitlines()
    assert not (cli.folder / "data").exists()
    return line


@pytest.mark.parametrize("columns", ["80", "120"])
def test_help_lists_every_setting_whole_with_its_default(cli: CommandLine, columns: str) -> None:
    said = cli.with_variables({"COLUMNS": columns}).succeed("serve", "--help")

    assert "…" not in said
    for field, known in Settings.model_fields.items():
        assert f" {option_of(field)} " in said
        (shown,) = re.findall(rf" {variable_of(field)} (.*?) *│", said)
        if known.default not in {None, ""}:
            assert shown == f"(default: {spelled(known.default)})"


def test_every_setting_has_its_option() -> None:
    options = {"no_processing" if field == "processing" else field for field in Settings.model_fields}

    assert set(inspect.signature(serve).parameters) == options


def test_the_variables_of_the_client_are_known_as_such() -> None:
    source = inspect.getsource(client_options)

    assert set(re.findall(r'envvar="(\w+)"', source)) == CLIENT_VARIABLES


def test_bad_settings_are_a_usage_error_and_have_a_line_each(cli: CommandLine) -> None:
    done = cli.with_variables({"UPLOADSTREAM_QUOTA_BYTES": "1GB"}).run("serve", "--http-port", "99999")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "UPLOADSTREAM_QUOTA_BYTES is not in this version yet, and would be without effect; unset it",
        "--http-port: must be less than or equal to 65535, not '99999'",
    ]


@pytest.mark.parametrize("command", ["serve", "fsck"])
def test_a_variable_that_is_no_setting_is_not_passed_over(cli: CommandLine, command: str) -> None:
    done = cli.with_variables({"UPLOADSTREAM_MAX_FILESIZE": "1GiB"}).run(command)

    assert done.returncode == 2
    assert done.stderr == "UPLOADSTREAM_MAX_FILESIZE is no setting; write UPLOADSTREAM_MAX_FILE_SIZE\n"


def test_a_flag_is_taken(cli: CommandLine) -> None:
    line = refusal(cli, "--no-processing", "--workers", "none", status=2)

    assert line.startswith("--workers: must be a valid integer")
