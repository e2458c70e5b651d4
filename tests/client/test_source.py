"""Reading what is sent."""

import io
from pathlib import Path

import pytest

from uploadstream.client.errors import FILE_CHANGED, UploadError
from uploadstream.client.source import BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, Source, open_source, type_of_name
from uploadstream.core.digests import crc32c

DATA = bytes(range(256)) * 20_000


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("film.mp4", "video/mp4"),
        ("PHOTO.JPG", "image/jpeg"),
        ("notes.txt", "text/plain"),
        ("sources.tar.gz", "application/gzip"),
        ("page.html.br", "application/octet-stream"),
        ("README", "application/octet-stream"),
        ("data.nothing-known", "application/octet-stream"),
    ],
)
def test_a_name_stands_for_a_type(name: str, content_type: str) -> None:
    assert type_of_name(name) == content_type


@pytest.mark.parametrize("start", [0, 1, BLOCK_SIZE_MIN, len(DATA) - 1, len(DATA)])
def test_blocks_are_the_file_from_any_place_on(start: int) -> None:
    source = Source(io.BytesIO(DATA), name="x")

    blocks = list(source.blocks(start))

    assert b"".join(block.data for block in blocks) == DATA[start:]
    assert source.crc32c_before(len(DATA)) == crc32c(DATA)
    assert all(len(block.data) <= BLOCK_SIZE_MAX for block in blocks)


def test_the_checksum_of_any_beginning_is_known_after_any_reading() -> None:
    source = Source(io.BytesIO(DATA), name="x")
    list(source.blocks(1000))

    for offset in (0, 1, 1000, 99_999, BLOCK_SIZE_MIN + 1000, len(DATA)):
        assert source.crc32c_before(offset) == crc32c(DATA[:offset])


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(DATA)
    source = open_source(path, filename=None)
    path.write_bytes(b"short")

    with pytest.raises(UploadError) as caught:
        list(source.blocks(0))

    source.close()
    assert caught.value.reason == FILE_CHANGED


def test_a_name_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "bad\udcff.txt"
    path.write_bytes(b"x")

    with pytest.raises(UploadError, match="not UTF-8"):
        open_source(path, filename=None)
