"""Any upload over any protocol: begun over one, continued over another, finished over a third, cut in between."""

from __future__ import annotations

import itertools
import random
import time

import httpx
import pytest

from tests.interop.speakers import SPEAKERS, listed
from tests.running_server import RunningServer

SIZE = 400_003
FIRST_CUT, SECOND_CUT = 130_001, 270_001
SETTLE_SECONDS_MAX = 5.0

TRIPLES = list(itertools.product(SPEAKERS, repeat=3))


@pytest.mark.parametrize("triple", TRIPLES, ids="-".join)
def test_an_upload_goes_on_over_any_protocol(triple: tuple[str, str, str], server: RunningServer) -> None:
    content = random.Random(f"{triple}").randbytes(SIZE)
    begins, continues, finishes = (SPEAKERS[name](server) for name in triple)

    upload = begins.create(content)
    begins.cut(upload, content, FIRST_CUT)
    first = offset_of(server, upload, above=0)
    continues.cut(upload, content, SECOND_CUT)
    second = offset_of(server, upload, above=first)
    finishes.finish(upload, content)

    assert 0 < first <= FIRST_CUT
    assert first < second <= SECOND_CUT
    assert httpx.get(f"{server.http_url}/api/v1/files/{upload}/content").content == content
    assert len(rows(server, "files", upload)) == 1
    assert rows(server, "uploads", upload) == []


def offset_of(server: RunningServer, upload: str, *, above: int) -> int:
    """Where the upload stands once the cut has come to the server, and is one upload still."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        [row] = rows(server, "uploads", upload)
        offset = row["offset"]
        assert isinstance(offset, int)
        if offset > above or time.monotonic() > deadline:
            return offset
        time.sleep(0.02)


def rows(server: RunningServer, kind: str, upload: str) -> list[dict[str, object]]:
    """The rows of this id among all files or uploads."""
    answer = httpx.get(f"{server.http_url}/api/v1/{kind}", params={"page_size": 1000})
    return listed(answer.content, kind, upload)
