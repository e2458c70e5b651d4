"""curl, which knows nothing of this service: tus by hand, and downloads that go on where they stopped."""

import json
import os
import subprocess
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.interop.stored import content_url, head, id_of, sha256_of, stored_sha256
from tests.running_server import RunningServer

MIB = 2**20
CURL_TIMED_OUT = 28
TUS = ("-H", "Tus-Resumable: 1.0.0")
PATCH = ("-X", "PATCH", *TUS, "-H", "Content-Type: application/offset+octet-stream")

Curl = Callable[..., httpx.Response]


def at(offset: int) -> tuple[str, str]:
    """The field that says where a PATCH belongs."""
    return ("-H", f"Upload-Offset: {offset}")


def parsed(output: bytes) -> httpx.Response:
    """The last response of curl's `-i`; before it there may be interim ones."""
    header, _, body = output.partition(b"\r\n\r\n")
    while header.split(b" ", 2)[1].startswith(b"1"):
        header, _, body = body.partition(b"\r\n\r\n")
    status_line, *lines = header.decode("latin-1").split("\r\n")
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    framing = {"transfer-encoding", "content-encoding"}
    kept = [(name, value) for name, value in fields if name.lower() not in framing]
    return httpx.Response(int(status_line.split(" ")[1]), headers=kept, content=body)


@pytest.fixture
def send(curl: str) -> Curl:
    """Run curl and return the response it got."""

    def run(*arguments: str, stdin: bytes = b"") -> httpx.Response:
        command = [curl, "--silent", "--show-error", "--include", "--max-time", "60", *arguments]
        return parsed(subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True).stdout)

    return run


@pytest.fixture
def create(send: Curl, server: RunningServer) -> Callable[[int], str]:
    """Create an upload of a size and return its URL."""

    def run(size: int) -> str:
        response = send("-X", "POST", *TUS, "-H", f"Upload-Length: {size}", f"{server.http_url}/files")
        assert response.status_code == HTTPStatus.CREATED
        return str(httpx.URL(f"{server.http_url}/files").join(response.headers["Location"]))

    return run


@pytest.fixture
def finished(send: Curl, create: Callable[[int], str], large_file: Path) -> str:
    """The URL of an upload of the large file that is complete."""
    url = create(large_file.stat().st_size)
    send(*PATCH, *at(0), "--data-binary", f"@{large_file}", url)
    return url


def test_t3_options_announces_the_protocol(send: Curl, server: RunningServer) -> None:
    response = send("-X", "OPTIONS", f"{server.http_url}/files")

    assert response.status_code in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}
    assert response.headers["Tus-Version"] == "1.0.0"
    assert response.headers["Tus-Max-Size"] == str(512 * MIB)
    announced = set(response.headers["Tus-Extension"].split(","))
    assert announced >= {"creation", "creation-with-upload", "creation-defer-length", "termination", "expiration"}


def test_t1_another_version_of_the_protocol_is_refused(send: Curl, server: RunningServer) -> None:
    response = send("-X", "POST", "-H", "Tus-Resumable: 0.2.2", "-H", "Upload-Length: 5", f"{server.http_url}/files")

    assert response.status_code == HTTPStatus.PRECONDITION_FAILED
    assert response.headers["Tus-Version"] == "1.0.0"


def test_two_patches_make_a_file(
    send: Curl, create: Callable[[int], str], server: RunningServer, tmp_path: Path
) -> None:
    first, second = os.urandom(3 * MIB), os.urandom(2 * MIB + 1)
    whole = tmp_path / "whole"
    whole.write_bytes(first + second)
    url = create(len(first + second))

    before = send(*PATCH, *at(0), "--data-binary", "@-", url, stdin=first)
    half = send("--head", *TUS, url)
    after = send(*PATCH, *at(len(first)), "--data-binary", "@-", url, stdin=second)

    assert (before.status_code, after.status_code) == (HTTPStatus.NO_CONTENT, HTTPStatus.NO_CONTENT)
    assert half.headers["Upload-Offset"] == str(len(first))
    assert half.headers["Upload-Length"] == str(len(first + second))
    assert half.headers["Cache-Control"] == "no-store"
    assert after.headers["Upload-Offset"] == str(len(first + second))
    assert all(response.headers["Tus-Resumable"] == "1.0.0" for response in (before, half, after))
    assert stored_sha256(server, url) == sha256_of(whole)


