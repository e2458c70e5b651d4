"""What a signed token says counts only now, and only of a user that can be one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from uploadstream.core.access import Identity, Scope, WrongCredentials
from uploadstream.core.claims import LEEWAY, read_claims

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SOON = NOW.timestamp() + 60


def refusal(**claims: Any) -> str:
    with pytest.raises(WrongCredentials) as caught:
        read_claims({"sub": "ada", "exp": SOON, **claims}, now=NOW)
    return str(caught.value)


def test_a_token_means_its_subject_until_it_expires() -> None:
    claims = {"sub": "ada", "exp": SOON, "nbf": NOW.timestamp(), "iat": NOW.timestamp() - 5.25}

    assert read_claims(claims, now=NOW) == Identity("ada", expires_at=NOW + timedelta(seconds=60))


def test_another_claim_may_name_the_user() -> None:
    claims = {"sub": "7", "https://example.com/user": "ada", "exp": SOON}

    assert read_claims(claims, now=NOW, user_claim="https://example.com/user").user_id == "ada"


def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    late, early = NOW + LEEWAY, NOW - LEEWAY
    fine = {"sub": "ada", "exp": early.timestamp() + 1, "nbf": late.timestamp(), "iat": late.timestamp()}

    assert read_claims(fine, now=NOW).user_id == "ada"
    assert refusal(exp=early.timestamp()) == "Token is not valid: it has expired"
    assert refusal(nbf=late.timestamp() + 1) == "Token is not valid: it does not count yet (nbf)"
    assert refusal(iat=late.timestamp() + 1) == "Token is not valid: it was issued in the future (iat)"


def test_a_token_without_an_end_is_refused() -> None:
    assert refusal(exp=None) == "Token is not valid: it has no exp, and would never expire"


@pytest.mark.parametrize("value", [True, "1e9", [1], {}, float("nan"), float("inf"), -1])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_none_is_refused(name: str, value: object) -> None:
    assert refusal(**{name: value}) == f"Token is not valid: its {name} is no time"


@pytest.mark.parametrize("end", [1e300, 10**400 // 10**100, 253402300800])
def test_an_end_behind_all_dates_is_the_last_one(end: float) -> None:
    assert read_claims({"sub": "ada", "exp": end}, now=NOW).expires_at == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", 7, ["ada"], {"id": "ada"}, True])
def test_a_subject_that_is_no_text_is_refused(value: object) -> None:
    assert refusal(sub=value) == "Token is not valid: its sub must be text, and names the user"


def test_a_subject_that_can_be_no_user_is_refused() -> None:
    assert refusal(sub="a" * 129) == "Token is not valid: its sub must be 1 to 128 characters, has 129"
    assert refusal(sub="a\nb") == "Token is not valid: its sub must be text without control characters"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        *[("read", "read"), (" openid  read ", "read"), (["read", "admin"], "read admin"), ("write email", "write")],
        *[(None, "read write"), ("", "read write"), ([], "read write"), ("openid email", "read write")],
        *[("upload", "read write"), ("READ", "read write"), ("read:write", "read write")],
    ],
)
def test_the_words_of_a_scope_that_are_ours_say_what_a_token_is_for(scope: object, scopes: str) -> None:
    found = read_claims({"sub": "ada", "exp": SOON, "scope": scope}, now=NOW)

    assert found.scopes == {Scope(word) for word in scopes.split()}


@pytest.mark.parametrize("scope", [7, True, {"read": 1}, ["read", 7], [["read"]]])
def test_a_scope_that_is_no_words_is_refused(scope: object) -> None:
    assert refusal(scope=scope) == "Token is not valid: its scope must be words with spaces between"
