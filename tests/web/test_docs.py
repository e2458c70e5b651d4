"""The API's documentation as a page: handed out with its files, and in Chromium, where it asks no other host."""

import gzip
import hashlib
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.protocols.asgi import client_of
from tests.running_server import RunningServer
from tests.web.chromium import WAIT_MS, WIDE
from tests.web.test_browsing import send
from tests.web.test_page import Elements
from uploadstream.web.pages import pages

SWAGGER = files("uploadstream.web") / "docs" / "vendor" / "swagger-ui"
# Of the npm package swagger-ui-dist 5.35.0.
DIGESTS = {
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}
WEIGHT_MAX = 520_000


@pytest.fixture(params=["", "/below"])
def under(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def client(under: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(Starlette(routes=[Mount(under or "/", routes=pages())])) as client:
        client.base_url = httpx.URL(f"http://service.test{under}/")
        yield client


async def test_it_names_its_own_files_only_wherever_it_is_mounted(client: httpx.AsyncClient) -> None:
    answer = await client.get("docs")
    page = Elements(answer.text)

    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-cache"
    assert page.inline == []
    assert [name for name in page.attributes if name == "style" or name.startswith("on")] == []
    found = [address for address in page.addresses if address.startswith("docs/")]
    assert set(page.addresses) - set(found) == {"./", "openapi.json"}
    for address in found:
        one = await client.get(address)
        assert (one.status_code, "immutable" in one.headers["Cache-Control"]) == (200, True)


async def test_it_weighs_less_than_half_a_megabyte_and_is_there_unpacked_too(client: httpx.AsyncClient) -> None:
    page = Elements((await client.get("docs")).text)
    found = sorted({address for address in page.addresses if address.startswith("docs/")})

    packed = [await client.get(address) for address in found]
    plain = [await client.get(address, headers={"Accept-Encoding": "identity"}) for address in found]

    assert [one.content for one in packed] == [one.content for one in plain]
    assert {"Content-Encoding" in one.headers for one in plain} == {False}
    assert sum(int(one.headers["Content-Length"]) for one in packed) < WEIGHT_MAX


@pytest.mark.parametrize("name", DIGESTS)
def test_swagger_ui_is_that_of_its_package(name: str) -> None:
    content = gzip.decompress((SWAGGER / f"{name}.gz").read_bytes())

    assert hashlib.sha256(content).hexdigest() == DIGESTS[name]


# In a browser


class Opened:
    """The page in Chromium, and what it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.troubles: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("request", lambda one: self.hosts.add(urlsplit(one.url).netloc))
        page.on("console", lambda one: self.troubles.append(one.text) if one.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))


@pytest.fixture
def opened(browser: Browser, server: RunningServer) -> Iterator[Opened]:
    """At the end nothing was wrong and no other host was asked for anything."""
    context = browser.new_context(viewport=WIDE, color_scheme="dark")  # type: ignore[arg-type]
    found = Opened(context.new_page())
    found.page.goto(f"{server.http_url}/docs")
    yield found
    assert found.troubles == []
    assert found.hosts - {""} == {server.http_url.removeprefix("http://")}
    context.close()


def test_every_operation_is_shown(opened: Opened, server: RunningServer) -> None:
    described = httpx.get(f"{server.http_url}/openapi.json").json()["paths"]
    opened.page.locator(".opblock").first.wait_for()

    shown = opened.page.locator(".opblock-summary").evaluate_all(
        "all => all.map(one => [one.querySelector('.opblock-summary-method').innerText.toLowerCase(),"
        " one.querySelector('.opblock-summary-path').dataset.path])"
    )

    assert {tuple(one) for one in shown} == {(method, path) for path, item in described.items() for method in item}
    assert opened.page.evaluate("document.documentElement.className") == "dark-mode"


def test_an_operation_is_tried_out(opened: Opened, server: RunningServer) -> None:
    file_id = send(server, "ann", "river.txt", b"The river was high.\n")
    operation = opened.page.locator("#operations-files-list_files")
    operation.get_by_role("button", name="List files").first.click()
    operation.locator("tr[data-param-name=user_id] input").fill("ann")

    operation.get_by_role("button", name="Execute").click()

    expect(operation.locator(".live-responses-table .response .highlight-code")).to_contain_text(
        file_id, timeout=WAIT_MS
    )
