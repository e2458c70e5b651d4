"""HTTP/2, as far as it matters to uploads: whether it is spoken, and how much may be under way at once."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.deployment import Deployment, Upload
from uploadstream.cli.outside.directives import Trouble, what_to_set
from uploadstream.cli.outside.exchange import ANSWER_SECONDS, READ_SIZE, Broken, connect
from uploadstream.cli.outside.interim import CREATION, RESUMPTION_SUPPORTED
from uploadstream.core.sizes import MIB, iec

NEGOTIATED: Final = "HTTP/2"
WINDOW: Final = "HTTP/2 window"

ROUND_TRIP_SECONDS: Final = 0.05
SETTLED_SECONDS: Final = 0.5  # for a window that is opened further once a request is there
WINDOW_MIN: Final = MIB


class _Seen:
    """What has come over the one stream that is used."""

    def __init__(self) -> None:
        self.interim = False
        self.status = 0
        self.location = ""
        self.ended = False


def check_http2(there: Deployment) -> Iterator[Finding]:
    """Begin an upload over HTTP/2, and look how far one may go before anything is acknowledged."""
    if there.context is None:
        yield Finding(NEGOTIATED, Level.OK, "not without TLS: browsers use HTTP/1.1, which has no windows")
        return
    there.context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        line = connect(there.address, there.context)
    finally:
        there.context.set_alpn_protocols(["http/1.1"])
    with line:
        assert isinstance(line, ssl.SSLSocket)  # noqa: S101 - it was given a context
        if line.selected_alpn_protocol() == "h2":
            yield from _look(there, line)
        else:
            found = "not spoken: a browser makes six connections at most, and events keep one of them"
            yield Finding(NEGOTIATED, Level.OK, f"{found}; uploads know no windows")


def _look(there: Deployment, line: socket.socket) -> Iterator[Finding]:
    seen = _Seen()
    try:
        initial, window = _begin_upload(there, line, seen)
    except Broken as error:
        if not seen.interim:
            raise
        found = f"a response that begins with {RESUMPTION_SUPPORTED} is garbled ({error}): clients that ask for it fail"
        yield Finding(NEGOTIATED, Level.FAIL, found, what_to_set(Trouble.BREAKS_104, there.server))
        return
    finally:
        if seen.location:
            there.remove(Upload(there, seen.location).path)
    if seen.status // 100 != 2:  # noqa: PLR2004 - the class of statuses
        found = f"POST /files is answered {seen.status or 'nothing'}, over HTTP/1.1 it is not"
        yield Finding(NEGOTIATED, Level.FAIL, found, "look into the log of what stands before UploadStream")
        return
    told = "come through" if seen.interim else "are swallowed"
    yield Finding(NEGOTIATED, Level.OK, f"spoken; {RESUMPTION_SUPPORTED} responses {told}")
    yield _judge_window(there, initial, window)


def _begin_upload(there: Deployment, line: socket.socket, seen: _Seen) -> tuple[int, int]:
    """Bring a body of two bytes, one at a time; what the settings say of windows, and what they are between the two."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    path = f"{there.address.path}/files"
    head = {":method": "POST", ":path": path, ":scheme": "https", ":authority": there.address.authority}
    fields = {**there.who, **CREATION, "Content-Length": "2"}
    connection.send_headers(1, [*head.items(), *((name.lower(), value) for name, value in fields.items())])
    line.sendall(connection.data_to_send())
    connection.send_data(1, b"1")  # with which some open the window of the whole connection
    line.sendall(connection.data_to_send())
    _receive(connection, line, seen, SETTLED_SECONDS)
    initial = connection.remote_settings.initial_window_size
    window = initial if seen.ended else connection.local_flow_control_window(1)
    if not seen.ended:
        connection.send_data(1, b"2", end_stream=True)
        line.sendall(connection.data_to_send())
        _receive(connection, line, seen, ANSWER_SECONDS)
    return initial, window


def _judge_window(there: Deployment, initial: int, window: int) -> Finding:
    rate = window / ROUND_TRIP_SECONDS / 10**6
    found = f"{iec(window)} (SETTINGS_INITIAL_WINDOW_SIZE {initial}): {rate:.1f} MB/s at most over 50 ms"
    if window < WINDOW_MIN:
        return Finding(WINDOW, Level.WARN, found, what_to_set(Trouble.SMALL_WINDOW, there.server))
    return Finding(WINDOW, Level.OK, found)


def _receive(connection: h2.connection.H2Connection, line: socket.socket, seen: _Seen, seconds: float) -> None:
    """Take what comes, until the stream has ended or the time is over."""
    deadline = time.monotonic() + seconds
    while not seen.ended and (left := deadline - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            data = line.recv(READ_SIZE)
        except TimeoutError:
            return
        for octet in data:  # one at a time: with what is no HTTP/2, the good frames before it would be lost
            _take(connection, bytes([octet]), seen)
        line.sendall(connection.data_to_send())
        if not data:
            seen.ended = True


def _take(connection: h2.connection.H2Connection, data: bytes, seen: _Seen) -> None:
    try:
        events = connection.receive_data(data)
    except h2.exceptions.ProtocolError as error:
        raise Broken(f"no HTTP/2: {error}") from error
    for event in events:
        _note(event, seen)


def _note(event: h2.events.Event, seen: _Seen) -> None:
    if isinstance(event, h2.events.InformationalResponseReceived | h2.events.ResponseReceived):
        fields = {str(name): str(value) for name, value in event.headers or ()}
        status = int(fields[":status"])
        seen.interim = seen.interim or status == RESUMPTION_SUPPORTED
        seen.location = fields.get("location", seen.location)
        seen.status = status
    elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
        seen.ended = True
