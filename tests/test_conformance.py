"""docs/conformance.md names, for every item of the checklists, tests that there are and that say so themselves."""

from __future__ import annotations

import pytest

from tests.conformance import ITEMS, PAGE, SERVED, proofs, rows, written

PROOFS = proofs()
ROWS = {item: (asked, named) for item, asked, named in rows(PAGE.read_text())}


def test_the_page_has_every_item_once() -> None:
    assert [item for item, _, _ in rows(PAGE.read_text())] == ITEMS


@pytest.mark.parametrize("item", ITEMS)
def test_every_test_that_the_page_names_for_an_item_is_there_and_names_it(item: str) -> None:
    asked, named = ROWS[item]

    assert asked.endswith(".")
    assert named <= PROOFS[item], "python -m tests.conformance writes the page anew"


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_is_proven_at_a_running_server(item: str) -> None:
    _, named = ROWS[item]

    assert any(file.startswith(SERVED) for file, _ in named)


def test_no_test_names_an_item_that_is_none() -> None:
    assert set(PROOFS) == set(ITEMS)


def test_a_page_is_written_with_the_tests_that_there_are() -> None:
    page = "| T1 | Asked. | gone | also gone |\n"

    known = {"T1": {("interop/test_b.py", "test_t1_b"), ("a.py", "test_t1_a"), ("a.py", "test_t1_c")}}

    assert (
        written(page, known)
        == "| T1 | Asked. | `interop/test_b.py`: `test_t1_b` | `a.py`: `test_t1_a`, `test_t1_c` |\n"
    )
    assert list(rows(written(page, known))) == [("T1", "Asked.", known["T1"])]
