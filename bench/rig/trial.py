"""One trial: a fresh server, one unmeasured transfer that is compared byte by byte, then the measured ones.

CPU time is taken from just before the clients start until shortly after the last has its answer, so that what a server
puts off is counted too.
"""

import filecmp
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import MAP_ANONYMOUS, MAP_POPULATE, MAP_PRIVATE, mmap
from pathlib import Path

from rig.load import Done, Transfer, run
from rig.options import available_memory
from rig.processes import AnonymousMemory, cpu_seconds, family, machine_cpu_seconds, memory_bytes, watched
from rig.servers import Kind, Running, running

CHECKED_SIZE = 16 << 20
SETTLE_SECONDS = 0.3
GB = 1_000_000_000
MB = 1_000_000


@dataclass(frozen=True)
class Scenario:
    """What is measured, but for the server."""

    direction: str
    clients: int
    transfer: Transfer
    fsync: bool


@dataclass(frozen=True)
class Figures:
    """What one trial has shown. MB and GB are decimal."""

    seconds: float
    mb_per_second: float
    cpu_seconds_per_gb: float
    client_cpu_seconds_per_gb: float
    peak_resident_mb: float
    idle_anonymous_mb: float
    peak_anonymous_mb: float
    other_load_cores: float  # what neither server nor clients used: where it is large, distrust the rest


def conduct(kind: Kind, scenario: Scenario, folder: Path) -> Figures:
    """Runs one trial in a folder made for it and removed after it."""
    with emptied(folder), running(kind, folder, fsync=scenario.fsync) as server:
        check(server, scenario.transfer, folder)
        transfers = [scenario.transfer] * scenario.clients
        if scenario.direction == "download":
            # a file for each: tusd lets one reader at a time have a file
            transfers = [scenario.transfer.back(file_id) for file_id in stored(server, transfers)]
        room = sum(transfer.size for transfer in transfers) if scenario.direction == "upload" else 0
        time.sleep(SETTLE_SECONDS)
        return measured(server, transfers, when_ready=warm_memory(room))


def stored(server: Running, transfers: Sequence[Transfer]) -> list[str]:
    """The ids of what these have uploaded, or of copies put in where the server takes no uploads."""
    put_in = server.kind.put_in
    if put_in is None:
        return run(server, transfers).file_ids
    return [put_in(server.place, transfer.source, transfer.size) for transfer in transfers if transfer.source]


def warm_memory(count: int) -> Callable[[], None]:
    """Takes as much memory as the files will need; what it returns gives it back, just before the clients start.

    A virtual machine hands free memory to its host after some seconds, and whoever uses it next pays for getting it
    again, inside its own system calls. Without this the server that takes longer to start pays more: tusd started six
    seconds early used 1.5 times the CPU per GB of tusd started just before, and with this 1.1 times.
    """
    count = min(count, available_memory() // 2)
    return mmap(-1, count, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE).close if count else lambda: None


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Removes the folder after the block, however it ends."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check(server: Running, transfer: Transfer, folder: Path) -> None:
    """Uploads a little, downloads it and compares: what is fast because it is wrong does not count."""
    assert transfer.source
    size = min(CHECKED_SIZE, transfer.size)
    small = Transfer(
        transfer.protocol, size, transfer.source, chunk_size=transfer.chunk_size, grpc_client=transfer.grpc_client
    )
    copy, expected = folder / "copy", folder / "expected"
    run(server, [small.back(stored(server, [small])[0], output=copy)])
    with transfer.source.open("rb") as source:
        expected.write_bytes(source.read(size))
    if not filecmp.cmp(copy, expected, shallow=False):
        raise RuntimeError(f"{server.kind.name} returns other bytes than it was sent over {transfer.protocol}")
    copy.unlink()
    expected.unlink()


def measured(server: Running, transfers: list[Transfer], *, when_ready: Callable[[], None]) -> Figures:
    """The figures of these transfers made at once."""
    start, cpu_before, machine_before = time.perf_counter(), cpu_seconds(server.pid), machine_cpu_seconds()
    with watched(server.pid) as anonymous:
        done = run(server, transfers, when_ready=when_ready)
        time.sleep(SETTLE_SECONDS)
    cpu, machine = cpu_seconds(server.pid) - cpu_before, machine_cpu_seconds() - machine_before
    other = max(0.0, machine - cpu - done.client_cpu_seconds) / (time.perf_counter() - start)
    return figures(done, cpu, anonymous, memory_bytes(family(server.pid), "VmHWM"), other)


def figures(done: Done, cpu: float, anonymous: AnonymousMemory, resident: int, other_load: float) -> Figures:
    """The arithmetic."""
    return Figures(
        seconds=done.seconds,
        mb_per_second=done.byte_count / done.seconds / MB,
        cpu_seconds_per_gb=cpu / (done.byte_count / GB),
        client_cpu_seconds_per_gb=done.client_cpu_seconds / (done.byte_count / GB),
        peak_resident_mb=resident / MB,
        idle_anonymous_mb=anonymous.idle_bytes / MB,
        peak_anonymous_mb=anonymous.peak_bytes / MB,
        other_load_cores=other_load,
    )
