"""Whether a certificate and its key can be served with, before anything listens."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

# Of the same kind and not a pair; of two kinds.
_NO_PAIR: Final = {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


class BadCertificate(Exception):
    """What is wrong with the files and, after a semicolon, what to do."""


def check_certificate(chain: Path, key: Path) -> None:
    """Raise BadCertificate unless both files can be read, are what they should be, and belong together."""
    for path, what in ((chain, "certificate"), (key, "key")):
        try:
            path.read_bytes()
        except OSError as error:
            message = f"TLS {what} {path}: {error.strerror}; name a PEM file that this user may read"
            raise BadCertificate(message) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(chain)
    except ssl.SSLError:
        message = f"TLS certificate {chain} has no certificate in PEM form; name a file that begins with one"
        raise BadCertificate(message) from None
    try:
        context.load_cert_chain(chain, key, password=lambda: _refuse_to_ask(key))
    except ssl.SSLError as error:
        if error.reason in _NO_PAIR:
            message = f"TLS key {key} is not that of the certificate {chain}; name the two that belong together"
        else:
            message = f"TLS key {key} or certificate {chain} cannot be used ({error.reason or 'no key in PEM form'})"
            message += "; name a PEM file with a private key"
        raise BadCertificate(message) from None


def _refuse_to_ask(key: Path) -> str:
    message = f"TLS key {key} has a passphrase; take it off: openssl pkey -in {key} -out NEW"
    raise BadCertificate(message)
