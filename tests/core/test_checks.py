"""What is wrong with a message is said at once."""

from collections.abc import Callable

from tests.core.refusals import refusal_of
from uploadstream.core.checks import check_each, together
from uploadstream.core.errors import BadField, MissingMetadata, Refusal, TooLarge


def test_bad_fields_of_one_message_are_said_together() -> None:
    error = together([BadField("a", "is 1"), together([BadField("b", "is 2"), BadField("c", "is 3")])])

    assert str(error) == "a: is 1; b: is 2; c: is 3"
    assert [bad.field for bad in error.all] == ["a", "b", "c"]
    assert error.numbers == {"field": "a", "problem": "is 1"}


def fails(error: Refusal) -> Callable[[], None]:
    def check() -> None:
        raise error

    return check


def test_every_check_is_made_and_all_bad_fields_are_raised_as_one() -> None:
    checks = [fails(BadField("a", "is 1")), fails(TooLarge(2, 1)), lambda: None, fails(BadField("b", "is 2"))]

    error = refusal_of(check_each, *checks)

    assert isinstance(error, BadField)
    assert str(error) == "a: is 1; b: is 2"


def test_where_no_field_is_bad_the_first_other_refusal_is_raised() -> None:
    first = TooLarge(2, 1)

    assert refusal_of(check_each, fails(first), fails(MissingMetadata())) is first
    assert refusal_of(check_each, lambda: None) is None
