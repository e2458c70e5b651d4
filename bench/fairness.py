#!/usr/bin/env python3
"""One user's upload alone, and beside another user's thousand: throughput, and the part of it that is left.

Other checkouts can be measured in the same run, each with a server of its own, turn by turn:
`bench/fairness.py --source . --source ../before --connections 1000 --size 512`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rig.load import Transfer, run
from rig.servers import Kind, Place, Running, kinds, running
from rig.trial import MB, emptied, warm_memory

BENCH = Path(__file__).parent
MIB = 1 << 20
WARM = 2


def main() -> None:
    """Measures, and prints a line for each trial and each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, action="append", help="a checkout to be measured (this one)")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512, help="MiB of the single upload")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"))  # noqa: S108 - memory, not for secrets
    given = parser.parse_args()
    sources = [source.resolve() for source in given.source or [BENCH.parent]]
    kind = kinds(workers=given.workers)["uploadstream"]
    parts: dict[Path, list[float]] = {source: [] for source in sources}
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        bytes_file = Path(folder) / "source"
        bytes_file.write_bytes(os.urandom(MIB) * given.size)
        transfer = Transfer("tus", given.size * MIB, bytes_file)
        for _ in range(given.rounds):
            for source in sources:
                place = Path(folder) / "server"
                with emptied(place), running(of_source(kind, source), place, fsync=False) as server:
                    alone, beside = trial(server, transfer, given.connections)
                parts[source].append(beside / alone)
                print(f"{source}: alone {alone:.0f} MB/s, beside {beside:.0f} MB/s: {beside / alone:.0%}", flush=True)
    for source, each in parts.items():
        print(f"{source}: {statistics.median(each):.0%} ({min(each):.0%} to {max(each):.0%}) of {given.rounds} rounds")


def of_source(kind: Kind, source: Path) -> Kind:
    """The server of a checkout, run with the libraries of this one."""

    def command(place: Place, fsync: bool) -> list[str]:  # noqa: FBT001 one shape for all kinds
        return ["env", f"PYTHONPATH={source / 'src'}", *kind.command(place, fsync)]

    return replace(kind, command=command)


def trial(server: Running, transfer: Transfer, connections: int) -> tuple[float, float]:
    """MB a second of an upload alone, and of one beside the crowd; each the best of two."""
    warm_memory(6 * transfer.size)()
    run(server, [transfer])
    alone = max(speed(server, transfer) for _ in range(WARM))
    with crowded(server, connections):
        beside = max(speed(server, transfer) for _ in range(WARM))
    return alone, beside


def speed(server: Running, transfer: Transfer) -> float:
    """MB a second of one upload."""
    done = run(server, [transfer])
    return done.byte_count / done.seconds / MB


@contextmanager
def crowded(server: Running, connections: int) -> Iterator[None]:
    """While another user has so many uploads."""
    line = [sys.executable, "-m", "rig.crowd", "--port", str(server.place.http_port)]
    with subprocess.Popen([*line, "--connections", str(connections)], cwd=BENCH, stdout=subprocess.PIPE) as crowd:
        try:
            assert crowd.stdout
            if crowd.stdout.readline() != b"ready\n":
                raise RuntimeError("the crowd did not get in")
            yield
        finally:
            crowd.kill()


if __name__ == "__main__":
    main()
