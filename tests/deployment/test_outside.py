"""What the doctor finds in a deployment that it looks at from outside."""

import json
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.cli.running import CommandLine
from tests.deployment.proxies import CERTIFICATE, KEY, NAME, Proxy, nginx_with, temporary_paths
from tests.prepared_server import PreparedServer
from tests.running_server import HOST, RunningServer, free_ports
from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside import tls
from uploadstream.cli.outside.bodies import check_sizes
from uploadstream.cli.outside.deployment import Deployment, origin_of
from uploadstream.cli.outside.visit import visit
from uploadstream.client.endpoint import Endpoint

USER: Final = "doctor"
END_OF_THE_CERTIFICATE: Final = ssl.cert_time_to_seconds("Oct 28 08:46:57 2126 GMT")

# As it comes: bodies are kept back, limited to 1 MiB, and asked for in nobody's name. `more` makes it worse.
DEFAULTS = """
events {{}}
http {{

    {kept}
    server {{
        listen {host}:{port};
        listen {host}:{tls_port} ssl http2;
        listen 127.0.0.2:{tls_port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{
            proxy_pass http://{service};
            {more}
        }}
        location /below/ {{
            proxy_pass http://{service}/;
        }}
        location /guarded/ {{
            limit_except GET POST OPTIONS DELETE {{ deny all; }}
            proxy_pass http://{service}/;
        }}
        location /other/ {{
            return 200 "hello";
        }}
        location /moved/ {{
            return 301 https://files.example.com/;
        }}
    }}
}}
"""
# Speaks HTTP/1.1 to the service, which then sends 104; leads from TLS to none; answers for CORS as well.
WORSE = """
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_redirect / http://$http_host/;
            add_header Access-Control-Allow-Origin * always;
"""


SHUT = """
            proxy_hide_header Access-Control-Allow-Origin;
            proxy_set_header Host $http_host;
"""


@contextmanager
def careless(server: RunningServer, folder: Path, more: str) -> Iterator[tuple[str, str]]:
    """nginx as somebody set it up who read nothing; its addresses without TLS and with it."""
    ports = free_ports(2)
    places = {"host": HOST, "port": ports[0], "tls_port": ports[1], "certificate": CERTIFICATE, "key": KEY}
    service = f"{HOST}:{server.http_port}"
    text = DEFAULTS.format(**places, kept=temporary_paths(folder), service=service, more=more)
    with nginx_with(text, folder, ports):
        yield f"http://{NAME}:{ports[0]}", f"https://{NAME}:{ports[1]}"


@pytest.fixture(scope="session")
def found(
    server: RunningServer, proxies: dict[str, Proxy], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], dict[str, Finding]]]:
    """What is found in each deployment; the doctor is at all of them at once, because it waits most of its time."""
    with ExitStack() as stack:
        folders = {more: tmp_path_factory.mktemp("careless") for more in ("", WORSE, SHUT)}
        plain, _ = stack.enter_context(careless(server, folders[""], ""))
        _, worse = stack.enter_context(careless(server, folders[WORSE], WORSE))
        shut, _ = stack.enter_context(careless(server, folders[SHUT], SHUT))
        addresses = {
            **{name: proxy.url for name, proxy in proxies.items()},
            "directly": server.http_url,
            "defaults": plain,
            "worse": worse,
            "shut": shut,
            "below": f"{plain}/below",
            "guarded": f"{plain}/guarded",
            "other": f"{plain}/other",
            "moved": f"{plain}/moved",
            "nobody": f"http://{HOST}:{free_ports(1)[0]}",
        }
        at_work = stack.enter_context(ThreadPoolExecutor(len(addresses)))
        tasks = {name: at_work.submit(examined, url) for name, url in addresses.items()}
        yield lambda name: tasks[name].result()


def examined(url: str, origin: str = "") -> dict[str, Finding]:
    seen = visit(Endpoint.parse(url), who={"X-User-Id": USER}, origin=origin, now=datetime.now(UTC))
    return {finding.check: finding for finding in seen}


Found = Callable[[str], dict[str, Finding]]


def failed(findings: dict[str, Finding]) -> set[str]:
    return {check for check, finding in findings.items() if finding.level is not Level.OK}


@pytest.mark.parametrize("name", ["nginx", "HAProxy", "Caddy", "directly"])
def test_the_examples_are_found_to_be_in_order(found: Found, name: str) -> None:
    findings = found(name)

    assert {check: one for check, one in findings.items() if one.level is not Level.OK} == {}
    assert len(findings) == (16 if name == "directly" else 17)


def test_what_a_proxy_does_by_default_is_named_with_its_directive(found: Found) -> None:
    findings = found("defaults")

    assert failed(findings) == {"forwarded host", "request bodies", "body size", "followed downloads"}
    assert findings["forwarded host"].found == "asked by localhost, UploadStream thinks that it is 127.0.0.1"
    assert findings["forwarded host"].advice == "nginx: proxy_set_header Host $http_host"
    assert findings["request bodies"].advice == "nginx: proxy_request_buffering off"
    assert findings["body size"].found == "a body of 512 MiB is refused (413), one of 1 MiB is let in"
    assert findings["body size"].advice.startswith("nginx: client_max_body_size 0; ")
    assert findings["followed downloads"].advice == "nginx: proxy_buffering off"


def test_an_address_that_loses_its_tls_and_a_104_that_is_garbled_are_found(found: Found) -> None:
    findings = found("worse")

    assert findings["Location"].found.startswith("an upload is said to be at http://localhost:")
    assert findings["Location"].advice == "nginx: no proxy_redirect"
    assert "begins with 104 is garbled" in findings["HTTP/2"].found
    assert findings["HTTP/2"].advice == 'nginx: proxy_set_header Upload-Draft-Interop-Version ""'


