"""Leases among real processes, which may die or stand still."""

import asyncio
import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.adapters.lease_process import ROUNDS
from tests.contracts.leases import KEY, PATIENCE_SECONDS, LeasesContract, holder, is_free, stay
from uploadstream.adapters.leases_disk import DiskLeases
from uploadstream.core.errors import Busy, StorageUnavailable
from uploadstream.ports import Leases

PROGRAM = Path(__file__).with_name("lease_process.py")


@pytest.fixture
async def leases(tmp_path: Path) -> AsyncIterator[DiskLeases]:
    opened = DiskLeases(tmp_path).listen()
    yield opened
    opened.close()


class TestDiskLeasesOfOneProcess(LeasesContract):
    @pytest.fixture
    def rival(self, leases: Leases) -> Leases:
        return leases


class TestDiskLeasesOfTwoProcesses(LeasesContract):
    @pytest.fixture
    async def rival(self, tmp_path: Path) -> AsyncIterator[Leases]:
        opened = DiskLeases(tmp_path).listen()
        yield opened
        opened.close()


@asynccontextmanager
async def other_process(root: Path, what: str, key: str = KEY) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, PROGRAM, str(root), key, what),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


def pipes(root: Path) -> set[Path]:
    return set((root / "leases.d").iterdir())


async def test_another_process_is_asked_through_its_pipe(leases: DiskLeases, tmp_path: Path) -> None:
    async with other_process(tmp_path, "obey") as process:
        assert await said(process) == "holds"
        assert not await is_free(leases)

        async with leases.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
            assert await said(process) == "asked"
            while (word := await said(process)) == "asked":
                pass
            assert word == "let go"


async def test_a_process_that_was_killed_holds_nothing(leases: DiskLeases, tmp_path: Path) -> None:
    async with other_process(tmp_path, "stay") as process:
        assert await said(process) == "holds"
        assert not await is_free(leases)

        process.kill()
        await process.wait()

        assert await is_free(leases)


async def test_a_process_that_stands_still_is_waited_for_only_so_long(leases: DiskLeases, tmp_path: Path) -> None:
    async with other_process(tmp_path, "obey") as process:
        assert await said(process) == "holds"
        process.send_signal(signal.SIGSTOP)

        with pytest.raises(Busy):
            async with leases.hold(KEY, let_go=stay, patience_seconds=0.2):
                pytest.fail("two hold it")
        process.send_signal(signal.SIGCONT)

        async with leases.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
            pass


async def test_the_pipes_of_the_dead_are_removed_and_those_of_the_living_stay(
    leases: DiskLeases, tmp_path: Path
) -> None:
    before = pipes(tmp_path)
    async with other_process(tmp_path, "obey", "one") as living, other_process(tmp_path, "stay", "two") as dead:
        assert await said(living) == await said(dead) == "holds"
        assert len(pipes(tmp_path)) == len(before) + 2
        dead.kill()
        await dead.wait()

        async with leases.hold("one", let_go=stay, patience_seconds=PATIENCE_SECONDS):
            assert before <= pipes(tmp_path)
            assert len(pipes(tmp_path)) <= len(before) + 1


async def test_nothing_is_left_of_leases_that_were_closed(tmp_path: Path) -> None:
    opened = DiskLeases(tmp_path).listen()
    async with opened.hold(KEY, let_go=stay):
        pass

    opened.close()

    assert pipes(tmp_path) == set()
    assert (tmp_path / "leases").stat().st_size == 0


async def test_a_process_that_just_starts_is_not_taken_for_a_dead_one(
    leases: DiskLeases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkfifo = os.mkfifo

    def mkfifo_and_meanwhile_another_asks(path: Path, mode: int) -> None:
        mkfifo(path, mode)
        leases._ask("some other key", time.monotonic_ns())

    monkeypatch.setattr(os, "mkfifo", mkfifo_and_meanwhile_another_asks)

    starting = DiskLeases(tmp_path).listen()

    async with holder(starting) as asked, leases.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
        assert asked
    starting.close()


async def test_counting_in_four_processes_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")

    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(other_process(tmp_path, "count")) for _ in range(4)]
        for process in processes:
            assert await said(process) == "ready"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        words = [await said(process) for process in processes]

    assert words == ["counted"] * 4
    assert (tmp_path / "counter").read_text() == str(4 * ROUNDS)


async def test_leases_that_do_not_listen_can_still_be_held(tmp_path: Path) -> None:
    deaf = DiskLeases(tmp_path)

    async with deaf.hold(KEY, let_go=stay):
        assert not await is_free(deaf)

    assert await is_free(deaf)
    deaf.close()


async def test_noise_in_a_pipe_disturbs_nobody(leases: DiskLeases, tmp_path: Path) -> None:
    (pipe,) = pipes(tmp_path)
    async with holder(leases) as asked:
        writer, later = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), time.monotonic_ns()
        os.write(writer, b"\n\xff\xfe\n" + b"x" * 5000 + b"\n" + f"{KEY} soon\n{KEY} {later}\n".encode())
        os.close(writer)
        await asyncio.sleep(0.02)

        assert asked == [KEY]


async def test_a_pipe_that_is_full_does_not_hold_up_who_asks(leases: DiskLeases, tmp_path: Path) -> None:
    async with other_process(tmp_path, "obey") as process:
        assert await said(process) == "holds"
        process.send_signal(signal.SIGSTOP)
        (pipe,) = pipes(tmp_path) - {leases._pipe}
        writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(writer, b"noise\n" * 600)
        os.close(writer)

        with pytest.raises(Busy):
            async with leases.hold(KEY, let_go=stay, patience_seconds=0.1):
                pytest.fail("two hold it")


async def test_what_is_no_pipe_is_passed_over(leases: DiskLeases, tmp_path: Path) -> None:
    (tmp_path / "leases.d" / "folder.pipe").mkdir()

    async with holder(leases) as asked:
        rival = DiskLeases(tmp_path)
        async with rival.hold(KEY, let_go=stay, patience_seconds=PATIENCE_SECONDS):
            assert asked
        rival.close()


def test_leases_cannot_be_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(StorageUnavailable):
        DiskLeases(tmp_path / "data")


async def test_a_filesystem_without_pipes_is_unavailable_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError(errno.EPERM, "as vfat says")

    opened = DiskLeases(tmp_path)
    monkeypatch.setattr(os, "mkfifo", refuses)

    with pytest.raises(StorageUnavailable):
        opened.listen()

    opened.close()


async def test_a_filesystem_that_cannot_lock_is_unavailable_storage(
    leases: DiskLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> bytes:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "fcntl", refuses)

    with pytest.raises(StorageUnavailable):
        await is_free(leases)

    monkeypatch.undo()
    assert await is_free(leases)
