"""The load generator for HTTP: one tus upload, or one download, made as cheaply as possible.

The kernel moves the bytes (sendfile on the way up, splice to /dev/null on the way down), so the client costs less than
any server. It connects, prints "ready", waits for a line on its standard input, moves the bytes and prints one JSON
object saying what that took.
"""

import argparse
import json
import os
import socket
import sys
import time
from pathlib import Path

HEAD_SIZE_MAX = 65_536
PIECE_SIZE = 1 << 20
CALL_SIZE_MAX = 1 << 30


def read_head(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status and fields of an answer, and what came of the body with them."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65_536)
        if not piece or len(received) > HEAD_SIZE_MAX:
            raise ConnectionError(f"the answer ends early: {received!r}")
        received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), fields, rest


def request(connection: socket.socket, method: str, path: str, fields: dict[str, str]) -> None:
    """Sends a request's head."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in fields.items())]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def expect(connection: socket.socket, status: int) -> tuple[dict[str, str], bytes]:
    """The answer's fields; raises when its status is another."""
    seen, fields, rest = read_head(connection)
    if seen != status:
        raise RuntimeError(f"status {seen} instead of {status}: {rest[:500]!r}")
    return fields, rest


def upload(connection: socket.socket, path: str, source: Path, size: int) -> str:
    """Creates an upload, sends all of it with one PATCH, and returns the id at the end of its URL."""
    tus = {"Tus-Resumable": "1.0.0"}
    request(connection, "POST", path, {**tus, "Upload-Length": str(size), "Content-Length": "0"})
    fields, _ = expect(connection, 201)
    location = "/" + fields["location"].split("://")[-1].partition("/")[2]
    append = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream", "Content-Length": str(size)}
    request(connection, "PATCH", location, {**tus, **append})
    with source.open("rb") as file:
        sent = 0
        try:
            while sent < size:
                sent += os.sendfile(connection.fileno(), file.fileno(), sent, min(size - sent, CALL_SIZE_MAX))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer says why
    fields, _ = expect(connection, 204)
    if int(fields["upload-offset"]) != size:
        raise RuntimeError(f"the server stored {fields['upload-offset']} of {size} bytes")
    return location.rstrip("/").rpartition("/")[2]


def download(connection: socket.socket, path: str, output: Path) -> int:
    """Gets a file into `output`, which may be /dev/null, without looking at it."""
    request(connection, "GET", path, {})
    fields, rest = expect(connection, 200)
    size = int(fields["content-length"])
    left = size - len(rest)
    with output.open("wb") as file:
        file.write(rest)
        file.flush()
        drain, fill = os.pipe()
        while left:
            count = os.splice(connection.fileno(), fill, min(left, PIECE_SIZE))
            if not count:
                raise ConnectionError(f"{left} bytes are missing")
            left -= count
            while count:
                count -= os.splice(drain, file.fileno(), count)
    return size


def main() -> None:
    """Makes one transfer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("/dev/null"))
    arguments = parser.parse_args()
    with socket.create_connection(("127.0.0.1", arguments.port)) as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        start, cpu_before = time.perf_counter(), time.process_time()
        file_id, size = "", arguments.size
        if arguments.source:
            file_id = upload(connection, arguments.path, arguments.source, size)
        else:
            size = download(connection, arguments.path, arguments.output)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_before
    print(json.dumps({"bytes": size, "seconds": seconds, "cpu_seconds": cpu, "file_id": file_id}))


if __name__ == "__main__":
    main()