def test_an_answer_to_cors_that_is_given_twice_is_found(found: Found) -> None:
    findings = found("worse")

    assert {"CORS preflight", "CORS answers", "CORS errors"} <= failed(findings)
    assert "is there 2 times" in findings["CORS errors"].found


def test_pages_that_are_not_let_in_are_a_warning_or_a_failure_if_they_are_to_be(found: Found) -> None:
    assert found("shut")["CORS preflight"].level is Level.WARN
    assert found("shut")["CORS preflight"].advice.endswith("look again with --origin")


def test_an_upload_that_is_said_to_be_where_it_is_not_is_found(found: Found) -> None:
    assert "which is not below /below" in found("below")["Location"].found


def test_a_method_that_is_not_let_through_is_named_with_who_refuses_it(found: Found) -> None:
    finding = found("guarded")["request bodies"]

    assert re.fullmatch(r"PATCH /files/[0-9a-f-]+: 403 from nginx/.*", finding.found)
    assert finding.advice == "let every method, path and field through to UploadStream"


def test_a_storage_without_room_for_the_largest_file_is_a_warning(tmp_path: Path) -> None:
    with PreparedServer(tmp_path, environment={"UPLOADSTREAM_MAX_FILE_SIZE": "900TiB"}) as server:
        there = Deployment(Endpoint.parse(server.http_url), {"X-User-Id": USER})
        with closing(there):
            size, fields = check_sizes(there)

    assert (size.level, fields.level) == (Level.WARN, Level.OK)
    assert size.found.startswith("the storage has no room for a file of 900 TiB")


def test_an_address_is_named_as_browsers_name_it_and_compared_as_a_whole() -> None:
    there = Deployment(Endpoint.parse("https://files.example.com:443/below/"), {})

    assert there.url == "https://files.example.com/below"
    assert Endpoint.parse("https://[::1]:8443").authority == "[::1]:8443"
    assert origin_of("https://files.example.com") == origin_of("https://FILES.example.com:443/x")
    assert origin_of("http://files.example.com") != origin_of("https://files.example.com")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("other", "is not UploadStream: /openapi.json is answered 200 from nginx"),
        ("moved", "redirects to https://files.example.com/"),
        ("nobody", "Connection refused"),
    ],
)
def test_what_is_no_uploadstream_is_asked_no_further(found: Found, name: str, says: str) -> None:
    assert failed(found(name)) == {"server"}
    assert says in found(name)["server"].found


def test_nothing_is_left_of_what_was_looked_at(found: Found, server: RunningServer) -> None:
    for name in ("nginx", "HAProxy", "Caddy", "directly", "defaults", "worse", "shut", "below"):
        found(name)

    with httpx.Client(base_url=server.http_url, headers={"X-User-Id": USER}) as http:
        assert http.get("/api/v1/uploads").json()["uploads"] == []
        assert http.get("/api/v1/files").json()["files"] == []
        assert http.get("/api/v1/files", params={"deleted": "true"}).json()["files"] == []


def test_the_command_goes_on_with_a_certificate_that_nobody_trusts_and_fails(
    proxies: dict[str, Proxy], tmp_path: Path
) -> None:
    trusting_others = CommandLine(tmp_path, "", {"SSL_CERT_FILE": str(KEY.with_name("renewed.pem"))})

    done = trusting_others.run("doctor", "--json", "--url", proxies["HAProxy"].url)

    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert (done.returncode, done.stderr) == (1, "In the way of a good service: TLS\n")
    assert findings["TLS"]["found"].startswith("certificate: self")
    assert findings["HTTP/2"]["level"] == "ok"


def test_where_answers_take_long_more_time_is_allowed_for_everything() -> None:
    there = Deployment(Endpoint.parse("http://127.0.0.1:1"), {})

    there.allow_for(0.1)
    assert there.prompt_seconds == 2
    there.allow_for(1.5)
    assert there.prompt_seconds == 8


@pytest.mark.parametrize("url", ["grpc://127.0.0.1:1", "files.example.com"])
def test_an_address_that_is_none_is_a_mistake_in_the_command(url: str, tmp_path: Path) -> None:
    assert CommandLine(tmp_path, "").run("doctor", "--url", url).returncode == 2


def test_a_certificate_that_ends_soon_is_a_warning(proxies: dict[str, Proxy]) -> None:
    there = Endpoint.parse(proxies["Caddy"].url)
    ends = datetime.fromtimestamp(END_OF_THE_CERTIFICATE, UTC)

    soon, _ = tls.check_tls(there, ends - timedelta(days=3, hours=1))

    assert (soon.level, soon.found) == (Level.WARN, "TLSv1.3, certificate and chain are trusted, 3 days left")


def test_a_public_name_without_tls_is_a_warning() -> None:
    found, context = tls.check_tls(Endpoint.parse("http://files.example.com"), datetime.now(UTC))

    assert (found.level, context) == (Level.WARN, None)


def test_an_address_that_the_certificate_is_not_for_is_a_failure(server: RunningServer, tmp_path: Path) -> None:
    with careless(server, tmp_path, "") as (_, url):
        found, context = tls.check_tls(Endpoint.parse(url.replace(NAME, "127.0.0.2")), datetime.now(UTC))

    assert (found.level, context is not None) == (Level.FAIL, True)
    assert found.advice == "have one issued for this address, or ask by a name"
