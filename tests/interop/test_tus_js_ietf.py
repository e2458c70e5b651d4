"""tus-js-client in its modes for the IETF drafts (interop versions 5 and 6), against a running server."""

from pathlib import Path

import httpx
import pytest

from tests.interop.stored import content_url, description, head, id_of, sha256_of, stored_sha256
from tests.interop.tus_js import TusJs
from tests.running_server import RunningServer

MIB = 2**20

pytestmark = [
    pytest.mark.timeout(600),  # the first test may have to install the client
    pytest.mark.parametrize("protocol", ["ietf-draft-03", "ietf-draft-05"]),
]


@pytest.mark.parametrize("chunk_size", [20 * MIB, None], ids=["in chunks", "in one go"])
def test_a_large_file_arrives_whole(
    tus_js: TusJs, server: RunningServer, large_file: Path, protocol: str, chunk_size: int | None
) -> None:
    chunked = {"chunkSize": chunk_size} if chunk_size else {}
    disposition = {"Content-Disposition": "inline; filename*=UTF-8''%C3%9Cbung.bin"}
    options = {"protocol": protocol, "headers": disposition, "metadata": {"filename": "of tus"}, **chunked}

    outcome = tus_js.run(large_file, options=options)

    assert stored_sha256(server, outcome.url) == sha256_of(large_file)
    assert outcome.methods == ["POST"] + ["PATCH"] * (3 if chunk_size else 1)
    assert description(server, outcome.url)["filename"] == "Übung.bin"


def test_an_aborted_upload_is_finished_by_another_process(
    tus_js: TusJs, server: RunningServer, large_file: Path, tmp_path: Path, protocol: str
) -> None:
    storage, options = str(tmp_path / "urls.json"), {"protocol": protocol}
    aborted = tus_js.run(large_file, storage=storage, pauseMs=2, abortAt=20 * MIB, options=options)
    assert aborted.end["event"] == "aborted"

    resumed = tus_js.run(large_file, storage=storage, options=options)

    assert resumed.url == aborted.url
    assert resumed.methods == ["HEAD", "PATCH"]
    assert 0 < int(resumed.responses[0]["offset"]) < 50 * MIB
    assert stored_sha256(server, resumed.url) == sha256_of(large_file)


def test_an_aborted_upload_of_the_draft_is_finished_over_tus(
    tus_js: TusJs, server: RunningServer, large_file: Path, tmp_path: Path, protocol: str
) -> None:
    storage = str(tmp_path / "urls.json")
    aborted = tus_js.run(large_file, storage=storage, pauseMs=2, abortAt=20 * MIB, options={"protocol": protocol})

    resumed = tus_js.run(large_file, storage=storage)

    assert resumed.url == aborted.url
    assert stored_sha256(server, resumed.url) == sha256_of(large_file)


def test_a_stream_of_unknown_length_is_complete_when_it_says_so(
    tus_js: TusJs, server: RunningServer, large_file: Path, protocol: str
) -> None:
    options = {"protocol": protocol, "uploadLengthDeferred": True, "chunkSize": 20 * MIB}

    with large_file.open("rb") as stream:
        outcome = tus_js.run(stream, options=options)

    assert stored_sha256(server, outcome.url) == sha256_of(large_file)


def test_data_sent_with_the_creation_is_continued(
    tus_js: TusJs, server: RunningServer, large_file: Path, protocol: str
) -> None:
    options = {"protocol": protocol, "uploadDataDuringCreation": True, "chunkSize": 20 * MIB}

    outcome = tus_js.run(large_file, options=options)

    assert outcome.methods == ["POST", "PATCH", "PATCH"]
    assert outcome.responses[0]["offset"] == str(20 * MIB)
    assert stored_sha256(server, outcome.url) == sha256_of(large_file)


def test_data_sent_whole_with_the_creation_is_a_file(
    tus_js: TusJs, server: RunningServer, tmp_path: Path, protocol: str
) -> None:
    file = tmp_path / "small.txt"
    file.write_text("a few words")

    outcome = tus_js.run(file, options={"protocol": protocol, "uploadDataDuringCreation": True})

    assert outcome.methods == ["POST"]
    assert httpx.get(outcome.url).text == "a few words"


def test_an_empty_file_is_complete_without_a_patch(tus_js: TusJs, tmp_path: Path, protocol: str) -> None:
    file = tmp_path / "empty"
    file.touch()

    outcome = tus_js.run(file, options={"protocol": protocol})

    assert outcome.methods == ["POST"]
    assert httpx.get(outcome.url).content == b""


def test_a_terminated_upload_is_gone(tus_js: TusJs, server: RunningServer, large_file: Path, protocol: str) -> None:
    options = {"protocol": protocol, "retryDelays": [100] * 20}

    outcome = tus_js.run(large_file, pauseMs=2, abortAt=20 * MIB, terminateOnAbort=True, options=options)

    assert outcome.end["event"] == "aborted"
    assert outcome.responses[-1]["method"] == "DELETE"
    assert head(outcome.url).status_code == 410
    assert httpx.get(content_url(server, id_of(outcome.url))).status_code in {404, 410}
