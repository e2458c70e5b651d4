"""The examples of docs/client.md run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer
from uploadstream.client import errors

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with PreparedServer(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(server: RunningServer, tmp_path: Path, example: str) -> None:
    (tmp_path / "film.mp4").write_bytes(bytes(100_000))
    here = example.replace("127.0.0.1:50051", server.grpc_target).replace("http://127.0.0.1:8080", server.http_url)

    done = subprocess.run(
        [sys.executable, "-c", here],
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_every_reason_of_the_client_is_on_the_page() -> None:
    of_the_server = {"CHUNK_TOO_LARGE", "GONE", "NOT_FOUND", "TAKEN_OVER", "TYPE_MISMATCH"}
    of_the_server |= {"RATE_LIMITED", "UNAUTHENTICATED", "WRONG_CREDENTIALS"}
    reasons = {value for name, value in vars(errors).items() if name.isupper() and name == value}

    assert {reason for reason in reasons - of_the_server if f"`{reason}`" not in PAGE} == set()
