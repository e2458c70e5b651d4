"""Pages of a web site that uses the service from its own origin, opened in Chromium: a foreign client each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import BrowserContext, Request, Response

WAIT_MS = 20_000


class Quiet(SimpleHTTPRequestHandler):
    """Files of a directory, without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def website(directory: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """The files of a directory on a free port; its URL."""
    with ThreadingHTTPServer((host, 0), partial(Quiet, directory=directory)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class ClientPage:
    """A page with a client in it, and what that asked the service for."""

    def __init__(self, context: BrowserContext, url: str, service: str, options: Mapping[str, Any]) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.errors: list[str] = []
        self._service = service
        self._requests: list[Request] = []
        self._answers: list[Response] = []
        self._wire = context.new_cdp_session(self.page)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._ask)
        self.page.on("response", self._answer)
        self.page.goto(f"{url}?{urlencode({'options': json.dumps(options)})}")

    def _ask(self, request: Request) -> None:
        if request.url.startswith(self._service) and request.method != "OPTIONS":
            self._requests.append(request)

    def _answer(self, response: Response) -> None:
        if response.url.startswith(self._service) and response.request.method != "OPTIONS":
            self._answers.append(response)

    def choose(self, *files: Path) -> None:
        """Choose files to upload."""
        self.page.locator("input[type=file]").set_input_files(files)

    def set_offline(self, *, is_offline: bool) -> None:
        """The browser's own switch."""
        limits = {"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._wire.send("Network.emulateNetworkConditions", limits)

    def wait(self, condition: str) -> Any:
        """What an expression gives, as soon as it is true."""
        return self.page.wait_for_function(f"() => {condition}").json_value()

    def wait_for_answers(self, method: str, count: int) -> None:
        """Wait until so many requests of a method were answered."""
        for _ in range(WAIT_MS // 20):
            if self.answered.count(method) >= count:
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"only {self.answered} were answered")

    @property
    def asked(self) -> list[str]:
        """The methods of all requests to the service, in order."""
        return [request.method for request in self._requests]

    @property
    def answered(self) -> list[str]:
        """The methods of the requests that got a success, in order."""
        return [answer.request.method for answer in self._answers if answer.ok]

    @property
    def refused(self) -> list[int]:
        """The statuses that are no success."""
        return [answer.status for answer in self._answers if not answer.ok]

    def offsets(self, method: str) -> Sequence[int]:
        """Where the bodies of a method's requests belonged, as the client said."""
        return [int(one.headers["upload-offset"]) for one in self._requests if one.method == method]
