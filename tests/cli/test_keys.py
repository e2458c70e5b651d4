"""`uploadstream key`: keys are made, listed and revoked on the catalog itself."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests import postgres
from uploadstream.cli.keys import key


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that name a catalog."""
    monkeypatch.delenv("UPLOADSTREAM", raising=False)
    data = ["--data-dir", str(tmp_path / "data")]
    return data if request.param == "sqlite" else [*data, "--database", asyncio.run(postgres.empty_catalog())]


def run(*arguments: str, where: Sequence[str]) -> Result:
    return CliRunner().invoke(key, [*arguments, *where])


def listed(where: Sequence[str], *options: str) -> list[dict[str, Any]]:
    found = run("list", "--json", *options, where=where)
    assert found.exit_code == 0, found.output
    return list(json.loads(found.stdout))


def test_a_key_is_made_listed_and_revoked(where: list[str]) -> None:
    made = run("create", "--user", "ann", "--name", "laptop", "--expires", "90d", where=where)

    assert made.exit_code == 0, made.output
    [text] = made.stdout.splitlines()
    assert text.startswith("us_")
    assert "not shown again" in made.stderr
    [shown] = listed(where)
    assert text.startswith(f"us_{shown['key_id'][:8]}_")
    assert text.rpartition("_")[2] not in json.dumps(shown)
    assert (shown["user_id"], shown["name"], shown["scopes"]) == ("ann", "laptop", ["read", "write"])
    assert shown["expires_at"] > shown["created_at"]
    assert (shown["last_used_at"], shown["revoked_at"]) == (None, None)

    done = run("revoke", shown["key_id"], where=where)

    assert done.stdout == f"Key {shown['key_id']} of ann is revoked\n"
    assert listed(where)[0]["revoked_at"]
    assert run("list", where=where).stdout.split("\t")[:5] == [
        shown["key_id"],
        "ann",
        "laptop",
        "read,write",
        "revoked",
    ]


def test_a_key_may_be_made_and_revoked_for_programs(where: list[str]) -> None:
    made = json.loads(run("create", "--user", "ann", "--scopes", "admin", "--json", where=where).stdout)
    other = json.loads(run("create", "--user", "bob", "--json", where=where).stdout)

    assert made["key"].startswith("us_")
    assert (made["scopes"], made["expires_at"]) == (["admin"], None)
    assert [shown["key_id"] for shown in listed(where, "--user", "bob")] == [other["key_id"]]
    assert json.loads(run("revoke", made["key_id"], "--json", where=where).stdout)["revoked_at"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create"], 2, "--user"),
        (["create", "--user", "ann", "--scopes", "all"], 2, "must be some of read, write, admin, not all"),
        (["create", "--user", "ann", "--expires", "soon"], 2, "is not a duration"),
        (["create", "--user", "ann", "--expires", "0s"], 1, "expires: must be later than now"),
        (["create", "--user", "ann", "--scopes", ""], 1, "scopes: must be some of read, write, admin"),
        (["create", "--user", "a\nb"], 1, "user_id: must be text without control characters"),
        (["revoke", "5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"], 1, "No key 5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"),
        (["revoke", "us_5f0c1a2b"], 1, "No key us_5f0c1a2b"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    done = run(*arguments, where=["--data-dir", str(tmp_path / "data")])

    assert done.exit_code == status
    assert words in " ".join(done.stderr.split())
