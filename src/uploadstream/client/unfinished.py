"""Which uploads are under way from this machine, so that one that died is found again.

One small JSON file for each combination of server, user, path, size and time of change, and of what the file is to be
called: a file that changed is another upload. An entry only says where to ask; whether the upload still is there, and
how far it is, the server says.

Invariant: an entry is read and written by the holder of its lock only, and replaced whole. A second upload of the same
file at the same time gets no entry: it is an upload of its own, which is not found again after its death.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from platformdirs import user_state_path

KEPT_SECONDS: Final = 30 * 24 * 3600

_LOCK: Final = ".lock"
_ENTRY: Final = ".json"


class Entry:
    """The memory of one upload, held by one process."""

    def __init__(self, path: Path, about: Mapping[str, str | int]) -> None:
        self._path = path
        self._about = about

    @property
    def upload_id(self) -> str | None:
        """The upload to continue, if there is one."""
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
            upload_id = known["upload_id"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return upload_id if isinstance(upload_id, str) else None

    def remember(self, upload_id: str) -> None:
        """Write down the upload. A directory that cannot be written costs the memory, not the upload."""
        fresh = self._path.with_suffix(".new")
        with suppress(OSError):
            fresh.write_text(json.dumps({**self._about, "upload_id": upload_id}, indent=2) + "\n", encoding="utf-8")
            fresh.replace(self._path)

    def forget(self) -> None:
        """The upload is over."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class Unfinished:
    """The entries of a directory; by default in the user's state directory."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = user_state_path("uploadstream") / "uploads" if directory is None else directory

    @contextmanager
    def entry(self, about: Mapping[str, str | int]) -> Generator[Entry | None]:
        """The entry for an upload that `about` describes; None while another holds it, or if none can be kept."""
        name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
        lock = self._locked(name)
        if lock is None:
            yield None
            return
        with lock:
            path = self._directory / f"{name}{_ENTRY}"
            with suppress(OSError):
                path.touch() if path.exists() else None
            self._drop_old(now=os.fstat(lock.fileno()).st_mtime)
            try:
                yield Entry(path, about)
            finally:
                self._remove_lock(name)

    def _locked(self, name: str) -> IO[bytes] | None:
        """The lock file, locked, and touched just now by the clock of its file system."""
        path = self._directory / f"{name}{_LOCK}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = path.open("wb")
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.utime(lock.fileno())
            is_current = os.fstat(lock.fileno()).st_ino == path.stat().st_ino
        except OSError:  # held by another, or removed by the last holder between open and lock
            is_current = False
        if is_current:
            return lock
        lock.close()
        return None

    def _remove_lock(self, name: str) -> None:
        with suppress(OSError):
            (self._directory / f"{name}{_LOCK}").unlink()

    def _drop_old(self, *, now: float) -> None:
        """Remove what nobody has come back to for weeks: the server has forgotten those uploads long since."""
        for path in self._directory.iterdir():
            with suppress(OSError):
                if path.stat().st_mtime < now - KEPT_SECONDS:
                    path.unlink()
