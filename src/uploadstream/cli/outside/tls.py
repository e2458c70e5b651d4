"""The certificate that a deployment shows, and how it encrypts."""

from __future__ import annotations

import ssl
from datetime import datetime
from typing import Final

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.exchange import connect
from uploadstream.client.endpoint import Endpoint

DAYS_MIN: Final = 14  # those who renew by themselves do it a month before
DAY_SECONDS: Final = 24 * 60 * 60

# OpenSSL's reasons (x509_vfy.h), and what to do about each.
_ADVICE: Final = {
    2: "send the chain: the file has to have the intermediate certificates behind the server's own",
    10: "renew it",
    18: "nobody trusts it but who was told to; have one issued, such as by Let's Encrypt",
    19: "its root is not known to this machine; have one issued that everybody trusts",
    20: "send the chain: the file has to have the intermediate certificates behind the server's own",
    21: "send the chain: the file has to have the intermediate certificates behind the server's own",
    62: "have one issued for this name, or ask by the name that it is for",
    64: "have one issued for this address, or ask by a name",
}


def trusting_none() -> ssl.SSLContext:
    """To go on looking where the certificate is no good."""
    return ssl._create_unverified_context()  # noqa: S323, SLF001 - what is wrong with it has been said


def check_tls(address: Endpoint, now: datetime) -> tuple[Finding, ssl.SSLContext | None]:
    """What is to be said, and how to go on connecting. OSError: nobody is there."""
    if not address.is_secure:
        return _plain(address), None
    context = ssl.create_default_context()
    try:
        with connect(address, context) as line:
            assert isinstance(line, ssl.SSLSocket)  # noqa: S101 - it was given a context
            return _certificate(line, now), context
    except ssl.SSLCertVerificationError as error:
        advice = _ADVICE.get(error.verify_code, "correct the certificate")
        return Finding("TLS", Level.FAIL, f"certificate: {error.verify_message}", advice), trusting_none()
    except ssl.SSLError as error:
        advice = "is there TLS at this port? Write http:// if not; else allow TLS 1.2 and 1.3"
        return Finding("TLS", Level.FAIL, f"no handshake: {error.reason or error}", advice), trusting_none()


def _plain(address: Endpoint) -> Finding:
    if address.is_local:
        return Finding("TLS", Level.OK, "none; only this machine hears what is said")
    advice = "let a proxy in front have a certificate, or use --tls-cert and --tls-key"
    return Finding("TLS", Level.WARN, f"none: anybody between here and {address.host} can read and change", advice)


def _certificate(line: ssl.SSLSocket, now: datetime) -> Finding:
    certificate = line.getpeercert() or {}
    seconds = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - now.timestamp()
    days = int(seconds // DAY_SECONDS)
    found = f"{line.version()}, certificate and chain are trusted, {days} days left"
    if days < DAYS_MIN:
        return Finding("TLS", Level.WARN, found, "renew it, and see why that was not done by itself")
    return Finding("TLS", Level.OK, found)
