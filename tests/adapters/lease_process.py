"""Another process that uses the leases of a directory, and says what it does: `lease_process.py ROOT KEY WHAT`."""

import asyncio
import os
import sys
from pathlib import Path

from uploadstream.adapters.leases_disk import DiskLeases

ROUNDS = 200
PATIENCE_SECONDS = 60


def say(word: str) -> None:
    os.write(sys.stdout.fileno(), f"{word}\n".encode())


async def hold(leases: DiskLeases, key: str, *, obedient: bool) -> None:
    """Hold the key until asked to let go, or for ever."""
    let_go = asyncio.Event()

    def asked() -> None:
        say("asked")
        if obedient:
            let_go.set()

    async with leases.hold(key, let_go=asked):
        say("holds")
        await let_go.wait()
    say("let go")


async def count(leases: DiskLeases, key: str, counter: int) -> None:
    """Add one to the number in the file `counter`, many times, beginning when told to."""
    say("ready")
    sys.stdin.readline()
    for _ in range(ROUNDS):
        let_go = asyncio.Event()
        async with leases.hold(key, let_go=let_go.set, patience_seconds=PATIENCE_SECONDS):
            number = int(os.pread(counter, 100, 0))
            await asyncio.sleep(0.0005)  # long enough for the others to be at it too
            os.pwrite(counter, str(number + 1).encode(), 0)
    say("counted")


async def main(root: Path, key: str, what: str) -> None:
    leases = DiskLeases(root).listen()
    try:
        if what == "count":
            await count(leases, key, os.open(root / "counter", os.O_RDWR))
        else:
            await hold(leases, key, obedient=what == "obey")
    finally:
        leases.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
