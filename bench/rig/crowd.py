"""A load generator that is a crowd: one user with many uploads over tus, each of which sends as fast as it can.

It creates its uploads, begins all their bodies, prints "ready", and goes on sending until it is ended.
"""

import argparse
import selectors
import socket
from collections.abc import Iterator

from rig.tus_client import expect, request

PIECE = memoryview(bytes(256 << 10))
TUS = {"Tus-Resumable": "1.0.0"}


def begun(port: int, user: str, count: int, size: int) -> Iterator[socket.socket]:
    """Connections on which a body of `size` bytes is expected."""
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        request(connection, "POST", "/files", {**TUS, "X-User-Id": user, "Upload-Length": str(size)})
        fields, _ = expect(connection, 201)
        body = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream", "Content-Length": str(size)}
        path = "/" + fields["location"].split("://")[-1].partition("/")[2]
        request(connection, "PATCH", path, {**TUS, "X-User-Id": user, **body})
        connection.settimeout(0)
        yield connection


def main() -> None:
    """Sends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", default="crowd")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--size", type=int, default=1 << 30)
    arguments = parser.parse_args()
    with selectors.DefaultSelector() as clients:
        for connection in begun(arguments.port, arguments.user, arguments.connections, arguments.size):
            clients.register(connection, selectors.EVENT_WRITE)
        print("ready", flush=True)
        while True:
            for key, _ in clients.select():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.send(PIECE)


if __name__ == "__main__":
    main()
