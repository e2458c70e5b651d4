"""A server that is shown a store which is not its catalog's says so in one line, and touches nothing."""

from pathlib import Path

import pytest

from tests.cli.running import CommandLine
from tests.contracts.blobs import a_key


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    """A store with one blob, whose catalog is lost."""
    key = a_key()
    blob = tmp_path / "data" / "blobs" / key[:2] / key
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"precious")
    return blob


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_without_its_catalog_is_not_served_and_not_emptied(tmp_path: Path, blob: Path, workers: str) -> None:
    cli = CommandLine(tmp_path, "")

    done = cli.run("serve", "--http-port", "0", "--grpc-port", "0", "--data-dir", "data", "--workers", workers)

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"Storage at {tmp_path / 'data' / 'blobs'} has blobs that this new catalog knows nothing of" in line
    assert blob.read_bytes() == b"precious"

    checked = cli.run("fsck", "--data-dir", "data")

    assert checked.returncode == 1
    assert checked.stderr.splitlines() == [line]
