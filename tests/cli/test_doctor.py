"""What the doctor sees."""

import json
import os
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import CommandLine
from tests.contracts.blobs import a_key
from tests.running_server import RunningServer, free_ports
from uploadstream.adapters.catalog.schema import HEAD
from uploadstream.cli import doctor
from uploadstream.cli.findings import Level

SERVERS = Path(__file__).parents[1] / "servers"


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
    assert "choose another with --http-port or UPLOADSTREAM_HTTP_PORT" in done.stdout


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

    assert (found["level"], found["found"]) == ("fail", "UPLOADSTREAM_MAX_FILESIZE is no setting")
    assert found["advice"] == "write UPLOADSTREAM_MAX_FILE_SIZE"


def everything_below(folder: Path) -> dict[str, int]:
    """What is there, and when it was changed; but not SQLite's index of its log, which every reader may make anew."""
    found = [folder, *folder.rglob("*")]
    return {str(path): path.stat().st_mtime_ns for path in found if not path.name.endswith("-shm")}


def test_nothing_is_made_or_changed(healthy: CommandLine) -> None:
    before = everything_below(healthy.folder)

    assert healthy.run("doctor").returncode == 0

    assert everything_below(healthy.folder) == before


def test_a_service_that_has_run_is_looked_at_and_left_as_it_was(healthy: CommandLine) -> None:
    with RunningServer(healthy.folder / "data"):
        pass
    before = everything_below(healthy.folder)

    found = findings(healthy)

    assert found["catalog"]["found"] == f"data/catalog.sqlite has the newest schema, {HEAD}"
    assert found["storage"]["found"] == "data/blobs is the catalog's"
    assert everything_below(healthy.folder) == before

    (healthy.folder / "data" / "blobs" / "store-id").unlink()
    assert "data/blobs is no store, the catalog belongs to store " in findings(healthy)["storage"]["found"]


def test_a_store_without_its_catalog_is_a_failure(healthy: CommandLine) -> None:
    key = a_key()
    blob = healthy.folder / "data" / "blobs" / key[:2] / key
    blob.parent.mkdir(parents=True)
    blob.touch()

    found = findings(healthy)["storage"]

    assert (found["level"], found["found"]) == ("fail", "data/blobs has blobs that the catalog knows nothing of")


def test_a_catalog_that_is_none_is_a_failure(healthy: CommandLine) -> None:
    (healthy.folder / "letter.txt").write_text("no database, but a letter")

    found = findings(healthy, "--database", "sqlite:///letter.txt")["catalog"]

    assert (found["level"], found["found"]) == ("fail", "letter.txt: file is not a database")
    assert "there is no folder" in findings(healthy, "--database", "sqlite:///no/c.db")["catalog"]["found"]


def test_a_catalog_of_a_newer_version_is_a_failure(healthy: CommandLine) -> None:
    with closing(sqlite3.connect(healthy.folder / "c.db")) as catalog:
        catalog.executescript("CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES (9)")

    found = findings(healthy, "--database", "sqlite:///c.db")["catalog"]

    assert found["level"] == "fail"
    assert "start the newer version again" in found["advice"]


def test_tls_files_that_do_not_fit_are_a_failure(healthy: CommandLine) -> None:
    chain, key = SERVERS / "localhost.pem", SERVERS / "localhost.key.pem"

    assert findings(healthy, "--tls-cert", str(chain), "--tls-key", str(key))["TLS"]["level"] == "ok"

    other = findings(healthy, "--tls-cert", str(chain), "--tls-key", str(SERVERS / "another.key.pem"))["TLS"]
    assert other["level"] == "fail"
    assert "is not that of the certificate" in other["found"]


def test_a_host_that_is_not_this_machine_is_no_taken_port(healthy: CommandLine) -> None:
    found = findings(healthy, "--host", "192.0.2.1", "--auth", "open")

    assert found["HTTP port"]["found"] == "Host 192.0.2.1 is no address of this machine"
    assert found["access"]["level"] == "warn"


def test_keys_that_can_be_read_on_their_way_are_warned_of(healthy: CommandLine) -> None:
    outside = ("--host", "192.0.2.1", "--auth", "required")
    tls = ("--tls-cert", str(SERVERS / "localhost.pem"), "--tls-key", str(SERVERS / "localhost.key.pem"))

    plain, encrypted = findings(healthy, *outside)["access"], findings(healthy, *outside, *tls)["access"]

    assert (plain["level"], encrypted["level"]) == ("warn", "ok")
    assert "keys come there unencrypted" in plain["found"]
    assert "certificate" in plain["advice"]


@pytest.mark.parametrize(
    ("address", "level"),
    [
        ("http://files.example.com", Level.WARN),
        ("grpc://192.0.2.1:50051", Level.WARN),
        ("https://files.example.com", Level.OK),
        ("grpcs://192.0.2.1:50051", Level.OK),
        ("http://127.0.0.1:8080", Level.OK),
        ("grpc://localhost:50051", Level.OK),
    ],
)
def test_a_key_that_is_sent_unencrypted_is_warned_of(address: str, level: Level) -> None:
    assert doctor.check_road(address).level is level


def test_a_data_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = doctor.check_data_dir(tmp_path / "file")

    assert found.level is Level.FAIL
    assert "use --data-dir" in found.advice


def test_a_clock_behind_the_stored_files_is_a_failure(tmp_path: Path) -> None:
    later = time.time() + 3600
    (tmp_path / "catalog.sqlite").touch()
    os.utime(tmp_path / "catalog.sqlite", (later, later))

    assert doctor.check_clock(tmp_path).level is Level.FAIL


@pytest.mark.parametrize(("kind", "level"), [("tmpfs", "warn"), ("nfs4", "warn"), ("overlay", "warn"), ("ext4", "ok")])
def test_a_file_system_that_forgets_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: str
) -> None:
    monkeypatch.setattr(doctor, "kind_of_file_system", lambda _: kind)

    assert doctor.check_file_system(tmp_path).level == level


def test_the_file_system_of_a_path_is_found() -> None:
    assert doctor.kind_of_file_system(Path("/proc/self")) == "proc"
