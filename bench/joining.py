#!/usr/bin/env python3
"""Joins partial uploads (tus concatenation): how long from the request to its 201. See README.md."""

import argparse
import http.client
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rig.options import names, random_file, size, work_folder
from rig.servers import Running, kinds, running

TUS = {"Tus-Resumable": "1.0.0"}
ROOM_FACTOR = 3  # some servers copy what they join


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--parts", type=int, default=160, help="partial uploads that are joined")
    options.add_argument("--part-size", type=size, default="1MiB", help="bytes of each")
    options.add_argument("--rounds", type=int, default=5, help="joins of the same partial uploads")
    options.add_argument("--servers", type=names, default="uploadstream", help="uploadstream, tusd")
    options.add_argument("--fsync", action="store_true", help="with data on disk before success is said")
    options.add_argument("--dir", type=Path, help="where servers store; a fresh folder on tmpfs if there is room")
    return options


def answered(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, fields: dict[str, str]
) -> str:
    """The Location of what was made, or of what was there; raises when the server refuses."""
    connection.request(method, path, body, {**TUS, **fields})
    response = connection.getresponse()
    said = response.read()
    if response.status not in {201, 204}:
        raise RuntimeError(f"{method} {path}: {response.status} {said[:500]!r}")
    return response.getheader("Location", path)


def partial(connection: http.client.HTTPConnection, body: bytes) -> str:
    """The URL of a new partial upload with these bytes."""
    begin = {"Upload-Length": str(len(body)), "Upload-Concat": "partial"}
    url = answered(connection, "POST", "/files/", b"", begin)
    path = "/" + url.split("://")[-1].partition("/")[2]
    append = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answered(connection, "PATCH", path, body, append)
    return path


def joins(server: Running, body: bytes, *, parts: int, rounds: int) -> list[float]:
    """The seconds that each of the joins took."""
    connection = http.client.HTTPConnection("127.0.0.1", server.place.http_port, timeout=600)
    urls = [partial(connection, body) for _ in range(parts)]
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        answered(connection, "POST", "/files/", b"", {"Upload-Concat": f"final;{' '.join(urls)}"})
        taken.append(time.perf_counter() - start)
    connection.close()
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole program; returns its exit status."""
    options = parser().parse_args(arguments)
    known = kinds()
    room = options.parts * options.part_size * ROOM_FACTOR
    with work_folder(options.dir, room) as folder:
        body = random_file(folder / "part", options.part_size).read_bytes()
        for name in options.servers:
            with running(known[name], folder / name, fsync=options.fsync) as server:
                taken = [1000 * one for one in joins(server, body, parts=options.parts, rounds=options.rounds)]
            print(
                f"{name}: {options.parts} parts of {options.part_size} bytes joined in "
                f"{statistics.median(taken):.0f} ms ({min(taken):.0f}-{max(taken):.0f}, {len(taken)} joins)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
