"""A server in memory that cuts, damages and forgets as it is told; a Transport in the place of a wire."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from uploadstream.client.errors import GONE, TYPE_MISMATCH, UploadError, unreachable
from uploadstream.client.transport import Block, Named, Page, Place
from uploadstream.client.values import AuditEntry, DeletionStats, FileInfo, UploadInfo
from uploadstream.core.digests import crc32c, spelled

UPLOADED_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
PIECE_SIZE = 1000
FILM = b"".join(number.to_bytes(4, "big") for number in range(75_000))


def cut() -> UploadError:
    return unreachable("grpc://127.0.0.1:1", detail="cut", is_local=True)


def missing(upload_id: str) -> UploadError:
    return UploadError(GONE, f"No upload {upload_id}: it was expired")


@dataclass
class FaultyServer:
    """Takes and gives bytes. `cuts`: how many bytes of each coming request get through before it is cut."""

    cuts: list[int] = field(default_factory=list)
    detected_type: str = ""
    damages: bool = False
    loses_last_answer: bool = False
    named: dict[str, Named] = field(default_factory=dict)
    bytes_of: dict[str, bytearray] = field(default_factory=dict)
    trash: set[str] = field(default_factory=set)
    received: int = 0
    given: int = 0

    async def create(self, named: Named) -> Place:
        upload_id = f"upload-{len(self.named) + 1}"
        self.named[upload_id] = named
        self.bytes_of[upload_id] = bytearray()
        return self._place_of(upload_id)

    async def place(self, upload_id: str) -> Place:
        if upload_id not in self.named:
            raise missing(upload_id)
        return self._place_of(upload_id)

    async def append(self, upload_id: str, blocks: Iterator[Block], *, at: int, size: int) -> Place:
        assert at == len(self.bytes_of[upload_id])
        assert size == self.named[upload_id].size
        declared = self.named[upload_id].content_type
        if self.detected_type and declared not in {"", self.detected_type}:
            raise UploadError(TYPE_MISMATCH, f"Declared {declared}, content is {self.detected_type}")
        room = self.cuts.pop(0) if self.cuts else size
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            assert block.at == len(self.bytes_of[upload_id])
            taken = block.data[:room]
            room -= len(taken)
            self.bytes_of[upload_id] += taken
            self.received += len(taken)
            if len(taken) < len(block.data):
                raise cut()
        if self.loses_last_answer:
            self.loses_last_answer = False
            raise cut()
        return self._place_of(upload_id)

    async def abort(self, upload_id: str) -> None:
        del self.named[upload_id]

    async def content(self, file_id: str, *, start: int) -> AsyncGenerator[bytes]:
        room = self.cuts.pop(0) if self.cuts else self.named[file_id].size
        data = bytes(self.bytes_of[file_id])
        if not room and data:
            raise cut()
        for at in range(start, len(data), PIECE_SIZE):
            piece = data[at : at + PIECE_SIZE][:room]
            room -= len(piece)
            self.given += len(piece)
            yield piece
            if not room:
                raise cut()

    async def describe(self, file_id: str) -> FileInfo:
        named = self.named[file_id]
        crc = crc32c(self.bytes_of[file_id]) ^ self.damages
        return FileInfo(file_id, named.filename, named.size, named.content_type, UPLOADED_AT, crc32c=spelled(crc))

    async def delete(self, file_id: str) -> None:
        self.trash.add(file_id)

    async def restore(self, file_id: str) -> None:
        self.trash.remove(file_id)

    async def files(self, *, deleted: bool, page_size: int, page_token: str) -> Page[FileInfo]:
        wanted = [file_id for file_id in self.named if (file_id in self.trash) == deleted]
        first = int(page_token or 0)
        rows = [await self.describe(file_id) for file_id in wanted[first : first + 2]]
        return Page(rows, str(first + 2) if first + 2 < len(wanted) else "")

    async def uploads(self, *, page_size: int, page_token: str) -> Page[UploadInfo]:
        return Page([])

    async def audit(self, file_id: str, *, page_size: int, page_token: str) -> Page[AuditEntry]:
        return Page([])

    async def stats(self) -> DeletionStats:
        return DeletionStats(0, 0, 0.0, {}, {}, 0.0, 0.0)

    async def close(self) -> None: ...

    def store(self, data: bytes, *, filename: str = "film.mp4") -> str:
        """Have a file there; its id."""
        file_id = f"file-{len(self.named) + 1}"
        self.named[file_id] = Named(filename, "video/mp4", len(data))
        self.bytes_of[file_id] = bytearray(data)
        return file_id

    def forget(self, upload_id: str) -> None:
        """Let an upload expire."""
        del self.named[upload_id]

    def _place_of(self, upload_id: str) -> Place:
        offset = len(self.bytes_of[upload_id])
        return Place(upload_id, offset, is_complete=offset == self.named[upload_id].size)


def names_in(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())
