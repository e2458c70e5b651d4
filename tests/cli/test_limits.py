"""`uploadstream limits`, in this process: each command is one that imports a database."""

import json
from pathlib import Path

import pytest

from uploadstream.adapters.catalog.sqlite import migrate
from uploadstream.cli.program import run


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPLOADSTREAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UPLOADSTREAM_RATE_UPLOADS", "60/min")
    migrate(tmp_path / "catalog.sqlite")
    return tmp_path


def test_the_operator_says_what_a_user_may_and_sees_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["limits", "zoe", "--max-active-uploads", "3", "--quota-bytes", "2GiB"]) == 0
    assert run(["limits", "zoe", "--quota-bytes", "default", "--rate-bytes", "1MB/s"]) == 0
    capsys.readouterr()

    assert run(["limits", "zoe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "user_id": "zoe",
        "rate_uploads": "60/min",
        "rate_bytes": "1MB/s",
        "max_active_uploads": "3",
        "quota_bytes": "off",
        "said": ["rate_bytes", "max_active_uploads"],
        "stored_bytes": 0,
        "declared_bytes": 0,
        "open_uploads": 0,
    }
    assert run(["limits", "zoe"]) == 0
    shown = capsys.readouterr().out
    assert "max active uploads  3 (of this user)" in shown
    assert "has                 0 B stored, 0 B more in 0 open uploads" in shown


def test_users_of_whom_something_is_said_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for user in ("zoe", "ann"):
        run(["limits", user, "--quota-bytes", "1GB"])
    capsys.readouterr()

    assert run(["limits"]) == 0
    assert capsys.readouterr().out == "ann\t\t\t\t1GB\nzoe\t\t\t\t1GB\n"
    run(["limits", "ann", "--quota-bytes", "default"])
    capsys.readouterr()
    assert run(["limits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"user_id": "zoe", "quota_bytes": "1GB"}]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--quota-bytes", "1GB"], 2, "Whose limits? Name the user"),
        (["ann", "--quota-bytes", "much"], 2, "--quota-bytes: 'much' is not a size"),
        (["ann", "--rate-uploads", "often"], 2, "--rate-uploads: 'often' is no rate; write such as 60/min burst 20"),
        (["a" * 129], 2, "user_id: must be 1 to 128 characters, has 129"),
        (["ann", "--data-dir", "nowhere"], 1, "No catalog at nowhere/catalog.sqlite; name the data directory"),
        (["ann", "--database", "postgresql://127.0.0.1:1/none"], 1, "Cannot open the catalog"),
    ],
)
def test_what_is_no_limit_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, says: str
) -> None:
    assert run(["limits", *arguments]) == status

    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err
    assert len(shown.err.splitlines()) == 1
