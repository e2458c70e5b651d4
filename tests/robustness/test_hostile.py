"""Clients that declare one thing and send another are refused early, and nothing of theirs is left."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.prepared_server import PreparedServer
from tests.robustness.raw_tus import RawTus, answer_on
from tests.robustness.uploading import blobs_of
from tests.running_server import RunningServer

JAVASCRIPT = (b"export function greet(name) { return `hello ${name}`; }\n" * 20)[:1000]


def test_a_file_over_the_limit_is_refused_before_its_first_byte(tus: RawTus) -> None:
    answer = tus.ask("POST", "/files", {"Upload-Length": str(600 << 20), "Content-Length": "0"})

    assert answer.status == 413
    assert answer.body == b"File size 600 MiB exceeds limit of 512 MiB\n"


def test_a_body_of_ten_gigabytes_for_a_file_of_one_kilobyte_is_refused_before_its_first_byte(tus: RawTus) -> None:
    path = tus.create(1024)
    with tus.begin_patch(path, offset=0, length=10 << 30) as connection:
        answer = answer_on(connection)

    assert answer.status == 413
    assert b"declared 1024" in answer.body
    assert tus.offset(path) == 0


def test_an_endless_chunked_body_is_refused_at_the_first_chunk_that_overruns(tus: RawTus) -> None:
    path = tus.create(1024)
    fields = {
        "Upload-Offset": "0",
        "Transfer-Encoding": "chunked",
        "Content-Type": "application/offset+octet-stream",
    }
    sent = 0
    with tus.connect() as connection:
        connection.sendall(tus.head_of("PATCH", path, fields))
        try:
            while sent < 64 << 20:
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                sent += 0x10000
        except (TimeoutError, ConnectionError):
            pass
        else:
            pytest.fail("64 MiB were taken")
    assert tus.offset(path) <= 1024


def test_javascript_declared_as_an_image_is_refused_after_512_bytes(server: RunningServer, tus: RawTus) -> None:
    before = blobs_of(server)
    path = tus.create(100_000, f"filename {b64('cat.png')},filetype {b64('image/png')}")
    with tus.begin_patch(path, offset=0, length=100_000) as connection:
        for start in range(0, 600, 100):  # in chunks of 100 bytes, and no more than these
            connection.sendall(JAVASCRIPT[start : start + 100])
        answer = answer_on(connection)

    assert answer.status == 415
    assert answer.body == b"Declared image/png, content is text/plain\n"
    assert tus.ask("HEAD", path, {}).status == 410
    assert blobs_of(server) == before


def test_a_head_without_end_is_refused(tus: RawTus) -> None:
    with tus.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        try:
            for number in range(4096):
                connection.sendall(f"X-{number}: {'y' * 100}\r\n".encode())
            status = connection.recv(65536).split(b" ")[1:2]
        except ConnectionError:
            status = [b"431"]
    assert status in ([b"431"], [b"400"])


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 48 MiB."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(where)], check=False).returncode == 0
    )
    if not mounted:
        pytest.skip("needs the right to mount a small tmpfs")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_full_disk_is_an_error_that_loses_nothing_and_passes(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    content = os.urandom(8 << 20)
    with PreparedServer(small_disk / "data") as server:
        tus = RawTus("127.0.0.1", server.http_port)
        path = tus.create(len(content))
        with tus.begin_patch(path, offset=0, length=len(content)) as connection:
            connection.sendall(content[: 2 << 20])
            fill(ballast)
            try:
                connection.sendall(content[2 << 20 :])
                answer = answer_on(connection)
            except ConnectionError:
                answer = None
        if answer is not None:
            assert answer.status == 507
            assert b"full" in answer.body
        offset = tus.offset(path)
        assert offset < len(content)

        ballast.unlink()
        done = tus.patch(path, offset=offset, body=content[offset:])

        assert done.status == 204, done
        file_id = path.rpartition("/")[2]
        assert (server.data_dir / "blobs" / file_id[:2] / file_id).read_bytes() == content


def test_on_a_disk_that_uploads_have_filled_what_takes_room_can_be_deleted(small_disk: Path) -> None:
    content = os.urandom(8 << 20)
    with PreparedServer(small_disk / "data") as server:
        tus = RawTus("127.0.0.1", server.http_port)
        paths = [tus.create(len(content)) for _ in range(6)]  # each of them has room, all together have not

        statuses = [patch_until_refused(tus, path, content) for path in paths]

        assert set(statuses) == {204, 507}
        room = os.statvfs(small_disk)
        assert room.f_bavail * room.f_frsize > 12 << 20
        answers = [
            tus.ask("DELETE", path if status == 507 else f"/api/v1{path}", {})
            for path, status in zip(paths, statuses, strict=True)
        ]
        assert {answer.status for answer in answers} <= {200, 204}
        assert tus.ask("HEAD", paths[statuses.index(507)], {}).status == 410


def patch_until_refused(tus: RawTus, path: str, content: bytes) -> int:
    """The answer's status, also where the answer comes before the body is through."""
    with tus.begin_patch(path, offset=0, length=len(content)) as connection:
        with suppress(ConnectionError):
            connection.sendall(content)
        return answer_on(connection).status


def fill(ballast: Path) -> None:
    """Take all the room there is."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
