"""Which fields behind a body exist."""

import pytest

from uploadstream.http.trailers import EXTENSION, announced, is_framing, read_trailers, trailers_of


def test_names_are_in_lower_case_and_values_bare() -> None:
    assert read_trailers([(b"Upload-Checksum", b" sha1 Kq5s= \t")]) == {"upload-checksum": "sha1 Kq5s="}


def test_of_several_lines_one_value_is_made_so_that_none_is_chosen() -> None:
    fields = [(b"Content-Digest", b"a=:1:"), (b"Other", b""), (b"content-digest", b"b=:2:")]

    assert read_trailers(fields) == {"content-digest": "a=:1:, b=:2:", "other": ""}


@pytest.mark.parametrize(
    "name",
    [
        *("Content-Length", "transfer-encoding", "HOST", "Connection", "Upgrade", "Trailer", "Expect"),
        *("Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-User-Id", "Proxy-Authorization"),
        *("Content-Type", "Content-Encoding", "If-Match", "X-Forwarded-For", "Forwarded", "Origin", "Sec-Fetch-Mode"),
        "X-HTTP-Method-Override",
    ],
)
def test_what_frames_routes_or_authorises_a_request_is_not_there(name: str) -> None:
    assert read_trailers([(name.encode(), b"1"), (b"Fine", b"2")]) == {"fine": "2"}


def test_a_value_of_any_bytes_is_text() -> None:
    assert read_trailers([(b"x", bytes(range(0x80, 0x100)))])["x"] == bytes(range(0x80, 0x100)).decode("latin-1")


def test_a_server_without_them_has_none() -> None:
    assert trailers_of({}) is None
    assert trailers_of({"extensions": {}}) is None
    assert trailers_of({"extensions": {EXTENSION: {"a": "b"}}}) == {"a": "b"}


@pytest.mark.parametrize(
    ("head", "there"),
    [
        ({"trailer": "Upload-Checksum"}, True),
        ({"trailer": "x , UPLOAD-checksum"}, True),
        ({"trailer": "Upload-Checksums"}, False),
        ({}, False),
        ({"trailer": "upload-checksum", "upload-checksum": "sha1 YQ=="}, False),  # it is there already
    ],
)
def test_a_field_is_looked_for_behind_a_body_if_the_head_says_so(head: dict[str, str], there: bool) -> None:
    scope = {"extensions": {EXTENSION: {"a": "b"}}}

    assert announced("Upload-Checksum", scope, head) == ({"a": "b"} if there else None)
    assert announced("Upload-Checksum", {}, head) is None


def test_a_field_that_frames_the_request_is_known_in_any_spelling() -> None:
    assert is_framing(b"Content-Length")
    assert is_framing(b"TRANSFER-ENCODING")
    assert not is_framing(b"Upload-Checksum")
