"""The client for programs without asyncio: the asynchronous one, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from uploadstream.client.asynchronous import PATIENCE_SECONDS, AsyncClient
from uploadstream.client.endpoint import DEFAULT_SERVER
from uploadstream.client.keys import KeySource
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, Progress, UploadInfo

Report = Callable[[Progress], None]
Result = TypeVar("Result")
Row = TypeVar("Row")


def _ignore(_: Progress) -> None:
    """Report to nobody."""


class Client:
    """A server, as one user. Safe to be used by many threads at once.

    Close it, or use it as `with Client(...) as client:`. Progress is reported from the client's own thread.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        user: str = "",
        api_key: str | KeySource = "",
        patience_seconds: float = PATIENCE_SECONDS,
        state_dir: Path | None = None,
    ) -> None:
        """As AsyncClient."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="uploadstream", daemon=True)
        self._thread.start()

        async def connect() -> AsyncClient:
            return AsyncClient(
                server, user=user, api_key=api_key, patience_seconds=patience_seconds, state_dir=state_dir
            )

        try:
            self._client = self._run(connect())
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is still going on, let the connections go, and end the thread. Twice is fine."""
        if self._thread.is_alive():
            self._run(self._client.close())
            self._stop()

    def upload(
        self,
        what: str | Path | BinaryIO,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        progress: Report = _ignore,
    ) -> FileInfo:
        """Send a file, continuing an upload of it that was cut (AsyncClient.upload)."""
        return self._run(self._client.upload(what, filename=filename, content_type=content_type, progress=progress))

    def download(self, file_id: str, to: str | Path | None = None, *, progress: Report = _ignore) -> Path:
        """Fetch a file, continuing a download of it that was cut (AsyncClient.download)."""
        return self._run(self._client.download(file_id, to, progress=progress))

    def download_into(self, file_id: str, file: BinaryIO, *, progress: Report = _ignore) -> FileInfo:
        """Fetch a file into an open one, from where it stands (AsyncClient.download_into)."""
        return self._run(self._client.download_into(file_id, file, progress=progress))

    def list_files(self, *, deleted: bool = False) -> Iterator[FileInfo]:
        """The user's files, or those in its trash, newest first."""
        return self._rows(self._client.list_files(deleted=deleted))

    def describe(self, file_id: str) -> FileInfo:
        """Everything known of a file."""
        return self._run(self._client.describe(file_id))

    def delete(self, file_id: str) -> None:
        """Move a file to the trash."""
        self._run(self._client.delete(file_id))

    def restore(self, file_id: str) -> None:
        """Take a file out of the trash."""
        self._run(self._client.restore(file_id))

    def uploads(self) -> Iterator[UploadInfo]:
        """The user's uploads that are not complete."""
        return self._rows(self._client.uploads())

    def abort(self, upload_id: str) -> None:
        """End an upload; its bytes are removed."""
        self._run(self._client.abort(upload_id))

    def audit(self, file_id: str) -> Iterator[AuditEntry]:
        """What happened to a file."""
        return self._rows(self._client.audit(file_id))

    def stats(self) -> DeletionStats:
        """The user's deletion analytics."""
        return self._run(self._client.stats())

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What the work gives; interrupted, it is cancelled before the interrupt goes on."""
        task = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return task.result()
        except BaseException:
            task.cancel()
            raise

    def _rows(self, rows: AsyncGenerator[Row]) -> Iterator[Row]:
        async def following() -> list[Row]:
            return [row async for row in _first(rows)]

        while found := self._run(following()):
            yield from found

    def _stop(self) -> None:
        """End the tasks that are left, then the loop and its thread."""
        asyncio.run_coroutine_threadsafe(_end_other_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _first(rows: AsyncGenerator[Row]) -> AsyncGenerator[Row]:
    """The next row, if there is one."""
    async for row in rows:
        yield row
        return


async def _end_other_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
