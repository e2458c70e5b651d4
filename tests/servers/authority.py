"""Authorities that vouch for clients, made anew for each run, and the certificates that they give."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Shown:
    """What a client shows, as PEM."""

    chain: bytes
    key: bytes

    def context(self, trusted: Path, folder: Path) -> ssl.SSLContext:
        """To connect with it to a server of that certificate."""
        (folder / "client.pem").write_bytes(self.chain + self.key)
        context = ssl.create_default_context(cafile=trusted)
        context.load_cert_chain(folder / "client.pem")
        return context


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


@dataclass
class Authority:
    """One that vouches."""

    name: str = "clients"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> bytes:
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._begun(_name(self.name), self.key.public_key(), days=1).add_extension(basic, critical=True)
        return made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def vouches_for(self, common_name: str, *others: x509.GeneralName, days: int = 1, server: bool = False) -> Shown:
        """A certificate for a client of that name, and of `others`; of a server, no client should show it."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        made = self._begun(_name(common_name), key.public_key(), days=days)
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if others:
            made = made.add_extension(x509.SubjectAlternativeName(others), critical=False)
        chain = made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return Shown(chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        begun = x509.CertificateBuilder().subject_name(subject).issuer_name(_name(self.name)).public_key(key)
        begun = begun.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=3))
        return begun.not_valid_after(now + timedelta(days=days))
