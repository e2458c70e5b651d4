"""The client for programs on asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeVar

from uploadstream.client.downloading import Fetching, receive_as, receive_into, target_of
from uploadstream.client.endpoint import DEFAULT_SERVER, Endpoint
from uploadstream.client.errors import UploadError
from uploadstream.client.keys import ApiKey, KeySource
from uploadstream.client.retrying import CALL_PATIENCE_SECONDS, Contact, Patience
from uploadstream.client.source import open_source, type_of_name
from uploadstream.client.transport import Named, Page, Transport
from uploadstream.client.unfinished import Unfinished
from uploadstream.client.uploading import Order, Sending
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, Progress, UploadInfo
from uploadstream.core.access import check_user
from uploadstream.core.errors import BadField, UploadClosed
from uploadstream.core.session import State

PATIENCE_SECONDS: Final = 300.0
PAGE_SIZE: Final = 200

Report = Callable[[Progress], None]
Row = TypeVar("Row")
Result = TypeVar("Result")


def _ignore(_: Progress) -> None:
    """Report to nobody."""


class AsyncClient:
    """A server, as one user. Safe to be used by many tasks of one event loop at once.

    Close it, or use it as `async with AsyncClient(...) as client:`.
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
        """Nothing is connected yet; ValueError if `server` is no address, BAD_FIELD if user or key cannot be sent.

        `api_key`: a key, or a function that gives one, which is asked again when the server does not take the last.
        `patience_seconds`: how long a transfer goes on trying without any progress. `state_dir`: where unfinished
        uploads are remembered, instead of the user's state directory.
        """
        self._endpoint = Endpoint.parse(server)
        _check_user(user)
        self._user = user
        self._patience_seconds = patience_seconds
        self._unfinished = Unfinished(state_dir)
        self._contact = Contact()
        self._api_key = ApiKey(api_key)
        self._opened: Transport | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the connections go."""
        if self._opened is not None:
            await self._opened.close()

    @property
    def _transport(self) -> Transport:
        """The way to the server, opened in the event loop that it is to be used in."""
        if self._opened is None:
            self._opened = connected(self._endpoint, user=self._user, api_key=self._api_key)
        return self._opened

    async def upload(
        self,
        what: str | Path | BinaryIO,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        progress: Report = _ignore,
    ) -> FileInfo:
        """Send a file, continuing an upload of it that was cut, in this run or in an earlier one.

        An open file is sent from where it stands, must be able to seek, and is not found again by a later run.
        `content_type`: None takes what the name stands for; "" leaves it to the server to look at the content.
        """
        source = open_source(Path(what) if isinstance(what, str) else what, filename=filename)
        try:
            guessed = type_of_name(source.name)
            named = Named(source.name, guessed if content_type is None else content_type, source.size)
            about: dict[str, str | int] = {
                "server": str(self._endpoint),
                "user": self._user,
                "path": str(source.path),
                "size": source.size,
                "changed_at_ns": source.changed_at_ns,
                "filename": named.filename,
                "content_type": named.content_type,
            }
            with nullcontext() if source.path is None else self._unfinished.entry(about) as entry:
                order = Order(source, named, is_type_guessed=content_type is None, entry=entry)
                return await Sending(self._transport, order, self._patience(), progress).run()
        finally:
            if source.path is not None:
                source.close()

    async def download(self, file_id: str, to: str | Path | None = None, *, progress: Report = _ignore) -> Path:
        """Fetch a file, continuing a download of it that was cut; where it is now.

        `to` is a file, which is replaced, or a folder. In a folder, and in the working directory if it is None, the
        file gets its own name, and FILE_EXISTS is raised if there is one of that name.
        """
        info = await self.describe(file_id)
        target = target_of(to, info)
        await receive_as(target, Fetching(self._transport, info, self._patience(), progress))
        return target

    async def download_into(self, file_id: str, file: BinaryIO, *, progress: Report = _ignore) -> FileInfo:
        """Fetch a file into an open one, from where it stands; what was fetched.

        Bytes are there before the digest can be compared: they are good only if nothing is raised.
        """
        info = await self.describe(file_id)
        await receive_into(file, Fetching(self._transport, info, self._patience(), progress))
        return info

    def list_files(self, *, deleted: bool = False) -> AsyncGenerator[FileInfo]:
        """The user's files, or those in its trash, newest first."""
        return self._rows(lambda size, token: self._transport.files(deleted=deleted, page_size=size, page_token=token))

    async def describe(self, file_id: str) -> FileInfo:
        """Everything known of a file."""
        return await self._call(lambda: self._transport.describe(file_id))

    async def delete(self, file_id: str) -> None:
        """Move a file to the trash."""
        await self._call(lambda: self._transport.delete(file_id))

    async def restore(self, file_id: str) -> None:
        """Take a file out of the trash."""
        await self._call(lambda: self._transport.restore(file_id))

    def uploads(self) -> AsyncGenerator[UploadInfo]:
        """The user's uploads that are not complete."""
        return self._rows(lambda size, token: self._transport.uploads(page_size=size, page_token=token))

    async def abort(self, upload_id: str) -> None:
        """End an upload; its bytes are removed. One that is complete is a file, and stays (UPLOAD_CLOSED)."""
        if await self._call(lambda: self._is_complete(upload_id)):
            message = f"Upload {upload_id} is complete and is file {upload_id} now; to delete it: uploadstream rm ID"
            raise UploadError(UploadClosed.reason, message, {"upload_id": upload_id, "state": State.COMPLETE})
        await self._call(lambda: self._transport.abort(upload_id))

    def audit(self, file_id: str) -> AsyncGenerator[AuditEntry]:
        """What happened to a file."""
        return self._rows(lambda size, token: self._transport.audit(file_id, page_size=size, page_token=token))

    async def stats(self) -> DeletionStats:
        """The user's deletion analytics."""
        transport = self._transport
        return await self._call(transport.stats)

    async def _is_complete(self, upload_id: str) -> bool:
        try:
            return (await self._transport.place(upload_id)).is_complete
        except UploadError as error:
            if not error.is_missing:
                raise
        return False  # and whoever goes on is told what there is not, with the reason

    def _patience(self) -> Patience:
        return Patience(self._patience_seconds, self._contact)

    async def _call(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        patience = Patience(min(CALL_PATIENCE_SECONDS, self._patience_seconds), self._contact)
        return await patience.until_done(attempt)

    async def _rows(self, page_at: Callable[[int, str], Awaitable[Page[Row]]]) -> AsyncGenerator[Row]:
        token = ""
        while True:
            page = await self._call(partial(page_at, PAGE_SIZE, token))
            for row in page.rows:
                yield row
            token = page.next_token
            if not token:
                return


def _check_user(user: str) -> None:
    """What cannot be text is not even sent."""
    try:
        check_user(user)
    except BadField as error:
        raise UploadError(error.reason, str(error), {"field": error.field}) from None


def connected(endpoint: Endpoint, *, user: str, api_key: ApiKey) -> Transport:
    """The transport for an address; its library is loaded only now."""
    if endpoint.is_grpc:
        from uploadstream.client.over_grpc import GrpcTransport  # noqa: PLC0415 - a program pays for what it uses

        return GrpcTransport(endpoint, user=user, api_key=api_key)
    from uploadstream.client.over_http import HttpTransport  # noqa: PLC0415 - the same

    return HttpTransport(endpoint, user=user, api_key=api_key)
