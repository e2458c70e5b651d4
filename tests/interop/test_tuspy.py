"""tuspy, the Python client of tus, against a running server."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.interop.stored import description, head, sha256_of, stored_sha256
from tests.running_server import RunningServer

MIB = 2**20
JOB_SECONDS_MAX = 60
SCRIPT = Path(__file__).with_name("tuspy_upload.py")

Tuspy = Callable[..., dict[str, Any]]


@pytest.fixture
def tuspy(server: RunningServer) -> Tuspy:
    """Upload a file with tuspy, in a process of its own."""

    def run(file: Path, **job: Any) -> dict[str, Any]:
        text = json.dumps({"endpoint": f"{server.http_url}/files/", "file": str(file), **job})
        command = [sys.executable, str(SCRIPT), text]
        printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=JOB_SECONDS_MAX).stdout
        result: dict[str, Any] = json.loads(printed)
        return result

    return run


@pytest.mark.parametrize("options", [{"chunk_size": 5 * MIB}, {}], ids=["in chunks of 5 MiB", "in one go"])
def test_a_large_file_arrives_whole(
    tuspy: Tuspy, server: RunningServer, large_file: Path, options: dict[str, int]
) -> None:
    uploaded = tuspy(large_file, **options)

    assert stored_sha256(server, uploaded["url"]) == sha256_of(large_file)


def test_t22_a_large_file_whose_chunks_have_checksums_arrives_whole(
    tuspy: Tuspy, server: RunningServer, large_file: Path
) -> None:
    uploaded = tuspy(large_file, chunk_size=5 * MIB, upload_checksum=True)

    assert stored_sha256(server, uploaded["url"]) == sha256_of(large_file)


def test_half_an_upload_is_finished_through_the_stored_url(
    tuspy: Tuspy, server: RunningServer, large_file: Path, tmp_path: Path
) -> None:
    storage = str(tmp_path / "urls.json")
    half = tuspy(large_file, chunk_size=5 * MIB, storage=storage, stop_at=25 * MIB)

    whole = tuspy(large_file, chunk_size=5 * MIB, storage=storage)

    assert whole["url"] == half["url"]
    assert whole["begun_at"] == half["offset"] == 25 * MIB
    assert stored_sha256(server, whole["url"]) == sha256_of(large_file)


def test_metadata_comes_back_and_names_the_file(tuspy: Tuspy, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_text("plain words\n" * 100)
    metadata = {"filename": "Übung ☃.txt", "note": "", "filetype": "text/plain"}

    uploaded = tuspy(file, metadata=metadata)

    described = description(server, uploaded["url"])
    assert described["filename"] == "Übung ☃.txt"
    assert described["content_type"] == "text/plain"
    sent = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in metadata.items())
    assert head(uploaded["url"]).headers["Upload-Metadata"] == sent


def test_an_empty_file_is_complete_at_once(tuspy: Tuspy, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()

    uploaded = tuspy(file)

    assert stored_sha256(server, uploaded["url"]) == sha256_of(file)


def test_a_file_over_the_limit_is_refused_with_the_reason(tuspy: Tuspy, tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as sparse:
        sparse.truncate(600 * MIB)

    refused = tuspy(file)

    assert refused["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "File size 600 MiB exceeds limit of 512 MiB" in refused["body"]
