"""The page where only who has a key is let in: it asks for one, and no other page can use that it was given."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.running_server import RunningServer, free_ports
from tests.web.chromium import WIDE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One that asks who comes."""
    with RunningServer(tmp_path_factory.mktemp("closed") / "data", options=["--auth", "required"]) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: RunningServer) -> str:
    """Ann's."""
    command = [sys.executable, "-m", "uploadstream", "key", "create", "--user", "ann"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UPLOADSTREAM")}
    made = subprocess.run(
        [*command, "--data-dir", str(server.data_dir)], env=environment, capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport=WIDE, reduced_motion="reduce")  # type: ignore[arg-type]
    yield opened
    opened.close()


def log_in(context: BrowserContext, server: RunningServer, key: str) -> Page:
    """With the keyboard alone."""
    page = context.new_page()
    page.goto(server.http_url)
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    return page


def files_of(server: RunningServer, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{server.http_url}/api/v1/files", headers={"X-Api-Key": key}).json()[
        "files"
    ]
    return found


def test_the_page_asks_for_a_key_and_then_it_is_its_users(
    context: BrowserContext, server: RunningServer, key: str, tmp_path: Path
) -> None:
    page = log_in(context, server, "us_wrong")
    expect(page.get_by_role("alert")).to_have_text("API key is not valid")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_visible()  # there is nothing behind it

    page.keyboard.type(key)  # what was there is selected
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    file = tmp_path / "river.txt"
    file.write_text("The river was high.\n")
    page.locator(".filepond--browser").set_input_files(file)
    expect(page.locator("#rows > li", has_text="river")).to_be_visible()
    assert [file["user_id"] for file in files_of(server, key)] == ["ann"]
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""

    page.reload()
    account = page.get_by_role("button", name="Logged in as ann")
    account.click()
    page.get_by_role("menuitem", name="Log out ann").click()
    expect(page.get_by_label("API key")).to_be_focused()
    assert context.cookies() == []


ATTACK = """async (server) => {
  const told = [];
  const tried = [
    ["/api/v1/files", { }], ["/session", { }], ["/session", { method: "DELETE" }],
    ["/files", { method: "POST", body: "mine", mode: "no-cors" }],
    ["/api/v1/tokens", { method: "POST", body: '{"size_max": 9}', headers: { "Content-Type": "application/json" } }],
    ["/session", { method: "POST", body: '{"api_key": "us_x"}', mode: "no-cors" }],
  ];
  for (const [path, options] of tried) {
    const answer = await fetch(server + path, { credentials: "include", ...options }).catch(() => null);
    if (answer && answer.type !== "opaque") told.push(await answer.text());
  }
  const form = document.createElement("form");
  form.method = "POST"; form.action = server + "/files"; form.enctype = "text/plain"; form.target = "frame";
  form.innerHTML = '<input name="mine"><iframe name="frame"></iframe>';
  document.body.append(form); form.submit();
  await new Promise((resolve) => setTimeout(resolve, 300));
  return told;
}"""


@pytest.mark.parametrize("origin", ["http://127.0.0.1:PORT", "http://elsewhere.test"])
def test_a_page_of_another_origin_does_nothing_in_the_users_name(
    context: BrowserContext, server: RunningServer, key: str, origin: str
) -> None:
    """Another port of this host is the same site to a browser, and is sent the cookie; only where it counts differs."""
    ours = log_in(context, server, key)
    expect(ours.get_by_role("dialog")).to_be_hidden()
    before = len(files_of(server, key))
    theirs = context.new_page()
    address = origin.replace("PORT", str(free_ports(1)[0]))
    theirs.route(f"{address}/", lambda route: route.fulfill(content_type="text/html", body="<body>"))
    theirs.goto(f"{address}/")

    told = theirs.evaluate(ATTACK, server.http_url)

    assert told == []
    assert len(files_of(server, key)) == before
    ours.reload()
    expect(ours.get_by_role("button", name="Logged in as ann")).to_be_visible()
