"""Downloads over a server that cuts."""

import asyncio
import io
import os
from pathlib import Path

import pytest

from tests.client.faulty import FaultyServer, names_in
from uploadstream.client.asynchronous import AsyncClient
from uploadstream.client.downloading import replaceable
from uploadstream.client.errors import CHECKSUM_MISMATCH, FILE_EXISTS, FILE_UNWRITABLE, UploadError
from uploadstream.client.values import Progress, Step

DATA = bytes(range(250)) * 100


async def test_a_cut_download_goes_on_from_the_last_byte(
    client: AsyncClient, server: FaultyServer, tmp_path: Path
) -> None:
    file_id = server.store(DATA)
    server.cuts = [10_500, 1]

    path = await client.download(file_id, tmp_path / "film.mp4")

    assert path.read_bytes() == DATA
    assert server.given == len(DATA)
    assert names_in(tmp_path) == ["film.mp4"]


async def test_a_later_run_goes_on_from_the_part_of_an_earlier_one(
    client: AsyncClient, server: FaultyServer, tmp_path: Path
) -> None:
    file_id = server.store(DATA)
    server.cuts = [10_500]
    with pytest.raises(UploadError):
        await AsyncClient(patience_seconds=0).download(file_id, tmp_path / "film.mp4")
    reports: list[Progress] = []

    path = await client.download(file_id, tmp_path / "film.mp4", progress=reports.append)

    assert path.read_bytes() == DATA
    assert (reports[0].step, reports[0].offset) == (Step.RESUMED, 10_500)


async def test_a_download_that_nothing_came_of_leaves_nothing(
    client: AsyncClient, server: FaultyServer, tmp_path: Path
) -> None:
    file_id = server.store(DATA)
    server.cuts = [0]

    with pytest.raises(UploadError):
        await AsyncClient(patience_seconds=0).download(file_id, tmp_path / "film.mp4")

    assert names_in(tmp_path) == []


async def test_a_download_is_resumed_when_bytes_come_not_when_it_is_tried(
    client: AsyncClient, server: FaultyServer, tmp_path: Path
) -> None:
    file_id = server.store(DATA)
    server.cuts = [10_500, 0, 0, 0]
    reports: list[Progress] = []

    await client.download(file_id, tmp_path / "film.mp4", progress=reports.append)

    steps = [(report.step, report.offset) for report in reports if report.step is not Step.ADVANCED]
    assert steps == [
        (Step.STARTED, 0),
        *[(Step.WAITING, 10_500)] * 4,
        (Step.RESUMED, 10_500),
        (Step.FINISHED, len(DATA)),
    ]


@pytest.mark.parametrize("left", [b"another file's bytes", b"x" * len(DATA), b"x" * (len(DATA) + 1)])
async def test_a_part_that_is_damaged_is_fetched_again(
    client: AsyncClient, server: FaultyServer, tmp_path: Path, left: bytes
) -> None:
    file_id = server.store(DATA)
    (tmp_path / f"{file_id}.part").write_bytes(left)

    path = await client.download(file_id, tmp_path / "film.mp4")

    assert path.read_bytes() == DATA


async def test_what_arrives_damaged_twice_gets_no_name(
    client: AsyncClient, server: FaultyServer, tmp_path: Path
) -> None:
    file_id = server.store(DATA)
    server.damages = True

    with pytest.raises(UploadError) as caught:
        await client.download(file_id, tmp_path / "film.mp4")

    assert caught.value.reason == CHECKSUM_MISMATCH
    assert names_in(tmp_path) == []


async def test_a_name_that_the_server_gives_replaces_nothing(
    client: AsyncClient, server: FaultyServer, tmp_path: Path
) -> None:
    file_id = server.store(DATA)
    (tmp_path / "film.mp4").write_text("mine")

    with pytest.raises(UploadError) as caught:
        await client.download(file_id, tmp_path)

    assert caught.value.reason == FILE_EXISTS
    assert (tmp_path / "film.mp4").read_text() == "mine"


async def test_a_name_that_was_asked_for_is_replaced(client: AsyncClient, server: FaultyServer, tmp_path: Path) -> None:
    file_id = server.store(DATA)
    (tmp_path / "film.mp4").write_text("old")

    await client.download(file_id, tmp_path / "film.mp4")

    assert (tmp_path / "film.mp4").read_bytes() == DATA


@pytest.mark.parametrize("name", ["../film.mp4", "/etc/film.mp4", "..", "", "a\\b"])
async def test_a_name_with_a_way_in_it_leads_nowhere(
    client: AsyncClient, server: FaultyServer, tmp_path: Path, name: str
) -> None:
    file_id = server.store(DATA, filename=name)
    folder = tmp_path / "downloads"
    folder.mkdir()

    path = await client.download(file_id, folder)

    assert path == folder / file_id


async def test_two_downloads_of_one_file_to_one_folder_do_not_mix(
    client: AsyncClient, server: FaultyServer, tmp_path: Path
) -> None:
    file_id = server.store(DATA)

    one, other = await asyncio.gather(
        client.download(file_id, tmp_path / "one"), client.download(file_id, tmp_path / "other"), return_exceptions=True
    )

    assert one == tmp_path / "one"
    assert isinstance(other, UploadError)
    assert other.reason == FILE_UNWRITABLE
    assert (tmp_path / "one").read_bytes() == DATA


async def test_an_empty_file_is_downloaded(client: AsyncClient, server: FaultyServer, tmp_path: Path) -> None:
    file_id = server.store(b"")

    path = await client.download(file_id, tmp_path / "empty")

    assert path.read_bytes() == b""


def test_a_link_leads_to_what_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("file")

    assert replaceable(link) == tmp_path.resolve() / "file"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UploadError, match="is not a file"):
        replaceable(tmp_path / "pipe")


async def test_a_cut_download_into_an_open_file_goes_on_in_it(client: AsyncClient, server: FaultyServer) -> None:
    file_id = server.store(DATA)
    server.cuts = [10_500, 1]
    into = io.BytesIO()
    into.write(b"before ")

    info = await client.download_into(file_id, into)

    assert into.getvalue() == b"before " + DATA
    assert info.size == server.given == len(DATA)


async def test_what_arrives_damaged_in_an_open_file_is_an_error(client: AsyncClient, server: FaultyServer) -> None:
    file_id = server.store(DATA)
    server.damages = True

    with pytest.raises(UploadError) as caught:
        await client.download_into(file_id, io.BytesIO())

    assert caught.value.reason == CHECKSUM_MISMATCH


async def test_what_an_open_file_raises_ends_the_download(client: AsyncClient, server: FaultyServer) -> None:
    class Shut(io.BytesIO):
        def write(self, data: object) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await client.download_into(server.store(DATA), Shut())
