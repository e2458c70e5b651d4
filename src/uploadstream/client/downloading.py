"""One download, from the description to the file under its name, over any transport.

Bytes arrive in `ID.part` beside the file that is wanted, and that is where another try, or another run, goes on from.
Invariant: a file under the wanted name is whole, and its digest has been compared.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from uploadstream.client.errors import CHECKSUM_MISMATCH, FILE_EXISTS, FILE_UNWRITABLE, INCOMPLETE, UploadError
from uploadstream.client.retrying import Patience
from uploadstream.client.transport import Transport
from uploadstream.client.values import FileInfo, Progress, Step
from uploadstream.core.digests import crc32c, spelled
from uploadstream.core.sizes import MIB

Report = Callable[[Progress], None]

_READ_SIZE: Final = MIB


class Receiving:
    """The state of one download between its tries."""

    def __init__(self, transport: Transport, info: FileInfo, patience: Patience, report: Report) -> None:
        self._transport = transport
        self._info = info
        self._patience = patience
        self._report = report
        self._offset = 0
        self._crc = 0

    async def run(self, target: Path) -> Path:
        """Fetch what is missing, compare, and give the file its name."""
        place = replaceable(target)
        part = place.with_name(f"{plain_name(self._info.file_id, otherwise='download')}.part")
        with opened(part) as file:
            await asyncio.to_thread(self._read_what_is_there, file)
            if not await self._is_fetched_whole(file):
                # The part of an earlier run may have been damaged: once more, from the first byte.
                self._offset = self._crc = 0
                if not await self._is_fetched_whole(file):
                    part.unlink()
                    raise self._damaged()
            await asyncio.to_thread(os.fsync, file.fileno())
            part.replace(place)
        self._report(Progress(Step.FINISHED, self._info.size, self._info.size))
        return target

    def _read_what_is_there(self, file: FileIO) -> None:
        file.seek(0)
        while data := file.read(_READ_SIZE):
            self._offset, self._crc = self._offset + len(data), crc32c(data, self._crc)
        if self._offset > self._info.size:
            self._offset = self._crc = 0

    async def _is_fetched_whole(self, file: FileIO) -> bool:
        await self._patience.until_done(lambda: self._try_once(file), self._waiting)
        if self._info.crc32c is not None:
            return spelled(self._crc) == self._info.crc32c
        if self._info.sha256 is not None:
            return await asyncio.to_thread(_sha256_of, file) == self._info.sha256
        return True

    async def _try_once(self, file: FileIO) -> None:
        file.truncate(self._offset)
        file.seek(self._offset)
        if self._offset == self._info.size:
            return
        async with aclosing(self._transport.content(self._info.file_id, start=self._offset)) as pieces:
            is_begun = False
            async for piece in pieces:
                if not is_begun:  # only now is it sure that the server gives any
                    step = Step.RESUMED if self._offset else Step.STARTED
                    self._report(Progress(step, self._offset, self._info.size))
                    is_begun = True
                self._write(file, piece)
        if self._offset < self._info.size:
            message = "The server ended the answer before all bytes were there; run the same command again"
            raise UploadError(INCOMPLETE, message, is_passing=True)

    def _write(self, file: FileIO, piece: bytes) -> None:
        piece = piece[: self._info.size - self._offset]
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            message = f"{file.name} cannot be written: {error.strerror or error}; make room and run the command again"
            raise UploadError(FILE_UNWRITABLE, message) from error
        self._offset, self._crc = self._offset + len(piece), crc32c(piece, self._crc)
        self._patience.progressed()
        self._report(Progress(Step.ADVANCED, self._offset, self._info.size))

    def _waiting(self, error: UploadError, wait_seconds: float) -> None:
        self._report(Progress(Step.WAITING, self._offset, self._info.size, error, wait_seconds))

    def _damaged(self) -> UploadError:
        message = f"{self._info.filename} arrived damaged twice; ask the server's operator to run uploadstream fsck"
        return UploadError(CHECKSUM_MISMATCH, message, {"file_id": self._info.file_id})


def target_of(to: Path | None, info: FileInfo) -> Path:
    """Where the file is to be in the end. A name that was asked for is replaced; one the server gave never is."""
    if to is not None and not to.is_dir():
        return to
    target = (to or Path()) / plain_name(info.filename, otherwise=info.file_id)
    if target.exists():
        raise UploadError(FILE_EXISTS, f"{target} exists already; name another place with -o", {"path": str(target)})
    return target


def plain_name(name: str, *, otherwise: str) -> str:
    """`name` if it is one, with no way into another folder."""
    is_plain = name not in {"", ".", ".."} and not any(character in name for character in "/\\\0")
    return name if is_plain else Path(otherwise).name or "download"


@contextmanager
def opened(part: Path) -> Generator[FileIO]:
    """The part, for this process alone."""
    try:
        file = FileIO(part, "r+", opener=lambda path, flags: os.open(path, flags | os.O_CREAT, 0o666))
    except OSError as error:
        raise UploadError(FILE_UNWRITABLE, f"{part} cannot be written: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"{part} is being written by another download; wait for it, or stop it"
            raise UploadError(FILE_UNWRITABLE, message) from error
        yield file


def _sha256_of(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def replaceable(target: Path) -> Path:
    """What is replaced when a file is to be at `target`: of a link what it leads to; no device, pipe or folder."""
    target = target.resolve() if target.is_symlink() else target
    if target.exists() and not target.is_file():
        raise UploadError(FILE_UNWRITABLE, f"{target} is not a file; name one that can be replaced")
    return target
