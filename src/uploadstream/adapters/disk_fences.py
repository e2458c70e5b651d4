"""Blobs that are fenced: another file with the same bytes takes the name, and who has the old one open writes there.

A file is known by its number (inode), which a note says that is about it. Whatever is done by name, for who may have
been kept out meanwhile, is done only while the name is still that of the file that was opened. Between that look and
the deed there are microseconds: who stands still in just these, for longer than a lease lives, could remove a mark.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from uploadstream.adapters import disk_ends, disk_names
from uploadstream.adapters.disk_files import opened, replace, sync, temporary
from uploadstream.adapters.disk_io import Room, copy_range
from uploadstream.core.parts import Span

_OF: Final = struct.Struct(">Q")


def is_current(fd: int, path: Path) -> bool:
    """Whether the open file is the one that has the name; also if none has it."""
    try:
        return os.fstat(fd).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return True


def fence(path: Path, room: Room, *, durable: bool, check: Callable[[], None]) -> None:
    """Give the name of a blob to a copy of it: shared bytes where the filesystem can. OSError, StorageFull."""
    kept = note(path)  # before the end: it is about no bytes behind that
    copy = temporary(disk_names.copy_of(path))
    try:
        number = _copy(path, copy, room, durable=durable) if path.exists() else None
        check()
        if number is None:
            return
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)
    disk_ends.unmark(path)
    if durable:
        sync(path.parent)
    if kept is not None:
        set_note(path, kept, number)


def _copy(path: Path, copy: Path, room: Room, *, durable: bool) -> int:
    """The number of a new file with the bytes of the blob, and its time."""
    with opened(path) as source, opened(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as target:
        size, changed = disk_ends.measured(path)
        room.take(size)
        copy_range(source, target, Span(path.name, 0, size), at=0)
        os.utime(target, (changed, changed))
        if durable:
            os.fsync(target)
        return os.fstat(target).st_ino


def set_note(path: Path, note: bytes, of: int | None) -> None:
    """Keep a note of the file with this number; None: of the one that has the name."""
    if of is None:
        of = _number(path)
    replace(disk_names.note_of(path), _OF.pack(of) + note)


def note(path: Path) -> bytes | None:
    """The note, if it is about the file that has the name now."""
    try:
        kept = disk_names.note_of(path).read_bytes()
    except FileNotFoundError:
        return None
    if len(kept) < _OF.size or _OF.unpack_from(kept)[0] != _number(path):
        return None
    return kept[_OF.size :]


def _number(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
