"""What the doctor sees."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import CommandLine
from tests.running_server import RunningServer, free_ports
from uploadstream.cli import doctor


@pytest.fixture
def healthy(tmp_path: Path) -> CommandLine:
    http_port, grpc_port = free_ports(2)
    variables = {"UPLOADSTREAM_HTTP_PORT": str(http_port), "UPLOADSTREAM_GRPC_PORT": str(grpc_port)}
    return CommandLine(tmp_path, "", variables)


def findings(cli: CommandLine, *options: str) -> dict[str, Any]:
    done = cli.run("doctor", "--json", *options)
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


def test_a_healthy_machine_has_no_failure(healthy: CommandLine) -> None:
    done = healthy.run("doctor")

    assert (done.returncode, done.stderr) == (0, "")
    assert "fail" not in done.stdout


def test_a_port_that_is_taken_is_said_with_what_to_do(healthy: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        done = healthy.run("doctor", "--http-port", str(taken.getsockname()[1]))

    assert done.returncode == 1
    assert done.stderr == "In the way of a good service: HTTP port\n"
    assert "use another --http-port" in done.stdout


def test_a_server_that_runs_already_is_no_failure(healthy: CommandLine, server: RunningServer) -> None:
    found = findings(healthy, "--http-port", str(server.http_port), "--grpc-port", str(server.grpc_port))

    assert found["HTTP port"]["found"] == f"{server.http_port}: UploadStream is running"
    assert found["gRPC port"]["level"] == "ok"


def test_a_server_is_asked(healthy: CommandLine, server: RunningServer) -> None:
    assert findings(healthy, "--server", server.http_url)["server"]["level"] == "ok"
    assert findings(healthy, "--server", "grpc://127.0.0.1:1")["server"]["level"] == "fail"


def test_settings_that_are_wrong_are_named(healthy: CommandLine) -> None:
    bad = healthy.with_variables({"UPLOADSTREAM_MAX_FILE_SIZE": "much"})

    found = findings(bad)["settings"]

    assert found["level"] == "fail"
    assert "UPLOADSTREAM_MAX_FILE_SIZE" in found["found"]


def test_a_setting_that_does_not_exist_is_named(healthy: CommandLine) -> None:
    misspelt = healthy.with_variables({"UPLOADSTREAM_MAX_FILESIZE": "1GiB"})

    found = findings(misspelt)["settings"]

    assert (found["level"], found["found"]) == ("warn", "no such setting: UPLOADSTREAM_MAX_FILESIZE")


def test_a_data_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = doctor.check_data_dir(tmp_path / "file")

    assert found.level is doctor.Level.FAIL
    assert "use --data-dir" in found.advice


def test_a_clock_behind_the_stored_files_is_a_failure(tmp_path: Path) -> None:
    later = time.time() + 3600
    (tmp_path / "catalog.sqlite").touch()
    os.utime(tmp_path / "catalog.sqlite", (later, later))

    assert doctor.check_clock(tmp_path).level is doctor.Level.FAIL


@pytest.mark.parametrize(("kind", "level"), [("tmpfs", "warn"), ("nfs4", "warn"), ("overlay", "warn"), ("ext4", "ok")])
def test_a_file_system_that_forgets_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: str
) -> None:
    monkeypatch.setattr(doctor, "kind_of_file_system", lambda _: kind)

    assert doctor.check_file_system(tmp_path).level == level


def test_the_file_system_of_a_path_is_found() -> None:
    assert doctor.kind_of_file_system(Path("/proc/self")) == "proc"
