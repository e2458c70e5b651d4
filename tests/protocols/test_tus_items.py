"""Every item of the checklist of tus 1.0.0 has a test that names it."""

import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
ITEMS: Final = range(1, 33)
_NAMED: Final = re.compile(r"def test_(t\d+)_")


def named() -> set[str]:
    return {name for path in TESTS.rglob("test_*.py") for name in _NAMED.findall(path.read_text("utf-8"))}


def test_every_item_has_a_test() -> None:
    assert {f"t{item}" for item in ITEMS} - named() == set()
