"""A key of a setting or of a set has the one algorithm of its kind, or is refused with what to do."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.adapters.issuer import SECRET, key_set, member, private_key, private_pem, public_pem
from uploadstream.adapters.jwt_keys import KEYS_MAX, BadKey, read_key, read_key_set

OCT = {"kty": "oct", "k": "YSBzZWNyZXQgb2YgYXQgbGVhc3QgdGhpcnR5LXR3byBieXRlcw"}


def refusal(text: str) -> str:
    with pytest.raises(BadKey) as caught:
        read_key(text)
    return str(caught.value)


def refused_set(content: bytes) -> str:
    with pytest.raises(BadKey) as caught:
        read_key_set(content, secrets=False)
    return str(caught.value)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_used_with_the_algorithm_of_its_kind(algorithm: str) -> None:
    key = read_key(public_pem(private_key(algorithm)))

    assert key.algorithm == algorithm
    assert not key.is_secret


def test_other_text_is_a_secret_that_is_not_shown() -> None:
    key = read_key(SECRET)

    assert (key.algorithm, key.is_secret) == ("HS256", True)
    assert SECRET not in repr(key)


def test_a_short_secret_is_refused_with_its_length() -> None:
    assert refusal("hunter2") == "is a secret of 7 bytes, which can be guessed; HS256 needs 32 at least"


def test_a_private_key_is_refused() -> None:
    assert "is a private key, which its issuer should keep" in refusal(private_pem(private_key("ES256")))


def test_a_pem_of_something_else_is_refused() -> None:
    assert "is no public key in PEM form" in refusal("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")


def test_keys_that_are_weak_or_of_other_kinds_are_refused() -> None:
    def pem(key: rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey) -> str:
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    short = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - which is the point
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert refusal(pem(short)) == "is an RSA key of 1024 bits; RS256 needs 2048 at least"
    assert "is a key of another kind" in refusal(pem(curve))


def test_a_set_gives_the_keys_that_signatures_are_checked_with() -> None:
    found = read_key_set(
        key_set(
            member("RS256", "r", use="sig", alg="RS256"),
            member("ES256", "e", key_ops=["verify"]),
            member("EdDSA"),
            member("RS256", "enc", use="enc"),
            member("RS256", "ops", key_ops=["encrypt"]),
            member("RS256", "pss", alg="PS256"),
            {"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AA", "y": "AA"},
            {"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AA"},
            {"kty": "RSA", "n": 7, "e": [], "kid": "odd"},
            {"kty": "AKP", "kid": "new"},
            {**OCT, "kid": "told"},
            "no object",
        ),
        secrets=False,
    )

    assert [(key.name, key.algorithm) for key in found] == [("r", "RS256"), ("e", "ES256"), ("", "EdDSA")]


def test_a_set_that_nobody_else_reads_may_have_secrets() -> None:
    (key,) = read_key_set(key_set(OCT), secrets=True)

    assert key.algorithm == "HS256"
    assert "key '' is a secret that whoever asks is told" in refused_set(key_set(OCT))


def test_an_rsa_key_that_says_it_is_a_secret_stays_one_of_rsa() -> None:
    assert "key 'k' is for 'HS256'" in refused_set(key_set(member("RS256", "k", alg="HS256")))


def test_a_private_key_in_a_set_is_not_used() -> None:
    assert "key 'k' is a private one" in refused_set(key_set(member("EdDSA", "k", d="AAAA")))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"keys": {}}', b'{"keys": null}', b"[" * 100_000, b'"keys"', b"<html>", b"7"],
)
def test_what_is_no_set_is_refused(content: bytes) -> None:
    assert "is no JSON Web Key Set" in refused_set(content)


def test_a_set_of_nothing_or_of_too_many_is_refused() -> None:
    assert refused_set(key_set()) == "has no key that can be used; it is empty"
    many = json.dumps({"keys": [{}] * (KEYS_MAX + 1)}).encode()
    assert refused_set(many) == f"has {KEYS_MAX + 1} keys; {KEYS_MAX} are read at most"


def test_a_key_whose_name_is_no_text_is_passed_over() -> None:
    assert "a key's `kid` must be text" in refused_set(key_set({**member("ES256"), "kid": ["k"]}))
