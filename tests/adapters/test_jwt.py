"""A token counts only if the issuer's key signed it by that key's own algorithm, for us, and now."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.adapters.issuer import SECRET, forged, key_set, member, private_key, public_pem, token
from uploadstream.adapters.jwks import OneKey
from uploadstream.adapters.jwt import KEYS_TRIED_MAX, TOKEN_LENGTH_MAX, JwtTokens
from uploadstream.adapters.jwt_keys import Key, read_key, read_key_set
from uploadstream.adapters.system import SystemClock
from uploadstream.core.access import Credentials, Identity, Scope, WrongCredentials

CLOCK = SystemClock()
GARBAGE: list[object] = [None, [], 7, "text", b"\xff", b"{", b"[" * 2000]
ALGORITHMS = ["HS256", "RS256", "ES256", "EdDSA"]


def soon() -> float:
    return (CLOCK.now() + timedelta(minutes=1)).timestamp()


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "ada", "exp": soon(), **more}


def key_of(algorithm: str) -> Key:
    return read_key(SECRET if algorithm == "HS256" else public_pem(private_key(algorithm)))


def tokens(algorithm: str, **rules: str) -> JwtTokens:
    return JwtTokens(OneKey(key_of(algorithm)), CLOCK, **rules)


class OfASet:
    """A key set that was read already."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self._keys = read_key_set(key_set(*members), secrets=False)

    async def keys(self, name: str | None) -> list[Key]:
        return [key for key in self._keys if name in {None, key.name}]


async def who(readers: JwtTokens, text: str) -> Identity:
    found = await readers.identity(Credentials(bearer=text))
    assert found is not None
    return found


async def refusal(readers: JwtTokens, text: str) -> str:
    try:
        found = await readers.identity(Credentials(bearer=text))
    except WrongCredentials as error:
        return str(error).removeprefix("Token is not valid: ")
    assert found is None
    return "nothing like a token"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_each_algorithm_means_its_user(algorithm: str) -> None:
    found = await who(tokens(algorithm), token(algorithm, claims(scope="read"), kid="whatever"))

    assert found.user_id == "ada"
    assert found.scopes == {Scope.READ}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("said", ["none", "None", "nOnE", "HS256", "HS512", "RS256", "PS256", "ES256", "EdDSA", ""])
async def test_who_only_knows_the_public_key_forges_nothing(algorithm: str, said: str) -> None:
    known = "" if algorithm == "HS256" else public_pem(private_key(algorithm))

    for secret in {known, known.strip(), "", "0"}:
        text = forged({"alg": said, "typ": "JWT"}, claims(), secret.encode())
        assert await refusal(tokens(algorithm), text)


async def test_a_key_in_the_head_is_not_taken() -> None:
    mine = member("RS256", number=1)
    for head in ({"jwk": mine}, {"x5u": "http://127.0.0.1/"}, {"jku": "http://127.0.0.1/"}, {"x5c": ["AA"]}):
        text = token("RS256", claims(), number=1, **head)
        assert await refusal(tokens("RS256"), text) == "its signature is wrong"


@pytest.mark.parametrize(
    "name", ["../../../dev/null", "/dev/null", "' OR 1=1 --", "", "\x00", "a" * 257, 7, None, ["a"], {"a": 1}]
)
async def test_a_name_of_a_key_is_only_compared(name: object) -> None:
    readers = JwtTokens(OfASet(member("RS256", "one"), member("RS256", "two", number=1)), CLOCK)

    # an attacker's own key, and the secret that the file /dev/null would be
    for text in (token("RS256", claims(), number=2), forged({"alg": "HS256", "kid": name}, claims())):
        assert await refusal(readers, text)
    text = forged({"alg": "RS256", "kid": name}, claims(), b"x")
    assert await refusal(readers, text)


async def test_a_token_is_checked_with_the_key_that_it_names() -> None:
    readers = JwtTokens(OfASet(member("RS256", "one"), member("RS256", "two", number=1)), CLOCK)

    assert (await who(readers, token("RS256", claims(), kid="two", number=1))).user_id == "ada"
    assert await refusal(readers, token("RS256", claims(), kid="one", number=1)) == "its signature is wrong"
    assert await refusal(readers, token("RS256", claims(), kid="six")) == "no key that is known goes with it"


