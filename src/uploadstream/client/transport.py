"""What the client needs from a way to the server. gRPC and HTTP are one each; neither tries anything twice.

Every method raises UploadError and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Named:
    """What is said of a file before its bytes."""

    filename: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """How far an upload is: `offset` bytes are held; `is_complete`: it is a file, with the upload's id."""

    upload_id: str
    offset: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes on their way to the server, and where they belong."""

    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the token of the next page (empty: this is the last)."""

    rows: Sequence[Row]
    next_token: str = ""


class Transport(Protocol):
    """One server, over one protocol, as one user."""

    async def create(self, named: Named) -> Place:
        """Begin an upload."""
        ...

    async def place(self, upload_id: str) -> Place:
        """Ask how far an upload is."""
        ...

    async def append(self, upload_id: str, blocks: Iterator[Block], *, at: int, size: int) -> Place:
        """Send the blocks, which begin at `at` and end at `size`; how far the upload is then.

        Getting a block takes its time: it is to be done in another thread than the event loop's.
        """
        ...

    async def abort(self, upload_id: str) -> None:
        """End an upload, and remove its bytes."""
        ...

    def content(self, file_id: str, *, start: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from `start` on."""
        ...

    async def describe(self, file_id: str) -> FileInfo:
        """Everything known of a file."""
        ...

    async def delete(self, file_id: str) -> None:
        """Move a file to the trash."""
        ...

    async def restore(self, file_id: str) -> None:
        """Take a file out of the trash."""
        ...

    async def files(self, *, deleted: bool, page_size: int, page_token: str) -> Page[FileInfo]:
        """A page of the user's files, or of its trash."""
        ...

    async def uploads(self, *, page_size: int, page_token: str) -> Page[UploadInfo]:
        """A page of the user's open uploads."""
        ...

    async def audit(self, file_id: str, *, page_size: int, page_token: str) -> Page[AuditEntry]:
        """A page of a file's trail."""
        ...

    async def stats(self) -> DeletionStats:
        """The user's deletion analytics."""
        ...

    async def close(self) -> None:
        """Let the connections go."""
        ...
