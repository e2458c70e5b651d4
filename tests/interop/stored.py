"""What the server gives back, seen with a plain HTTP client: the judge of every foreign upload."""

import hashlib
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

import httpx

from tests.running_server import RunningServer


def id_of(upload_url: str) -> str:
    """The id at the end of an upload's URL, which the finished file keeps."""
    return upload_url.rstrip("/").rsplit("/", 1)[-1]


def content_url(server: RunningServer, file_id: str) -> str:
    """Where a file's bytes are."""
    return f"{server.http_url}/api/v1/files/{file_id}/content"


def stored_sha256(server: RunningServer, upload_url: str) -> str:
    """The SHA-256 of the file that an upload has become."""
    digest = hashlib.sha256()
    with httpx.stream("GET", content_url(server, id_of(upload_url))) as response:
        assert response.status_code == HTTPStatus.OK, f"content answers {response.status_code}"
        for piece in response.iter_bytes():
            digest.update(piece)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def head(upload_url: str) -> httpx.Response:
    """Ask for an upload's state as any tus client does."""
    return httpx.head(upload_url, headers={"Tus-Resumable": "1.0.0"})


def description(server: RunningServer, upload_url: str) -> dict[str, object]:
    """What the server says of the file that an upload has become."""
    response = httpx.get(f"{server.http_url}/api/v1/files/{id_of(upload_url)}")
    assert response.status_code == HTTPStatus.OK, response.text
    document: dict[str, object] = response.json()
    return document


def clock_of(server: RunningServer) -> datetime:
    """The time that the server's own clock shows, as its Date header tells it."""
    return parsedate_to_datetime(httpx.get(f"{server.http_url}/healthz").headers["Date"])
