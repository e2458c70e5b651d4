"""A disk that is full after a little: a small tmpfs where mounting is allowed, a limit on file sizes elsewhere."""

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SmallDisk:
    """`root` has room for `room` bytes in one file, and for more after `make_room`."""

    root: Path
    room: int
    make_room: Callable[[], None]


@contextmanager
def small_disk(root: Path, *, room: int) -> Iterator[SmallDisk]:
    """A small disk at `root`, which is made."""
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4 * room}", "tmpfs", root], check=False, capture_output=True
    )
    if mounted.returncode:
        yield from _limited(root, room)
    else:
        try:
            yield from _filled(root, room)
        finally:
            subprocess.run(["umount", "--lazy", root], check=True)


def _filled(root: Path, room: int) -> Iterator[SmallDisk]:
    ballast = root / "ballast"
    ballast.write_bytes(bytes(3 * room))
    yield SmallDisk(root, room, ballast.unlink)


def _limited(root: Path, room: int) -> Iterator[SmallDisk]:
    """EFBIG instead of ENOSPC: of one file the system takes `room` bytes, of any program of any user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield SmallDisk(root, room, make_room)
    finally:
        make_room()
