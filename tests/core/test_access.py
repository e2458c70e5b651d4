"""Who may see whose things."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.access import ANONYMOUS, USER_LENGTH_MAX, Caller, check_user
from uploadstream.core.errors import BadField


def test_one_that_names_a_user_is_held_to_it() -> None:
    caller = Caller("ann")

    assert caller.may_see("ann")
    assert not caller.may_see("bob")
    assert not caller.may_see(ANONYMOUS)


def test_one_that_names_nobody_reaches_anything_by_its_id() -> None:
    assert Caller().may_see("ann")
    assert Caller().may_see(ANONYMOUS)


def test_one_that_names_nobody_owns_things_as_anonymous() -> None:
    assert Caller().name == ANONYMOUS
    assert Caller("ann").name == "ann"


@pytest.mark.parametrize(
    "user_id",
    [
        "",
        "ann",
        "0b8f8ad4-44b7-4ac5-9a05-8a2f4a1bbf2f",
        "ann@example.org",
        "a b",
        "山田　太郎",  # with an ideographic space
        "नमस्ते",
        "👩\u200d💻",
        "x" * USER_LENGTH_MAX,
        "😀" * USER_LENGTH_MAX,
    ],
)
def test_a_user_is_any_text_of_1_to_128_characters(user_id: str) -> None:
    assert check_user(user_id) == user_id


def test_a_longer_user_is_refused_with_its_length() -> None:
    with pytest.raises(BadField, match=r"^user_id: must be 1 to 128 characters, has 129$"):
        check_user("x" * 129)


@pytest.mark.parametrize("user_id", ["a\nb", "\x00", "a\x7f", "\x1b[31m", "a\x85b", "\ud800"])
def test_a_user_with_control_characters_is_refused(user_id: str) -> None:
    with pytest.raises(BadField, match=r"^user_id: must be text without control characters$"):
        check_user(user_id)


@given(st.text())
def test_any_text_is_a_user_or_a_bad_field(user_id: str) -> None:
    error = refusal_of(check_user, user_id)

    assert error is None or (isinstance(error, BadField) and error.field == "user_id")


def test_what_a_known_caller_makes_is_its_own_whomever_it_names() -> None:
    assert Caller("ann", is_known=True).owner_of("bob") == "ann"
    assert Caller("ann").owner_of("bob") == "bob"
    assert (Caller("ann").owner_of(""), Caller().owner_of("")) == ("ann", "anonymous")
