#!/usr/bin/env python3
"""How far a server's anonymous memory rises above idle: one large file up and down, and many uploads at once.

Idle is a server that has started and served nothing yet, so buffers that are kept for reuse count as well. The exit
status is 1 when a rise is above the limit.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rig.load import Transfer, run
from rig.options import names, random_file, size, work_folder
from rig.processes import watched
from rig.servers import Kind, kinds, running
from rig.trial import SETTLE_SECONDS, emptied

MIB = 1 << 20


@dataclass(frozen=True)
class Rise:
    """What one scenario has shown."""

    server: str
    protocol: str
    scenario: str
    idle_mib: float
    peak_mib: float
    above_idle_mib: float


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=names, default="uploadstream", help="of uploadstream, tusd, grpc-go")
    parser.add_argument("--protocols", type=names, default="tus,grpc")
    parser.add_argument("--size", type=size, default="1GiB", help="of the one file (1GiB)")
    parser.add_argument("--many", type=int, default=16, help="uploads at once (16)")
    parser.add_argument("--many-size", type=size, default="256MiB", help="of each of them (256MiB)")
    parser.add_argument("--chunk-size", type=size, default="64KiB", help="bytes of one gRPC message (64KiB)")
    parser.add_argument("--limit", type=size, default="64MiB", help="a rise above this is a failure (64MiB)")
    parser.add_argument("--workers", type=int, help="processes of UploadStream; its own default if not given")
    parser.add_argument("--dir", type=Path, help="where servers store; a fresh folder on tmpfs if there is room")
    parser.add_argument("--json", type=Path, help="also write everything here")
    return parser


def rises(kind: Kind, alone: Transfer, many: list[Transfer], folder: Path) -> Iterator[Rise]:
    """Each scenario with a server of its own."""
    with emptied(folder), running(kind, folder, fsync=False) as server:
        time.sleep(SETTLE_SECONDS)
        with watched(server.pid) as up:
            file_id = run(server, [alone]).file_ids[0]
        with watched(server.pid) as down:
            run(server, [alone.back(file_id)])
        down.idle_bytes = up.idle_bytes  # what the upload has left behind is no part of idle
    with emptied(folder), running(kind, folder, fsync=False) as server:
        time.sleep(SETTLE_SECONDS)
        with watched(server.pid) as at_once:
            run(server, many)
    large, small = f"{alone.size / MIB:.0f} MiB", f"{many[0].size / MIB:.0f} MiB"
    seen = {f"{large} up": up, f"{large} down": down, f"{len(many)} x {small} up at once": at_once}
    for scenario, memory in seen.items():
        idle, peak = memory.idle_bytes / MIB, memory.peak_bytes / MIB
        yield Rise(kind.name, alone.protocol, scenario, idle, peak, memory.grown_bytes / MIB)


def main() -> int:
    """Prints a line for each scenario."""
    arguments = options().parse_args()
    known, limit = kinds(workers=arguments.workers), arguments.limit / MIB
    room = arguments.size + max(arguments.size, arguments.many * arguments.many_size)
    found: list[Rise] = []
    print(
        f"{'server':14}{'protocol':10}{'scenario':28}{'idle':>9}{'peak':>9}{'above idle':>12}   anonymous memory, MiB"
    )
    with work_folder(arguments.dir, int(room * 1.1)) as folder:
        source = random_file(folder / "source", max(arguments.size, arguments.many_size))
        for name in arguments.servers:
            for protocol in arguments.protocols:
                if protocol not in known[name].protocols:
                    continue
                alone = Transfer(protocol, arguments.size, source, chunk_size=arguments.chunk_size)
                many = [replace(alone, size=arguments.many_size)] * arguments.many
                for rise in rises(known[name], alone, many, folder / "server"):
                    found.append(rise)
                    verdict = "" if rise.above_idle_mib <= limit else f"   above {limit:.0f}"
                    print(
                        f"{rise.server:14}{rise.protocol:10}{rise.scenario:28}"
                        f"{rise.idle_mib:9.1f}{rise.peak_mib:9.1f}{rise.above_idle_mib:12.1f}{verdict}",
                        flush=True,
                    )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(rise) for rise in found], indent=1) + "\n")
    return int(any(rise.above_idle_mib > limit for rise in found))


if __name__ == "__main__":
    sys.exit(main())
