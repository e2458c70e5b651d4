"""Staged bytes on a disk: where a blob ends, whatever happens to the process that writes behind its end."""

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.adapters import staging_process
from tests.contracts.blobs import a_key, content, store_bytes, write
from uploadstream.adapters.blobs_disk import DiskBlobs
from uploadstream.adapters.disk_ends import mark, marked_end, measured
from uploadstream.core.errors import StorageUnavailable
from uploadstream.ports import Fsync

KILLS = 5


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskBlobs]:
    store = DiskBlobs(tmp_path / "blobs", fsync=Fsync.NEVER)
    yield store
    store.close()


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, call: str) -> Iterator[None]:
    """Storage is unavailable, as the disk refuses this system call."""

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(StorageUnavailable):
            yield


def said(output: str) -> dict[str, int]:
    """What a process said last, by its first word; the last line may have been cut."""
    lines = [line.split() for line in output.splitlines(keepends=True) if line.endswith("\n")]
    return {word: int(end) for word, end in lines}


def killed(arguments: list[str], *, after_seconds: float) -> dict[str, int]:
    """What a process said that stages bytes, and was killed so long after it had kept some."""
    command = [sys.executable, str(staging_process.__file__), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while not lines[-1].startswith("keeping"):
            lines.append(process.stdout.readline())
        lines.append(process.stdout.readline())
        time.sleep(after_seconds)
        process.kill()
        return said("".join(lines) + process.stdout.read())


@pytest.mark.parametrize("fsync", [Fsync.NEVER, Fsync.CHUNK])
async def test_t23_a_killed_process_leaves_what_it_kept_and_nothing_that_it_staged(
    tmp_path: Path, fsync: Fsync
) -> None:
    root, key, dice = tmp_path / "blobs", a_key(), random.Random(23)
    store, end = DiskBlobs(root, fsync=fsync), 0

    for _ in range(KILLS):
        words = killed([str(root), key, fsync], after_seconds=dice.uniform(0, 0.05))
        assert words["begins"] == end

        stored = await content(store, key) or b""

        assert set(stored) <= set(b"k")
        assert len(stored) in {words.get("has", end), words.get("keeping", end)}
        assert len(stored) >= words.get("has", end)
        end = len(stored)

    assert end
    store.close()


async def test_a_mark_is_there_only_while_bytes_are_staged(disk: DiskBlobs) -> None:
    key = a_key()
    path = disk.path(key)
    for keep in (True, False):
        blob = await disk.stat(key)
        end = blob.size if blob else 0
        sink = await disk.append(key, at=end, staged=True)
        await write(sink, [b"abc"])

        assert marked_end(path) == end
        await sink.close(complete=False, keep=keep)

        assert marked_end(path) is None
    assert path.stat().st_size == 3


async def test_staged_bytes_whose_file_cannot_be_cut_stay_hidden(
    disk: DiskBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = a_key()
    await store_bytes(disk, key, b"abc")
    sink = await disk.append(key, at=3, staged=True)
    await write(sink, [b"def"])

    with failing(monkeypatch, "ftruncate"):
        await sink.close(complete=False, keep=False)

    assert await content(disk, key) == b"abc"
    with failing(monkeypatch, "ftruncate"):
        await disk.append(key, at=3)
    await store_bytes(disk, key, b"xyz", at=3)
    assert await content(disk, key) == b"abcxyz"


async def test_staged_bytes_that_cannot_be_synced_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, key = DiskBlobs(tmp_path / "blobs"), a_key()
    sink = await store.append(key, at=0, staged=True)
    await write(sink, [b"abc"])

    with failing(monkeypatch, "fsync"):
        await sink.close(complete=True)

    assert await content(store, key) == b""
    store.close()


async def test_a_mark_is_on_the_disk_before_any_byte_that_it_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, key, sizes = DiskBlobs(tmp_path / "blobs", fsync=Fsync.COMPLETE), a_key(), []
    fsync = os.fsync

    def noting(fd: int) -> None:
        sizes.append(store.path(key).stat().st_size)
        fsync(fd)

    sink = await store.append(key, at=0, staged=True)
    monkeypatch.setattr(os, "fsync", noting)
    await write(sink, [b"abc"])
    await write(sink, [b"def"])
    await sink.close(complete=False)

    assert sizes == [0]
    store.close()


async def test_a_mark_without_its_blob_is_a_leftover_when_it_is_old(disk: DiskBlobs) -> None:
    key, other = a_key(), a_key()
    mark(disk.path(key), 7)
    await store_bytes(disk, other, b"abc")
    mark(disk.path(other), 2)

    early = await disk.remove_leftovers(before=datetime.now(UTC) - timedelta(minutes=1))
    late = await disk.remove_leftovers(before=datetime.now(UTC) + timedelta(minutes=1))

    assert (early, late) == (0, 1)
    assert (marked_end(disk.path(key)), marked_end(disk.path(other))) == (None, 2)


async def test_a_blob_that_is_shorter_than_its_mark_ends_where_its_file_does(disk: DiskBlobs) -> None:
    key = a_key()
    await store_bytes(disk, key, b"abc")
    mark(disk.path(key), 7)

    assert await content(disk, key) == b"abc"


def test_bytes_that_are_staged_while_a_blob_is_measured_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"abc")
    stat = Path.stat

    def meanwhile(self: Path) -> os.stat_result:
        if marked_end(path) is None:
            mark(path, 3)
            path.write_bytes(b"abcdef")
        return stat(self)

    monkeypatch.setattr(Path, "stat", meanwhile)

    size, _ = measured(path)

    assert size == 3
