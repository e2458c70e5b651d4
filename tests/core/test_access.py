"""Who may see whose things."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.access import (
    ANONYMOUS,
    USER_LENGTH_MAX,
    Bounds,
    Caller,
    Credentials,
    Forbidden,
    Identity,
    Scope,
    ScopeMissing,
    caller_as,
    check_user,
)
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
    assert Caller("ann", identity=Identity("ann")).owner_of("bob") == "ann"
    assert Caller("ann").owner_of("bob") == "bob"
    assert (Caller("ann").owner_of(""), Caller().owner_of("")) == ("ann", "anonymous")


ADMIN = Identity("root", frozenset({Scope.ADMIN}))


def test_a_known_caller_is_held_to_its_user_whatever_it_says() -> None:
    caller = Caller("bob", identity=Identity("ann"))

    assert caller.may_see("ann")
    assert not caller.may_see("bob")
    assert not Caller("", identity=Identity("ann")).may_see("bob")
    assert (caller.name, caller.actor) == ("ann", "ann")


def test_an_admin_sees_everybody_s_things_or_those_of_the_user_that_it_names() -> None:
    anybody, for_bob = Caller(identity=ADMIN), Caller("bob", identity=ADMIN)

    assert anybody.may_see("ann")
    assert anybody.name == "root"
    assert for_bob.may_see("bob")
    assert not for_bob.may_see("ann")
    assert (for_bob.name, for_bob.actor) == ("bob", "root")
    assert (for_bob.owner_of("cleo"), for_bob.owner_of("")) == ("cleo", "bob")


def test_what_a_request_says_of_its_user_counts_unless_it_is_known_to_be_another() -> None:
    assert caller_as(None, "bob", "test", "").user_id == "bob"
    assert caller_as(ADMIN, "bob", "test", "").user_id == "bob"
    assert caller_as(Identity("ann"), "bob", "test", "192.0.2.1") == Caller("ann", "test", "192.0.2.1", Identity("ann"))


@pytest.mark.parametrize("scope", Scope)
def test_who_is_not_known_and_who_is_an_admin_may_all(scope: Scope) -> None:
    Caller("ann").check_may(scope)
    Caller(identity=ADMIN).check_may(scope)


def test_a_scope_that_is_missing_is_named() -> None:
    reader, nobody = (Caller(identity=Identity("ann", frozenset(scopes))) for scopes in ([Scope.READ], []))

    reader.check_may(Scope.READ)
    reader.check_may(Scope.WRITE, Scope.READ)
    error = refusal_of(reader.check_may, Scope.WRITE)
    assert isinstance(error, ScopeMissing)
    assert (str(error), error.needed) == ("Scope write is needed; these credentials have read", "write")
    error = refusal_of(nobody.check_may, Scope.READ, Scope.WRITE)
    assert str(error) == "Scope read or write is needed; these credentials have none"


def test_credentials_are_never_shown() -> None:
    shown = repr(Credentials("bearer-1", "key-2", "cookie-3", "name-4"))

    assert not any(word in shown for word in ("bearer-1", "key-2", "cookie-3", "name-4"))


# Tokens for uploads


def test_a_token_for_one_upload_reaches_that_and_begins_none() -> None:
    bounds = Bounds(upload_id="one")

    assert bounds.reach("one", size_max=10**12, allowed_types=())
    assert bounds.reach("one", size_max=1, allowed_types=None)
    assert not bounds.reach("two", size_max=1, allowed_types=())
    with pytest.raises(Forbidden, match=r"^This token is for upload one, and for no other$"):
        bounds.size_max_of_new(100)


@pytest.mark.parametrize(
    ("bounds", "size_max", "allowed_types", "reached"),
    [
        *[(Bounds(size_max=9), 9, (), True), (Bounds(size_max=9), 10, (), False), (Bounds(), 10, (), True)],
        *[
            (Bounds(size_max=9), 9, ("a/*",), True),
            (Bounds(size_max=0), 0, (), True),
            (Bounds(size_max=0), 1, (), False),
        ],
        *[(Bounds(allowed_types=("a/*",)), 9, ("a/*",), True), (Bounds(allowed_types=("a/*",)), 9, (), False)],
        *[(Bounds(allowed_types=("a/*",)), 9, ("a/*", "b/*"), False), (Bounds(allowed_types=("a/*",)), 9, None, True)],
        *[(Bounds("", 8, ("a/*",)), 9, ("a/*",), False), (Bounds("", 8, ("a/*",)), 9, None, False)],
    ],
)
def test_a_token_for_new_uploads_reaches_those_that_take_no_more(
    bounds: Bounds, size_max: int, allowed_types: tuple[str, ...] | None, reached: bool
) -> None:
    assert bounds.reach("any", size_max=size_max, allowed_types=allowed_types) is reached


def test_a_token_bounds_the_size_of_what_is_new() -> None:
    assert Bounds(size_max=9).size_max_of_new(100) == 9
    assert Bounds(size_max=200).size_max_of_new(100) == 100
    assert Bounds(allowed_types=("a/*",)).size_max_of_new(100) == 100


def test_who_has_no_such_token_is_not_bound() -> None:
    bounds = Bounds("one")

    assert Caller("ann").bounds == Caller("ann", identity=Identity("ann")).bounds == Bounds()
    assert Caller("ann", identity=Identity("ann", bounds=bounds)).bounds == bounds


def test_a_token_for_uploads_is_for_nothing_else() -> None:
    caller = Caller(identity=Identity("ann", frozenset({Scope.UPLOAD}), bounds=Bounds("one")))

    caller.check_may(Scope.WRITE, Scope.UPLOAD)
    for scopes in ((Scope.READ,), (Scope.WRITE,), (Scope.READ, Scope.WRITE)):
        with pytest.raises(ScopeMissing):
            caller.check_may(*scopes)
