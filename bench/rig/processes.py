"""What a process and its children have used, as the kernel counts it (Linux, /proc).

A process that ended between two looks is left out: its CPU time is then in its parent's count of waited-for children.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.02


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    members = [pid]
    for member in members:  # grows while it is walked
        try:
            for task in Path(f"/proc/{member}/task").iterdir():
                members.extend(int(child) for child in (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return members


def cpu_seconds(pid: int) -> float:
    """User and system time of the family, ended and waited-for children included."""
    ticks = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime: proc_pid_stat(5)
    return ticks / TICKS_PER_SECOND


def memory_bytes(members: list[int], field: str) -> int:
    """A field of /proc/PID/status, such as RssAnon or VmHWM, summed."""
    total = 0
    for member in members:
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in status.splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1]) * 1024
    return total


def machine_cpu_seconds() -> float:
    """Time all cores together have not been idle, time stolen by the hypervisor included."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND


@dataclass
class AnonymousMemory:
    """Anonymous memory of a family: before, and at its highest."""

    idle_bytes: int
    peak_bytes: int

    @property
    def grown_bytes(self) -> int:
        """How far it rose above idle."""
        return self.peak_bytes - self.idle_bytes


@contextmanager
def watched(pid: int) -> Iterator[AnonymousMemory]:
    """Samples RssAnon until the block ends; the value is complete after it."""
    idle = memory_bytes(family(pid), "RssAnon")
    seen = AnonymousMemory(idle_bytes=idle, peak_bytes=idle)
    over = threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_SECONDS):
            seen.peak_bytes = max(seen.peak_bytes, memory_bytes(family(pid), "RssAnon"))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
