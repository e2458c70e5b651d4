"""A series: the same scenario for UploadStream and its peers in turn, A B A B, and what follows from it.

Only servers of one series are compared, and each round's trials stand close together, so that a machine that is busier
for a while slows all of them.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rig.load import Transfer
from rig.options import names, numbers, random_file, size, work_folder
from rig.report import Trial, in_a_line, print_table, summary
from rig.servers import Kind, kinds
from rig.trial import Scenario, conduct

ROOM_FACTOR = 1.2


def parser(direction: str) -> argparse.ArgumentParser:
    """The options that benchmarks of both directions have."""
    options = argparse.ArgumentParser(
        description=f"Measures {direction}s of UploadStream and its peers in turn.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("--size", type=size, default="1GiB", help="bytes each client moves")
    options.add_argument("--clients", type=numbers, default="1,4", help="how many at once")
    options.add_argument("--rounds", type=int, default=5, help="trials of each server")
    options.add_argument("--protocols", type=names, default="tus,grpc", help="tus (HTTP GET on the way down), grpc")
    options.add_argument("--subject", default="uploadstream", help="the server held against the peers")
    peers = "tusd,grpc-go" if direction == "upload" else "nginx,tusd,grpc-go"
    options.add_argument(
        "--peers", type=names, default=peers, help="each measured where it speaks the protocol; may be empty"
    )
    options.add_argument("--workers", type=int, help="processes of UploadStream; its own default if not given")
    options.add_argument("--chunk-size", type=size, default="64KiB", help="bytes of one gRPC message")
    options.add_argument(
        "--grpc-client", choices=["frames", "grpc-go"], default="frames", help="own frames, or the library"
    )
    options.add_argument(
        "--fsync", action="store_true", help="with data on disk before success is said, where both can"
    )
    options.add_argument("--dir", type=Path, help="where servers store; a fresh folder on tmpfs if there is room")
    options.add_argument("--json", type=Path, help="also write everything here")
    return options


def run_series(direction: str, arguments: Sequence[str] | None = None) -> int:
    """The whole program; returns its exit status."""
    options = parser(direction).parse_args(arguments)
    room = int(options.size * (1 + max(options.clients)) * ROOM_FACTOR)
    known = kinds(workers=options.workers)
    trials: list[Trial] = []
    with work_folder(options.dir, room) as folder:
        source = random_file(folder / "source", options.size)
        for protocol in options.protocols:
            wanted = [options.subject, *options.peers]
            contenders = compared(known, wanted, protocol, direction=direction, fsync=options.fsync)
            if not contenders:
                continue
            transfer = Transfer(
                protocol, options.size, source, chunk_size=options.chunk_size, grpc_client=options.grpc_client
            )
            for clients in options.clients:
                scenario = Scenario(direction, clients, transfer, options.fsync)
                rows = list(taken_in_turn(contenders, scenario, options.rounds, folder))
                print_table(rows, contenders, scenario)
                trials += rows
    if options.json:
        options.json.write_text(json.dumps(report(direction, options, trials, known), indent=1) + "\n")
    return 0


def compared(
    known: dict[str, Kind], wanted: list[str], protocol: str, *, direction: str, fsync: bool
) -> list[tuple[str, Kind]]:
    """Who takes part: all who speak the protocol and keep data as asked. A server may be held against itself."""
    contenders: list[tuple[str, Kind]] = []
    for name in wanted:
        if name not in known:
            sys.exit(f"{name} is not known; known are {', '.join(known)}")
        kind = known[name]
        if protocol not in kind.protocols or (direction == "upload" and kind.put_in is not None):
            continue
        if fsync not in kind.durability:
            print(f"{name} has no fsync and is left out: only servers with the same durability are compared")
            continue
        again = any(label == name for label, _ in contenders)
        contenders.append((f"{name} again" if again else name, kind))
    return contenders


def taken_in_turn(contenders: list[tuple[str, Kind]], scenario: Scenario, rounds: int, folder: Path) -> Iterator[Trial]:
    """A B A B …, with a line for each trial."""
    for number in range(1, rounds + 1):
        for name, kind in contenders:
            figures = conduct(kind, scenario, folder / "server")
            print(f"  round {number} {name:18} {in_a_line(figures)}", flush=True)
            yield Trial(name, scenario.transfer.protocol, scenario.clients, number, figures)


def report(
    direction: str, options: argparse.Namespace, trials: list[Trial], known: dict[str, Kind]
) -> dict[str, object]:
    """Everything, for a program to read."""
    return {
        "direction": direction,
        "size": options.size,
        "rounds": options.rounds,
        "chunk_size": options.chunk_size,
        "grpc_client": options.grpc_client,
        "durability": {name: kind.durability.get(options.fsync) for name, kind in known.items()},
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "trials": [asdict(trial) for trial in trials],
        "summary": summary(trials, options.subject),
    }
