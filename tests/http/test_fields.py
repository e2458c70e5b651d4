"""Field values of HTTP are read strictly and written so that everybody reads them."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.refusals import refusal_of
from uploadstream.core.errors import BadField
from uploadstream.http.fields import (
    COUNT_MAX,
    DISPOSITION_LENGTH_MAX,
    SINGLE,
    check_single,
    disposition,
    essence,
    http_date,
    is_host,
    read_count,
    read_filename,
    read_text,
    shown,
)


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("7", 7), ("007", 7), (str(2**63 - 1), 2**63 - 1)])
def test_a_count_is_digits(text: str, count: int) -> None:
    assert read_count("Upload-Length", text) == count


@pytest.mark.parametrize("name", SINGLE.values())
@pytest.mark.parametrize("second", ["1", "2"])
def test_a_field_that_says_one_thing_is_there_once(name: str, second: str) -> None:
    check_single([(name.lower(), "1"), ("accept", "a"), ("accept", "b")])
    refusal = refusal_of(check_single, [(name.lower(), "1"), ("accept", "a"), (name, second)])

    assert str(refusal) == f"{name}: must be there once, is there 2 times"


@pytest.mark.parametrize(
    "host", [b"", b"here", b"here:8080", b"192.0.2.1:80", b"[2001:db8::1]:443", b"a_b.example", b"x:", b"caf%C3%A9"]
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_host_is_a_name_or_an_address_and_a_port(host: bytes, version: str) -> None:
    assert is_host([host], version=version)


@pytest.mark.parametrize("host", [b"a b", b"a/b", b"user@here", b"here:http", b"[::1", b"a:1:2", b"\xff", b"a\n"])
def test_what_is_no_host_is_none(host: bytes) -> None:
    assert not is_host([host], version="1.1")


def test_a_host_is_said_once_and_left_out_in_old_requests_only() -> None:
    assert is_host([], version="1.0")
    assert not is_host([], version="1.1")
    assert not is_host([b"here", b"here"], version="1.1")
    assert not is_host([b"here", b"there"], version="1.0")


def test_a_count_that_is_absent_is_none() -> None:
    assert read_count("Upload-Length", None) is None


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "1,2", "1_000", "\u0661", "\u00b2", str(2**63), "9" * 20],
)
def test_what_is_no_count_is_refused_and_shown(text: str) -> None:
    with pytest.raises(BadField) as caught:
        read_count("Upload-Length", text)

    assert caught.value.field == "Upload-Length"
    assert str(caught.value).endswith(f"must be a whole number from 0 to {COUNT_MAX}, is {text!a}")


@given(st.text())
def test_any_text_is_a_count_or_a_bad_field(text: str) -> None:
    try:
        count = read_count("x", text)
    except BadField:
        return
    assert count == int(text)
    assert text.isascii()
    assert text.isdigit()


@given(st.text())
def test_a_clients_text_is_shown_short_and_printable(text: str) -> None:
    assert shown(text).isascii()
    assert shown(text).isprintable()
    assert len(shown(text)) < 800


@given(st.text(max_size=60))
def test_text_in_a_field_is_utf_8(text: str) -> None:
    try:
        field = text.encode().decode("latin-1")  # as ASGI servers hand it on
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return

    assert read_text(field) == text


@pytest.mark.parametrize("field", ["caf\xe9", "\xff\xfe", "\u5c71"])
def test_text_in_a_field_that_is_not_utf_8_is_what_came(field: str) -> None:
    assert read_text(field) == field


def test_a_date_is_in_the_form_that_everybody_reads() -> None:
    at = datetime(1994, 11, 6, 10, 49, 37, 999_999, tzinfo=timezone(timedelta(hours=2)))

    assert http_date(at) == "Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_date_goes_round_to_the_second(at: datetime) -> None:
    written = http_date(at)

    assert written.endswith(" GMT")
    if at.year >= 1000:  # the standard library takes a year of three digits for one of our time
        assert parsedate_to_datetime(written) == at.replace(microsecond=0)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, ""),
        ("", ""),
        ("text/plain", "text/plain"),
        ("Text/PLAIN ; charset=utf-8", "text/plain"),
        (" application/offset+octet-stream;", "application/offset+octet-stream"),
        (";charset=utf-8", ""),
    ],
)
def test_the_essence_of_a_type_is_without_parameters(content_type: str | None, expected: str) -> None:
    assert essence(content_type) == expected


def test_a_plain_name_is_quoted() -> None:
    assert disposition("report 2026-01_v2.pdf") == 'attachment; filename="report 2026-01_v2.pdf"'
    assert disposition("a.png", inline=True) == 'inline; filename="a.png"'


def test_other_letters_have_a_name_for_those_who_know_them_and_one_for_those_who_do_not() -> None:
    assert disposition('山 "1".txt') == "attachment; filename=\"___1_.txt\"; filename*=UTF-8''%E5%B1%B1%20%221%22.txt"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (None, ""),
        ("inline", ""),
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("inline;filename=a.txt", "a.txt"),
        ('inline; FileName="say \\"hi\\".txt"', 'say "hi".txt'),
        ("inline; filename*=UTF-8''%E2%98%83.txt", "☃.txt"),
        ("inline; filename*=iso-8859-1'en'%A3.txt; filename=other", "£.txt"),
        ('inline; filename="Ã\x9cbung.txt"', "Übung.txt"),
        ("inline; filename*=nothing''a", "a"),
        ("inline; filename*=UTF-8''%FF", "\ufffd"),
        (";;;=;filename", ""),
    ],
)
def test_a_name_is_read_from_a_disposition(disposition: str | None, name: str) -> None:
    assert read_filename(disposition) == name


def test_a_disposition_without_end_is_refused() -> None:
    with pytest.raises(BadField, match=f"up to {DISPOSITION_LENGTH_MAX} bytes"):
        read_filename(";" * (DISPOSITION_LENGTH_MAX + 1))


@given(st.text(alphabet=st.characters(max_codepoint=255, blacklist_characters="\r\n"), max_size=80))
def test_no_disposition_is_too_strange_to_be_read(disposition: str) -> None:
    read_filename(disposition)
    read_filename(f"inline; filename{disposition}")


@given(st.text(min_size=1, max_size=60))
def test_any_name_is_written_so_that_a_browser_reads_it_back(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    field = disposition(name)

    assert field.isascii()
    assert field.isprintable()
    how, plain, *others = field.split("; ")
    assert (how, plain[:10], plain[-1]) == ("attachment", 'filename="', '"')
    assert '"' not in plain[10:-1]
    for other in others:
        assert unquote(other.removeprefix("filename*=UTF-8''"), errors="strict") == name
    assert others or plain[10:-1] == name
