"""Content against its declaration and the allowed types; names of files and of types."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.errors import BadField, TypeMismatch, TypeNotAllowed
from uploadstream.core.media import (
    SNIFF_BYTES,
    check_allowed,
    check_content_type,
    check_declared,
    check_filename,
    check_pattern,
    detect,
)

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
PROGRAM = b"MZ\x90\x00\x03\x00\x00\x00"
SCRIPT = b"(function () {\n  return document.cookie;\n})();\n"
ZIP = b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(20) + b"[Content_Types].xml"
FILM = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


# What bytes show


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "application/octet-stream"),
        (b"Hello, world\n", "text/plain"),
        (SCRIPT, "text/plain"),
        (b'{"a": [1, 2]}', "text/plain"),
        (b"a;b\r\n1;2\r\n\x1b[0m\x0c", "text/plain"),
        ("Grüße, 日本語, 🎞".encode(), "text/plain"),
        (b"\xef\xbb\xbfwith a mark", "text/plain"),
        ("Grüße aus Köln".encode("latin-1"), "text/plain"),
        ("Привет, мир".encode("cp1251"), "text/plain"),
        ("日本語のテキスト".encode("shift-jis"), "text/plain"),
        ("Grüße".encode("utf-16"), "text/plain"),
        (b"\xfe\xff" + "Grüße 🎞".encode("utf-16-be"), "text/plain"),
        (b"\xff\xfe" + "Grüße 🎞".encode("utf-16-le")[:-1], "text/plain"),
        (b"\xff\xfe\x00\xdc\x00\xdc", "application/octet-stream"),
        (b"\xff\xfe\x00\x00\x41\x00", "application/octet-stream"),
        (b"\x00\x01\x02\x03", "application/octet-stream"),
        (bytes(600), "application/octet-stream"),
        (b"text, and then\x00 not", "application/octet-stream"),
        (b"#!/bin/sh\necho\n", "text/x-shellscript"),
        (b"#! /usr/bin/env bash", "text/x-shellscript"),
        (b"#!/bin/bash -e\n", "text/x-shellscript"),
        (b"#!/usr/bin/python3\nprint('fresh ')\n", "text/plain"),
    ],
)
def test_texts_scripts_and_other_bytes_are_told_apart(content: bytes, expected: str) -> None:
    assert detect(content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<!DOCTYPE html><html>", "text/html"),
        (b"<!doctype HTML>", "text/html"),
        (b"\xef\xbb\xbf\r\n  <html lang=en>", "text/html"),
        (b"\n\t<script>alert(1)</script>", "text/html"),
        (b"<!-- a page --><p>", "text/html"),
        (b"<TABLE\n", "text/html"),
        (b"<?xml version='1.0'?><feed>", "text/xml"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- unclosed', "text/xml"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
        (b'<?xml version="1.0"?>\n<!-- Generator -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"', "image/svg+xml"),
        (b'<?xml version="1.0"?><?style?><!--1--> <!--2-->\n<svg:svg\n', "image/svg+xml"),
        (b"\xef\xbb\xbf<!-- c --><svg/>", "image/svg+xml"),
        (b"<svgs>", "text/plain"),
        (b"<address>", "text/plain"),
        (b"<?php echo 1;", "text/plain"),
        (b"a < b and <svg >", "text/plain"),
    ],
)
def test_markup_is_known_by_its_first_tag(content: bytes, expected: str) -> None:
    assert detect(content) == expected


@pytest.mark.parametrize("count", range(508, 516))
def test_a_text_may_be_cut_in_the_middle_of_a_character(count: int) -> None:
    assert detect(("ä🎞" * 200).encode()[1:count]) == "text/plain"


@given(st.binary(max_size=2 * SNIFF_BYTES), st.binary(max_size=40))
@example(b"<!--" * 300, b"")
@example(b"<?xml ?>" * 300, b"")
@example(b"PK\x03\x04" * 300, b"")
def test_detection_gives_a_type_for_anything_and_looks_at_the_head_only(head: bytes, rest: bytes) -> None:
    content_type = detect(head)

    assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", content_type)
    assert check_content_type(content_type) == content_type
    padded = head.ljust(SNIFF_BYTES, b" ")
    assert detect(padded + rest) == detect(padded[:SNIFF_BYTES])


# Against what was declared


def test_javascript_declared_as_a_picture_is_refused() -> None:
    with pytest.raises(TypeMismatch) as refused:
        check_declared("image/png", SCRIPT)

    assert str(refused.value) == "Declared image/png, content is text/plain"


def test_a_script_that_begins_like_a_picture_is_refused_as_the_picture() -> None:
    assert isinstance(refusal_of(check_declared, "image/gif", b"GIF89a=1;/*" + b" " * 600 + SCRIPT), TypeMismatch)
    assert isinstance(refusal_of(check_declared, "image/bmp", b"BM=1;" + SCRIPT), TypeMismatch)


def test_a_file_that_is_two_things_is_what_it_begins_with() -> None:
    assert check_declared("image/jpeg", JPEG + b"/*" + SCRIPT) == "image/jpeg"
    assert check_declared("image/gif", GIF + ZIP) == "image/gif"
    assert isinstance(refusal_of(check_declared, "application/zip", GIF + ZIP), TypeMismatch)
    assert isinstance(refusal_of(check_declared, "image/png", PROGRAM + PNG), TypeMismatch)
    assert isinstance(refusal_of(check_declared, "image/png", b"<script>" + PNG), TypeMismatch)
    assert isinstance(refusal_of(check_declared, "text/plain", b"%PDF-1.7\n" + SCRIPT), TypeMismatch)


@pytest.mark.parametrize("declared", ["image/png", "IMAGE/PNG", "image/png; a=b", "", "application/octet-stream"])
def test_the_detected_type_is_given_when_it_agrees(declared: str) -> None:
    assert check_declared(declared, PNG) == "image/png"


@pytest.mark.parametrize("declared", ["image/png", "text/plain", "application/x-custom", "nonsense", ""])
def test_an_empty_file_agrees_with_everything(declared: str) -> None:
    assert check_declared(declared, b"") == "application/octet-stream"


def test_parameters_and_case_are_left_out_of_the_refusal() -> None:
    with pytest.raises(TypeMismatch) as refused:
        check_declared("Image/JPG; q=1", PNG)

    assert str(refused.value) == "Declared image/jpg, content is image/png"


def test_a_program_is_refused_under_any_name_but_its_own() -> None:
    for declared in ("text/plain; charset=utf-8", "application/x-custom", "application/pdf", DOCX, "model/gltf"):
        assert isinstance(refusal_of(check_declared, declared, PROGRAM), TypeMismatch)
    assert check_declared("application/x-msdownload", PROGRAM) == "application/x-dosexec"


@given(st.text(max_size=40) | st.sampled_from(["image/png", "text/plain", DOCX]), st.binary(max_size=40))
def test_a_declaration_is_agreed_with_or_refused(declared: str, head: bytes) -> None:
    refused = refusal_of(check_declared, declared, head)

    assert refused is None or isinstance(refused, TypeMismatch)


# Against what is allowed


@pytest.mark.parametrize(
    ("detected", "allowed"),
    [
        ("image/png", ("*/*",)),
        ("image/png", ("image/*",)),
        ("image/png", ("video/*", "IMAGE/PNG")),
        ("image/jpeg", ("image/jpg",)),
        ("application/octet-stream", ("*/*",)),
    ],
)
def test_a_type_that_a_pattern_fits_is_allowed(detected: str, allowed: tuple[str, ...]) -> None:
    check_allowed(detected, allowed)


@pytest.mark.parametrize(
    ("detected", "allowed"),
    [
        ("image/png", ("image/jpeg",)),
        ("image/png", ("image",)),
        ("image/png", ("*",)),
        ("image/png", ()),
        ("imagery/png", ("image/*",)),
    ],
)
def test_a_type_that_no_pattern_fits_is_not_allowed(detected: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(TypeNotAllowed):
        check_allowed(detected, allowed)


def test_the_refusal_says_what_is_allowed() -> None:
    with pytest.raises(TypeNotAllowed) as refused:
        check_allowed("application/x-dosexec", ("image/*", "video/*"))

    assert str(refused.value) == "Type application/x-dosexec is not allowed; allowed: image/*, video/*"


@pytest.mark.parametrize(
    ("declared", "content", "allowed"),
    [
        (DOCX, ZIP, DOCX),
        ("text/csv; header=present", b"a,b\n", "text/csv"),
        ("application/json", b"{}", "application/json"),
        ("audio/mp4", FILM, "audio/*"),
        ("model/stl", bytes(84), "model/stl"),
        ("model/stl", b"solid cube", "model/stl"),
    ],
)
def test_a_declared_type_is_allowed_where_the_bytes_leave_it_open(declared: str, content: bytes, allowed: str) -> None:
    detected = check_declared(declared, content)

    check_allowed(detected, (allowed,), declared=declared)
    assert isinstance(refusal_of(check_allowed, detected, (allowed,)), TypeNotAllowed)


@pytest.mark.parametrize(
    ("declared", "content", "allowed"),
    [
        ("image/x-custom", SCRIPT, "image/*"),
        ("image/svg+xml", SCRIPT, "image/*"),
        ("video/mp2t", SCRIPT, "video/*"),
        ("model/stl", bytes(84), "model/*"),
        ("text/plain", bytes(84), "text/*"),
        ("text/csv", b"<script>", "text/csv"),
        ("application/octet-stream", PNG, "application/octet-stream"),
    ],
)
def test_a_declared_type_does_not_bring_anything_in(declared: str, content: bytes, allowed: str) -> None:
    detected = check_declared(declared, content)

    assert isinstance(refusal_of(check_allowed, detected, (allowed,), declared=declared), TypeNotAllowed)


# Names


@pytest.mark.parametrize(
    "name", ["a", "film.mp4", "Grüße aus Köln.txt", "日本語", "-rf", "...", " ", "x" * 255, "ä" * 127, "👩\u200d🚀"]
)
def test_a_filename_may_be_any_text(name: str) -> None:
    assert check_filename(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "filename: must be 1 to 255 bytes, has 0"),
        ("x" * 256, "filename: must be 1 to 255 bytes, has 256"),
        ("ä" * 128, "filename: must be 1 to 255 bytes, has 256"),
        ("a\nb", "filename: must not have control characters, has U+000A"),
        ("a\x00", "filename: must not have control characters, has U+0000"),
        ("\x7f", "filename: must not have control characters, has U+007F"),
        ("\x85", "filename: must not have control characters, has U+0085"),
        ("a\u2028b", "filename: must not have control characters, has U+2028"),
        ("photo\u202egnp.exe", "filename: must not have control characters, has U+202E"),
        ("\u2066a", "filename: must not have control characters, has U+2066"),
        ("../etc/passwd", "filename: must not have separators, has /"),
        ("a\\b", "filename: must not have separators, has \\"),
        (".", "filename: must not be ."),
        ("..", "filename: must not be .."),
        ("\ud800", "filename: must be valid Unicode"),
    ],
)
def test_a_filename_that_cannot_be_shown_or_stored_is_refused(name: str, problem: str) -> None:
    with pytest.raises(BadField) as refused:
        check_filename(name)

    assert str(refused.value) == problem


@given(st.text(st.characters(), max_size=300))
def test_a_filename_is_taken_as_it_is_or_refused(name: str) -> None:
    refused = refusal_of(check_filename, name)

    assert isinstance(refused, BadField) or check_filename(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image/png",
        "Text/Plain; charset=utf-8",
        "text/plain;charset=UTF-8;format=flowed",
        'multipart/mixed; boundary="a b;\\"c"',
        "application/vnd.api+json ; a=b",
        "text/plain;",
        "x/" + "y" * 253,
    ],
)
def test_a_content_type_may_have_parameters(text: str) -> None:
    assert check_content_type(text) == text


def test_blanks_around_a_content_type_are_taken_off() -> None:
    assert check_content_type(" image/png\t") == "image/png"


@pytest.mark.parametrize(
    "text",
    [
        "png",
        "image/",
        "/png",
        "image/png/x",
        "image /png",
        "a/b; c",
        "a/b; c=",
        "a/b c=d",
        'a/b; c="d',
        "a/b\n",
        "a/ä",
        "*/\x00",
    ],
)
def test_what_is_no_content_type_is_refused(text: str) -> None:
    with pytest.raises(BadField) as refused:
        check_content_type(text)

    assert str(refused.value) == f"content_type: must be type/subtype, is {text!a}"


def test_a_content_type_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadField) as refused:
        check_content_type("x/" + "y" * 254)

    assert str(refused.value) == "content_type: must be at most 255 characters, has 256"


@given(st.text(max_size=60) | st.from_regex(r"[a-z]+/[a-z]+(; ?[a-z]+=\"?[ -~]*\"?)*", fullmatch=True))
@example('a/a;a="' + "\\" * 240)
@example("a/a" + ";" * 250 + "\x00")
@example("a/a" + "; " * 125 + "\x00")
@example("a/a" + " \t" * 120 + "\x00")
def test_a_content_type_is_taken_or_refused_at_once(text: str) -> None:
    refused = refusal_of(check_content_type, text)

    assert refused is None or isinstance(refused, BadField)


# Patterns of types


@pytest.mark.parametrize("pattern", ["*/*", "image/*", "image/png", "application/vnd.oasis.opendocument.text"])
def test_a_pattern_of_types_is_what_it_was(pattern: str) -> None:
    assert check_pattern(pattern, field="types") == pattern


@pytest.mark.parametrize("text", ["", "image", "*", "*/png", "image/p*", "im*/png", "image/png,image/gif", "image/\n"])
def test_what_is_no_pattern_of_types_is_refused(text: str) -> None:
    refusal = refusal_of(check_pattern, text, field="types")

    assert isinstance(refusal, BadField)
    assert refusal.field == "types"
