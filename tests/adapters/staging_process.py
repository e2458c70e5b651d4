"""Another process that stages bytes behind a blob, on and on, until it is killed: `staging_process.py ROOT KEY FSYNC`.

Bytes that it keeps are `k`, those that it drops are `d`. It says where the blob is going to end, then that it does.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

from uploadstream.adapters.blobs_disk import DiskBlobs
from uploadstream.ports import Fsync

PIECES = 4
PIECE_SIZE_MAX = 200_000


def say(word: str, end: int) -> None:
    os.write(sys.stdout.fileno(), f"{word} {end}\n".encode())


async def main(root: Path, key: str, fsync: Fsync) -> None:
    store, dice = DiskBlobs(root, fsync=fsync), random.Random()
    blob = await store.stat(key)
    end = blob.size if blob else 0
    say("begins", end)
    while True:
        keep = dice.random() < 0.5
        sink, size = await store.append(key, at=end, staged=True), 0
        for _ in range(PIECES):
            piece = (b"k" if keep else b"d") * dice.randrange(PIECE_SIZE_MAX)
            going_on = sink.write([piece], len(piece))
            if going_on is not None:
                await going_on
            size += len(piece)
        if keep:
            end += size
            say("keeping", end)
        await sink.close(complete=False, keep=keep)
        say("has", end)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Fsync(sys.argv[3])))
