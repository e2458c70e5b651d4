"""Chromium on the page of a running server: what a test can do to it, and what it must never see."""

import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import Browser, BrowserContext, BrowserType, CDPSession, Page, Request, Response

from tests.interop.tools import required_program

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDE = {"width": 1280, "height": 800}
WAIT_MS = 20_000


def start_browser(kind: BrowserType) -> Browser:
    """A browser that keeps nothing."""
    return kind.launch(executable_path=required_program("chromium"), args=ARGUMENTS)


@contextmanager
def kept_browser(kind: BrowserType, folder: Path) -> Iterator[BrowserContext]:
    """A browser that keeps what it knows in a folder, so that it can be started again."""
    program = required_program("chromium")
    context = kind.launch_persistent_context(folder, executable_path=program, args=ARGUMENTS, viewport=WIDE)  # type: ignore[arg-type]
    try:
        yield context
    finally:
        context.close()


class Window:
    """One page at the server as one user, and everything that went wrong in it."""

    def __init__(self, context: BrowserContext, server: str, user: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.context = context
        self.user = user
        self.troubles: list[str] = []
        self.hosts: set[str] = set()
        self._server = server
        self._wire: CDPSession | None = None
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._ask)
        self.open()

    def open(self) -> None:
        """Go to the page, or load it again."""
        self.page.goto(f"{self._server}/?{urlencode({'user': self.user})}")
        self.page.locator("#rows[aria-busy=false]").wait_for(state="attached")

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.troubles.append(f"{message.text} {message.location.get('url', '')}")

    def _ask(self, request: Request) -> None:
        if urlsplit(request.url).scheme in {"http", "https", "ws", "wss"}:
            self.hosts.add(urlsplit(request.url).netloc)

    def choose(self, *files: Path) -> None:
        """Choose files to upload."""
        self.page.locator(".filepond--browser").set_input_files(files)

    def slow_down(self, *, bytes_a_second: int) -> None:
        """Let the page send only so fast; 0: as fast as it can."""
        self._network(offline=False, bytes_a_second=bytes_a_second)

    def cut_network(self) -> None:
        """Take the browser's network away; `slow_down` brings it back."""
        self._network(offline=True, bytes_a_second=0)

    def _network(self, *, offline: bool, bytes_a_second: int) -> None:
        self._wire = self._wire or self.context.new_cdp_session(self.page)
        limits = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second or -1}
        self._wire.send("Network.emulateNetworkConditions", limits)

    def tile(self, name: str) -> Any:
        """The tile of a file, or of an upload, by the beginning of its name."""
        return self.page.locator("#rows > li", has_text=name)

    def note(self) -> str:
        """The line below the field."""
        return self.page.locator("#dock-note").inner_text()

    def ask(self, path: str, **parameters: str) -> Any:
        """What the API answers this user."""
        query = urlencode({"user_id": self.user, **parameters})
        with urllib.request.urlopen(f"{self._server}/api/v1/{path}?{query}") as answer:  # noqa: S310 - our own server
            return json.load(answer)

    def files(self) -> list[Mapping[str, Any]]:
        """The user's files."""
        found: list[Mapping[str, Any]] = self.ask("files")["files"]
        return found

    def uploads(self) -> list[Mapping[str, Any]]:
        """The user's uploads in progress."""
        found: list[Mapping[str, Any]] = self.ask("uploads")["uploads"]
        return found

    def content(self, file_id: str) -> bytes:
        """A file's bytes."""
        with urllib.request.urlopen(f"{self._server}/api/v1/files/{file_id}/content") as answer:  # noqa: S310
            found: bytes = answer.read()
            return found

    def wait(self, what: Callable[[], Any], *, seconds: float = 20) -> Any:
        """What is wanted, as soon as it is true."""
        for _ in range(int(seconds / 0.05)):
            if found := what():
                return found
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not within {seconds:g} s; the page says: {self.page.inner_text('body')}")

    def weights(self) -> Callable[[], int]:
        """Count the bytes of everything that is answered from now on, as they are sent."""
        found: list[Response] = []
        self.page.on("response", found.append)
        return lambda: sum(
            sum(one.request.sizes()[part] for part in ("responseBodySize", "responseHeadersSize")) for one in found
        )
