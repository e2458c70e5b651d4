"""Uploads in a real browser: paused, cut, reloaded, begun again; every time the same bytes and the same id."""

import os
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Playwright

from tests.running_server import RunningServer
from tests.web.chromium import Window, kept_browser

MIB = 2**20


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file that takes two seconds when slowed down."""
    path = tmp_path / "film.raw"
    path.write_bytes(os.urandom(6 * MIB))
    return path


def begin(window: Window, path: Path) -> str:
    """An upload that is on its way, slowly, with more than a MiB at the server; its id."""
    window.slow_down(bytes_a_second=2 * MIB)
    window.choose(path)
    upload = window.wait(lambda: next((one for one in window.uploads() if one["offset"] > MIB), None))
    return str(upload["upload_id"])


def assert_arrived(window: Window, path: Path, upload_id: str) -> None:
    """One file came of it, under the upload's id, with every byte."""
    window.wait(window.files)
    assert [file["file_id"] for file in window.files()] == [upload_id]
    assert window.content(upload_id) == path.read_bytes()
    assert window.uploads() == []


def test_a_chosen_file_arrives_and_is_shown(window: Window, film: Path) -> None:
    window.choose(film)
    window.tile("film").wait_for()

    [file] = window.files()

    assert file["filename"] == "film.raw"
    assert window.content(file["file_id"]) == film.read_bytes()
    assert window.wait(lambda: window.note() == "All there.")


def test_many_files_at_once_all_arrive(window: Window, tmp_path: Path) -> None:
    paths = [tmp_path / f"note {number}.txt" for number in range(12)]
    for path in paths:
        path.write_text(f"This is {path.name}.\n" * 100)
    (tmp_path / "empty.txt").touch()

    window.choose(*paths, tmp_path / "empty.txt")
    window.wait(lambda: len(window.files()) == 13)

    for file in window.files():
        assert window.content(file["file_id"]) == (tmp_path / file["filename"]).read_bytes()


def test_a_paused_upload_sends_nothing_and_goes_on_where_it_was(window: Window, film: Path) -> None:
    upload_id = begin(window, film)
    window.page.get_by_role("button", name="Pause").click()
    window.page.get_by_text("Paused", exact=True).wait_for()
    window.page.wait_for_timeout(300)
    [paused] = window.uploads()
    window.page.wait_for_timeout(700)

    assert window.uploads()[0]["offset"] == paused["offset"] < film.stat().st_size

    window.slow_down(bytes_a_second=0)
    window.page.get_by_role("button", name="Resume").click()

    assert_arrived(window, film, upload_id)


def test_a_cut_network_is_said_and_the_upload_goes_on_by_itself_when_it_is_back(window: Window, film: Path) -> None:
    upload_id = begin(window, film)

    window.cut_network()
    window.wait(lambda: "No network" in window.note())
    window.page.wait_for_timeout(1500)
    assert window.files() == []
    window.slow_down(bytes_a_second=0)

    assert_arrived(window, film, upload_id)
    window.wait(lambda: window.note() == "All there.")
    window.troubles = [one for one in window.troubles if "ERR_INTERNET_DISCONNECTED" not in one]


def test_an_upload_goes_on_by_itself_after_a_server_was_killed(
    window: Window, film: Path, server: RunningServer
) -> None:
    upload_id = begin(window, film)

    server.restart()

    assert_arrived(window, film, upload_id)
    window.troubles = [one for one in window.troubles if "net::ERR" not in one]


def test_a_small_upload_goes_on_by_itself_after_a_reload(window: Window, film: Path) -> None:
    upload_id = begin(window, film)

    window.slow_down(bytes_a_second=0)
    window.open()

    assert_arrived(window, film, upload_id)


def test_a_large_upload_goes_on_after_a_reload_when_the_same_file_is_chosen(window: Window, tmp_path: Path) -> None:
    path = tmp_path / "large.raw"
    path.write_bytes(os.urandom(65 * MIB))
    upload_id = begin(window, path)

    window.slow_down(bytes_a_second=0)
    window.open()
    window.page.get_by_text("large.raw is not all there yet.").first.wait_for()
    window.choose(path)

    assert_arrived(window, path, upload_id)


def test_an_upload_goes_on_by_itself_after_the_browser_was_restarted(
    playwright: Playwright, server: RunningServer, tmp_path: Path, film: Path
) -> None:
    with kept_browser(playwright.chromium, tmp_path / "profile") as context:
        upload_id = begin(Window(context, server.http_url, "restarter"), film)

    with kept_browser(playwright.chromium, tmp_path / "profile") as context:
        assert_arrived(Window(context, server.http_url, "restarter"), film, upload_id)


def test_a_refused_file_says_why_and_leaves_nothing_behind(window: Window, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_text("#!/bin/sh\n" * 100)

    window.choose(path)
    window.page.get_by_text("picture.png: Declared image/png, content is text/x-shellscript").first.wait_for()

    assert (window.files(), window.uploads()) == ([], [])
    window.page.wait_for_timeout(1500)  # for the events
    assert window.page.locator("#uploads-count").inner_text() == ""
    window.troubles = [one for one in window.troubles if "415" not in one]


def test_what_is_taken_off_the_list_is_kept_until_it_is_discarded(window: Window, film: Path) -> None:
    begin(window, film)
    window.page.get_by_role("button", name="Pause").click()
    window.page.get_by_role("button", name="Remove").click()
    window.page.get_by_text("is kept").first.wait_for()
    assert len(window.uploads()) == 1

    window.page.get_by_role("tab", name="In progress").click()
    window.tile("film").get_by_role("button", name="Discard").click()

    window.wait(lambda: window.uploads() == [])
    window.page.get_by_text("Nothing on its way").wait_for()


def test_an_upload_of_another_program_is_seen_while_it_is_on_its_way(window: Window, server: RunningServer) -> None:
    window.page.get_by_role("tab", name="In progress").click()
    fields = {"Tus-Resumable": "1.0.0", "X-User-Id": window.user}
    body = {**fields, "Content-Type": "application/offset+octet-stream"}

    with httpx.Client(base_url=server.http_url, headers=fields) as program:
        metadata = {"Upload-Length": str(4 * MIB), "Upload-Metadata": "filename dGFwZS5yYXc="}
        place = program.post("/files", headers=metadata).headers["Location"]
        for number in range(3):
            program.patch(place, headers={**body, "Upload-Offset": str(number * MIB)}, content=os.urandom(MIB))
            share = f"{(number + 1) * 25} %"
            window.wait(lambda share=share: share in window.tile("tape.raw").inner_text())  # type: ignore[misc]
        window.page.get_by_role("tab", name="Files").click()
        program.patch(place, headers={**body, "Upload-Offset": str(3 * MIB)}, content=os.urandom(MIB))

    window.tile("tape.raw").wait_for()
