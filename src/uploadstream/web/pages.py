"""The pages that there are: files and uploads at `/`, the API's documentation at `/docs`."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.routing import BaseRoute

from uploadstream.web.page import Page, read_folder

DOCS: Final = "docs"
MARK: Final = "mark.svg"


def pages() -> list[BaseRoute]:
    """The endpoints of all pages, for a Starlette application; read from the package once."""
    contents = dict(read_folder(files("uploadstream.web")))
    docs = {name.removeprefix(f"{DOCS}/"): content for name, content in contents.items() if name.startswith(f"{DOCS}/")}
    page = {name: content for name, content in contents.items() if not name.startswith(f"{DOCS}/")}
    return [
        *Page(page, address="/", folder="web").routes(),
        *Page({**docs, MARK: page[MARK]}, address=f"/{DOCS}", folder=DOCS).routes(),
    ]
