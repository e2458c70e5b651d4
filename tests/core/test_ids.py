"""Only the canonical spelling of a UUID is an id; all else is the id of nothing."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.errors import NotFound
from uploadstream.core.ids import check_id, is_id

ID = "5f0c1a2b-0000-4000-8000-00000000000a"


@given(st.uuids())
def test_a_canonical_uuid_is_an_id(uuid: UUID) -> None:
    assert check_id(str(uuid), kind="file") == str(uuid)
    assert is_id(str(uuid))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ID.upper(),
        ID.replace("-", ""),
        f"{{{ID}}}",
        f"urn:uuid:{ID}",
        f" {ID}",
        f"{ID}\n",
        f"{ID}/",
        f"../{ID}",
        ID[:-1],
        f"{ID}0",
        ID.replace("5", "\u0665"),
        ID.replace("a", "\uff41"),
    ],
)
def test_another_spelling_is_the_id_of_nothing(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(NotFound):
        check_id(text, kind="upload")


@given(st.text())
def test_any_text_is_an_id_or_the_id_of_nothing(text: str) -> None:
    error = refusal_of(check_id, text, kind="file")

    if error is None:
        assert str(UUID(text)) == text
    else:
        assert isinstance(error, NotFound)
        assert str(error).isascii()
        assert str(error).isprintable()
        assert len(str(error)) < 1000


def test_the_refusal_names_what_was_looked_for() -> None:
    with pytest.raises(NotFound, match=r"^No upload \.\./etc/passwd$"):
        check_id("../etc/passwd", kind="upload")
