"""tus-js-client, the client that most browsers upload with, against a running server."""

import secrets
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.interop.stored import content_url, description, head, id_of, sha256_of, stored_sha256
from tests.interop.tus_js import TusJs
from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer

MIB = 2**20

pytestmark = pytest.mark.timeout(600)  # the first test may have to install the client


@pytest.mark.parametrize("chunk_size", [5 * MIB, None], ids=["in chunks of 5 MiB", "in one go"])
def test_a_large_file_arrives_whole(
    tus_js: TusJs, server: RunningServer, large_file: Path, chunk_size: int | None
) -> None:
    options = {"chunkSize": chunk_size} if chunk_size else {}

    outcome = tus_js.run(large_file, options=options)

    assert stored_sha256(server, outcome.url) == sha256_of(large_file)
    assert outcome.methods == ["POST"] + ["PATCH"] * (10 if chunk_size else 1)


def test_t27_a_file_that_is_sent_in_parallel_parts_arrives_whole(
    tus_js: TusJs, server: RunningServer, large_file: Path
) -> None:
    options = {"parallelUploads": 4, "chunkSize": 5 * MIB, "metadata": {"filename": "large.bin"}}

    outcome = tus_js.run(large_file, options=options)

    assert stored_sha256(server, outcome.url) == sha256_of(large_file)
    assert description(server, outcome.url)["filename"] == "large.bin"
    assert outcome.methods.count("POST") == 5
    assert head(outcome.url).headers["Upload-Concat"].count("/files/") == 4


