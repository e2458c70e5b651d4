"""A small object is read to a bound, and is JSON or nothing."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request

from uploadstream.core.errors import BadBodyType, BadField
from uploadstream.http.small_bodies import SIZE_MAX, read_object


def request(*pieces: bytes, content_type: str | None = "application/json", cut: bool = False) -> Request:
    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if not left and cut:
            return {"type": "http.disconnect"}
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left) or cut}

    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_an_object_is_read_however_it_comes(content_type: str) -> None:
    assert await read_object(request(b'{"a"', b": 1}", content_type=content_type)) == {"a": 1}


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "text/json"])
async def test_a_body_that_any_page_may_send_is_none(content_type: str | None) -> None:
    with pytest.raises(BadBodyType):
        await read_object(request(b"{}", content_type=content_type))


@pytest.mark.parametrize(
    ("pieces", "problem"),
    [
        ([b""], "must be JSON"),
        ([b"{"], "must be JSON"),
        ([b"\xff\xfe"], "must be JSON"),
        ([b"[" * SIZE_MAX], "must be JSON"),
        ([b"[]"], "must be an object"),
        ([b"null"], "must be an object"),
        ([json.dumps({"a": "x" * SIZE_MAX}).encode()], f"must be up to {SIZE_MAX} bytes, has more"),
        ([b" " * 1000] * 1000, f"must be up to {SIZE_MAX} bytes, has more"),
    ],
)
async def test_what_is_no_small_object_is_refused(pieces: Sequence[bytes], problem: str) -> None:
    with pytest.raises(BadField) as caught:
        await read_object(request(*pieces))
    assert (caught.value.field, caught.value.problem) == ("body", problem)


async def test_a_body_that_is_cut_is_no_object() -> None:
    with pytest.raises(BadField, match="ended before"):
        await read_object(request(b'{"a"', cut=True))