def test_t9_a_chunked_body_that_curl_waits_to_be_asked_for_arrives_whole(
    send: Curl, create: Callable[[int], str], server: RunningServer, large_file: Path
) -> None:
    url = create(large_file.stat().st_size)
    expect = ("-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked")

    response = send(*PATCH, *at(0), *expect, "--upload-file", "-", url, stdin=large_file.read_bytes())

    assert response.status_code == HTTPStatus.NO_CONTENT
    assert stored_sha256(server, url) == sha256_of(large_file)


def test_a_patch_at_the_wrong_offset_changes_nothing(send: Curl, create: Callable[[int], str]) -> None:
    url = create(10)

    response = send(*PATCH, *at(5), "--data-binary", "12345", url)

    assert response.status_code == HTTPStatus.CONFLICT
    assert head(url).headers["Upload-Offset"] == "0"


def test_a_patch_of_another_type_is_refused(send: Curl, create: Callable[[int], str]) -> None:
    url = create(5)

    response = send(
        "-X", "PATCH", *TUS, "-H", "Content-Type: text/plain", "-H", "Upload-Offset: 0", "--data-binary", "12345", url
    )

    assert response.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def test_t10_the_bytes_of_a_cut_patch_are_kept(
    curl: str, send: Curl, create: Callable[[int], str], server: RunningServer, large_file: Path, tmp_path: Path
) -> None:
    url = create(large_file.stat().st_size)
    slowly = [curl, "--silent", "--limit-rate", "10M", "--max-time", "1.5"]
    cut = subprocess.run([*slowly, *PATCH, *at(0), "--data-binary", f"@{large_file}", url], check=False)
    assert cut.returncode == CURL_TIMED_OUT

    offset = int(head(url).headers["Upload-Offset"])
    rest = tmp_path / "rest"
    rest.write_bytes(large_file.read_bytes()[offset:])
    send(*PATCH, *at(offset), "--data-binary", f"@{rest}", url)

    assert 0 < offset < large_file.stat().st_size
    assert stored_sha256(server, url) == sha256_of(large_file)