def test_metadata_names_the_file(tus_js: TusJs, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_text("plain words\n" * 100)
    metadata = {"filename": "Übung ☃.txt", "filetype": "text/plain; charset=utf-8"}

    outcome = tus_js.run(file, options={"metadata": metadata})

    described = description(server, outcome.url)
    assert described["filename"] == "Übung ☃.txt"
    assert described["content_type"] == "text/plain; charset=utf-8"
    assert described["size"] == file.stat().st_size


def test_an_empty_file_is_complete_without_a_patch(tus_js: TusJs, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()

    outcome = tus_js.run(file)

    assert outcome.methods == ["POST"]
    assert stored_sha256(server, outcome.url) == sha256_of(file)


@pytest.mark.parametrize("chunk_size", [5 * MIB, None], ids=["between chunks", "in the middle of a body"])
def test_an_aborted_upload_is_finished_by_another_process(
    tus_js: TusJs, server: RunningServer, large_file: Path, tmp_path: Path, chunk_size: int | None
) -> None:
    options = {"chunkSize": chunk_size} if chunk_size else {}
    storage = str(tmp_path / "urls.json")
    aborted = tus_js.run(large_file, storage=storage, pauseMs=2, abortAt=20 * MIB, options=options)
    assert aborted.end["event"] == "aborted"

    resumed = tus_js.run(large_file, storage=storage, options=options)

    assert resumed.url == aborted.url
    assert "POST" not in resumed.methods
    assert resumed.methods[0] == "HEAD"
    assert 0 < int(resumed.responses[0]["offset"]) < 50 * MIB
    assert stored_sha256(server, resumed.url) == sha256_of(large_file)


def test_the_upload_of_a_killed_client_is_finished_by_another_process(
    tus_js: TusJs, server: RunningServer, large_file: Path, tmp_path: Path
) -> None:
    storage = str(tmp_path / "urls.json")
    job = tus_js.start(large_file, storage=storage, pauseMs=2)
    job.wait_for_progress(20 * MIB)
    job.kill()

    resumed = tus_js.run(large_file, storage=storage)

    assert "POST" not in resumed.methods
    assert 0 < int(resumed.responses[0]["offset"]) < 50 * MIB
    assert stored_sha256(server, resumed.url) == sha256_of(large_file)


@pytest.mark.parametrize("chunk_size", [2 * MIB, None], ids=["in chunks", "in one go each"])
def test_t26_t27_parallel_parts_of_a_killed_client_are_finished_by_another_process(
    tus_js: TusJs, server: RunningServer, large_file: Path, tmp_path: Path, chunk_size: int | None
) -> None:
    """T26, T27. What is listed meanwhile and afterwards is one file, and no part of it."""
    user = f"parallel {secrets.token_hex(4)}"
    chunked = {"chunkSize": chunk_size} if chunk_size else {}
    options = {"parallelUploads": 3, "headers": {"X-User-Id": user}, "metadata": {"filename": "large.bin"}, **chunked}
    storage = str(tmp_path / "urls.json")
    job = tus_js.start(large_file, storage=storage, pauseMs=2, options=options)
    job.wait_for_progress(20 * MIB)
    job.kill()

    between = listed(server, "uploads", user), listed(server, "files", user)
    resumed = tus_js.run(large_file, storage=storage, options=options)

    assert between == ([], [])
    assert resumed.methods.count("POST") == 1, "the final upload; the parts are known"
    assert resumed.methods[:3] == ["HEAD"] * 3
    offsets = [int(one["offset"]) for one in resumed.responses if one["method"] == "HEAD"]
    assert 0 < sum(offsets) < 50 * MIB
    assert stored_sha256(server, resumed.url) == sha256_of(large_file)
    assert listed(server, "uploads", user) == []
    (file,) = listed(server, "files", user)
    assert (file["file_id"], file["filename"], file["size"]) == (id_of(resumed.url), "large.bin", 50 * MIB)


def listed(server: RunningServer, what: str, user: str) -> list[dict[str, object]]:
    """One user's files, or uploads in progress."""
    answer = httpx.get(f"{server.http_url}/api/v1/{what}", params={"user_id": user})
    found: list[dict[str, object]] = answer.json()[what]
    return found


def test_a_client_outlives_a_kill_of_the_server_by_itself(
    tus_js_installed: tuple[str, Path], large_file: Path, tmp_path: Path
) -> None:
    with PreparedServer(tmp_path / "data") as server:
        tus_js = TusJs(*tus_js_installed, f"{server.http_url}/files")
        job = tus_js.start(large_file, pauseMs=2, options={"chunkSize": 5 * MIB, "retryDelays": [500] * 40})
        job.wait_for_progress(20 * MIB)

        server.kill()
        server.restart()

        outcome = job.outcome()
        assert outcome.methods.count("POST") == 1
        assert "HEAD" in outcome.methods
        assert stored_sha256(server, outcome.url) == sha256_of(large_file)


def test_t17_a_stream_of_unknown_length_tells_it_with_its_last_chunk(
    tus_js: TusJs, server: RunningServer, large_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "odd"
    file.write_bytes(large_file.read_bytes()[: 12 * MIB + 345])

    with file.open("rb") as stream:
        outcome = tus_js.run(stream, options={"uploadLengthDeferred": True, "chunkSize": 5 * MIB})

    assert stored_sha256(server, outcome.url) == sha256_of(file)
    assert head(outcome.url).headers["Upload-Length"] == str(12 * MIB + 345)


def test_t18_data_sent_with_the_creation_needs_no_patch(tus_js: TusJs, server: RunningServer, large_file: Path) -> None:
    outcome = tus_js.run(large_file, options={"uploadDataDuringCreation": True})

    assert outcome.methods == ["POST"]
    assert stored_sha256(server, outcome.url) == sha256_of(large_file)


def test_t18_a_first_chunk_sent_with_the_creation_is_continued(
    tus_js: TusJs, server: RunningServer, large_file: Path
) -> None:
    outcome = tus_js.run(large_file, options={"uploadDataDuringCreation": True, "chunkSize": 20 * MIB})

    assert outcome.methods == ["POST", "PATCH", "PATCH"]
    assert outcome.responses[0]["offset"] == str(20 * MIB)
    assert stored_sha256(server, outcome.url) == sha256_of(large_file)


def test_t6_a_patch_may_come_as_a_post_that_names_it(tus_js: TusJs, server: RunningServer, large_file: Path) -> None:
    outcome = tus_js.run(large_file, options={"overridePatchMethod": True, "chunkSize": 25 * MIB})

    assert outcome.methods == ["POST"] * 3
    assert stored_sha256(server, outcome.url) == sha256_of(large_file)


def test_terminating_a_running_upload_removes_it(tus_js: TusJs, large_file: Path) -> None:
    retries = {"retryDelays": [100] * 20}

    outcome = tus_js.run(large_file, pauseMs=2, abortAt=20 * MIB, terminateOnAbort=True, options=retries)

    assert outcome.end["event"] == "aborted"
    assert outcome.responses[-1]["method"] == "DELETE"
    assert outcome.responses[-1]["status"] == HTTPStatus.NO_CONTENT
    assert head(outcome.url).status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


def test_terminating_a_finished_upload_removes_the_file(tus_js: TusJs, server: RunningServer, large_file: Path) -> None:
    url = tus_js.run(large_file).url

    outcome = tus_js.terminate(url)

    assert outcome.end["event"] == "terminated"
    assert head(url).status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    content = httpx.get(content_url(server, id_of(url)))
    assert content.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


def test_a_file_over_the_limit_is_refused_before_its_first_byte(tus_js: TusJs, large_file: Path) -> None:
    outcome = tus_js.run(large_file, options={"uploadSize": 600 * MIB})

    assert outcome.end["event"] == "error"
    assert outcome.end["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert outcome.methods == ["POST"]
    assert "File size 600 MiB exceeds limit of 512 MiB" in outcome.end["message"]
