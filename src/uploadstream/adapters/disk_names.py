"""Which file of a store is what, by its name: a blob `4f/4f1c…`, the note or the marker beside it, or a leftover.

Invariant: a path is made of a key's hexadecimal digits only, and no file under another name is taken for a blob.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from uploadstream.adapters import disk_ends
from uploadstream.core.ids import PATTERN, is_id
from uploadstream.ports import Blob

CHECK: Final = "check"
# Not hidden, so that who copies a store by `cp blobs/*` copies it too.
_STORE_ID: Final = "store-id"
_NOTE_SUFFIX: Final = ".note"
COPY_SUFFIX: Final = ".copy"
_NOTE: Final = re.compile(rf"({PATTERN}){re.escape(_NOTE_SUFFIX)}", re.ASCII)
_MARKER: Final = re.compile(rf"({PATTERN}){re.escape(disk_ends.SUFFIX)}", re.ASCII)
# What `disk_files.temporary` makes of a name. A key's own: a copy of its blob that was not finished.
_LEFTOVER: Final = re.compile(
    rf"(({_NOTE.pattern}|{CHECK}|{_STORE_ID})\.\w+)|{PATTERN}{re.escape(COPY_SUFFIX)}\.\w+", re.ASCII
)


def shards(root: Path) -> list[Path]:
    """The directories of blobs."""
    return [root / f"{shard:02x}" for shard in range(256)]


def path_of(root: Path, key: str) -> Path:
    """The file of a key, which is never a user's text."""
    if not is_id(key):
        message = f"not a key: {key!r}"
        raise ValueError(message)
    return root / key[:2] / key


def note_of(path: Path) -> Path:
    """The file of the note beside the blob at `path`."""
    return path.with_name(path.name + _NOTE_SUFFIX)


def copy_of(path: Path) -> Path:
    """The name, before `disk_files.temporary`, of what is to take the place of the blob at `path`."""
    return path.with_name(path.name + COPY_SUFFIX)


def store_id_of(root: Path) -> Path:
    """The file that holds the store's id."""
    return root / _STORE_ID


def blob_of(key: str, size: int, changed: float) -> Blob:
    """A blob by what the system says of its file; `changed`: in seconds since 1970."""
    return Blob(key, size, datetime.fromtimestamp(changed, UTC))


def read_store_id(root: Path) -> str | None:
    """The store's id; None if it has none. OSError."""
    try:
        return store_id_of(root).read_text("ascii", errors="replace").strip()
    except FileNotFoundError:
        return None


def scan(directory: Path) -> list[Blob]:
    """The blobs in one of the directories."""
    found = []
    with os.scandir(directory) as listing:
        entries = {entry.name: entry for entry in listing}
    for name, entry in entries.items():
        if is_id(name):
            with suppress(FileNotFoundError):
                if name + disk_ends.SUFFIX in entries:
                    found.append(blob_of(name, *disk_ends.measured(directory / name)))
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    found.append(blob_of(name, status.st_size, status.st_mtime))
    return found


def scan_notes(directory: Path) -> list[str]:
    """The keys of the notes in it."""
    with os.scandir(directory) as entries:
        return [match[1] for entry in entries if (match := _NOTE.fullmatch(entry.name))]


def remove_leftovers(directory: Path, before: float) -> int:
    """Remove what work that was cut short before that time left in it; how many files."""
    count = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            # A blob is there before its marker, and goes first.
            marked = _MARKER.fullmatch(entry.name)
            if _LEFTOVER.fullmatch(entry.name) or (marked and not (directory / marked[1]).exists()):
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        Path(entry).unlink()
                        count += 1
    return count


def look(root: Path) -> tuple[str | None, bool]:
    """The id of the store at `root`, and whether it has blobs; nothing is made or changed. OSError."""
    folders = (folder for folder in root.iterdir() if folder.is_dir())
    return read_store_id(root), any(is_id(path.name) for folder in folders for path in folder.iterdir())
