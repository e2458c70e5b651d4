"""Metadata as they are kept, and as texts by their keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.metadata import read_kept, write_kept


@pytest.mark.parametrize(
    ("kept", "pairs"),
    [
        ("", {}),
        ("filename YS50eHQ=,empty,blank ", {"filename": "a.txt", "empty": "", "blank": ""}),
        ("name 8J+YgA==, other YQ==", {"name": "\N{GRINNING FACE}", "other": "a"}),
        ("raw /w==,bad !!!", {"raw": "\ufffd", "bad": ""}),
    ],
)
def test_metadata_are_texts_whatever_the_bytes(kept: str, pairs: dict[str, str]) -> None:
    assert read_kept(kept) == pairs


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_-]*", fullmatch=True), st.text()))
def test_what_is_written_is_read(pairs: dict[str, str]) -> None:
    assert read_kept(write_kept(pairs)) == pairs
