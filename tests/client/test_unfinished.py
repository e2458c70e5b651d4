"""The memory of unfinished uploads."""

import json
import os
from pathlib import Path

from uploadstream.client.unfinished import KEPT_SECONDS, Unfinished

FILM: dict[str, str | int] = {"path": "/films/film.mp4", "size": 100}


def test_what_was_remembered_is_found_by_the_next_run(tmp_path: Path) -> None:
    with Unfinished(tmp_path).entry(FILM) as entry:
        assert entry is not None
        assert entry.upload_id is None
        entry.remember("upload-1")

    with Unfinished(tmp_path).entry(FILM) as entry:
        assert entry is not None
        assert entry.upload_id == "upload-1"


def test_another_size_is_another_entry(tmp_path: Path) -> None:
    with Unfinished(tmp_path).entry(FILM) as entry:
        assert entry is not None
        entry.remember("upload-1")

    with Unfinished(tmp_path).entry({**FILM, "size": 101}) as entry:
        assert entry is not None
        assert entry.upload_id is None


def test_an_entry_says_what_it_is_about(tmp_path: Path) -> None:
    with Unfinished(tmp_path).entry(FILM) as entry:
        assert entry is not None
        entry.remember("upload-1")

    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text()) == {**FILM, "upload_id": "upload-1"}


def test_a_second_holder_gets_none(tmp_path: Path) -> None:
    with Unfinished(tmp_path).entry(FILM) as first, Unfinished(tmp_path).entry(FILM) as second:
        assert first is not None
        assert second is None


def test_an_entry_is_free_again_after_its_holder(tmp_path: Path) -> None:
    with Unfinished(tmp_path).entry(FILM):
        pass

    with Unfinished(tmp_path).entry(FILM) as entry:
        assert entry is not None
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_entry_is_none(tmp_path: Path) -> None:
    with Unfinished(tmp_path).entry(FILM) as entry:
        assert entry is not None
        entry.remember("upload-1")
        (path,) = tmp_path.glob("*.json")
        for text in ("", "[]", "{}", '{"upload_id": 5}', '{"upload_id": "upl'):
            path.write_text(text)

            assert entry.upload_id is None


def test_what_nobody_came_back_to_is_dropped(tmp_path: Path) -> None:
    with Unfinished(tmp_path).entry(FILM) as entry:
        assert entry is not None
        entry.remember("upload-1")
    (path,) = tmp_path.glob("*.json")
    old = path.stat().st_mtime - KEPT_SECONDS - 60
    os.utime(path, (old, old))

    with Unfinished(tmp_path).entry({**FILM, "size": 7}):
        pass

    assert not path.exists()


def test_a_folder_that_cannot_be_made_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with Unfinished(tmp_path / "file" / "below").entry(FILM) as entry:
        assert entry is None
