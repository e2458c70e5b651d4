"""What people send, opened in Chromium at the service's own origin: it may be seen, and does nothing."""

import struct
import zlib

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page

from tests.running_server import RunningServer

PAGE = b"<!DOCTYPE html><script>parent.ran = true; window.ran = true</script>"
DRAWING = b"<svg xmlns='http://www.w3.org/2000/svg'><script>parent.ran = true; window.ran = true</script></svg>"
SCRIPT = b"window.ran = true"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PICTURE = b"".join(
    [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 8, 0, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(bytes(8 * 5))),
        chunk(b"IEND", b""),
    ]
)


@pytest.fixture(scope="module")
def page(browser: Browser, server: RunningServer) -> Page:
    opened = browser.new_page()
    opened.goto(f"{server.http_url}/openapi.json")
    return opened


def sent(server: RunningServer, content: bytes, content_type: str) -> str:
    """Where it is served, to be shown if that may be."""
    answer = httpx.post(f"{server.http_url}/files", content=content, headers={"Content-Type": content_type})
    assert answer.is_success, answer.text
    address = httpx.URL(server.http_url).join(answer.headers["Location"]).copy_with(query=b"inline=true")
    assert httpx.get(address).content == content
    return str(address)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(PAGE, "text/html"), (PAGE, "text/plain"), (DRAWING, "image/svg+xml"), (DRAWING, "text/xml")],
)
def test_active_content_is_saved_wherever_it_is_opened(
    page: Page, server: RunningServer, content: bytes, content_type: str
) -> None:
    address = sent(server, content, content_type)

    with page.expect_download():
        page.evaluate("address => { location = address }", address)
    with page.expect_download():
        page.evaluate(
            "address => document.body.append(Object.assign(document.createElement('iframe'), {src: address}))", address
        )

    assert page.url == f"{server.http_url}/openapi.json"
    assert page.evaluate("window.ran") is None


@pytest.mark.parametrize("content_type", ["text/javascript", "application/x-javascript", "text/plain"])
def test_no_page_of_ours_can_be_made_to_run_a_script_that_was_sent(
    page: Page, server: RunningServer, content_type: str
) -> None:
    address = sent(server, SCRIPT, content_type)

    for kind in ("text/javascript", "module"):
        with pytest.raises(Error):
            page.add_script_tag(url=address, type=kind)
    worker = "address => navigator.serviceWorker.register(address).then(() => true, () => false)"

    assert page.evaluate("window.ran") is None
    assert page.evaluate(worker, address) is False


def test_a_picture_is_shown_in_an_origin_of_its_own(browser: Browser, server: RunningServer) -> None:
    page = browser.new_page()

    page.goto(sent(server, PICTURE, "image/png"))

    assert page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]") == [7, 5]
    assert page.evaluate("window.origin") == "null"


def test_a_text_is_shown_in_an_origin_of_its_own(browser: Browser, server: RunningServer) -> None:
    page = browser.new_page()

    page.goto(sent(server, b"a < b", "text/plain"))

    assert page.inner_text("body") == "a < b"
    assert page.evaluate("window.origin") == "null"
