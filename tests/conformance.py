"""Which tests prove which item of the checklists. `python -m tests.conformance` writes docs/conformance.md anew.

A test proves an item when it names it: `test_t9_...`, `R10` in its docstring, or, for a check of the draft, in `@rule`.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
PAGE: Final = TESTS.parent / "docs/conformance.md"
ITEMS: Final = [*(f"T{n}" for n in range(1, 33)), *(f"R{n}" for n in range(1, 40)), *(f"F{n}" for n in range(1, 13))]
# Whose tests talk to a server of its own process, over sockets.
SERVED: Final = ("interop", "robustness", "servers", "web")
_ROW: Final = re.compile(r"^\| ([TRF]\d+) \|([^|\n]*)\|([^|\n]*)\|([^|\n]*)\|$", re.MULTILINE)
_IN_NAME: Final = re.compile(r"test_((?:[trf]\d+_)+)")
_IN_TEXT: Final = re.compile(r"\b[TRF]\d+\b")
_TEST: Final = re.compile(r"`([\w/]+\.py)`|`(\w+)`")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Proof = tuple[str, str]  # a file below tests/, and the name of a test in it


def items_of(function: Function) -> set[str]:
    """The items that a test, or a check of the draft, names."""
    if not function.name.startswith("test_"):
        rules = (
            one for one in function.decorator_list if isinstance(one, ast.Call) and ast.unparse(one.func) == "rule"
        )
        return {item for one in rules for item in _IN_TEXT.findall(ast.unparse(one))}
    found = _IN_NAME.match(function.name)
    names = found[1].upper().split("_")[:-1] if found else []
    return {*names, *_IN_TEXT.findall(ast.get_docstring(function) or "")}


def proofs() -> dict[str, set[Proof]]:
    """The tests of every item."""
    found: defaultdict[str, set[Proof]] = defaultdict(set)
    for path in TESTS.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, Function):
                for item in items_of(function):
                    found[item].add((str(path.relative_to(TESTS)), function.name))
    return dict(found)


def rows(page: str) -> Iterator[tuple[str, str, set[Proof]]]:
    """What the page says: items, what they ask for, and the tests that are named."""
    for item, asked, *cells in _ROW.findall(page):
        named: set[Proof] = set()
        file = ""
        for found in _TEST.finditer(" ".join(cells)):
            file = found[1] or file
            if found[2]:
                named.add((file, found[2]))
        yield item, asked.strip(), named


def written(page: str, known: Mapping[str, set[Proof]]) -> str:
    """The page with the tests that there are now."""

    def row(found: re.Match[str]) -> str:
        tests = known.get(found[1], set())
        served = {one for one in tests if one[0].startswith(SERVED)}
        return f"| {found[1]} |{found[2]}| {_cell(served)} | {_cell(tests - served)} |"

    return _ROW.sub(row, page)


def _cell(tests: set[Proof]) -> str:
    files = sorted({file for file, _ in tests})
    of = {file: ", ".join(f"`{name}`" for there, name in sorted(tests) if there == file) for file in files}
    return "<br>".join(f"`{file}`: {names}" for file, names in of.items())


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), proofs()))
