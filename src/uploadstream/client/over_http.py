"""The way to a server over HTTP: tus 1.0.0 for uploads, the REST API for everything else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from uploadstream.client import errors
from uploadstream.client.endpoint import Endpoint
from uploadstream.client.errors import UploadError
from uploadstream.client.http_answers import error_of, file_of, files_of, stats_of, trail_of, translated, uploads_of
from uploadstream.client.keys import ApiKey
from uploadstream.client.transport import Block, Named, Page, Place
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo
from uploadstream.core.errors import NotFound
from uploadstream.core.ids import check_id
from uploadstream.core.sizes import KIB

CONNECT_SECONDS: Final = 10.0
# For a block or a piece to get through; blocks become small where that takes long (source.py).
STALL_SECONDS: Final = 30.0
# Between the last byte and the answer lie the server's fsync and its catalog.
ANSWER_SECONDS: Final = 120.0

_REST: Final = "/api/v1"
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_PIECE_SIZE: Final = 512 * KIB

Answer = TypeVar("Answer")


def _file(file_id: str) -> str:
    return f"/files/{_segment(file_id, kind='file')}"


def _upload(upload_id: str) -> str:
    return f"/files/{_segment(upload_id, kind='upload')}"


def _segment(text: str, *, kind: str) -> str:
    """An id as one segment of a path. What can be none is not sent: `..` would be somewhere else."""
    try:
        return quote(check_id(text, kind=kind), safe="")
    except NotFound as error:
        raise UploadError(error.reason, str(error)) from None


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


async def _read_beside(blocks: Iterator[Block]) -> AsyncGenerator[bytes]:
    """The bytes of the blocks, which another thread reads."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block.data


class HttpTransport:
    """A connection pool to one server, as one user."""

    def __init__(self, endpoint: Endpoint, *, user: str, api_key: ApiKey) -> None:
        self._endpoint = endpoint
        fields = {"Accept-Encoding": "identity", "User-Agent": "uploadstream"}
        self._api_key = api_key
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
        try:
            check_id(upload_id, kind="upload")
        except NotFound as error:
            raise errors.foreign(str(self._endpoint)) from error
        return Place(upload_id, offset=0, is_complete=named.size == 0)

    async def place(self, upload_id: str) -> Place:
        """Ask how far an upload is (tus: HEAD)."""
        response = await self._ask("HEAD", _upload(upload_id), fields=_TUS)
        offset = self._offset_of(response)
        return Place(upload_id, offset, is_complete=response.headers.get("upload-length") == str(offset))

    async def append(self, upload_id: str, blocks: Iterator[Block], *, at: int, size: int) -> Place:
        """Send the blocks (tus: PATCH), the first as a body of its own.

        What is to be refused is refused by then. A server does not read for ever what follows on a body that it has
        refused, and httpx reads the answer only after it has sent everything.
        """
        first = await asyncio.to_thread(next, blocks, None)
        data = first.data if first is not None else b""
        offset = await self._patch(upload_id, data, at=at, count=len(data))
        if offset == at + len(data) < size:
            offset = await self._patch(upload_id, _read_beside(blocks), at=offset, count=size - offset)
        return Place(upload_id, offset, is_complete=offset == size)

    async def _patch(self, upload_id: str, body: bytes | AsyncIterator[bytes], *, at: int, count: int) -> int:
        fields = {
            **_TUS,
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(count),
            "Upload-Offset": str(at),
        }
        return self._offset_of(await self._ask("PATCH", _upload(upload_id), fields=fields, content=body))

    async def abort(self, upload_id: str) -> None:
        """End an upload, and remove its bytes (tus: termination)."""
        await self._ask("DELETE", _upload(upload_id), fields=_TUS)

    async def content(self, file_id: str, *, start: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from `start` on."""
        path = f"{_REST}{_file(file_id)}/content"
        fields = {"Range": f"bytes={start}-"} if start else {}
        timeout = httpx.Timeout(STALL_SECONDS, connect=CONNECT_SECONDS)
        async with self._api_key.for_request() as key:
            with translated(self._endpoint, write_seconds=STALL_SECONDS, read_seconds=STALL_SECONDS):
                sent = {**fields, **_bearer(key)}
                async with self._http.stream("GET", path, headers=sent, timeout=timeout) as response:
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
        return await self._rest(file_of, _file(file_id))

    async def delete(self, file_id: str) -> None:
        """Move a file to the trash."""
        await self._ask("DELETE", f"{_REST}{_file(file_id)}")

    async def restore(self, file_id: str) -> None:
        """Take a file out of the trash."""
        await self._ask("POST", f"{_REST}{_file(file_id)}/restore")

    async def files(self, *, deleted: bool, page_size: int, page_token: str) -> Page[FileInfo]:
        """A page of the user's files, or of its trash."""
        only = {"deleted": "true"} if deleted else {}
        return await self._rest(files_of, "/files", page_size=page_size, page_token=page_token, **only)

    async def uploads(self, *, page_size: int, page_token: str) -> Page[UploadInfo]:
        """A page of the user's open uploads."""
        return await self._rest(uploads_of, "/uploads", page_size=page_size, page_token=page_token)

    async def audit(self, file_id: str, *, page_size: int, page_token: str) -> Page[AuditEntry]:
        """A page of a file's trail."""
        return await self._rest(trail_of, f"{_file(file_id)}/audit", page_size=page_size, page_token=page_token)

    async def stats(self) -> DeletionStats:
        """The user's deletion analytics."""
        return await self._rest(stats_of, "/stats/deletions")

    async def _rest(self, read: Callable[[Mapping[str, Any]], Answer], path: str, **query: str | int) -> Answer:
        response = await self._ask("GET", f"{_REST}{path}", query=query)
        try:
            return read(response.json())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.foreign(str(self._endpoint)) from error

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        fields: Mapping[str, str] | None = None,
        query: Mapping[str, str | int] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        async with self._api_key.for_request() as key:
            with translated(self._endpoint, write_seconds=STALL_SECONDS, read_seconds=ANSWER_SECONDS):
                sent = {**(fields or {}), **_bearer(key)}
                response = await self._http.request(method, path, headers=sent, params=query, content=content)
            if not response.is_success:
                raise error_of(response)
        return response

    def _offset_of(self, response: httpx.Response) -> int:
        value = response.headers.get("upload-offset", "")
        if not (value.isascii() and value.isdigit()):
            raise errors.foreign(str(self._endpoint))
        return int(value)
