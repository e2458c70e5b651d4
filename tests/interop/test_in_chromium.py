"""Clients for browsers, in Chromium, on pages of another origin; the network is cut by the browser's own switch."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from tests.interop import with_a_near_web
from tests.interop.pages import ClientPage, website
from tests.interop.road import Road, road_to
from tests.interop.stored import content_url, description, sha256_of, stored_sha256
from tests.interop.tools import browser_clients
from tests.running_server import RunningServer
from tests.web.chromium import start_browser

MIB = 2**20
CHUNK = MIB

# FilePond's own numbers
COMPLETE, FAILED, LOAD_FAILED = 5, 6, 8

pytestmark = pytest.mark.timeout(600)  # the first test may have to install the clients

Open = Callable[..., ClientPage]


@pytest.fixture(scope="module")
def site(pytestconfig: pytest.Config) -> Iterator[str]:
    """Where the pages are."""
    with website(browser_clients(pytestconfig.cache)) as url:
        yield url


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What drives browsers; not longer than a module, because an event loop belongs to it."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser that keeps nothing."""
    running = start_browser(playwright.chromium)
    yield running
    running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One profile."""
    opened = browser.new_context(reduced_motion="reduce")
    yield opened
    opened.close()


@pytest.fixture
def opened(context: BrowserContext, site: str, server: RunningServer) -> Iterator[Open]:
    """Opens a page; at the end no script had an error of its own."""
    pages: list[ClientPage] = []

    def open_page(name: str, options: Any, service: str = server.http_url) -> ClientPage:
        pages.append(ClientPage(context, f"{site}/{name}.html", service, options))
        return pages[-1]

    yield open_page
    assert [page.errors for page in pages] == [[]] * len(pages)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 MiB and a little, under a name that no header can have as it is."""
    path = tmp_path_factory.mktemp("files") / "Übung 文件.bin"
    path.write_bytes(os.urandom(12 * MIB + 345))
    return path


# FilePond 4


def in_chunks(service: str, **options: Any) -> dict[str, Any]:
    return {"server": f"{service}/filepond", "chunkUploads": True, "chunkSize": CHUNK, **options}


@pytest.fixture
def road(server: RunningServer) -> Iterator[Road]:
    """A way to the server that halts in the middle of the seventh MiB."""
    with road_to(server.http_port, halt_at=6 * MIB + 500_000) as opened:
        yield opened


def cut(page: ClientPage, road: Road) -> None:
    """Take the network away in the middle of a body."""
    road.wait_until_it_halts()
    page.set_offline(is_offline=True)
    road.cut()


def mend(page: ClientPage, road: Road) -> None:
    """Bring it back."""
    road.mend()
    page.set_offline(is_offline=False)


def test_f1_f2_filepond_sends_a_file_as_a_form(opened: Open, server: RunningServer, file: Path) -> None:
    page = opened("filepond", {"server": f"{server.http_url}/filepond"})

    page.choose(file)
    page.wait(f"pond.getFile()?.status === {COMPLETE}")

    file_id = page.wait("pond.getFile().serverId")
    assert page.asked == ["POST"]
    assert stored_sha256(server, file_id) == sha256_of(file)
    assert description(server, file_id)["filename"] == file.name


def test_f6_filepond_sends_a_chunk_that_was_cut_once_more(
    opened: Open, server: RunningServer, road: Road, file: Path
) -> None:
    page = opened("filepond", in_chunks(road.url, chunkRetryDelays=[300] * 30), road.url)
    page.choose(file)

    cut(page, road)
    page.page.wait_for_timeout(700)
    mend(page, road)
    page.wait(f"pond.getFile()?.status === {COMPLETE}")

    file_id = page.wait("pond.getFile().serverId")
    assert (page.asked.count("POST"), page.asked.count("HEAD"), page.refused) == (1, 0, [])
    assert page.answered.count("PATCH") == 13
    assert page.offsets("PATCH").count(6 * CHUNK) > 1
    assert stored_sha256(server, file_id) == sha256_of(file)
    assert description(server, file_id)["filename"] == file.name


def test_f7_filepond_resumes_behind_the_last_whole_chunk_when_it_is_told_to_retry(
    opened: Open, server: RunningServer, road: Road, file: Path
) -> None:
    page = opened("filepond", in_chunks(road.url, chunkRetryDelays=[]), road.url)
    page.choose(file)
    cut(page, road)
    page.wait(f"pond.getFile()?.status === {FAILED}")
    before = len(page.offsets("PATCH"))

    mend(page, road)
    page.page.locator(".filepond--action-retry-item-processing").click()
    page.wait(f"pond.getFile()?.status === {COMPLETE}")

    file_id = page.wait("pond.getFile().serverId")
    assert (page.asked.count("POST"), page.asked.count("HEAD"), page.refused) == (1, 1, [])
    assert page.offsets("PATCH")[before:] == list(range(6 * CHUNK, file.stat().st_size, CHUNK))
    assert stored_sha256(server, file_id) == sha256_of(file)


def test_f1_filepond_reverts_what_it_has_sent(opened: Open, server: RunningServer, tmp_path: Path) -> None:
    small = tmp_path / "small.txt"
    small.write_text("a few words")
    page = opened("filepond", {"server": f"{server.http_url}/filepond"})
    page.choose(small)
    page.wait(f"pond.getFile()?.status === {COMPLETE}")
    file_id = page.wait("pond.getFile().serverId")

    page.page.locator(".filepond--action-revert-item-processing").click()
    page.wait_for_answers("DELETE", 1)

    assert page.asked == ["POST", "DELETE"]
    assert httpx.get(content_url(server, file_id)).status_code == 410


