"""What `serve` says of its settings, and how it refuses those that are wrong."""

import inspect
import re
import signal
import socket
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


def test_what_is_said_at_the_start_names_the_page_and_the_ports(cli: CommandLine) -> None:
    process = cli.start("serve")
    assert process.stderr is not None
    said = "".join(iter(process.stderr.readline, "Ctrl-C stops it.\n"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert process.returncode == 0
    assert f"  Page      http://127.0.0.1:{cli.variables['UPLOADSTREAM_HTTP_PORT']}/\n" in said
    assert f" put FILE --server grpc://127.0.0.1:{cli.variables['UPLOADSTREAM_GRPC_PORT']}\n" in said


@pytest.mark.parametrize("columns", ["80", "120"])
def test_help_lists_every_setting_whole_with_its_default(cli: CommandLine, columns: str) -> None:
    said = cli.with_variables({"COLUMNS": columns}).succeed("serve", "--help")

    assert "…" not in said
    unbroken = re.sub(r" *│\n│ +", " ", said)
    for field, known in Settings.model_fields.items():
        assert f" {option_of(field)} " in said
        assert f" {variable_of(field)} " in said
        if known.default not in {None, "", ()}:
            assert f" {variable_of(field)} (default: {spelled(known.default)})" in unbroken


def test_every_setting_has_its_option() -> None:
    options = {"no_processing" if field == "processing" else field for field in Settings.model_fields}

    assert set(inspect.signature(serve).parameters) == options


def test_the_variables_of_the_client_are_known_as_such() -> None:
    source = inspect.getsource(client_options)

    assert set(re.findall(r'envvar="(\w+)"', source)) == CLIENT_VARIABLES


def test_bad_settings_are_a_usage_error_and_have_a_line_each(cli: CommandLine) -> None:
    done = cli.with_variables({"UPLOADSTREAM_QUEUE": "redis://here"}).run("serve", "--http-port", "99999")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "UPLOADSTREAM_QUEUE is not in this version yet, and would be without effect; unset it",
        "--http-port: must be less than or equal to 65535, not '99999'",
    ]


@pytest.mark.parametrize("command", ["serve", "fsck", "purge"])
def test_a_variable_that_is_no_setting_is_not_passed_over(cli: CommandLine, command: str) -> None:
    done = cli.with_variables({"UPLOADSTREAM_MAX_FILESIZE": "1GiB"}).run(command)

    assert done.returncode == 2
    assert done.stderr == "UPLOADSTREAM_MAX_FILESIZE is no setting; write UPLOADSTREAM_MAX_FILE_SIZE\n"


def test_a_flag_is_taken(cli: CommandLine) -> None:
    line = refusal(cli, "--no-processing", "--workers", "none", status=2)

    assert line.startswith("--workers: must be a whole number, not 'none'")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("field", ["http_port", "grpc_port"])
def test_a_port_that_is_taken_is_named_with_how_to_choose_another(cli: CommandLine, field: str, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        line = refusal(cli, option_of(field), port, "--workers", workers)

    another = f"choose another with {option_of(field)} or {variable_of(field)}"
    assert line == f"Port {port} of 127.0.0.1 is taken; stop what listens there, or {another}"


@pytest.mark.parametrize(
    ("host", "says"), [("192.0.2.1", "is no address of this machine"), ("nowhere.invalid", "is not known")]
)
def test_a_host_that_is_not_this_machine_is_named_and_no_port(cli: CommandLine, host: str, says: str) -> None:
    line = refusal(cli, "--host", host, "--auth", "open")

    assert line == f"Host {host} {says}; listen on an address of this machine: --host or UPLOADSTREAM_HOST"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_tls_that_cannot_be_is_said_before_anything_is_made(cli: CommandLine, workers: str) -> None:
    files = ("--tls-cert", PEM / "localhost.pem", "--tls-key", PEM / "another.key.pem")

    line = refusal(cli, *files, "--workers", workers)

    assert line.startswith(f"TLS key {files[3]} is not that of the certificate {files[1]}; ")


def test_a_place_that_cannot_be_used_is_named_and_no_port(cli: CommandLine) -> None:
    (cli.folder / "file").touch()

    line = refusal(cli, "--data-dir", "file")

    assert line == "Cannot use file: it is no folder; make it usable, or choose another place with --data-dir"


def test_a_catalog_that_cannot_be_opened_is_named_with_the_cause(cli: CommandLine) -> None:
    done = cli.run("serve", "--database", "sqlite:///nowhere/catalog.db")

    assert done.returncode == 1
    path = cli.folder / "nowhere" / "catalog.db"
    assert done.stderr.startswith(f"Cannot open the catalog {path}: unable to open database file; ")
