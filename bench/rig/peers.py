"""Programs written in Go, built when they are first needed: the peers, and the load generator for gRPC.

Their versions are pinned in peers/*/go.mod and go.sum.
"""

import os
import subprocess
from functools import cache
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
CACHE = BENCH.parent / ".cache" / "bench"

MODULES = {
    "tusd": ("tusd", "github.com/tus/tusd/v2/cmd/tusd"),
    "grpc_go_server": ("grpc_go", "./server"),
    "grpc_client": ("grpc_go", "./client"),
}


@cache
def built(program: str) -> Path:
    """The program's file, brought up to date once in each run."""
    module, package = MODULES[program]
    target = CACHE / program
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["go", "build", "-o", str(target), package],
        cwd=BENCH / "peers" / module,
        env={**os.environ, "GOFLAGS": "-mod=readonly"},
        check=True,
    )
    return target
