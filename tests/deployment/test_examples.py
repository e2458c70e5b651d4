"""Through each proxy, configured as docs/deploy has it, everything works that works without."""

import base64
import json
import secrets
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.cli.running import CommandLine
from tests.deployment.proxies import EXAMPLES, ROOT, Proxy
from uploadstream.cli.outside.directives import CADDY, DIRECTIVES, HAPROXY, NGINX

MIB = 2**20
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}
EVENT_SECONDS_MAX = 5.0  # on a busy machine; half a second elsewhere. Kept back, it would not come at all

FILES = {NGINX: "nginx.conf", HAPROXY: "haproxy.cfg", CADDY: "Caddyfile"}


class Cut(Exception):
    """The client is gone."""


def cut_after(data: bytes) -> Iterator[bytes]:
    yield data
    time.sleep(0.2)
    raise Cut


def offset_of(http: httpx.Client, path: str) -> int:
    """How far an upload is; asked twice, because what was on its way may still have been arriving."""
    for _ in range(2):
        offset = int(http.head(path, headers=TUS).headers["Upload-Offset"])
        time.sleep(0.3)
    return offset


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_cut_upload_goes_on_from_where_it_got(proxy: Proxy, http: httpx.Client, http2: bool) -> None:
    content = secrets.token_bytes(3 * MIB)
    name = base64.b64encode(b"cut.bin").decode()
    created = http.post(
        "/files", headers={**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": f"filename {name}"}
    )
    path = created.headers["Location"]
    fields = {**CHUNK, "Upload-Offset": "0", "Content-Length": str(len(content))}

    with httpx.Client(base_url=proxy.url, headers=http.headers, http2=http2) as gone, pytest.raises(Cut):
        gone.patch(path, headers=fields, content=cut_after(content[:MIB]))
    offset = offset_of(http, path)
    ended = http.patch(path, headers={**CHUNK, "Upload-Offset": str(offset)}, content=content[offset:])

    # all of it, but for what HAProxy had in hand when it heard of the cut
    assert MIB - 64 * 1024 <= offset <= MIB
    assert ended.status_code == HTTPStatus.NO_CONTENT
    assert http.get(f"/api/v1{path}/content").content == content


@pytest.mark.parametrize("version", ["8", "6"])
def test_clients_of_the_ietf_protocol_are_served_with_104_or_without(http: httpx.Client, version: str) -> None:
    dialect = {"Upload-Draft-Interop-Version": version}
    whole = http.post("/files", headers={**dialect, "Upload-Complete": "?1"}, content=b"at once")
    begun = http.post("/files", headers={**dialect, "Upload-Complete": "?0"}, content=b"by ")
    part = {"Content-Type": "application/partial-upload", "Upload-Offset": "3", "Upload-Complete": "?1"}
    ended = http.patch(begun.headers["Location"], headers={**dialect, **part}, content=b"parts")

    assert (whole.status_code, begun.status_code) == (HTTPStatus.CREATED, HTTPStatus.CREATED)
    assert http.get(whole.headers["Location"]).content == b"at once"
    assert http.get(ended.headers["Location"]).content == b"by parts"


def test_an_event_is_here_at_once(http: httpx.Client) -> None:
    with http.stream("GET", "/api/v1/events") as events:
        lines = events.iter_lines()
        assert next(lines).startswith("id:")

        began = time.monotonic()
        created = http.post("/files", headers={**TUS, "Upload-Length": "1"})
        told = next(json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))

    assert time.monotonic() - began < EVENT_SECONDS_MAX
    assert created.headers["Location"].endswith(told["id"])


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(secrets.token_bytes(MIB) * 100)
    return path


def test_the_commands_put_and_get_100_mib(proxy: Proxy, large_file: Path, tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, proxy.url)

    file_id = cli.succeed("put", large_file).strip()
    cli.succeed("get", file_id, "-o", "copy")

    assert (tmp_path / "copy").read_bytes() == large_file.read_bytes()


def test_the_commands_put_and_get_over_grpc(proxy: Proxy, tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, proxy.grpc_url)
    (tmp_path / "file").write_bytes(content := secrets.token_bytes(9 * MIB))

    file_id = cli.succeed("put", "file").strip()
    cli.succeed("get", file_id, "-o", "copy")

    assert (tmp_path / "copy").read_bytes() == content


def test_the_trail_has_the_address_of_the_client_and_not_one_that_it_made_up(proxy: Proxy, http: httpx.Client) -> None:
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    liar = {**dict(http.headers), "X-Forwarded-For": "203.0.113.9"}
    with httpx.Client(base_url=proxy.url, headers=liar, transport=elsewhere) as other:
        file = other.post("/files", content=b"from elsewhere").json()

    trail = http.get(f"/api/v1/files/{file['file_id']}/audit").json()["audit"]

    assert {entry["address"] for entry in trail} == {"127.0.0.2"}


@pytest.mark.parametrize("name", FILES)
def test_what_the_doctor_advises_to_set_is_set_in_the_example(name: str) -> None:
    text = (EXAMPLES / FILES[name]).read_text()
    advised = [directives[name] for directives in DIRECTIVES.values() if name in directives]

    to_set = [one for advice in advised if not advice.startswith("no ") for one in advice.split(", ")]
    assert [directive for directive in to_set if directive not in text] == []


@pytest.mark.parametrize("name", FILES.values())
def test_every_directive_of_an_example_is_explained(name: str) -> None:
    page = (ROOT / "docs" / "deploying.md").read_text()
    lines = [line.strip() for line in (EXAMPLES / name).read_text().splitlines()]

    directives = {line.split()[0].rstrip(";") for line in lines if line and not line.startswith(("#", "}"))}
    assert {directive for directive in directives if f"`{directive}" not in page} == set()
