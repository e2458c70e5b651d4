"""Where a blob ends while there are staged bytes behind its end: `KEY.end`, a symbolic link that says how many bytes.

Nothing has that name, the link is only read. It is made and removed in one step, and unlike a file it is never there
without its content. Bytes that are kept become the blob's when the link goes; after a crash it is still there, and so
the blob ends where it did before.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from uploadstream.core.errors import OffsetMismatch

SUFFIX: Final = ".end"


def marker(path: Path) -> Path:
    """The link beside the blob at `path`."""
    return path.with_name(path.name + SUFFIX)


def marked_end(path: Path) -> int | None:
    """Where the blob at `path` ends, if there may be staged bytes behind that."""
    try:
        return int(os.readlink(f"{path}{SUFFIX}"))  # noqa: PTH115 - asked for each time a blob is looked at
    except FileNotFoundError:
        return None


def mark(path: Path, end: int) -> None:
    """Say that the blob at `path` ends there, whatever is written behind; it may be said already."""
    with suppress(FileExistsError):
        marker(path).symlink_to(str(end))


def unmark(path: Path) -> None:
    """The blob at `path` ends where its file does."""
    marker(path).unlink(missing_ok=True)


def measured(path: Path) -> tuple[int, float]:
    """The size of the blob at `path`, and when its file was changed, in seconds. FileNotFoundError."""
    while True:
        end = marked_end(path)
        found = path.stat()
        # Between the two, bytes may have been staged, which are in the file's size, or dropped.
        if end == marked_end(path):
            return found.st_size if end is None else min(found.st_size, end), found.st_mtime


def settle(fd: int, path: Path, *, at: int, staged: bool) -> None:
    """Make the file end where the blob does, at `at`, and say so if what follows is staged. OffsetMismatch."""
    end, size = marked_end(path), os.fstat(fd).st_size
    expected = size if end is None else min(size, end)
    if expected != at:
        raise OffsetMismatch(expected=expected, given=at)
    if end is not None:  # of work that was cut short
        os.ftruncate(fd, at)
    if staged:
        mark(path, at)
    elif end is not None:
        unmark(path)
