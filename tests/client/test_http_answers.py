"""Answers of HTTP servers as errors."""

import httpx
import pytest

from uploadstream.client.errors import TAKEN_OVER
from uploadstream.client.http_answers import error_of


def test_a_problem_gives_its_reason_its_sentence_and_its_numbers() -> None:
    problem = {
        "type": "urn:uploadstream:file-too-large",
        "title": "Request Entity Too Large",
        "status": 413,
        "detail": "File size 600 MiB exceeds limit of 512 MiB",
        "limit": "536870912",
    }

    error = error_of(httpx.Response(413, json=problem, headers={"content-type": "application/problem+json"}))

    assert error.reason == "FILE_TOO_LARGE"
    assert error.message == "File size 600 MiB exceeds limit of 512 MiB"
    assert error.numbers == {"limit": "536870912"}
    assert not error.is_passing


def test_numbers_come_as_text_and_lists_are_left_to_the_sentence() -> None:
    problem = {"type": "urn:uploadstream:bad-field", "size": 7, "seconds": 1.5, "errors": [{"field": "a"}]}

    error = error_of(httpx.Response(400, json=problem, headers={"content-type": "application/problem+json"}))

    assert error.numbers == {"size": "7", "seconds": "1.5"}


@pytest.mark.parametrize(
    ("status", "reason", "is_passing"),
    [
        (404, "NOT_FOUND", False),
        (409, "OFFSET_MISMATCH", True),
        (410, "GONE", False),
        (415, "TYPE_MISMATCH", False),
        (418, "HTTP_418", False),
        (423, "UPLOAD_BUSY", True),
        (460, "CHECKSUM_MISMATCH", True),
        (502, "HTTP_502", True),
        (507, "HTTP_507", False),
    ],
)
def test_a_status_alone_has_a_reason(status: int, reason: str, is_passing: bool) -> None:
    error = error_of(httpx.Response(status, text="why\n"))

    assert (error.reason, error.is_passing, error.message) == (reason, is_passing, "why")


def test_an_upload_that_another_took_over_is_left_to_it() -> None:
    text = "Upload was taken over by a newer request\n"

    error = error_of(httpx.Response(423, text=text))

    assert error.reason == TAKEN_OVER
    assert not error.is_passing


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "Fri, 31 Jan 2025 12:00:30 GMT", "date": "Fri, 31 Jan 2025 12:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 31 Jan 2025 12:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_read(fields: dict[str, str], seconds: float | None) -> None:
    assert error_of(httpx.Response(503, headers=fields)).retry_after_seconds == seconds


@pytest.mark.parametrize("answer", [httpx.Response(502), httpx.Response(502, html="<h1>Bad Gateway</h1>")])
def test_an_answer_without_words_has_its_status(answer: httpx.Response) -> None:
    assert error_of(answer).message == "The server answers 502 Bad Gateway and gives no reason"


def test_an_answer_that_is_not_the_json_it_says_is_text() -> None:
    fields = {"content-type": "application/json"}

    assert error_of(httpx.Response(500, text="oh no", headers=fields)).message == "oh no"
    assert error_of(httpx.Response(500, text="[1]", headers=fields)).message == "[1]"
