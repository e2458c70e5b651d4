"""The examples are run as their first lines say, and uploaded through."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.embedding.served import ROOT, Served, served

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}
WAIT_SECONDS = 10.0


def run(name: str, folder: Path, *, ready: str) -> Iterator[Served]:
    """Run an example in a folder of its own, by the command that it names."""
    found = re.search(r"Run it: uvicorn (\S+)", (ROOT / f"examples/{name}.py").read_text())
    assert found is not None
    command = ("uvicorn", found[1], "--app-dir", str(ROOT), "--host={host}", "--port={port}")
    with served(command, folder, ready=ready, cwd=folder) as running:
        yield running


@pytest.fixture(scope="module")
def fastapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from run("fastapi_app", tmp_path_factory.mktemp("fastapi"), ready="/arrived")


@pytest.fixture(scope="module")
def django(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from run("django_app", tmp_path_factory.mktemp("django"), ready="/login/ann/")


def send_by_tus(client: httpx.Client, content: bytes, metadata: str) -> str:
    """Send a file in two parts; its id."""
    fields = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    begun = client.post("/uploads/files", headers=fields)
    assert begun.status_code == 201, begun.text
    half = len(content) // 2
    for at, piece in ((0, content[:half]), (half, content[half:])):
        sent = client.patch(begun.headers["Location"], headers={**CHUNK, "Upload-Offset": str(at)}, content=piece)
        assert sent.status_code == 204, sent.text
    return str(begun.headers["Location"].rpartition("/")[2])


def test_the_fastapi_example_takes_files_of_who_is_logged_in(fastapi: Served, tmp_path: Path) -> None:
    (tmp_path / "film.txt").write_bytes(b"a film\n" * 1000)
    command = ["curl", "-sS", "--cookie", "session=ann-secret", "-T", str(tmp_path / "film.txt")]

    sent = subprocess.run([*command, f"{fastapi.url}/uploads/files/"], check=True, capture_output=True, text=True)

    assert '"user_id":"ann"' in sent.stdout
    assert '"filename":"ann-film.txt"' in sent.stdout
    with httpx.Client(base_url=fastapi.url, cookies={"session": "ann-secret"}) as ann:
        file_id = send_by_tus(ann, b"text " * 1000, "filename YS50eHQ=")
        assert ann.get(f"/uploads/api/v1/files/{file_id}/content").content == b"text " * 1000
        assert ann.get("/uploads/").status_code == 200
        deadline = time.monotonic() + WAIT_SECONDS
        while len(arrived := ann.get("/arrived").json()) < 2:
            assert time.monotonic() < deadline
        assert sorted(arrived) == ["ann-a.txt: 5000 bytes", "ann-film.txt: 7000 bytes"]


def test_the_fastapi_example_says_no_to_others(fastapi: Served) -> None:
    with httpx.Client(base_url=fastapi.url) as nobody:
        assert nobody.put("/uploads/files/a.txt", content=b"a").status_code == 401
    with httpx.Client(base_url=fastapi.url, cookies={"session": "bob-secret"}) as bob:
        refused = bob.put("/uploads/files/a.txt", content=b"a")
        assert (refused.status_code, refused.json()["detail"]) == (403, "Your plan has no uploads")
    with httpx.Client(base_url=fastapi.url, cookies={"session": "ann-secret"}) as ann:
        assert ann.put("/uploads/files/a", content=b"\x7fELF" + bytes(600)).status_code == 415


def test_the_django_example_has_uploads_beside_its_own_paths(django: Served) -> None:
    with httpx.Client(base_url=django.url) as client:
        assert client.put("/uploads/files/a.txt", content=b"a").status_code == 401
        assert client.get("/login/ann/").text == "hello, ann"

        file_id = send_by_tus(client, b"text " * 1000, "filename YS50eHQ=")

        [file] = client.get("/uploads/api/v1/files").json()["files"]
        assert (file["file_id"], file["user_id"], file["filename"]) == (file_id, "ann", "a.txt")
        assert client.get("/uploads/").status_code == 200
        assert client.get("/nothing").status_code == 404
    log = django.log.parent / "arrived.txt"
    deadline = time.monotonic() + WAIT_SECONDS
    while not log.exists() or not log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert log.read_text() == f"{file_id} ann a.txt\n"
