"""A server and a browser for all tests of the page; a user of its own for each."""

import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer
from tests.web.chromium import WIDE, Window, start_browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests of a module."""
    with PreparedServer(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


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
def window(browser: Browser, server: RunningServer) -> Iterator[Window]:
    """The page on a wide screen, where at the end nothing was wrong and no other host was asked for anything."""
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce")  # type: ignore[arg-type]
    opened = Window(context, server.http_url, f"user {secrets.token_hex(4)}")
    yield opened
    assert opened.troubles == []
    assert opened.hosts == {server.http_url.removeprefix("http://")}
    context.close()
