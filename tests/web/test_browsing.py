"""The files below the field: found, looked at, deleted, brought back, by mouse and by keyboard."""

import base64
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.running_server import RunningServer
from tests.web.chromium import Window

# The smallest there are: a GIF of one pixel, and a PDF of one empty page.
GIF = bytes.fromhex("47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b")
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
SCRIPT = "<img src=x onerror=document.title='run'>.txt"
FILES = {"alpha.txt": b"The river was high.\n" * 3, "Beta.gif": GIF, "gamma.pdf": PDF, SCRIPT: b"<script>1</script>"}


def send(server: RunningServer, user: str, name: str, content: bytes) -> str:
    """A file of the user's; its id."""
    metadata = f"filename {encoded(name)},user_id {encoded(user)}"
    fields = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    body = {"Content-Type": "application/offset+octet-stream"}
    answer = httpx.post(f"{server.http_url}/files", headers={**fields, **body}, content=content)
    return str(answer.raise_for_status().headers["Location"].rpartition("/")[2])


def encoded(text: str) -> str:
    """As tus wants it in metadata."""
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def filled(window: Window, server: RunningServer) -> Window:
    """The page with four files, the newest last sent."""
    for name, content in FILES.items():
        send(server, window.user, name, content)
    window.open()
    return window


def names(window: Window) -> list[str]:
    """The names as they are shown, in order."""
    shown: list[str] = window.page.locator("#rows .name").evaluate_all("all => all.map(one => one.title)")
    return shown


def delete(window: Window, name: str) -> None:
    """Through the menu."""
    window.tile(name).get_by_role("button", name="Actions").click()
    window.page.get_by_role("menuitem", name="Delete").click()
    window.tile(name).get_by_text("Moved to the trash").wait_for()


def test_files_are_shown_newest_first_and_found_and_sorted(filled: Window) -> None:
    assert names(filled) == [SCRIPT, "gamma.pdf", "Beta.gif", "alpha.txt"]

    filled.page.get_by_label("Sort by").select_option("filename")
    filled.wait(lambda: names(filled) == [SCRIPT, "alpha.txt", "Beta.gif", "gamma.pdf"])

    filled.page.get_by_label("Search by name").fill("ET")
    filled.wait(lambda: names(filled) == ["Beta.gif"])

    filled.page.get_by_label("Search by name").fill("no such file")
    filled.page.get_by_text("Nothing by that name").wait_for()


def test_a_screen_that_has_room_for_more_than_a_page_is_filled(window: Window, server: RunningServer) -> None:
    for number in range(70):
        send(server, window.user, f"note {number:02}.txt", b"note")
    window.page.set_viewport_size({"width": 2560, "height": 3000})
    window.open()

    window.wait(lambda: len(names(window)) == 70)

    assert names(window) == [f"note {number:02}.txt" for number in reversed(range(70))]


def test_a_name_is_text_and_nothing_else(filled: Window) -> None:
    filled.tile("<img").locator(".open").click()
    filled.page.locator("#preview-stage pre").get_by_text("<script>1</script>").wait_for()

    assert filled.page.locator("#preview-name").inner_text() == SCRIPT
    assert filled.page.locator("#rows .name img, #preview-stage script").count() == 0
    assert "run" not in filled.page.title()


def test_files_are_looked_at_one_after_another(filled: Window) -> None:
    page = filled.page
    filled.tile("alpha").locator(".open").click()
    page.locator("#preview-stage pre").get_by_text("The river was high.").wait_for()
    page.get_by_role("button", name="Previous file").click()
    image = page.get_by_role("img", name="Beta.gif")
    image.wait_for()
    page.get_by_role("button", name="Previous file").click()
    page.locator("#preview-stage iframe").wait_for()

    assert page.locator("#preview-name").inner_text() == "gamma.pdf"

    page.get_by_role("button", name="Close").click()
    assert page.get_by_role("dialog").count() == 0


def test_a_file_is_deleted_brought_back_and_deleted_again_until_it_is_restored_from_the_trash(filled: Window) -> None:
    delete(filled, "alpha")
    assert [file["filename"] for file in filled.ask("files", deleted="true")["files"]] == ["alpha.txt"]
    filled.page.get_by_role("region", name="Messages").get_by_role("button", name="Undo").click()
    filled.tile("alpha").locator(".open").wait_for()
    assert len(filled.files()) == 4

    delete(filled, "alpha")
    filled.page.get_by_role("tab", name="Trash").click()
    filled.wait(lambda: names(filled) == ["alpha.txt"])
    filled.tile("alpha").get_by_role("button", name="Actions").click()
    filled.page.get_by_role("menuitem", name="Restore").click()

    filled.wait(lambda: len(filled.files()) == 4)


def test_a_deleted_file_leaves_its_place_only_when_nobody_is_there(filled: Window) -> None:
    delete(filled, "gamma")
    before = filled.tile("Beta").bounding_box()
    filled.page.wait_for_timeout(3500)
    assert filled.tile("Beta").bounding_box() == before

    filled.page.mouse.move(5, 5)

    filled.wait(lambda: names(filled) == [SCRIPT, "Beta.gif", "alpha.txt"])


