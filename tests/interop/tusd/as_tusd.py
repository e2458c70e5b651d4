"""UploadStream, started and answering as tusd does: for tusd's own tests of what it does when a network fails.

The server is the real one. What differs is in words: options, the line that says where it listens, absolute addresses
in Location, and the statuses and names that tusd has for three errors.
"""

import argparse
import os
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from uploadstream import app
from uploadstream.servers.http1 import HttpProtocol
from uploadstream.settings import load

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

NAMES = {
    HTTPStatus.REQUEST_TIMEOUT: (HTTPStatus.INTERNAL_SERVER_ERROR, b"ERR_READ_TIMEOUT"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"ERR_UPLOAD_SIZE_EXCEEDED"),
    HTTPStatus.SERVICE_UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, b"ERR_SERVER_SHUTDOWN"),
}


def in_tusds_words(served: App) -> App:
    """The application, its answers translated."""

    async def translating(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        host = dict(scope["headers"]).get(b"host", b"")

        async def translate(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = [
                    (name, b"http://" + host + value if name.lower() == b"location" else value)
                    for name, value in message["headers"]
                ]
                if message["status"] in NAMES:
                    status, text = NAMES[message["status"]]
                    fields = [field for field in fields if field[0].lower() != b"content-length"]
                    await send({"type": "http.response.start", "status": status, "headers": fields})
                    await send({"type": "http.response.body", "body": text, "more_body": True})
                    return
                message["headers"] = fields
            await send(message)

        await served(scope, receive, translate)

    return translating


def main() -> int:
    """Takes those of tusd's options that a network test needs."""
    take_bare_line_feeds()
    options = argparse.ArgumentParser()
    options.add_argument("-port", type=int, default=0)
    options.add_argument("-network-timeout", default="60s")
    given, _ = options.parse_known_args()
    make_app = app.http_app
    app.http_app = lambda *args, **kwargs: in_tusds_words(make_app(*args, **kwargs))
    folder = tempfile.mkdtemp()
    settings = load(
        http_port=given.port, grpc_port=0, data_dir=folder, read_timeout=given.network_timeout, drain_timeout="0s"
    )
    return app.serve(settings, ready=say)


def take_bare_line_feeds() -> None:
    """One of the tests ends its lines with LF alone: a server may take that (RFC 9112, section 2.2), ours does not."""
    data_received = HttpProtocol.data_received

    def received(protocol: HttpProtocol, data: bytes | memoryview) -> None:
        head, end, body = bytes(data).partition(b"\n\n")
        if end and b"\r" not in head:
            data = head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body
        data_received(protocol, data)

    HttpProtocol.data_received = received  # type: ignore[method-assign, assignment]


def say(listening: app.Listening) -> None:
    """As tusd says it."""
    print(f"You can now upload files to: http://127.0.0.1:{listening.http_port}/files/", flush=True)  # noqa: T201


if __name__ == "__main__":
    os._exit(main())  # a test looks at how soon it has ended: nothing is left to be tidied up
