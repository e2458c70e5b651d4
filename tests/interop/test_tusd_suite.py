"""The tests that tusd has of itself against failing networks, against this server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.tools import made_once, required_program, run_step

ROOT = Path(__file__).parents[2]
TUSD = Path(__file__).parent / "tusd"
# Left out: TestStopUpload, which is about tusd's hooks; and TestLockRelease, which has a HEAD end the PATCH that goes
# on, as tusd's lock files make it: here a HEAD needs no lock.
EXPECTED = {
    "TestSuccessfulUpload",
    "TestNetworkReadTimeout",
    "TestUnexpectedNetworkClose",
    "TestUnexpectedNetworkReset",
    "TestUploadLengthExceeded",
    "TestShutdown",
}

TRIES = 3

pytestmark = pytest.mark.timeout(900)  # the first run compiles the suite


def make_suite(directory: Path) -> None:
    """Compile tusd's tests as the pinned module has them."""
    go = required_program("go")
    for name in ("go.mod", "go.sum"):
        (directory / name).write_bytes((TUSD / name).read_bytes())
    run_step([go, "test", "-c", "-o", "suite", "github.com/tus/tusd/v2/internal/e2e"], directory=directory)


def test_what_tusd_demands_of_itself_when_a_network_fails(cache: pytest.Cache, tmp_path: Path) -> None:
    pins = [TUSD / "go.mod", TUSD / "go.sum"]
    suite = made_once(cache, "tusd-suite", pins=pins, make=make_suite) / "suite"
    server = tmp_path / "server"
    server.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.interop.tusd.as_tusd "$@"\n')
    server.chmod(0o755)
    environment = {**os.environ, "TUSD_BINARY": str(server), "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}

    passed: set[str] = set()
    for _ in range(TRIES):
        # one after the other, and not what has passed: they measure time, with bounds for a machine that is idle
        wanted = "|".join(sorted(EXPECTED - passed))
        done = subprocess.run(
            [str(suite), "-test.v", "-test.parallel=1", f"-test.run=^({wanted})$"],
            cwd=tmp_path,
            env=environment,
            timeout=300,
            capture_output=True,
            text=True,
            check=False,
        )
        passed.update(re.findall(r"^--- PASS: (\w+)", done.stdout, re.MULTILINE))
        if passed == EXPECTED:
            break

    assert passed == EXPECTED, done.stdout + done.stderr
