"""The way to a server over HTTP: tus 1.0.0 for uploads, the REST API for everything else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx

from uploadstream.client import errors
from uploadstream.client.endpoint import Endpoint
from uploadstream.client.errors import UploadError
from uploadstream.client.http_answers import audit_of, error_of, file_of, stats_of, translated, upload_of
from uploadstream.client.transport import Block, Named, Page, Place
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo
from uploadstream.core.sizes import KIB

CONNECT_SECONDS: Final = 10.0
# For a block or a piece to get through; blocks become small where that takes long (source.py).
STALL_SECONDS: Final = 30.0
# Between the last byte and the answer lie the server's fsync and its catalog.
ANSWER_SECONDS: Final = 120.0

_TUS: Final = {"Tus-Resumable": "1.0.0"}
_PIECE_SIZE: Final = 512 * KIB


def _segment(text: str) -> str:
    """Any text as one segment of a path."""
    return quote(text, safe="")


async def _read_beside(blocks: Iterator[Block]) -> AsyncGenerator[bytes]:
    """The bytes of the blocks, which another thread reads."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block.data


def _upload(upload_id: str) -> str:
    return f"/files/{_segment(upload_id)}"


class HttpTransport:
    """A connection pool to one server, as one user."""

    def __init__(self, endpoint: Endpoint, *, user: str, api_key: str) -> None:
        self._endpoint = endpoint
        fields = {"Accept-Encoding": "identity", "User-Agent": "uploadstream"}
        if api_key:
            fields["Authorization"] = f"Bearer {api_key}"
        # A header field is ASCII; a user is any text, and has two other places.
        self._user = "" if user.isascii() else user
        if user.isascii():
            fields["X-User-Id"] = user
        self._http = httpx.AsyncClient(
            base_url=str(endpoint),
            headers=fields,
            params={"user_id": self._user} if self._user else {},
            timeout=httpx.Timeout(connect=CONNECT_SECONDS, write=STALL_SECONDS, read=ANSWER_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=None),
        )

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def create(self, named: Named) -> Place:
        """Begin an upload (tus: creation)."""
        said = {"filename": named.filename, "filetype": named.content_type, "user_id": self._user}
        pairs = (f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items() if value)
        fields = {**_TUS, "Upload-Length": str(named.size), "Upload-Metadata": ",".join(pairs)}
        response = await self._ask("POST", "/files", fields=fields)
        location = response.headers.get("location", "")
        upload_id = location.rstrip("/").rpartition("/")[2]
        if not upload_id:
            raise errors.foreign(str(self._endpoint))
        return Place(upload_id, offset=0, is_complete=named.size == 0)

    async def place(self, upload_id: str) -> Place:
        """Ask how far an upload is (tus: HEAD)."""
        response = await self._ask("HEAD", _upload(upload_id), fields=_TUS)
        offset = self._offset_of(response)
        return Place(upload_id, offset, is_complete=response.headers.get("upload-length") == str(offset))

    async def append(self, upload_id: str, blocks: Iterator[Block], *, at: int, size: int) -> Place:
        """Send the blocks (tus: PATCH)."""
        fields = {
            **_TUS,
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size - at),
            "Upload-Offset": str(at),
        }
        response = await self._ask("PATCH", _upload(upload_id), fields=fields, content=_read_beside(blocks))
        offset = self._offset_of(response)
        return Place(upload_id, offset, is_complete=offset == size)

    async def abort(self, upload_id: str) -> None:
        """End an upload, and remove its bytes (tus: termination)."""
        await self._ask("DELETE", _upload(upload_id), fields=_TUS)

    async def content(self, file_id: str, *, start: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from `start` on."""
        path = f"/api/v1/files/{_segment(file_id)}/content"
        fields = {"Range": f"bytes={start}-"} if start else {}
        timeout = httpx.Timeout(STALL_SECONDS, connect=CONNECT_SECONDS)
        with translated(self._endpoint, write_seconds=STALL_SECONDS, read_seconds=STALL_SECONDS):
            async with self._http.stream("GET", path, headers=fields, timeout=timeout) as response:
                if response.is_error:
                    await response.aread()
                    raise error_of(response)
                if start and response.status_code != HTTPStatus.PARTIAL_CONTENT:
                    message = f"{self._endpoint} does not continue a download; remove the .part file"
                    raise UploadError("RANGES_NOT_SUPPORTED", message)
                async for piece in response.aiter_raw(_PIECE_SIZE):
                    yield piece

    async def describe(self, file_id: str) -> FileInfo:
        """Everything known of a file."""
        return file_of(await self._rest("GET", f"/files/{_segment(file_id)}"))

    async def delete(self, file_id: str) -> None:
        """Move a file to the trash."""
        await self._ask("DELETE", f"/api/v1/files/{_segment(file_id)}")

    async def restore(self, file_id: str) -> None:
        """Take a file out of the trash."""
        await self._ask("POST", f"/api/v1/files/{_segment(file_id)}/restore")

    async def files(self, *, deleted: bool, page_size: int, page_token: str) -> Page[FileInfo]:
        """A page of the user's files, or of its trash."""
        only = {"deleted": "true"} if deleted else {}
        data = await self._rest("GET", "/files", page_size=page_size, page_token=page_token, **only)
        return Page([file_of(row) for row in data["files"]], data["next_page_token"])

    async def uploads(self, *, page_size: int, page_token: str) -> Page[UploadInfo]:
        """A page of the user's open uploads."""
        data = await self._rest("GET", "/uploads", page_size=page_size, page_token=page_token)
        return Page([upload_of(row) for row in data["uploads"]], data["next_page_token"])

    async def audit(self, file_id: str, *, page_size: int, page_token: str) -> Page[AuditEntry]:
        """A page of a file's trail."""
        data = await self._rest("GET", f"/files/{_segment(file_id)}/audit", page_size=page_size, page_token=page_token)
        return Page([audit_of(row) for row in data["audit"]], data["next_page_token"])

    async def stats(self) -> DeletionStats:
        """The user's deletion analytics."""
        return stats_of(await self._rest("GET", "/stats/deletions"))

    async def _rest(self, method: str, path: str, **query: str | int) -> Mapping[str, Any]:
        response = await self._ask(method, f"/api/v1{path}", query=query)
        try:
            data: Mapping[str, Any] = response.json()
        except ValueError as error:
            raise errors.foreign(str(self._endpoint)) from error
        return data

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        fields: Mapping[str, str] | None = None,
        query: Mapping[str, str | int] | None = None,
        content: AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        with translated(self._endpoint, write_seconds=STALL_SECONDS, read_seconds=ANSWER_SECONDS):
            response = await self._http.request(method, path, headers=fields, params=query, content=content)
        if not response.is_success:
            raise error_of(response)
        return response

    def _offset_of(self, response: httpx.Response) -> int:
        value = response.headers.get("upload-offset", "")
        if not (value.isascii() and value.isdigit()):
            raise errors.foreign(str(self._endpoint))
        return int(value)