async def test_a_token_that_names_no_key_or_one_of_several_is_checked_with_each_of_them() -> None:
    several = [member("ES256", "same", number=number) for number in range(3)]
    readers = JwtTokens(OfASet(member("RS256", "same"), *several), CLOCK)

    assert (await who(readers, token("ES256", claims(), number=2))).user_id == "ada"
    assert (await who(readers, token("ES256", claims(), number=1, kid="same"))).user_id == "ada"
    assert await refusal(readers, token("ES256", claims(), number=3, kid="same")) == "its signature is wrong"


async def test_not_every_key_of_a_large_set_is_tried() -> None:
    many = [member("EdDSA", number=number) for number in range(KEYS_TRIED_MAX + 1)]

    readers = JwtTokens(OfASet(*many), CLOCK)

    assert await refusal(readers, token("EdDSA", claims(), number=KEYS_TRIED_MAX)) == "its signature is wrong"


async def test_issuer_and_audience_must_be_those_that_are_expected() -> None:
    readers = tokens("HS256", issuer="https://id.example.com", audience="uploads")
    good = claims(iss="https://id.example.com", aud=["other", "uploads"])

    assert (await who(readers, token("HS256", good))).user_id == "ada"
    wrong: object
    for wrong in ("https://id.example.com/", "", 7, ["https://id.example.com"], None):
        assert await refusal(readers, forged({"alg": "HS256"}, {**good, "iss": wrong}, SECRET.encode()))
    for wrong in ("Uploads", [], ["upload"], 7, {"uploads": 1}, [["uploads"]], None):
        assert await refusal(readers, forged({"alg": "HS256"}, {**good, "aud": wrong}, SECRET.encode()))
    assert await refusal(readers, token("HS256", claims(aud="uploads"))) == "its issuer or its audience is missing"
    assert await refusal(readers, token("HS256", {**good, "iss": "x"})) == "it is of another issuer"


async def test_a_token_for_somebody_else_is_refused_where_no_audience_is_set() -> None:
    assert await refusal(tokens("HS256"), token("HS256", claims(aud="billing"))) == "it is meant for another audience"


async def test_times_and_users_are_checked() -> None:
    reader = tokens("EdDSA", user_claim="email")

    assert await refusal(reader, token("EdDSA", {"email": "a@b", "exp": 1})) == "it has expired"
    assert await refusal(reader, token("EdDSA", {"email": "a@b"})) == "it has no exp, and would never expire"
    assert "its email must be text" in await refusal(reader, token("EdDSA", claims()))


async def test_critical_extensions_that_are_not_known_are_refused() -> None:
    heads: list[dict[str, Any]] = [
        {"crit": ["exp"], "exp": 7},
        {"crit": []},
        {"crit": "exp"},
        {"b64": False, "crit": ["b64"]},
    ]
    for head in heads:
        text = forged({"alg": "HS256", **head}, claims(), SECRET.encode())
        assert await refusal(tokens("HS256"), text)


async def test_of_a_claim_there_twice_the_last_counts() -> None:
    """As RFC 7519, section 4, lets a reader do; the signature covers both."""
    twice = b'{"sub":"eve","sub":"ada","exp":%d}' % soon()

    found = await who(tokens("HS256"), forged(b'{"alg":"none","alg":"HS256"}', twice, SECRET.encode()))

    assert found.user_id == "ada"
    assert await refusal(tokens("HS256"), forged(b'{"alg":"HS256","alg":"none"}', twice, SECRET.encode()))


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "...", "a.b.c", "a.b", "é.é.é", "\ud800.a.b", "eyJ.eyJ.", "=.=.=", "a" * 8000, "." * 8000),
        *(forged(part, part, SECRET.encode()) for part in GARBAGE),
        *(forged({"alg": said}, {}, SECRET.encode()) for said in (None, 7, ["HS256"], {"HS256": 1}, True)),
        *(forged({"alg": "HS256"}, part, SECRET.encode()) for part in GARBAGE),
        forged({"alg": "HS256"}, b'{"sub":"ada","exp":' + b"9" * 5000 + b"}", SECRET.encode()),
        forged({"alg": "HS256"}, b'{"sub":"ada","exp":NaN}', SECRET.encode()),
    ],
    ids=lambda text: json.dumps(text[:20]),
)
async def test_garbage_is_no_token(text: str) -> None:
    assert await refusal(tokens("HS256"), text)


async def test_a_token_that_is_too_long_is_not_even_parsed() -> None:
    text = token("HS256", claims(more="x" * TOKEN_LENGTH_MAX))

    assert await refusal(tokens("HS256"), text) == f"it has {len(text)} characters; at most {TOKEN_LENGTH_MAX}"
