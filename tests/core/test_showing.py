"""What a browser is let show of a file, and under which type it gets it."""

from datetime import UTC, datetime

import pytest

from uploadstream.core.files import File
from uploadstream.core.showing import may_be_shown, served_type
from uploadstream.core.signatures import HTML, SVG, TEXT, UNKNOWN, XML

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def file(declared: str, detected: str) -> File:
    return File("5f0c1a2b-0000-4000-8000-00000000000a", "ann", "a", 3, declared, detected, 0, NOON, "tus")


@pytest.mark.parametrize(
    ("declared", "detected"),
    [
        ("", "image/png"),
        ("image/jpg", "image/jpeg"),
        ("Image/X-PNG; a=b", "image/png"),
        ("video/mp4", "video/mp4"),
        ("audio/mpeg", UNKNOWN),
        ("text/plain; charset=utf-8", TEXT),
        ("application/pdf", "application/pdf"),
    ],
)
def test_pictures_films_sound_text_and_pdf_may_be_shown(declared: str, detected: str) -> None:
    assert may_be_shown(file(declared, detected))


@pytest.mark.parametrize(
    ("declared", "detected"),
    [
        ("text/html", TEXT),
        ("text/plain", HTML),
        ("", HTML),
        ("", SVG),
        ("", XML),
        ("text/plain", SVG),
        ("image/svg+xml", TEXT),
        ("application/xhtml+xml", XML),
        ("text/xsl", TEXT),
        ("text/javascript", TEXT),
        ("multipart/x-mixed-replace", TEXT),
        ("application/octet-stream", "image/png"),
        ("", UNKNOWN),
        ("image/pngx", "image/png"),
        ("application/x-new", "image/png"),
    ],
)
def test_nothing_else_is_shown_whatever_it_is_declared_as(declared: str, detected: str) -> None:
    assert not may_be_shown(file(declared, detected))


@pytest.mark.parametrize(
    "declared",
    [
        *("application/ecmascript", "application/javascript", "application/x-ecmascript", "application/x-javascript"),
        *("text/ecmascript", "text/javascript", "text/javascript1.0", "text/javascript1.1", "text/javascript1.2"),
        *("text/javascript1.3", "text/javascript1.4", "text/javascript1.5", "text/jscript", "text/livescript"),
        *("text/x-ecmascript", "text/x-javascript", "Text/JavaScript; charset=utf-8"),
    ],
)
def test_a_script_is_served_as_text(declared: str) -> None:
    assert served_type(file(declared, TEXT)) == TEXT


def test_everything_else_is_served_as_it_was_declared() -> None:
    assert served_type(file("text/csv; Charset=utf-8", TEXT)) == "text/csv; Charset=utf-8"
    assert served_type(file("", "image/png")) == "image/png"
