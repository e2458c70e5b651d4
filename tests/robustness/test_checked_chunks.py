"""Chunks with checksums on a real server: seen by nobody before they were checked, and forgotten by a crash."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping

from tests.robustness.raw_tus import Answer, RawTus, answer_on, patch_fields
from tests.running_server import RunningServer

CHUNK = bytes(range(256)) * 4096 * 4


def sha1(data: bytes) -> str:
    return "sha1 " + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def checked(offset: int, chunk: bytes, checksum: str) -> Mapping[str, str]:
    return {**patch_fields(offset, len(chunk)), "Upload-Checksum": checksum}


def in_pieces(chunk: bytes, trailer: str) -> bytes:
    """A chunk as a chunked body, its checksum behind it."""
    return b"%x\r\n%b\r\n0\r\nUpload-Checksum: %b\r\n\r\n" % (len(chunk), chunk, trailer.encode())


def with_trailer(tus: RawTus, path: str, offset: int, chunk: bytes, checksum: str) -> Answer:
    fields = {
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
        "Transfer-Encoding": "chunked",
        "Trailer": "Upload-Checksum",
    }
    return tus.ask("PATCH", path, fields, in_pieces(chunk, checksum))


def test_t22_right_and_wrong_chunks_are_told_apart(tus: RawTus) -> None:
    path = tus.create(2 * len(CHUNK))

    right = tus.ask("PATCH", path, checked(0, CHUNK, sha1(CHUNK)), CHUNK)
    wrong = tus.ask("PATCH", path, checked(len(CHUNK), CHUNK, sha1(b"")), CHUNK)

    assert (right.status, wrong.status) == (204, 460)
    assert tus.offset(path) == len(CHUNK)


def test_t22_an_unknown_algorithm_is_refused_before_the_body_is_read(tus: RawTus) -> None:
    path = tus.create(len(CHUNK))

    with tus.connect() as connection:
        connection.sendall(tus.head_of("PATCH", path, checked(0, CHUNK, "sha3 YQ==")))
        answer = answer_on(connection)

    assert answer.status == 400
    assert tus.offset(path) == 0


def test_t23_what_is_under_way_is_seen_from_no_other_connection(tus: RawTus) -> None:
    path = tus.create(len(CHUNK))

    with tus.connect() as connection:
        connection.sendall(tus.head_of("PATCH", path, checked(0, CHUNK, sha1(CHUNK))) + CHUNK[:-1])
        time.sleep(0.5)
        meanwhile = tus.offset(path)
        connection.sendall(CHUNK[-1:])
        answer = answer_on(connection)

    assert (meanwhile, answer.status) == (0, 204)
    assert tus.offset(path) == len(CHUNK)


def test_t23_a_killed_server_forgets_what_was_under_way_and_keeps_what_was_checked(
    server: RunningServer, tus: RawTus
) -> None:
    path = tus.create(3 * len(CHUNK))
    assert tus.ask("PATCH", path, checked(0, CHUNK, sha1(CHUNK)), CHUNK).status == 204

    with tus.connect() as connection:
        connection.sendall(tus.head_of("PATCH", path, checked(len(CHUNK), CHUNK, sha1(CHUNK))) + CHUNK[:-1])
        time.sleep(0.5)
        server.kill()
    server.restart()

    assert tus.offset(path) == len(CHUNK)
    for at in (len(CHUNK), 2 * len(CHUNK)):
        assert tus.ask("PATCH", path, checked(at, CHUNK, sha1(CHUNK)), CHUNK).status == 204
    content = tus.ask("GET", path.replace("/files/", "/api/v1/files/") + "/content", {}).body
    assert content == 3 * CHUNK


def test_t24_a_checksum_may_come_behind_the_body(tus: RawTus) -> None:
    path = tus.create(2 * len(CHUNK))

    right = with_trailer(tus, path, 0, CHUNK, sha1(CHUNK))
    wrong = with_trailer(tus, path, len(CHUNK), CHUNK, sha1(b""))
    unknown = with_trailer(tus, path, len(CHUNK), CHUNK, "sha3 YQ==")

    assert (right.status, wrong.status, unknown.status) == (204, 460, 400)
    assert tus.offset(path) == len(CHUNK)
    assert "checksum-trailer" in tus.ask("OPTIONS", "/files", {}).fields["tus-extension"]
