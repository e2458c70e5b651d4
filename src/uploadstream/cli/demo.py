"""The story of an upload that is killed and resumed, with real processes and real bytes."""

from __future__ import annotations

import asyncio
import enum
import hashlib
import os
import shutil
import tempfile
import time
from io import FileIO
from pathlib import Path
from typing import Annotated, Final

import typer

from uploadstream.cli import interrupt, screen
from uploadstream.cli.board import Board, board
from uploadstream.cli.course import Report, duration, percent
from uploadstream.cli.private_server import HOST, PrivateServer
from uploadstream.client.errors import CHECKSUM_MISMATCH, FILE_UNWRITABLE, INCOMPLETE, UploadError
from uploadstream.client.values import Progress, Step
from uploadstream.core.sizes import MIB, iec

SIZE: Final = 200 * MIB
UPLOAD_SECONDS: Final = 5.0
KILLED_AT: Final = 0.6
DEAD_SECONDS: Final = 0.5

_COPIES: Final = 3  # the file, what the server stores, what comes back


class Over(enum.StrEnum):
    """The protocol that is shown."""

    GRPC = "grpc"
    TUS = "tus"


def demo(*, over: Annotated[Over, typer.Option(help="The protocol to upload over.")] = Over.GRPC) -> None:
    """Tell the story of an upload that is killed and resumed, in 20 seconds.

    A server of its own is started in a temporary folder, killed with `kill -9` in the middle of an upload, and started
    again; the upload goes on from the last byte on disk, comes back, and is compared with what was sent.
    """
    with tempfile.TemporaryDirectory(prefix="uploadstream-demo-") as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if free < SIZE * (_COPIES + 1):
            message = f"The demonstration needs {iec(SIZE * (_COPIES + 1))} in {folder.parent}, {iec(free)} are free"
            raise UploadError(FILE_UNWRITABLE, f"{message}; set TMPDIR to a larger place")
        try:
            with PrivateServer(folder) as server, board() as shown:
                interrupt.run(Story(server, folder, shown, over).tell())
        except KeyboardInterrupt:
            screen.fail("Interrupted; the server is stopped and everything is removed.")
            raise typer.Exit(interrupt.INTERRUPTED) from None


class Story:
    """The acts, one after the other."""

    def __init__(self, server: PrivateServer, folder: Path, shown: Board, over: Over) -> None:
        self._server = server
        self._original = folder / "film.bin"
        self._copy = folder / "back.bin"
        self._shown = shown
        self._over = over
        self._began = time.monotonic()
        self._restart: asyncio.Task[None] | None = None
        self._resumed_at = 0

    async def tell(self) -> None:
        """The whole story; UploadError if it does not end well."""
        from uploadstream.client.asynchronous import AsyncClient  # noqa: PLC0415 - help is shown without it

        await asyncio.to_thread(self._server.start)
        self._say(f"A server of its own is started: process {self._server.pid}, speaking {self._over.value}.")
        await asyncio.to_thread(self._make_file)
        self._say(f"A file of {iec(SIZE)} is sent to it, slowly, so that there is something to see.")
        async with AsyncClient(self._address()) as client:
            with SlowFile(self._original, bytes_per_second=SIZE / UPLOAD_SECONDS) as file:
                report = self._shown.transfer(self._original.name)
                info = await client.upload(file, progress=lambda progress: self._watch(progress, report))
            if self._restart is not None:
                await self._restart
            if not self._resumed_at:
                raise UploadError(INCOMPLETE, "The upload began anew: this must not happen; please report it")
            again = file.count_read - SIZE
            self._say(f"{iec(again)} of {iec(SIZE)} had to go twice. Now the file is fetched back, and compared.")
            await client.download(info.file_id, self._copy, progress=self._shown.transfer(self._copy.name))
        await self._compare()

    def _address(self) -> str:
        if self._over is Over.GRPC:
            return f"grpc://{HOST}:{self._server.grpc_port}"
        return f"http://{HOST}:{self._server.http_port}"

    def _watch(self, progress: Progress, report: Report) -> None:
        report(progress)
        if progress.step is Step.RESUMED:
            self._resumed_at = progress.offset
        if self._restart is None and progress.offset >= KILLED_AT * progress.size:
            pid = self._server.pid
            self._server.kill()
            self._say(f"At {percent(progress)}: kill -9 {pid}. The server is gone.")
            self._restart = asyncio.create_task(self._start_again())

    async def _start_again(self) -> None:
        await asyncio.sleep(DEAD_SECONDS)
        await asyncio.to_thread(self._server.start)
        self._say(f"A new one is started on the same folder: process {self._server.pid}.")

    def _make_file(self) -> None:
        with self._original.open("wb") as file:
            for _ in range(SIZE // MIB):
                file.write(os.urandom(MIB))

    async def _compare(self) -> None:
        sent = await asyncio.to_thread(_sha256_of, self._original)
        back = await asyncio.to_thread(_sha256_of, self._copy)
        self._shown.note(f"sha256 sent:     {sent}")
        self._shown.note(f"sha256 received: {back}")
        if sent != back:
            raise UploadError(CHECKSUM_MISMATCH, "The digests differ: this must not happen; please report it")
        self._say(f"They are equal: nothing was lost. Told in {duration(time.monotonic() - self._began)}.")

    def _say(self, text: str) -> None:
        self._shown.note(text, style="bold")


class SlowFile(FileIO):
    """A file that is read no faster than so many bytes a second."""

    def __init__(self, path: Path, *, bytes_per_second: float) -> None:
        super().__init__(path)
        self.count_read = 0
        self._seconds_per_byte = 1 / bytes_per_second
        self._next = time.monotonic()

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, when it is their time."""
        data = super().read(size)
        wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self.count_read += len(data)
        self._next = max(self._next, time.monotonic()) + len(data) * self._seconds_per_byte
        return data


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
