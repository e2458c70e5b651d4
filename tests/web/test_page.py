"""The page as it is handed out: its files, their caching, and what they may do in a browser."""

import gzip
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest
from starlette.applications import Starlette

from tests.protocols.asgi import client_of
from uploadstream.web.page import takes_gzip
from uploadstream.web.pages import pages

WEIGHT_MAX = 150_000


class Elements(HTMLParser):
    """What a page names and what it does by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.attributes: list[str] = []
        self.inline: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.attributes += [name for name, _ in attrs]
        self.addresses += [value for name, value in attrs if name in {"src", "href"} and value]

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in {"script", "style"} and data.strip():
            self.inline.append(data)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(Starlette(routes=pages())) as client:
        yield client


async def test_the_page_is_asked_for_again_each_time_and_not_sent_twice(client: httpx.AsyncClient) -> None:
    first = await client.get("/")
    again = await client.get("/", headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Content-Type"] == "text/html; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]


async def test_every_file_that_the_page_names_is_there_and_kept_for_good(client: httpx.AsyncClient) -> None:
    page = Elements((await client.get("/")).text)
    files = [address for address in page.addresses if address.startswith("web/")]

    assert len(files) > 10
    for address in files:
        answer = await client.get(f"/{address}")
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_every_module_that_a_module_imports_is_there_and_loaded_at_once(client: httpx.AsyncClient) -> None:
    page = Elements((await client.get("/")).text)
    modules = {address for address in page.addresses if address.endswith(".js")}
    folder = next(iter(modules)).split("/")[1]

    for address in modules:
        text = (await client.get(f"/{address}")).text
        wanted = re.findall(r'^import [^"]*from "\./([^"]+)";$', text, re.MULTILINE)
        assert {f"web/{folder}/{name}" for name in wanted} <= modules


async def test_the_page_may_run_its_own_files_only_and_names_no_other_host(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    page = Elements(answer.text)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert page.inline == []
    assert [name for name in page.attributes if name == "style" or name.startswith("on")] == []
    assert [address for address in page.addresses if "//" in address or address.startswith("/")] == []


async def test_everything_that_is_loaded_weighs_less_than_150_kilobytes_packed(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"Accept-Encoding": "identity"})
    weight = len(gzip.compress(page.content, 9))

    for address in set(Elements(page.text).addresses):
        if address.startswith("web/"):
            weight += int((await client.get(f"/{address}")).headers["Content-Length"])

    assert weight < WEIGHT_MAX


async def test_a_file_is_packed_for_whoever_takes_that(client: httpx.AsyncClient) -> None:
    packed = await client.get("/", headers={"Accept-Encoding": "gzip"})
    plain = await client.get("/", headers={"Accept-Encoding": "identity"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 2
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path", ["/web/0000000000000000/app.js", "/web/{digest}/page.py", "/web/{digest}/..%2Fpage.py"]
)
async def test_a_file_of_another_version_or_none_of_the_page_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    text = (await client.get("/")).text
    digest = re.findall(r"web/([0-9a-f]{16})/app.js", text)[0]

    answer = await client.get(path.format(digest=digest))

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_page_is_read_and_not_written_to(client: httpx.AsyncClient) -> None:
    answer = await client.post("/")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("field", "taken"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("identity, *;q=0", False),
    ],
)
def test_gzip_is_sent_where_it_is_named_or_meant_and_not_refused(field: str, taken: bool) -> None:
    assert takes_gzip(field) is taken
