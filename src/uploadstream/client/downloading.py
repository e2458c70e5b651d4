"""One download, from the description to the file under its name, over any transport.

Bytes arrive in `ID.part` beside the file that is wanted, and that is where another try, or another run, goes on from.
Invariant: a file under the wanted name is whole, and its digest has been compared.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

from uploadstream.client.errors import CHECKSUM_MISMATCH, FILE_EXISTS, FILE_UNWRITABLE, INCOMPLETE, UploadError
from uploadstream.client.retrying import Patience
from uploadstream.client.transport import Transport
from uploadstream.client.values import FileInfo, Progress, Step
from uploadstream.core.digests import crc32c, spelled
from uploadstream.core.sizes import MIB

Report = Callable[[Progress], None]
Take = Callable[[bytes], Awaitable[None]]

_READ_SIZE: Final = MIB


class Fetching:
    """How far one download is, and its tries; `take` is where the bytes go, one piece after the other."""

    def __init__(self, transport: Transport, info: FileInfo, patience: Patience, report: Report) -> None:
        self.info = info
        self.offset = 0
        self.crc = 0
        self._transport = transport
        self._patience = patience
        self._report = report

    async def fetch(self, take: Take, rewind: Callable[[int], None] = lambda _: None) -> None:
        """Get what is missing; `rewind` is told of the offset before each try."""

        async def once() -> None:
            rewind(self.offset)
            await self._try_once(take)

        await self._patience.until_done(once, self._waiting)

    async def _try_once(self, take: Take) -> None:
        if self.offset == self.info.size:
            return
        is_begun = False
        async with aclosing(self._transport.content(self.info.file_id, start=self.offset)) as pieces:
            async for piece in pieces:
                if not is_begun:  # only now is it sure that the server gives any
                    self._tell(Step.RESUMED if self.offset else Step.STARTED)
                    is_begun = True
                wanted = piece[: self.info.size - self.offset]
                await take(wanted)
                self.offset, self.crc = self.offset + len(wanted), crc32c(wanted, self.crc)
                self._patience.progressed()
                self._tell(Step.ADVANCED)
        if self.offset < self.info.size:
            message = "The server ended the answer before all bytes were there; run the same command again"
            raise UploadError(INCOMPLETE, message, is_passing=True)

    def finish(self) -> None:
        """All is there, and compared."""
        self._tell(Step.FINISHED)

    def damaged(self, times: str) -> UploadError:
        """What arrived is not what the server says that it has."""
        message = f"{self.info.filename} arrived damaged{times}; ask the server's operator to run uploadstream fsck"
        return UploadError(CHECKSUM_MISMATCH, message, {"file_id": self.info.file_id})

    def _tell(self, step: Step) -> None:
        self._report(Progress(step, self.offset, self.info.size))

    def _waiting(self, error: UploadError, wait_seconds: float) -> None:
        self._report(Progress(Step.WAITING, self.offset, self.info.size, error, wait_seconds))


async def receive_as(target: Path, fetching: Fetching) -> None:
    """Fetch what is missing of a file, compare, and give the file its name."""
    info = fetching.info
    with writable(target):
        place = replaceable(target)
    part = place.with_name(f"{plain_name(info.file_id, otherwise='download')}.part")
    with opened(part) as file:
        with writable(part):
            await asyncio.to_thread(_read_what_is_there, file, fetching)
        if not await _is_fetched_whole(file, part, fetching):
            # The part of an earlier run may have been damaged: once more, from the first byte.
            fetching.offset = fetching.crc = 0
            if not await _is_fetched_whole(file, part, fetching):
                part.unlink()
                raise fetching.damaged(" twice")
        with writable(place):
            await asyncio.to_thread(os.fsync, file.fileno())
            part.replace(place)
    fetching.finish()


async def receive_into(file: BinaryIO, fetching: Fetching) -> None:
    """Fetch all of a file into an open one, and compare."""
    sha256 = hashlib.sha256()

    def write(piece: bytes) -> None:
        _write_all(file, piece)
        if fetching.info.crc32c is None:
            sha256.update(piece)

    await fetching.fetch(lambda piece: asyncio.to_thread(write, piece))
    file.flush()
    if not _is_right(fetching, sha256.hexdigest):
        raise fetching.damaged("")
    fetching.finish()


def _write_all(file: BinaryIO | FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:  # a raw file may take less than all
        rest = rest[file.write(rest) :]


def _read_what_is_there(file: FileIO, fetching: Fetching) -> None:
    file.seek(0)
    while data := file.read(_READ_SIZE):
        fetching.offset, fetching.crc = fetching.offset + len(data), crc32c(data, fetching.crc)
    if fetching.offset > fetching.info.size:
        fetching.offset = fetching.crc = 0


async def _is_fetched_whole(file: FileIO, part: Path, fetching: Fetching) -> bool:
    async def write(piece: bytes) -> None:
        with writable(part):
            _write_all(file, piece)

    def rewind(offset: int) -> None:
        with writable(part):
            file.truncate(offset)
            file.seek(offset)

    await fetching.fetch(write, rewind)
    return await asyncio.to_thread(_is_right, fetching, lambda: _sha256_of(file))


def _is_right(fetching: Fetching, sha256: Callable[[], str]) -> bool:
    """Compare with the server's digest, which is the crc32c if it has both."""
    if fetching.info.crc32c is not None:
        return spelled(fetching.crc) == fetching.info.crc32c
    return fetching.info.sha256 in {None, sha256()}


