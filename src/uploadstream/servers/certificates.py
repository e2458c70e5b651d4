"""What a server shows of itself over TLS, and whether it can be served with, before anything listens."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Of the same kind and not a pair; of two kinds.
_NO_PAIR: Final = {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


class BadCertificate(Exception):
    """What is wrong with the files and, after a semicolon, what to do."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain and its key, as PEM: read once, so that whatever becomes of the files, the two belong together."""

    chain: bytes
    key: bytes = field(repr=False)

    def context(self) -> ssl.SSLContext:
        """To serve with it. OSError: that cannot be done."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load_into(context)
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


def read_certificate(chain: Path, key: Path) -> Certificate:
    """What the two files hold. BadCertificate unless that is what it should be, and belongs together."""
    certificate = Certificate(_read(chain, "certificate"), _read(key, "key"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with _as_file(certificate.chain) as path:
            context.load_verify_locations(path)
    except ssl.SSLError:
        message = f"TLS certificate {chain} has no certificate in PEM form; name a file that begins with one"
        raise BadCertificate(message) from None
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


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"TLS {what} {path}: {error.strerror}; name a PEM file that this user may read"
        raise BadCertificate(message) from None