@pytest.mark.parametrize("kind", ["limbo", "local"], ids=["restore", "load"])
def test_f10_filepond_gets_a_file_back_with_its_name(
    opened: Open, server: RunningServer, file: Path, kind: str
) -> None:
    parts = {"filepond": (file.name, file.read_bytes(), "application/octet-stream")}
    file_id = httpx.post(f"{server.http_url}/filepond", files=parts).text
    page = opened("filepond", {"server": f"{server.http_url}/filepond"})

    page.page.evaluate("([id, type]) => void pond.addFile(id, { type })", [file_id, kind])
    page.wait("pond.getFile()?.file instanceof Blob")

    assert page.asked == ["GET"]
    assert page.page.evaluate("digestOf(pond.getFile().file)") == sha256_of(file)
    assert page.page.evaluate("[pond.getFile().filename, pond.getFile().fileSize]") == [
        file.name,
        file.stat().st_size,
    ]


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that fetches files of others, from what it takes for the internet."""
    data = tmp_path_factory.mktemp("fetching") / "data"
    script = str(Path(with_a_near_web.__file__))
    with RunningServer(data, environment={"UPLOADSTREAM_FETCH_HOSTS": "*"}, program=[script]) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_f11_filepond_has_a_file_of_another_server_fetched(
    opened: Open, fetching: RunningServer, file: Path, method: str
) -> None:
    """F11. By GET the bytes go through the browser, which uploads them; by HEAD they do not."""
    service = f"{fetching.http_url}/filepond"
    page = opened("filepond", {"server": {"url": service, "fetch": {"url": "?fetch=", "method": method}}}, service)

    with website(file.parent, str(with_a_near_web.NEAR)) as remote:
        page.page.evaluate("(url) => void pond.addFile(url)", f"{remote}/{quote(file.name)}")
        page.wait(f"pond.getFile()?.status === {COMPLETE}")

    file_id = page.wait("pond.getFile().serverId")
    assert page.asked == (["GET", "POST"] if method == "GET" else ["HEAD"])
    assert stored_sha256(fetching, file_id) == sha256_of(file)
    assert description(fetching, file_id)["filename"] == file.name


def test_f11_filepond_is_told_that_a_private_address_is_not_fetched_from(
    opened: Open, fetching: RunningServer, site: str
) -> None:
    service = f"{fetching.http_url}/filepond"
    page = opened("filepond", {"server": service}, service)

    page.page.evaluate(
        "(url) => void pond.addFile(url).catch(() => {})", site.replace("127.0.0.1", "127.1") + "/filepond.html"
    )
    page.wait(f"pond.getFile()?.status === {LOAD_FAILED}")

    assert (page.asked, page.refused) == (["GET"], [400])


# FilePond 5


def test_f12_filepond_5_sends_chunks_side_by_side_over_a_cut(
    opened: Open, server: RunningServer, road: Road, file: Path, tmp_path: Path
) -> None:
    """F12. The name is one that a header can have as it is: this version does not encode it."""
    named = tmp_path / "Übung.bin"
    named.write_bytes(file.read_bytes())
    options = {"url": f"{road.url}/filepond", "chunkSize": CHUNK, "parallelChunks": 3, "retryDelays": [300] * 30}
    page = opened("filepond-5", options, road.url)
    page.choose(named)

    cut(page, road)
    page.page.wait_for_timeout(700)
    mend(page, road)
    file_id = page.wait("stored()")
    sent = page.asked
    page.page.evaluate("pond.removeEntries(0)")
    page.wait_for_answers("DELETE", 1)

    assert (sent[0], sent[-1], sent.count("POST"), sent.count("HEAD")) == ("POST", "POST", 2, 0)
    assert sorted(set(page.offsets("PATCH"))) == list(range(0, named.stat().st_size, CHUNK))
    assert len(page.offsets("PATCH")) > 13
    assert httpx.get(content_url(server, file_id)).status_code == 410
    httpx.post(f"{server.http_url}/api/v1/files/{file_id}/restore").raise_for_status()
    assert stored_sha256(server, file_id) == sha256_of(named)
    assert description(server, file_id)["filename"] == named.name


# Uppy


@pytest.mark.parametrize("options", [{}, {"chunkSize": 5 * MIB}], ids=["in one go", "in chunks"])
def test_uppy_resumes_by_itself_when_the_network_is_back(
    opened: Open, server: RunningServer, road: Road, file: Path, options: dict[str, Any]
) -> None:
    page = opened("uppy", {"endpoint": f"{road.url}/files", **options}, road.url)
    page.choose(file)

    cut(page, road)
    page.page.wait_for_timeout(700)
    mend(page, road)
    (url,) = page.wait("window.urls")

    assert page.asked.count("POST") == 1
    assert "HEAD" in page.answered
    assert set(page.refused) <= {409}  # Chromium itself sends a body once more from its start, if it finds a way
    # what the server had not read yet when the connection was reset is lost with it
    assert any(offset % (5 * MIB) and offset < 7 * MIB for offset in page.offsets("PATCH"))
    assert stored_sha256(server, url) == sha256_of(file)
    assert description(server, url)["filename"] == file.name
