"""The client against a running server, over both protocols."""

import hashlib
import io
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer
from uploadstream import AsyncClient, Client, Progress, Step, UploadError
from uploadstream.core.sizes import MIB

DATA = random.Random(3).randbytes(3_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with PreparedServer(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


def address(server: RunningServer, protocol: str) -> str:
    return f"grpc://{server.grpc_target}" if protocol == "grpc" else server.http_url


@pytest.fixture(params=["grpc", "tus"])
def client(request: pytest.FixtureRequest, server: RunningServer, tmp_path: Path) -> Iterator[Client]:
    with Client(address(server, request.param), user=f"user-{tmp_path.name}", state_dir=tmp_path / "state") as client:
        yield client


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(DATA)
    return path


def test_a_file_goes_up_and_comes_back(client: Client, film: Path, tmp_path: Path) -> None:
    file = client.upload(film)

    back = client.download(file.file_id, tmp_path / "back.bin")

    assert back.read_bytes() == DATA
    assert (file.filename, file.size, file.content_type) == ("film.bin", len(DATA), "application/octet-stream")
    assert client.describe(file.file_id) == file


def test_everything_about_a_file_is_known(client: Client, film: Path) -> None:
    file = client.upload(film)

    assert [found.file_id for found in client.list_files()] == [file.file_id]
    assert [entry.action for entry in client.audit(file.file_id)] == ["create", "complete"]


def test_a_file_goes_to_the_trash_and_comes_back(client: Client, film: Path) -> None:
    file = client.upload(film)

    client.delete(file.file_id)

    (deleted,) = client.list_files(deleted=True)
    assert deleted.file_id == file.file_id
    assert deleted.deleted_at is not None
    assert list(client.list_files()) == []
    with pytest.raises(UploadError) as caught:
        client.describe(file.file_id)
    assert caught.value.is_missing
    client.restore(file.file_id)
    assert client.describe(file.file_id).file_id == file.file_id
    assert (client.stats().deleted, client.stats().restored) == (1, 1)


def test_a_complete_upload_is_not_aborted_and_its_file_stays(client: Client, film: Path) -> None:
    file = client.upload(film)

    with pytest.raises(UploadError) as caught:
        client.abort(file.file_id)

    assert caught.value.reason == "UPLOAD_CLOSED"
    assert f"is complete and is file {file.file_id} now" in caught.value.message
    assert client.describe(file.file_id) == file


@pytest.mark.parametrize("wrong", ["nothing", "a/../b", "..", ".", "a?b=c", "a#b", "a%2Fb", "ä\n", "A" * 36])
def test_what_can_be_no_id_is_the_id_of_nothing_and_leads_nowhere_else(client: Client, wrong: str) -> None:
    said = f"No file {ascii(wrong)[1:-1]}"

    for ask in (
        client.describe,
        client.delete,
        client.restore,
        client.download,
        lambda any_id: list(client.audit(any_id)),
    ):
        with pytest.raises(UploadError) as caught:
            ask(wrong)
        assert (caught.value.reason, caught.value.message) == ("NOT_FOUND", said)
    with pytest.raises(UploadError) as caught:
        client.abort(wrong)
    assert (caught.value.reason, caught.value.message) == ("NOT_FOUND", said.replace("file", "upload"))


def test_an_upload_is_listed_until_it_is_aborted(client: Client, film: Path) -> None:
    class Enough(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step is Step.STARTED:
            raise Enough

    with pytest.raises(Enough):
        client.upload(film, progress=stop)

    (upload,) = client.uploads()
    assert (upload.filename, upload.size) == ("film.bin", len(DATA))
    client.abort(upload.upload_id)
    assert list(client.uploads()) == []


def test_an_empty_file_and_an_open_one_go_up(client: Client) -> None:
    empty = client.upload(io.BytesIO(), filename="empty.txt")
    open_one = client.upload(io.BytesIO(b"some text"), filename="notes.txt")

    assert empty.size == 0
    assert (open_one.size, open_one.content_type) == (9, "text/plain")


def test_a_name_of_a_type_that_the_content_is_not_is_no_obstacle(client: Client) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(2000)

    file = client.upload(io.BytesIO(png), filename="photo.jpg")

    assert file.content_type == "image/png"


def test_a_refusal_has_its_reason_however_fast_it_comes(client: Client) -> None:
    for _ in range(10):
        with pytest.raises(UploadError) as caught:
            client.upload(io.BytesIO(b"%PDF-1.7\n" + DATA), filename="photo", content_type="image/png")

        assert caught.value.reason in {"TYPE_MISMATCH", "CONTENT_REFUSED"}
        assert caught.value.message == "Declared image/png, content is application/pdf"


def test_a_refusal_has_its_reason_and_comes_at_once_however_much_was_to_follow(client: Client, film: Path) -> None:
    with film.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(64 * MIB)  # far more than a server reads of a body that it has refused
    began = time.monotonic()

    with pytest.raises(UploadError) as caught:
        client.upload(film, content_type="image/png")

    assert caught.value.message == "Declared image/png, content is application/pdf"
    assert time.monotonic() - began < 4


def test_a_name_of_any_language_is_kept(client: Client, film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()

    file = client.upload(film, filename="фильм 映画 🎬.bin")

    assert client.download(file.file_id, folder).name == "фильм 映画 🎬.bin"


@pytest.mark.parametrize("protocol", ["grpc", "tus"])
def test_a_user_of_any_language_has_its_own_files(server: RunningServer, film: Path, protocol: str) -> None:
    with Client(address(server, protocol), user=f"Ольга {protocol}", state_dir=film.parent / "state") as olga:
        file = olga.upload(film)

        assert [found.user_id for found in olga.list_files()] == [f"Ольга {protocol}"]
        assert file.user_id == f"Ольга {protocol}"


def test_an_upload_begun_over_one_protocol_ends_over_the_other(server: RunningServer, film: Path) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    with Client(address(server, "grpc"), state_dir=film.parent / "state") as client:
        file = client.upload(film)
    with Client(address(server, "tus")) as other:
        back = other.download(file.file_id, film.parent / "back")

    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest


def test_nobody_there_is_said_with_advice(tmp_path: Path) -> None:
    for server in ("grpc://127.0.0.1:1", "http://127.0.0.1:1"):
        with Client(server) as client, pytest.raises(UploadError) as caught:
            client.describe("00000000-0000-0000-0000-000000000000")

        assert caught.value.message == f"Cannot reach {server}; is it running? Start it with scripts/serve"


@pytest.mark.parametrize("protocol", ["grpc", "tus"])
async def test_a_server_killed_in_the_middle_costs_nothing_but_time(tmp_path: Path, protocol: str) -> None:
    with PreparedServer(tmp_path / "data") as server:
        kills = [1_000_000, 2_000_000]

        def kill(progress: Progress) -> None:
            if kills and progress.offset > kills[0]:
                del kills[0]
                server.kill()
                server.restart()

        async with AsyncClient(address(server, protocol)) as client:
            file = await client.upload(io.BytesIO(DATA), filename="film.bin", progress=kill)
            back = await client.download(file.file_id, tmp_path / "back.bin")
            files = [found.file_id async for found in client.list_files()]

        assert back.read_bytes() == DATA
        assert kills == []
        assert files == [file.file_id]
