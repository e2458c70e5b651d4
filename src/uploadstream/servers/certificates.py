"""What a server shows of itself over TLS, and whether it can be served with, before anything listens.

And whom a client's certificate names: the subject's common name; of one without that, the first URI or else the first
e-mail address among its alternative names.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

# Of the same kind and not a pair; of two kinds.
_NO_PAIR: Final = {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


class BadCertificate(Exception):
    """What is wrong with the files and, after a semicolon, what to do."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain and its key, as PEM: read once, so that whatever becomes of the files, the two belong together.

    `client_ca`: who vouches for clients that show certificates; empty, and none is asked for.
    """

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes = b""

    def context(self) -> ssl.SSLContext:
        """To serve with it. OSError: that cannot be done."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load_into(context)
        if self.client_ca:
            context.verify_mode = ssl.CERT_OPTIONAL
            with _as_file(self.client_ca) as path:
                context.load_verify_locations(path)
            # A ticket would let in a client whose CA is not trusted any more.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give the context both. ssl.SSLError, and PassphraseWanted."""
        with _as_file(self.chain) as chain, _as_file(self.key) as key:
            context.load_cert_chain(chain, key, password=_refuse_to_ask)


class PassphraseWanted(Exception):
    """The key has a passphrase, and nobody is there to be asked."""


def _refuse_to_ask() -> str:
    raise PassphraseWanted


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path for OpenSSL, which takes nothing else; no disk ever has the bytes."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def read_certificate(chain: Path, key: Path, client_ca: Path | None = None) -> Certificate:
    """What the files hold. BadCertificate unless that is what it should be, and belongs together."""
    clients = _read(client_ca, "client CA") if client_ca else b""
    certificate = Certificate(_read(chain, "certificate"), _read(key, "key"), clients)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _check_certificates(certificate.chain, f"certificate {chain}", context)
    if client_ca:
        _check_certificates(clients, f"client CA {client_ca}", context)
    try:
        certificate.load_into(context)
    except PassphraseWanted:
        message = f"TLS key {key} has a passphrase; take it off: openssl pkey -in {key} -out NEW"
        raise BadCertificate(message) from None
    except ssl.SSLError as error:
        if error.reason in _NO_PAIR:
            message = f"TLS key {key} is not that of the certificate {chain}; name the two that belong together"
        else:
            message = f"TLS key {key} or certificate {chain} cannot be used ({error.reason or 'no key in PEM form'})"
            message += "; name a PEM file with a private key"
        raise BadCertificate(message) from None
    return certificate


def _check_certificates(content: bytes, what: str, context: ssl.SSLContext) -> None:
    try:
        with _as_file(content) as path:
            context.load_verify_locations(path)
    except ssl.SSLError:
        message = f"TLS {what} has no certificate in PEM form; name a file that begins with one"
        raise BadCertificate(message) from None


def client_name(peer: Mapping[str, Any] | None) -> str:
    """Whom a verified client's certificate names, as `ssl` describes it; "" if there is none, or it names nobody."""
    found: Mapping[str, Any] = peer or {}
    names = [value for part in found.get("subject", ()) for kind, value in part if kind == "commonName"]
    others = found.get("subjectAltName", ())
    names += [value for wanted in ("URI", "email") for kind, value in others if kind == wanted]
    return next(filter(None, names), "")


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"TLS {what} {path}: {error.strerror}; name a PEM file that this user may read"
        raise BadCertificate(message) from None