def target_of(to: str | Path | None, info: FileInfo) -> Path:
    """Where the file is to be in the end. A name that was asked for is replaced; one the server gave never is."""
    path = Path(to) if to is not None else Path()
    with writable(path):
        is_folder = path.is_dir()
        if not is_folder and str(to).endswith(os.sep):
            raise UploadError(FILE_UNWRITABLE, f"{to} is no folder; make it first", {"path": str(to)})
        if not is_folder:
            _check_folder(path.parent)
            return path
        target = path / plain_name(info.filename, otherwise=info.file_id)
        if target.exists() or target.is_symlink():
            message = f"{target} exists already; name another place with -o"
            raise UploadError(FILE_EXISTS, message, {"path": str(target)})
    return target


def _check_folder(folder: Path) -> None:
    try:
        status = folder.stat()
    except FileNotFoundError as error:
        message = f"The folder {folder} does not exist; make it first"
        raise UploadError(FILE_UNWRITABLE, message, {"path": str(folder)}) from error
    if not stat.S_ISDIR(status.st_mode):
        message = f"{folder} is no folder; name another place with -o"
        raise UploadError(FILE_UNWRITABLE, message, {"path": str(folder)})


@contextmanager
def writable(path: Path) -> Generator[None]:
    """Whatever the system says against writing there, as an UploadError."""
    try:
        yield
    except OSError as error:
        advice = "; make room and run the command again" if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        message = f"{path} cannot be written: {error.strerror or error}{advice}"
        raise UploadError(FILE_UNWRITABLE, message, {"path": str(path)}) from error


def plain_name(name: str, *, otherwise: str) -> str:
    """`name` if it is one, with no way into another folder."""
    is_plain = name not in {"", ".", ".."} and not any(character in name for character in "/\\\0")
    return name if is_plain else Path(otherwise).name or "download"


@contextmanager
def opened(part: Path) -> Generator[FileIO]:
    """The part, for this process alone."""
    with writable(part):
        file = FileIO(part, "r+", opener=lambda path, flags: os.open(path, flags | os.O_CREAT, 0o666))
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"{part} is being written by another download; wait for it, or stop it"
            raise UploadError(FILE_UNWRITABLE, message) from error
        try:
            yield file
        finally:
            if not os.fstat(file.fileno()).st_size:  # nothing came, so there is nothing to go on with
                part.unlink(missing_ok=True)


def _sha256_of(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def replaceable(target: Path) -> Path:
    """What is replaced when a file is to be at `target`: of a link what it leads to; no device, pipe or folder."""
    # os.path's, because Path.resolve has an error of its own for links in a circle.
    target = Path(os.path.realpath(target)) if target.is_symlink() else target
    if target.exists() and not target.is_file():
        raise UploadError(FILE_UNWRITABLE, f"{target} is not a file; name one that can be replaced")
    return target
