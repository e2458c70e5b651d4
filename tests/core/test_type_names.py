"""Which names of content types may go with which bytes."""

import itertools
import re

import pytest

from uploadstream.core import type_names
from uploadstream.core.signatures import AAC, HTML, SCRIPT, SIGNATURES, SVG, TAR, TEXT, UNKNOWN, XML, ZIP
from uploadstream.core.type_names import canonical, essence, known_by_name_alone, may_show, narrows

DETECTABLE = sorted({name for name, _ in SIGNATURES} | {AAC, HTML, SCRIPT, SVG, TAR, TEXT, UNKNOWN, XML})
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT = "application/vnd.oasis.opendocument.text"
OLE = "application/x-ole-storage"
EXE = "application/x-dosexec"
PDF = "application/pdf"
GZIP = "application/gzip"


def test_a_spelling_belongs_to_one_type_and_is_no_type_itself() -> None:
    spellings = [other for others in type_names._SPELLINGS.values() for other in others.split()]

    assert len(spellings) == len(set(spellings))
    assert not set(spellings) & set(type_names._SPELLINGS)
    assert not set(spellings) & set(DETECTABLE)


def test_families_and_exceptions_are_written_in_canonical_spelling() -> None:
    exceptions = type_names._MAY_SHOW_TOO
    names = itertools.chain(*type_names._FAMILIES, exceptions, *exceptions.values())

    assert [name for name in names if canonical(name) != name] == []


def test_a_type_without_parameters_is_in_lower_case() -> None:
    assert essence("Text/Plain; charset=UTF-8") == "text/plain"
    assert essence(" image/PNG ") == "image/png"
    assert essence("") == ""


@pytest.mark.parametrize("name", DETECTABLE)
def test_every_type_agrees_with_itself_and_with_nothing_said(name: str) -> None:
    assert canonical(name) == name
    assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", name)
    assert may_show(name, name)
    assert may_show("", name)
    assert may_show("application/octet-stream", name)
    assert may_show("binary/octet-stream", name)


@pytest.mark.parametrize(
    ("declared", "detected"),
    [
        # spellings
        ("image/jpg", "image/jpeg"),
        ("image/x-icon", "image/vnd.microsoft.icon"),
        ("image/x-ms-bmp", "image/bmp"),
        ("audio/mp3", "audio/mpeg"),
        ("audio/x-wav", "audio/wav"),
        ("audio/vnd.wave", "audio/wav"),
        ("video/x-matroska", "video/matroska"),
        ("application/x-zip-compressed", ZIP),
        ("application/x-gzip", GZIP),
        ("application/x-compressed-tar", GZIP),
        ("application/x-msdownload", EXE),
        ("application/vnd.microsoft.portable-executable", EXE),
        ("application/xml", XML),
        # texts
        ("text/plain", HTML),
        ("text/html", TEXT),
        ("text/csv", TEXT),
        ("application/json", TEXT),
        ("application/ld+json", TEXT),
        ("application/x-ndjson", TEXT),
        ("application/yaml", TEXT),
        ("application/javascript", TEXT),
        ("application/x-sh", SCRIPT),
        ("application/rss+xml", XML),
        ("application/xhtml+xml", HTML),
        ("message/rfc822", TEXT),
        ("image/svg+xml", TEXT),
        ("image/svg+xml", XML),
        ("image/svg+xml", GZIP),
        ("text/plain", UNKNOWN),
        ("text/plain", SVG),
        ("text/csv", GZIP),
        ("text/rtf", "application/rtf"),
        ("video/mp2t", TEXT),
        # what is built in a zip, or in OLE
        (DOCX, ZIP),
        (XLSX, ZIP),
        (DOCX, OLE),
        (ODT, ZIP),
        ("application/epub+zip", ZIP),
        ("application/java-archive", ZIP),
        ("application/vnd.android.package-archive", "application/java-archive"),
        ("application/vnd.ms-excel.sheet.macroenabled.12", XLSX),
        (ZIP, DOCX),
        ("application/msword", OLE),
        ("application/msword", "application/rtf"),
        ("application/vnd.ms-excel", TEXT),
        ("application/vnd.ms-outlook", OLE),
        # families
        ("video/mp4", "video/quicktime"),
        ("video/quicktime", "video/mp4"),
        ("audio/mp4", "video/mp4"),
        ("audio/x-m4a", "audio/mp4"),
        ("video/3gpp", "video/mp4"),
        ("image/heif", "image/heic"),
        ("video/webm", "video/matroska"),
        ("audio/webm", "video/webm"),
        ("audio/opus", "audio/ogg"),
        ("video/ogg", "application/ogg"),
        ("image/x-nikon-nef", "image/tiff"),
        ("image/apng", "image/png"),
        ("audio/x-ms-wma", "video/x-ms-asf"),
        ("audio/aac", "audio/mpeg"),
        ("audio/mpeg", UNKNOWN),
        (TAR, GZIP),
        ("application/postscript", PDF),
        # types without a signature
        ("application/x-custom", UNKNOWN),
        ("application/x-custom", TEXT),
        ("application/x-custom", ZIP),
        ("model/gltf", TEXT),
        ("image/x-tga", UNKNOWN),
    ],
)
def test_a_file_declared_so_may_begin_like_this(declared: str, detected: str) -> None:
    assert may_show(declared, detected)


