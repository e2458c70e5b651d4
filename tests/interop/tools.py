"""Foreign clients that are built or installed once, from pinned sources, and then kept in pytest's cache.

Invariant: a kept client was made from exactly the pins in the checkout; its directory is named by their hash.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
INSTALL_SECONDS_MAX = 540


def required_program(name: str) -> str:
    """The path of a program that the machine must have for a test."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed; the tests with its clients need it")
    return path


def run_step(command: Sequence[str], *, directory: Path) -> None:
    """Run one step of making a client; when it fails, so does the test, with the step's own words."""
    result = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False
    )
    if result.returncode != 0:
        pytest.fail(
            f"`{' '.join(command)}` in {directory} ended with status {result.returncode}:\n"
            f"{result.stdout}{result.stderr}",
            pytrace=False,
        )


def made_once(cache: pytest.Cache, name: str, *, pins: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The directory of a client made by `make`, which runs only if these pins were not seen before."""
    digest = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    kept = cache.mkdir("interop") / f"{name}-{digest[:16]}"
    with kept.with_suffix(".lock").open("w") as lock:  # of several test processes one makes it, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            return kept
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            # Made beside its place and moved there whole, so that an interrupted run leaves nothing half made.
            staging = Path(scratch) / name
            staging.mkdir()
            make(staging)
            staging.rename(kept)
    return kept


def from_npm(cache: pytest.Cache, folder: str) -> Path:
    """A directory with what a folder's lock file says, installed by npm, and with the folder's other files."""
    npm = required_program("npm")
    pins = [HERE / folder / name for name in ("package.json", "package-lock.json")]

    def make(directory: Path) -> None:
        for path in (*pins, HERE / folder / ".npmrc"):
            shutil.copy(path, directory)
        run_step([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], directory=directory)

    directory = made_once(cache, folder, pins=pins, make=make)
    for path in (HERE / folder).iterdir():  # scripts and pages, which find their clients beside themselves
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as new:
            new.write(path.read_bytes())
        Path(new.name).replace(directory / path.name)  # another test process may be running it
    return directory


def make_grpcurl(directory: Path) -> None:
    """Build grpcurl as go.mod and go.sum say."""
    go = required_program("go")
    package = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
    run_step([go, "build", "-mod=readonly", "-o", str(directory / "grpcurl"), package], directory=HERE / "go")


def tus_js_script(cache: pytest.Cache) -> Path:
    """The script that drives tus-js-client, beside the installed client."""
    return from_npm(cache, "node") / "upload.js"


def browser_clients(cache: pytest.Cache) -> Path:
    """Pages with clients for browsers, beside those."""
    return from_npm(cache, "browser")


def grpcurl_program(cache: pytest.Cache) -> Path:
    """The built grpcurl."""
    pins = [HERE / "go" / name for name in ("go.mod", "go.sum")]
    return made_once(cache, "grpcurl", pins=pins, make=make_grpcurl) / "grpcurl"
