"""Keys that issuers sign tokens with: of a setting, or of a JSON Web Key Set (RFC 7517).

Invariant: a key has one algorithm, by what kind of key it is. What a token says of its algorithm never chooses one: it
must say the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
SECRET_BYTES_MIN: Final = 32  # RFC 7518, section 3.2
RSA_BITS_MIN: Final = 2048  # RFC 7518, section 3.3
KEYS_MAX: Final = 256

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class BadKey(Exception):
    """What is wrong with a key or a set of them and, after a semicolon, what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, its algorithm, and its name in its set ("" if it has none)."""

    algorithm: str
    key: PublicKey | bytes = field(repr=False)
    name: str = ""

    @property
    def is_secret(self) -> bool:
        """Who can check with it can also sign."""
        return isinstance(self.key, bytes)


def read_key(text: str) -> Key:
    """A public key in PEM form, or a secret. BadKey."""
    if "-----BEGIN" not in text:
        return _secret(text.encode())
    if "PRIVATE KEY-----" in text:
        message = "is a private key, which its issuer should keep; name the public one: openssl pkey -in FILE -pubout"
        raise BadKey(message)
    try:
        return _public(load_pem_public_key(text.encode()))
    except (ValueError, UnsupportedAlgorithm):
        message = "is no public key in PEM form; of a certificate, take: openssl x509 -in FILE -noout -pubkey"
        raise BadKey(message) from None


def _secret(secret: bytes, name: str = "") -> Key:
    if len(secret) < SECRET_BYTES_MIN:
        message = f"is a secret of {len(secret)} bytes, which can be guessed; HS256 needs {SECRET_BYTES_MIN} at least"
        raise BadKey(message)
    return Key("HS256", secret, name)


def _public(key: object, name: str = "") -> Key:
    """A public key with the one algorithm that it is used with. BadKey."""
    if isinstance(key, RSAPublicKey):
        if key.key_size < RSA_BITS_MIN:
            raise BadKey(f"is an RSA key of {key.key_size} bits; RS256 needs {RSA_BITS_MIN} at least")
        return Key("RS256", key, name)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Key("ES256", key, name)
    if isinstance(key, Ed25519PublicKey):
        return Key("EdDSA", key, name)
    raise BadKey("is a key of another kind; take one of RSA, of the curve P-256 or of Ed25519")


def read_key_set(content: bytes, *, secrets: bool) -> Sequence[Key]:
    """The keys of a set that tokens can be checked with; those of other kinds, and for other uses, are passed over.

    `secrets`: it is nowhere that others can read, and may have some. BadKey if it is no set, or nothing is left.
    """
    try:
        members = json.loads(content)["keys"]
    except (ValueError, RecursionError, LookupError, TypeError):
        raise BadKey("is no JSON Web Key Set; it must be an object with a list `keys`") from None
    if not isinstance(members, list):
        raise BadKey("is no JSON Web Key Set; its `keys` must be a list")
    if len(members) > KEYS_MAX:
        raise BadKey(f"has {len(members)} keys; {KEYS_MAX} are read at most")
    problems: list[str] = []
    keys: list[Key] = []
    for member in members:
        try:
            keys.append(_member(member, secrets=secrets))
        except BadKey as error:
            problems.append(str(error))
    if not keys:
        raise BadKey(f"has no key that can be used; {'; '.join(dict.fromkeys(problems)) or 'it is empty'}")
    return keys


def _member(member: object, *, secrets: bool) -> Key:
    if not isinstance(member, Mapping):
        raise BadKey("a key must be an object")
    name = member.get("kid", "")
    if not isinstance(name, str):
        raise BadKey("a key's `kid` must be text")
    if member.get("use", "sig") != "sig" or "verify" not in _operations(member):
        raise BadKey(f"key {name!a} is not for signatures")
    if "d" in member:
        raise BadKey(f"key {name!a} is a private one, which its issuer should keep")
    if member.get("kty") == "oct" and not secrets:
        raise BadKey(f"key {name!a} is a secret that whoever asks is told")
    read = _read(member, name)
    if member.get("alg", read.algorithm) != read.algorithm:
        raise BadKey(f"key {name!a} is for {member['alg']!a}; tokens may be signed by {', '.join(ALGORITHMS)}")
    return read


def _operations(member: Mapping[str, Any]) -> Sequence[object]:
    operations = member.get("key_ops", ["verify"])
    return operations if isinstance(operations, list) else []


def _read(member: Mapping[str, Any], name: str) -> Key:
    """A member as a key with the algorithm of its kind, whatever its `alg` says."""
    bare = {word: value for word, value in member.items() if word != "alg"}
    try:
        key = jwt.PyJWK(bare).key
        return _secret(key, name) if isinstance(key, bytes) else _public(key, name)
    except BadKey as error:
        raise BadKey(f"key {name!a} {error}") from None
    except (jwt.PyJWTError, ValueError, LookupError, TypeError, AttributeError, UnsupportedAlgorithm):
        raise BadKey(f"key {name!a} is not whole, or of another kind") from None
