"""Directories, and small files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A file or directory, open for what needs only a descriptor."""
    fd = os.open(path, flags | os.O_CLOEXEC, 0o640)
    try:
        yield fd
    finally:
        os.close(fd)


def sync(path: Path) -> None:
    """A file's content, or a directory's names, on the disk."""
    with opened(path) as fd:
        os.fsync(fd)


def make_directories(paths: Iterable[Path], *, durable: bool) -> None:
    """Make directories, and those above them, that are missing; durable: their names are on the disk."""
    changed: set[Path] = set()
    for path in paths:
        changed |= {each.parent for each in (path, *path.parents) if not each.exists()}
        path.mkdir(parents=True, exist_ok=True)
    if durable:
        for each in sorted(changed):
            sync(each)


def unlink(*paths: Path) -> None:
    """Remove files that may be there."""
    for path in paths:
        path.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all; how durable it is does not matter."""
    new = temporary(path)
    try:
        new.write_bytes(content)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def place_first(path: Path, content: bytes) -> bytes:
    """Write a small file, durably, unless it is there; what is in it now, whoever wrote it."""
    new = temporary(path)
    try:
        new.write_bytes(content)
        sync(new)
        try:
            path.hardlink_to(new)
        except FileExistsError:
            return path.read_bytes()
        sync(path.parent)
    finally:
        new.unlink(missing_ok=True)
    return content


def temporary(path: Path) -> Path:
    """A name beside a file that nobody else uses, in this process or in another."""
    return path.with_name(f"{path.name}.{secrets.token_hex(8)}")
