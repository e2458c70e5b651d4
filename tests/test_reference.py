"""The reference page says what the code does: every command, setting and error, with its words and numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from uploadstream.cli.program import COMMANDS
from uploadstream.core.errors import Refusal, every_refusal
from uploadstream.http.problems import STATUS, status_of
from uploadstream.protocols.grpc_files.errors import STATUS as GRPC_STATUS
from uploadstream.protocols.tus import TUS_STATUS
from uploadstream.settings import Settings, spelled

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference.md").read_text()
README = (ROOT / "README.md").read_text()
ROWS = {cells[0]: cells[1:] for line in PAGE.splitlines() if len(cells := re.split(r"\s*\|\s*", line.strip("| "))) > 1}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_on_the_page(command: str) -> None:
    assert any(first.startswith(f"`{command}") for first in ROWS)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_on_the_page_with_its_default(name: str) -> None:
    variable = "UPLOADSTREAM" if name == "database" else f"UPLOADSTREAM_{name.upper()}"
    default = Settings.model_fields[name].default

    shown = ROWS[f"`{variable}`"][0]

    assert shown == (f"`{spelled(default)}`" if default not in {None, "", ()} else "")
    assert variable in README or f"`_{name.upper()}`" in README or name == "processing"


def concrete(root: type[Refusal]) -> list[type[Refusal]]:
    """The errors that are raised: every class but those that only group others."""
    return [cls for cls in every_refusal() if cls.__str__ is not root.__str__]


@pytest.mark.parametrize("error", concrete(Refusal), ids=lambda cls: cls.__name__)
def test_every_error_is_on_the_page_with_its_codes(error: type[Refusal]) -> None:
    _, grpc_code, http_status, *tus_status = ROWS[f"`{error.reason}`"]

    instance = error.__new__(error)
    assert grpc_code == GRPC_STATUS[error].name
    assert int(http_status) == status_of(instance, STATUS)
    assert int((tus_status or [""])[0] or http_status) == status_of(instance, TUS_STATUS)


def test_the_page_has_no_error_that_the_code_has_not() -> None:
    reasons = {f"`{cls.reason}`" for cls in every_refusal()}

    assert {first for first in ROWS if first.isupper() and not first.startswith("`UPLOADSTREAM")} <= reasons