def test_a_download_goes_on_where_it_stopped(
    curl: str, finished: str, server: RunningServer, large_file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "download"
    target.write_bytes(large_file.read_bytes()[: 20 * MIB + 1])
    command = [curl, "--silent", "--show-error", "--fail", "--continue-at", "-", "--output", str(target)]

    result = subprocess.run(
        [*command, "--write-out", "%{http_code} %{size_download}", content_url(server, id_of(finished))],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )

    assert result.stdout == f"206 {30 * MIB - 1}"
    assert sha256_of(target) == sha256_of(large_file)


def test_a_download_that_was_cut_goes_on_where_it_stopped(
    curl: str, finished: str, server: RunningServer, large_file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "download"
    command = [curl, "--silent", "--continue-at", "-", "--output", str(target)]
    url = content_url(server, id_of(finished))
    cut = subprocess.run([*command, "--limit-rate", "10M", "--max-time", "1.5", url], check=False)
    assert cut.returncode == CURL_TIMED_OUT
    assert 0 < target.stat().st_size < large_file.stat().st_size

    subprocess.run([*command, "--fail", url], check=True)

    assert sha256_of(target) == sha256_of(large_file)


def test_a_download_that_is_whole_is_left_alone(
    curl: str, finished: str, server: RunningServer, large_file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "download"
    target.write_bytes(large_file.read_bytes())
    command = [curl, "--silent", "--continue-at", "-", "--output", str(target)]

    subprocess.run([*command, content_url(server, id_of(finished))], check=True)

    assert sha256_of(target) == sha256_of(large_file)


def test_ranges_come_as_asked(send: Curl, finished: str, server: RunningServer, large_file: Path) -> None:
    content = large_file.read_bytes()
    url = content_url(server, id_of(finished))

    first = send("--range", "0-0", url)
    middle = send("--range", "1048575-3145728", url)
    last = send("--range", "-1000", url)

    assert [response.status_code for response in (first, middle, last)] == [HTTPStatus.PARTIAL_CONTENT] * 3
    assert first.content == content[:1]
    assert middle.content == content[1048575:3145729]
    assert middle.headers["Content-Range"] == f"bytes 1048575-3145728/{len(content)}"
    assert last.content == content[-1000:]


# Whole bodies, of a curl that knows no protocol at all


@pytest.mark.parametrize(
    ("arguments", "path", "name"),
    [
        (("-T", "{file}"), "/files/", "words of mine.txt"),
        (("-T", "{file}"), "/files?filename=b.txt", "b.txt"),
        (("--data-binary", "@{file}"), "/files", "unnamed"),
        (("--data-binary", "@{file}", "-H", 'Content-Disposition: inline; filename="c.txt"'), "/files", "c.txt"),
        (("-T", "{file}", "-H", "Transfer-Encoding: chunked"), "/files/", "words of mine.txt"),
    ],
)
def test_a_plain_upload_becomes_a_file(
    send: Curl, server: RunningServer, tmp_path: Path, arguments: tuple[str, ...], path: str, name: str
) -> None:
    file = tmp_path / "words of mine.txt"
    file.write_text("words\n" * 1000)

    response = send(*(one.format(file=file) for one in arguments), f"{server.http_url}{path}")

    described = response.json()
    assert (response.status_code, described["filename"]) == (HTTPStatus.CREATED, name)
    assert httpx.get(httpx.URL(server.http_url).join(response.headers["Location"])).text == file.read_text()
    assert described["content_type"] == "text/plain"


def test_a_form_is_refused_with_a_reason(send: Curl, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("words")

    response = send("-F", f"file=@{file}", f"{server.http_url}/files")

    assert response.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert "multipart/form-data" in response.json()["detail"]


DOCS = Path(__file__).parents[2] / "docs/ietf.md"


def example(number: int, server: RunningServer) -> str:
    """One of the page's examples, for this server."""
    text = DOCS.read_text().split("```bash\n")[number].partition("```")[0]
    assert "http://127.0.0.1:8080" in text
    return "set -euo pipefail\n" + text.replace("http://127.0.0.1:8080", server.http_url)


def run_in(directory: Path, script: str) -> list[dict[str, object]]:
    """Run a script; the JSON documents it prints."""
    command = ["bash", "-c", script]
    printed = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
    return [json.loads(f"{{{one}") for one in printed.split("{")[1:]]


def test_the_examples_of_the_page_upload_whole_files(curl: str, server: RunningServer, tmp_path: Path) -> None:
    assert curl
    (tmp_path / "film.mp4").write_bytes(os.urandom(MIB))

    files = run_in(tmp_path, example(1, server))

    assert [file["filename"] for file in files] == ["film.mp4", "film.mp4", "all.tar"]
    assert [file["size"] for file in files[:2]] == [MIB, MIB]


@pytest.mark.parametrize("is_cut", [True, False])
def test_the_example_of_the_page_goes_on_where_it_was_cut(
    curl: str, server: RunningServer, tmp_path: Path, is_cut: bool
) -> None:
    assert curl
    film = tmp_path / "film.mp4"
    film.write_bytes(os.urandom(MIB))
    script, whole = example(2, server), "send -H 'Upload-Offset: 0' -T film.mp4\n"
    assert whole in script
    slowly = whole.replace("send", "send --limit-rate 200K --max-time 2").replace("\n", " || test $? = 28\n")

    *_, file = run_in(tmp_path, script.replace(whole, slowly) if is_cut else script)

    assert (file["filename"], file["size"]) == ("film.mp4", MIB)
    assert httpx.get(content_url(server, str(file["file_id"]))).content == film.read_bytes()
