"""A client's certificate names its user, where an authority of ours vouches for it; nobody has to show one to HTTP."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.http_rig import Receive, Scope, Send, Serving, respond, serving
from tests.servers.authority import Authority, Shown
from uploadstream.http.callers import CERTIFICATE
from uploadstream.servers.certificates import BadCertificate, Certificate, client_name, read_certificate

HERE = Path(__file__).parent
CHAIN, KEY = HERE / "localhost.pem", HERE / "localhost.key.pem"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def certificate(*authorities: Authority) -> Certificate:
    return Certificate(CHAIN.read_bytes(), KEY.read_bytes(), b"".join(one.pem for one in authorities))


async def name_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers whom the certificate names."""
    await respond(send, 200, scope["extensions"].get(CERTIFICATE, "nobody").encode())


async def named(running: Serving, shown: Shown | None, folder: Path) -> str:
    context = shown.context(CHAIN, folder) if shown else ssl.create_default_context(cafile=CHAIN)
    client = await running.connect(ssl=context, server_hostname="localhost")
    await client.send(GET)
    return (await client.answer()).body.decode()


async def test_a_certificate_names_the_user_and_none_is_needed(tmp_path: Path) -> None:
    ours = Authority()
    async with serving(name_app, certificate=certificate(ours)) as running:
        assert await named(running, ours.vouches_for("ada"), tmp_path) == "ada"
        assert await named(running, None, tmp_path) == "nobody"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda: Authority().vouches_for("ada"), id="of an authority of the same name"),
        pytest.param(lambda: Authority("others").vouches_for("ada"), id="of another authority"),
    ],
)
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, bad: Callable[[], Shown]) -> None:
    async with serving(name_app, certificate=certificate(Authority())) as running:
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await named(running, bad(), tmp_path)


@pytest.mark.parametrize("rules", [{"days": -1}, {"server": True}], ids=["expired", "of a server"])
async def test_a_certificate_that_does_not_count_is_refused(tmp_path: Path, rules: dict[str, Any]) -> None:
    ours = Authority()
    async with serving(name_app, certificate=certificate(ours)) as running:
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await named(running, ours.vouches_for("ada", **rules), tmp_path)


async def test_authorities_are_renewed_with_the_certificate(tmp_path: Path) -> None:
    before, after = Authority("before"), Authority("after")
    async with serving(name_app, certificate=certificate(before)) as running:
        assert await named(running, before.vouches_for("ada"), tmp_path) == "ada"

        running.server.renew_certificate(certificate(after))

        assert await named(running, after.vouches_for("ben"), tmp_path) == "ben"
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await named(running, before.vouches_for("ada"), tmp_path)


@pytest.mark.parametrize(
    ("common_name", "others", "user"),
    [
        ("ada", [x509.RFC822Name("a@b.example")], "ada"),
        ("", [x509.RFC822Name("a@b.example"), x509.UniformResourceIdentifier("spiffe://x/ada")], "spiffe://x/ada"),
        ("", [x509.DNSName("b.example"), x509.RFC822Name("a@b.example")], "a@b.example"),
        ("", [x509.DNSName("b.example")], "nobody"),
    ],
)
async def test_of_a_certificate_without_a_common_name_another_name_counts(
    tmp_path: Path, common_name: str, others: list[x509.GeneralName], user: str
) -> None:
    ours = Authority()
    async with serving(name_app, certificate=certificate(ours)) as running:
        assert await named(running, ours.vouches_for(common_name, *others), tmp_path) == user


def test_no_certificate_names_nobody() -> None:
    assert client_name(None) == client_name({}) == ""


def test_authorities_are_read_with_the_certificate(tmp_path: Path) -> None:
    path, pem = tmp_path / "ca.pem", Authority().pem
    path.write_bytes(pem)
    assert read_certificate(CHAIN, KEY, path).client_ca == pem

    for content in (b"", KEY.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(BadCertificate, match="has no certificate in PEM form"):
            read_certificate(CHAIN, KEY, path)
    with pytest.raises(BadCertificate, match=r"TLS client CA .*: No such file"):
        read_certificate(CHAIN, KEY, tmp_path / "none")
