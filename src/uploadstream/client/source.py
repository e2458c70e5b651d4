"""A local file on its way up: read in blocks from any place, with the checksum of everything before.

Reading blocks its thread, so it is done in others than the event loop's.
Invariant: the file at the end is the one it was at the start; if its size or time of change moved meanwhile, the last
block is never given out.
"""

from __future__ import annotations

import bisect
import mimetypes
import os
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from uploadstream.client.errors import FILE_CHANGED, FILE_UNREADABLE, UploadError
from uploadstream.client.transport import Block
from uploadstream.core.digests import crc32c
from uploadstream.core.sizes import KIB

BLOCK_SIZE_MIN: Final = 64 * KIB
BLOCK_SIZE_MAX: Final = 512 * KIB
OCTETS: Final = "application/octet-stream"

# What is compressed is not what its name says inside: film.tar.gz is gzip, not tar.
_COMPRESSED: Final = {
    "br": OCTETS,
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}
_QUICK_SECONDS: Final = 0.1
_SLOW_SECONDS: Final = 1.0


def type_of_name(filename: str) -> str:
    """The content type that a file's name stands for; application/octet-stream if it stands for none."""
    guessed, compression = mimetypes.guess_type(filename)
    if compression is not None:
        return _COMPRESSED.get(compression, OCTETS)
    return guessed or OCTETS


class Source:
    """What is read from. `size` is that of the part to send: all of a file, or the rest of an open one."""

    def __init__(self, file: BinaryIO, *, name: str, path: Path | None = None) -> None:
        """`path`: where the file is, if it is one that another run can find again."""
        self.name = name
        self.path = path
        self._file = file
        self._reading = threading.Lock()
        self._remembering = threading.Lock()
        try:
            self._base = file.tell()
            self.size = file.seek(0, os.SEEK_END) - self._base
        except OSError as error:
            message = f"{name} cannot be read from any place, as a pipe cannot; store it in a file first"
            raise UploadError(FILE_UNREADABLE, message) from error
        self._stamp = self._stamp_now()
        # the checksum of everything before an offset, for each offset that a block ended at
        self._offsets = [0]
        self._sums = [0]

    @property
    def changed_at_ns(self) -> int:
        """When the file was last changed."""
        return self._stamp[1]

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def crc32c_before(self, offset: int) -> int:
        """The checksum of everything before `offset`, reading what has not been read yet."""
        with self._remembering:
            index = bisect.bisect_right(self._offsets, offset) - 1
            at, crc = self._offsets[index], self._sums[index]
        while at < offset:
            data = self._read(at, min(BLOCK_SIZE_MAX, offset - at))
            at, crc = at + len(data), crc32c(data, crc)
        self._remember(at, crc)
        return crc

    def blocks(self, start: int) -> Generator[Block]:
        """Everything from `start` on. Blocks grow while they are taken quickly, and shrink when they are not.

        A block is what a cut can cost, and what must get through before the other side loses patience.
        """
        at, crc = start, self.crc32c_before(start)
        block_size = BLOCK_SIZE_MIN
        while at < self.size:
            data = self._read(at, min(block_size, self.size - at))
            if at + len(data) == self.size:
                self._check_unchanged()
            began = time.monotonic()
            yield Block(at, data)
            seconds = time.monotonic() - began
            if seconds < _QUICK_SECONDS:
                block_size = min(BLOCK_SIZE_MAX, block_size * 2)
            elif seconds > _SLOW_SECONDS:
                block_size = max(BLOCK_SIZE_MIN, block_size // 2)
            at, crc = at + len(data), crc32c(data, crc)
            self._remember(at, crc)

    def _remember(self, offset: int, crc: int) -> None:
        with self._remembering:
            if offset > self._offsets[-1]:
                self._offsets.append(offset)
                self._sums.append(crc)

    def _read(self, at: int, count: int) -> bytes:
        # A thread whose try was given up may still be reading: place and read are one step.
        try:
            with self._reading:
                self._file.seek(self._base + at)
                data = self._file.read(count)
        except OSError as error:
            message = f"{self.name} cannot be read: {error.strerror or error}"
            raise UploadError(FILE_UNREADABLE, message) from error
        if not data:
            raise self._changed()
        return data

    def _check_unchanged(self) -> None:
        if self._stamp_now() != self._stamp:
            raise self._changed()

    def _changed(self) -> UploadError:
        return UploadError(FILE_CHANGED, f"{self.name} was changed while it was sent; send it again")

    def _stamp_now(self) -> tuple[int, int]:
        with suppress(OSError):  # an object in memory has no file behind it
            stat = os.fstat(self._file.fileno())
            return stat.st_size, stat.st_mtime_ns
        return self.size, 0


def open_source(what: Path | BinaryIO, *, filename: str | None) -> Source:
    """The source for a path, or for an open file from where it stands; `filename` if it is to be known as another."""
    if not isinstance(what, Path):
        return Source(what, name=filename or Path(str(getattr(what, "name", "upload"))).name)
    try:
        (filename or what.name).encode()
    except UnicodeEncodeError:
        shown = ascii(what.name)
        raise UploadError(FILE_UNREADABLE, f"{shown} has a name that is not UTF-8; give another with --name") from None
    try:
        file = what.open("rb", buffering=0)
    except OSError as error:
        raise UploadError(FILE_UNREADABLE, f"{what} cannot be read: {error.strerror or error}") from error
    try:
        return Source(file, name=filename or what.name, path=what.absolute())
    except BaseException:
        file.close()
        raise
