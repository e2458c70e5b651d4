"""Uploads over a server that cuts, damages and forgets."""

import asyncio
import io
import os
from pathlib import Path

import pytest

from tests.client.faulty import FILM, FaultyServer, names_in
from uploadstream.client import retrying
from uploadstream.client.asynchronous import AsyncClient
from uploadstream.client.errors import CHECKSUM_MISMATCH, FILE_CHANGED, FILE_UNREADABLE, TYPE_MISMATCH, UploadError
from uploadstream.client.values import Progress, Step


def rewrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def test_a_cut_upload_goes_on_from_the_last_byte_held(
    client: AsyncClient, server: FaultyServer, film: Path
) -> None:
    server.cuts = [100_001, 0, 70_000]

    file = await client.upload(film)

    assert server.bytes_of[file.file_id] == FILM
    assert server.received == len(FILM)


async def test_what_is_reported_begins_advances_waits_resumes_and_ends(
    client: AsyncClient, server: FaultyServer, film: Path
) -> None:
    server.cuts = [100_001]
    reports: list[Progress] = []

    await client.upload(film, progress=reports.append)

    steps = [report.step for report in reports if report.step is not Step.ADVANCED]
    resumed = next(report for report in reports if report.step is Step.RESUMED)
    waited = next(report for report in reports if report.step is Step.WAITING)
    assert steps == [Step.STARTED, Step.WAITING, Step.RESUMED, Step.FINISHED]
    assert resumed.offset == 100_001
    assert waited.error is not None
    assert reports[-1].offset == reports[-1].size == 300_000


async def test_a_later_run_finds_the_upload_that_an_earlier_one_left(
    client: AsyncClient, server: FaultyServer, film: Path, tmp_path: Path
) -> None:
    server.cuts = [100_000] + [0] * 100
    impatient = AsyncClient(state_dir=tmp_path / "state", patience_seconds=0)
    with pytest.raises(UploadError):
        await impatient.upload(film)
    server.cuts = []

    file = await client.upload(film)

    assert list(server.named) == [file.file_id]
    assert server.received == len(FILM)


async def test_what_is_remembered_of_an_upload_goes_with_its_end(
    client: AsyncClient, film: Path, tmp_path: Path
) -> None:
    await client.upload(film)

    assert names_in(tmp_path / "state") == []


async def test_a_file_that_changed_is_another_upload(
    client: AsyncClient, server: FaultyServer, film: Path, tmp_path: Path
) -> None:
    server.cuts = [100_000]
    with pytest.raises(UploadError):
        await AsyncClient(state_dir=tmp_path / "state", patience_seconds=0).upload(film)
    rewrite(film, b"something else")

    file = await client.upload(film)

    assert len(server.named) == 2
    assert server.bytes_of[file.file_id] == b"something else"


async def test_two_uploads_of_one_file_at_once_are_two_files(
    client: AsyncClient, server: FaultyServer, film: Path
) -> None:
    first, second = await asyncio.gather(client.upload(film), client.upload(film))

    assert first.file_id != second.file_id
    assert server.bytes_of[first.file_id] == server.bytes_of[second.file_id] == FILM


async def test_an_upload_that_has_expired_is_begun_anew(
    client: AsyncClient, server: FaultyServer, film: Path, tmp_path: Path
) -> None:
    server.cuts = [100_000]
    with pytest.raises(UploadError):
        await AsyncClient(state_dir=tmp_path / "state", patience_seconds=0).upload(film)
    server.forget("upload-1")

    file = await client.upload(film)

    assert server.bytes_of[file.file_id] == FILM


async def test_a_server_that_goes_away_in_the_middle_is_waited_for(
    client: AsyncClient, server: FaultyServer, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FIRST_CONTACT_SECONDS", 0.0)
    server.cuts = [100_000, 0, 0, 0]

    await client.upload(film)

    assert server.received == len(FILM)


async def test_a_lost_last_answer_is_asked_for_again(client: AsyncClient, server: FaultyServer, film: Path) -> None:
    server.loses_last_answer = True

    await client.upload(film)

    assert len(server.named) == 1
    assert server.received == len(FILM)


async def test_a_type_that_only_the_name_suggests_is_dropped_if_the_content_is_another(
    client: AsyncClient, server: FaultyServer, film: Path
) -> None:
    server.detected_type = "image/png"

    file = await client.upload(film)

    assert file.content_type == ""


async def test_a_type_that_was_declared_is_refused_if_the_content_is_another(
    client: AsyncClient, server: FaultyServer, film: Path
) -> None:
    server.detected_type = "image/png"

    with pytest.raises(UploadError) as caught:
        await client.upload(film, content_type="video/mp4")

    assert caught.value.reason == TYPE_MISMATCH
    assert names_in(film.parent / "state") == []


async def test_what_arrived_damaged_goes_to_the_trash(client: AsyncClient, server: FaultyServer, film: Path) -> None:
    server.damages = True

    with pytest.raises(UploadError) as caught:
        await client.upload(film)

    assert caught.value.reason == CHECKSUM_MISMATCH
    assert server.trash == {"upload-1"}


async def test_a_file_that_changes_while_it_is_sent_becomes_no_file(
    client: AsyncClient, server: FaultyServer, film: Path
) -> None:
    def touch(_: Progress) -> None:
        os.utime(film, ns=(0, 0))

    with pytest.raises(UploadError) as caught:
        await client.upload(film, progress=touch)

    assert caught.value.reason == FILE_CHANGED
    assert server.named == {}


async def test_an_open_file_is_sent_from_where_it_stands(client: AsyncClient, server: FaultyServer) -> None:
    file = io.BytesIO(b"before and after")
    file.seek(7)
    server.cuts = [3]

    info = await client.upload(file, filename="after.txt")

    assert server.bytes_of[info.file_id] == b"and after"
    assert info.filename == "after.txt"


async def test_a_pipe_is_refused_with_advice(client: AsyncClient) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(UploadError, match="store it in a file first") as caught:
        await client.upload(pipe, filename="x")

    assert caught.value.reason == FILE_UNREADABLE


async def test_an_empty_file_is_complete_at_once(client: AsyncClient, server: FaultyServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()

    file = await client.upload(empty)

    assert file.size == 0
    assert file.content_type == "application/octet-stream"


async def test_a_missing_file_is_an_error_of_the_client(client: AsyncClient, tmp_path: Path) -> None:
    with pytest.raises(UploadError, match="No such file"):
        await client.upload(tmp_path / "nothing.mp4")


async def test_listings_follow_their_pages(client: AsyncClient, server: FaultyServer) -> None:
    ids = [server.store(b"x") for _ in range(5)]

    assert [file.file_id async for file in client.list_files()] == ids


@pytest.mark.parametrize("server", ["grpc://127.0.0.1:1", "http://127.0.0.1:1"])
@pytest.mark.parametrize(
    ("user", "api_key", "message"),
    [
        ("a\nb", "", "user_id: must be text without control characters"),
        ("\udcff", "", "user_id: must be text without control characters"),
        ("a" * 129, "", "user_id: must be 1 to 128 characters, has 129"),
        ("a", "ä", "api_key: must be printable ASCII"),
        ("a", "a\nb", "api_key: must be printable ASCII"),
    ],
)
def test_a_sender_that_cannot_be_sent_is_refused_at_once(server: str, user: str, api_key: str, message: str) -> None:
    with pytest.raises(UploadError) as caught:
        AsyncClient(server, user=user, api_key=api_key)

    assert (caught.value.reason, caught.value.message) == ("BAD_FIELD", message)
