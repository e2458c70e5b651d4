"""An issuer of tokens, with real keys of each kind, and whatever else somebody could sign or only write."""

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import get_default_algorithms

SECRET = "a secret of at least thirty-two bytes"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def private_key(algorithm: str, number: int = 0) -> PrivateKey:
    """The issuer's key of a kind; another number, another key."""
    return _made(algorithm, number)


@functools.cache
def _made(algorithm: str, _number: int) -> PrivateKey:
    if algorithm in {"RS256", "PS256"}:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


def public_pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def member(algorithm: str, name: str | None = None, *, number: int = 0, **more: object) -> dict[str, Any]:
    """The public key, as a key set has it."""
    key: Any = private_key(algorithm, number).public_key()
    found = json.loads(get_default_algorithms()[algorithm].to_jwk(key))
    return {**found, **({"kid": name} if name else {}), **more}


def key_set(*members: object) -> bytes:
    return json.dumps({"keys": members}).encode()


def token(algorithm: str, claims: Mapping[str, Any], *, number: int = 0, **head: object) -> str:
    """A token that the issuer has signed."""
    key: Any = SECRET if algorithm == "HS256" else private_key(algorithm, number)
    return jwt.encode(dict(claims), key, algorithm, dict(head))


def forged(head: object, claims: object, secret: bytes = b"") -> str:
    """What anybody can write: any head, any claims, and a signature by HMAC or none."""
    signed = ".".join(map(_encoded, (head, claims)))
    signature = hmac.digest(secret, signed.encode(), hashlib.sha256) if secret else b""
    return f"{signed}.{_text(signature)}"


def _encoded(part: object) -> str:
    return _text(part if isinstance(part, bytes) else json.dumps(part).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
