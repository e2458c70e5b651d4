"""Which files are meant: those named, and those in the folders named.

Invariant: whatever was named, or is in a folder that was, is sent, or it is said why it is not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from uploadstream.client.errors import FILE_UNREADABLE, UploadError


@dataclass
class Picked:
    """Files and their sizes in the order they were met, and what was met besides.

    `refused`: what should be sent and cannot be. `links`: links to folders, inside folders; what they lead to may be
    there a second time, or be the folder that they are in, so they are not followed. `folders`: those named where none
    is to be looked through.
    """

    sizes: dict[Path, int] = field(default_factory=dict)
    refused: dict[Path, UploadError] = field(default_factory=dict)
    links: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)


def pick(paths: Sequence[Path], *, is_recursive: bool) -> Picked:
    """Look at everything that was named, and into the folders if that is wanted."""
    picked = Picked()
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where it may not look
            _take(path, picked)
        elif not is_recursive:
            picked.folders.append(path)
        else:
            for found in _inside(path, picked):
                _take(found, picked)
    return picked


def _take(path: Path, picked: Picked) -> None:
    try:
        status = path.stat()
    except OSError as error:
        picked.refused[path] = _unreadable(path, error)
        return
    if stat.S_ISREG(status.st_mode):
        picked.sizes[path] = status.st_size
    else:
        message = f"{path} is neither a file nor a folder; store it in a file first"
        picked.refused[path] = UploadError(FILE_UNREADABLE, message)


def _inside(top: Path, picked: Picked) -> Iterator[Path]:
    """What is in a folder and below, in the order of its names."""

    def refuse(error: OSError) -> None:
        picked.refused[Path(error.filename)] = _unreadable(Path(error.filename), error)

    for folder, folders, names in os.walk(top, onerror=refuse):
        folders.sort()
        picked.links += [link for name in folders if (link := Path(folder, name)).is_symlink()]
        yield from (Path(folder, name) for name in sorted(names))


def _unreadable(path: Path, error: OSError) -> UploadError:
    if not isinstance(error, FileNotFoundError):
        return UploadError(FILE_UNREADABLE, f"{path} cannot be read: {error.strerror or error}")
    if path.is_symlink():
        return UploadError(FILE_UNREADABLE, f"{path} is a link to {path.readlink()}, which does not exist")
    return UploadError(FILE_UNREADABLE, f"{path} does not exist; check the name")
