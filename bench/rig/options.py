"""What the programs are told, and the folder and the file they work with."""

import argparse
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 the point is that it is tmpfs; a fresh folder is made in it
BLOCK_SIZE = 1 << 20


def size(text: str) -> int:
    """Bytes, from text such as 256MiB."""
    match = re.fullmatch(r"(\d+) ?([A-Za-z]*)", text)
    if not match or match[2].upper() not in UNITS:
        raise argparse.ArgumentTypeError(f"not a size: {text}")
    return int(match[1]) * UNITS[match[2].upper()]


def names(text: str) -> list[str]:
    """What stands between commas."""
    return [name for name in text.split(",") if name]


def numbers(text: str) -> list[int]:
    """The numbers between commas."""
    return [int(number) for number in text.split(",")]


@contextmanager
def work_folder(chosen: Path | None, room: int) -> Iterator[Path]:
    """A fresh folder, on tmpfs if nothing else was chosen and memory suffices."""
    parent = chosen
    if parent is None and SHARED_MEMORY.is_dir():
        free = min(shutil.disk_usage(SHARED_MEMORY).free, available_memory())
        parent = SHARED_MEMORY if free > room else None
    with tempfile.TemporaryDirectory(prefix="uploadstream-bench-", dir=parent) as folder:
        free = shutil.disk_usage(folder).free
        if free < room:
            sys.exit(f"{folder} has room for {free} bytes, {room} are needed: choose another --dir or a smaller --size")
        yield Path(folder)


def available_memory() -> int:
    """MemAvailable of /proc/meminfo."""
    match = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    return int(match[1]) * 1024 if match else 0


def random_file(path: Path, count: int) -> Path:
    """A file of bytes that do not compress and are the same in every run."""
    source = random.Random(1)
    with path.open("wb") as file:
        for at in range(0, count, BLOCK_SIZE):
            file.write(source.randbytes(min(BLOCK_SIZE, count - at)))
    return path
