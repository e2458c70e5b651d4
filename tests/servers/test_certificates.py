"""Files that TLS cannot be served with are told apart, before anything listens."""

from pathlib import Path

import pytest

from uploadstream.servers.certificates import BadCertificate, read_certificate

HERE = Path(__file__).parent
CHAIN, KEY = HERE / "localhost.pem", HERE / "localhost.key.pem"


def refusal(chain: Path, key: Path) -> str:
    with pytest.raises(BadCertificate) as caught:
        read_certificate(chain, key)
    return str(caught.value)


def test_a_certificate_and_its_key_are_taken() -> None:
    certificate = read_certificate(CHAIN, KEY)

    assert (certificate.chain, certificate.key) == (CHAIN.read_bytes(), KEY.read_bytes())
    assert "PRIVATE" not in repr(certificate)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    none = tmp_path / "none.pem"

    assert refusal(none, KEY).startswith(f"TLS certificate {none}: No such file or directory; ")
    assert refusal(CHAIN, none).startswith(f"TLS key {none}: No such file or directory; ")
    assert refusal(tmp_path, KEY).startswith(f"TLS certificate {tmp_path}: Is a directory; ")


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate")

    assert refusal(text, KEY).startswith(f"TLS certificate {text} has no certificate in PEM form; ")
    assert refusal(CHAIN, text).startswith(f"TLS key {text} or certificate {CHAIN} cannot be used (no key in PEM form)")
    assert refusal(KEY, CHAIN).startswith(f"TLS certificate {KEY} has no certificate")


def test_a_key_of_another_certificate_is_said_to_be_one() -> None:
    other = HERE / "another.key.pem"

    assert refusal(CHAIN, other).startswith(f"TLS key {other} is not that of the certificate {CHAIN}; ")


def test_nobody_is_asked_for_a_passphrase() -> None:
    locked = HERE / "locked.key.pem"

    assert refusal(CHAIN, locked).startswith(f"TLS key {locked} has a passphrase; take it off: ")
