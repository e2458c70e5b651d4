"""Clients: one process each, all let go at the same moment."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TypedDict

from rig.peers import built
from rig.servers import Running

TUS_CLIENT = Path(__file__).with_name("tus_client.py")


@dataclass(frozen=True)
class Transfer:
    """What one client does: an upload of the first `size` bytes of `source`, or a download of `file_id`."""

    protocol: str
    size: int
    source: Path | None = None
    file_id: str = ""
    output: Path = Path("/dev/null")
    chunk_size: int = 65_536  # of a gRPC message
    grpc_client: str = "frames"

    def back(self, file_id: str, output: Path = Path("/dev/null")) -> "Transfer":
        """The download of what this one has uploaded."""
        return replace(self, source=None, file_id=file_id, output=output)


class Answer(TypedDict):
    """A load generator's one line of JSON."""

    bytes: int
    seconds: float
    cpu_seconds: float
    file_id: str


@dataclass(frozen=True)
class Done:
    """What all clients together took, from the start of the first to the end of the last."""

    file_ids: list[str]
    byte_count: int
    seconds: float
    client_cpu_seconds: float


def command(server: Running, transfer: Transfer) -> list[str]:
    """The load generator's command line."""
    if transfer.protocol == "grpc":
        line = [str(built("grpc_client")), "-server", f"127.0.0.1:{server.place.grpc_port}"]
        line += ["-transport", transfer.grpc_client]
        if transfer.source:
            upload = ["-source", str(transfer.source), "-size", str(transfer.size)]
            return [*line, *upload, "-chunk-size", str(transfer.chunk_size)]
        sink = [] if transfer.output == Path("/dev/null") else ["-output", str(transfer.output)]
        return [*line, "-file-id", transfer.file_id, *sink]
    line = [sys.executable, str(TUS_CLIENT), "--port", str(server.place.http_port)]
    if transfer.source:
        return [*line, "--path", "/files/", "--source", str(transfer.source), "--size", str(transfer.size)]
    return [*line, "--path", server.kind.content_path.format(transfer.file_id), "--output", str(transfer.output)]


def run(server: Running, transfers: Sequence[Transfer], *, when_ready: Callable[[], None] = lambda: None) -> Done:
    """Makes the transfers at once, after `when_ready`, which runs with all clients connected.

    Raises with the client's and the server's words if one fails.
    """
    lines = [command(server, transfer) for transfer in transfers]
    clients = [
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in lines
    ]
    try:
        for client in clients:
            await_ready(server, client)
        when_ready()
        start = time.perf_counter()
        for client in clients:
            assert client.stdin
            client.stdin.write("go\n")
            client.stdin.flush()
        outcomes = [finish(server, client, transfer) for client, transfer in zip(clients, transfers, strict=True)]
        end = max(ended for _, ended in outcomes)
    finally:
        for client in clients:
            client.kill()
            client.wait()
    answers = [answer for answer, _ in outcomes]
    return Done(
        file_ids=[answer["file_id"] for answer in answers],
        byte_count=sum(answer["bytes"] for answer in answers),
        seconds=end - start,
        client_cpu_seconds=sum(answer["cpu_seconds"] for answer in answers),
    )


def await_ready(server: Running, client: subprocess.Popen[str]) -> None:
    """Returns when the client is connected."""
    assert client.stdout
    if client.stdout.readline() != "ready\n":
        fail(server, client)


def finish(server: Running, client: subprocess.Popen[str], transfer: Transfer) -> tuple[Answer, float]:
    """What the client says, and when it said it."""
    assert client.stdout
    line = client.stdout.readline()
    ended = time.perf_counter()
    if not line:
        fail(server, client)
    answer: Answer = json.loads(line)
    if answer["bytes"] != transfer.size:
        raise RuntimeError(f"{server.kind.name}: {answer['bytes']} bytes moved, {transfer.size} wanted")
    return answer, ended


def fail(server: Running, client: subprocess.Popen[str]) -> NoReturn:
    """Raises with what both sides have said."""
    _, words = client.communicate()
    raise RuntimeError(f"{server.kind.name}: a client failed: {words}\nThe server's log ends:\n{server.log}")