def test_a_file_that_comes_while_the_pointer_is_at_the_files_moves_none_of_them(
    filled: Window, server: RunningServer
) -> None:
    filled.tile("alpha").hover()
    before = filled.tile("alpha").bounding_box()
    send(server, filled.user, "delta.txt", b"new")
    fresh = filled.page.get_by_role("button", name="Show 1 new file")
    fresh.wait_for()

    assert filled.tile("alpha").bounding_box() == before

    fresh.click()
    assert names(filled)[0] == "delta.txt"


def test_a_link_is_copied_that_gives_the_file(filled: Window) -> None:
    filled.context.grant_permissions(["clipboard-read", "clipboard-write"])
    filled.tile("alpha").get_by_role("button", name="Actions").click()
    filled.page.get_by_role("menuitem", name="Copy link").click()
    filled.page.get_by_text("Link copied").first.wait_for()

    link = filled.page.evaluate("navigator.clipboard.readText()")

    assert httpx.get(link).content == FILES["alpha.txt"]


def test_a_file_is_downloaded_under_its_name(filled: Window) -> None:
    filled.tile("alpha").get_by_role("button", name="Actions").click()
    with filled.page.expect_download() as found:
        filled.page.get_by_role("menuitem", name="Download").click()

    assert found.value.suggested_filename == "alpha.txt"
    assert Path(found.value.path()).read_bytes() == FILES["alpha.txt"]


def test_everything_can_be_done_with_the_keyboard(filled: Window) -> None:
    page, keys = filled.page, filled.page.keyboard
    focused = "document.activeElement"
    keys.press("Tab")
    assert page.evaluate(f"{focused}.textContent") == "Skip to the files"
    keys.press("Enter")
    while not page.evaluate(f"{focused}.matches('.open')"):
        keys.press("Tab")

    keys.press("ArrowRight")
    keys.press("Enter")
    page.get_by_role("dialog", name="gamma.pdf").wait_for()
    keys.press("Escape")
    assert page.evaluate(f"{focused}.closest('li').querySelector('.name').title") == "gamma.pdf"

    keys.press("Tab")
    keys.press("Enter")
    assert page.evaluate(f"{focused}.textContent") == "Open"
    keys.press("ArrowUp")
    assert page.evaluate(f"{focused}.textContent") == "Delete"
    keys.press("Enter")
    filled.wait(lambda: page.evaluate(f"{focused}.textContent") == "Undo")
    keys.press("Enter")
    filled.wait(lambda: len(filled.files()) == 4)

    page.get_by_role("tab", name="Files").focus()
    keys.press("ArrowLeft")
    assert page.evaluate(f"{focused}.textContent") == "Trash"
    page.get_by_text("The trash is empty").wait_for()


def test_every_control_has_a_name(filled: Window) -> None:
    nameless = """() => [...document.querySelectorAll("button, a[href], input, select, progress, dialog, iframe, img")]
        .filter((one) => one.checkVisibility?.() && !(one.ariaLabel || one.getAttribute("aria-labelledby")
            || one.textContent.trim() || one.title || one.labels?.length || one.hasAttribute("alt")))
        .map((one) => one.outerHTML)"""

    assert filled.page.evaluate(nameless) == []


@pytest.mark.parametrize("width", [360, 768, 1280, 2560])
def test_the_page_fits_every_width(browser: Browser, filled: Window, server: RunningServer, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme="dark")
    page = Window(context, server.http_url, filled.user).page

    page.locator("#rows time").first.wait_for()

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    times = "[...document.querySelectorAll('#rows time')]"
    assert page.evaluate(f"{times}.every((one) => one.scrollWidth <= one.clientWidth)"), "no time is cut off"
    context.close()


def test_the_command_breaks_no_option_at_the_end_of_a_line(filled: Window, server: RunningServer) -> None:
    page = filled.context.new_page()
    page.goto(server.http_url)
    option = page.locator("#command span", has_text="--server")

    assert option.evaluate("(one) => one.getClientRects().length") == 1
    assert page.locator("#command").text_content() == f"uploadstream put film.mp4 --server {server.http_url}"
    page.close()


def test_a_finished_load_weighs_less_than_150_kilobytes_and_moves_nothing(filled: Window) -> None:
    filled.context.clear_cookies()
    page = filled.context.browser.new_context().new_page()  # type: ignore[union-attr]
    sizes: list[int] = []
    page.on(
        "requestfinished",
        lambda one: sizes.append(one.sizes()["responseBodySize"] + one.sizes()["responseHeadersSize"]),
    )
    page.add_init_script(
        "window.moved = 0; const add = (list) => { for (const one of list.getEntries()) moved += one.value };"
        "new PerformanceObserver(add).observe({type: 'layout-shift', buffered: true})"
    )
    page.goto(filled.page.url)
    page.locator("#rows > li").first.wait_for()
    page.wait_for_timeout(500)

    assert len(sizes) > 10
    assert sum(sizes) < 150_000
    assert page.evaluate("moved") < 0.01
    page.context.close()