@pytest.mark.parametrize(
    ("declared", "detected"),
    [
        ("image/png", TEXT),
        ("image/png", UNKNOWN),
        ("image/png", "image/jpeg"),
        ("image/png", HTML),
        ("image/gif", SVG),
        ("image/avif", "video/mp4"),
        ("video/mp4", "image/avif"),
        ("image/heic", "image/avif"),
        ("image/svg+xml", UNKNOWN),
        ("image/svg+xml", "image/png"),
        ("audio/wav", "video/x-msvideo"),
        ("image/webp", "audio/wav"),
        ("video/mp4", UNKNOWN),
        ("video/mp4", TEXT),
        ("video/webm", "video/mp4"),
        ("text/plain", "image/png"),
        ("text/plain", EXE),
        ("text/csv", ZIP),
        ("application/json", PDF),
        (PDF, TEXT),
        (PDF, UNKNOWN),
        (PDF, EXE),
        (DOCX, TEXT),
        (DOCX, UNKNOWN),
        (DOCX, PDF),
        (ZIP, UNKNOWN),
        (ZIP, OLE),
        (ZIP, GZIP),
        (GZIP, ZIP),
        ("application/epub+zip", TEXT),
        ("application/msword", EXE),
        (EXE, "application/x-elf"),
        ("application/x-custom", EXE),
        ("application/x-custom", "application/x-elf"),
        ("application/x-custom", "image/png"),
        ("model/gltf", "video/mp4"),
        ("nonsense", EXE),
    ],
)
def test_a_file_declared_so_cannot_begin_like_this(declared: str, detected: str) -> None:
    assert not may_show(declared, detected)


def test_a_declared_name_is_narrower_where_the_bytes_leave_it_open() -> None:
    assert narrows("text/csv", TEXT)
    assert narrows("application/json", TEXT)
    assert narrows("application/rss+xml", XML)
    assert narrows(DOCX, ZIP)
    assert narrows("application/msword", OLE)
    assert narrows("audio/mp4", "video/mp4")
    assert narrows("audio/x-ms-wma", "video/x-ms-asf")


def test_a_declared_name_is_not_narrower_than_bytes_that_are_clear_or_that_show_nothing() -> None:
    assert not narrows("text/csv", HTML)
    assert not narrows("text/csv", XML)
    assert not narrows("image/svg+xml", TEXT)
    assert not narrows("image/svg+xml", XML)
    assert not narrows("video/mp2t", TEXT)
    assert not narrows("text/plain", UNKNOWN)
    assert not narrows("audio/mpeg", UNKNOWN)
    assert not narrows("application/x-custom", ZIP)
    assert not narrows("video/mp4", "audio/mp4")
    assert not narrows("", ZIP)


def test_some_types_are_known_by_name_alone() -> None:
    assert known_by_name_alone("model/stl", UNKNOWN)
    assert known_by_name_alone("model/stl", TEXT)
    assert not known_by_name_alone("model/stl", EXE)
    assert not known_by_name_alone("image/png", UNKNOWN)
    assert not known_by_name_alone("text/csv", UNKNOWN)
    assert not known_by_name_alone("application/octet-stream", UNKNOWN)
    assert not known_by_name_alone("", UNKNOWN)
