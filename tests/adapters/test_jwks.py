"""Keys change while the server runs: a file is read again, a URL asked again, and neither has to be there always."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.adapters.issuer import key_set, member
from tests.adapters.origin import HOST, Answer, Origin, origin
from uploadstream.adapters import jwks
from uploadstream.adapters.jwks import KeyFile, KeyUrl
from uploadstream.adapters.jwt_keys import BadKey
from uploadstream.core.claims import KeysUnavailable
from uploadstream.core.errors import Unavailable

ONE, TWO = member("ES256", "one"), member("ES256", "two", number=1)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(ONE))
    return path


def put(path: Path, content: bytes | None) -> None:
    """Another content, or None: no file any more."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def put_in_place(path: Path, content: bytes) -> None:
    """Another file, of the same time."""
    before, other = path.stat(), path.with_suffix(".new")
    other.write_bytes(content)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


async def names(source: KeyFile | KeyUrl, name: str | None = None) -> list[str]:
    return [key.name for key in await source.keys(name)]


async def test_a_file_is_read_again_when_it_has_changed(file: Path, warnings: list[str]) -> None:
    source = KeyFile(file, warn=warnings.append)
    assert await names(source) == ["one"]

    put(file, key_set(ONE, TWO))

    assert await names(source) == ["one", "two"]
    assert await names(source, "two") == ["two"]
    assert await names(source, "six") == []
    assert not warnings


async def test_a_file_of_the_same_size_and_time_that_took_the_place_is_read(file: Path, warnings: list[str]) -> None:
    source = KeyFile(file, warn=warnings.append)
    put_in_place(file, key_set({**ONE, "kid": "new"}))

    assert await names(source) == ["new"]


async def test_the_keys_before_stay_while_a_file_cannot_be_read(file: Path, warnings: list[str]) -> None:
    source = KeyFile(file, warn=warnings.append)

    put(file, b"half of it {")
    assert [await names(source) for _ in range(2)] == [["one"], ["one"]]
    put(file, None)
    assert [await names(source) for _ in range(2)] == [["one"], ["one"]]
    put(file, key_set(TWO))
    assert await names(source) == ["two"]

    assert len(warnings) == 2
    assert warnings[0].startswith(f"{file} is no JSON Web Key Set")
    assert "No such file" in warnings[1]


def test_a_file_that_cannot_be_used_is_refused_at_the_start(file: Path, warnings: list[str]) -> None:
    for content, problem in ((b"{}", "is no JSON Web Key Set"), (b" " * (jwks.SIZE_MAX + 1), "is larger than")):
        file.write_bytes(content)
        with pytest.raises(BadKey, match=problem):
            KeyFile(file, warn=warnings.append)
    with pytest.raises(BadKey, match="name a file that this user may read"):
        KeyFile(file.parent / "none", warn=warnings.append)


def http(body: bytes, status: str = "200 OK") -> Answer:
    async def answer(writer: object) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nLocation: /elsewhere\r\n\r\n"
        writer.write(head.encode() + body)  # type: ignore[attr-defined]

    return answer


async def nothing(_: object) -> None:
    return


@asynccontextmanager
async def asked(
    *answers: Answer, warnings: list[str], fresh_seconds: float = 100.0, again_seconds: float = 0.0
) -> AsyncIterator[tuple[KeyUrl, Origin]]:
    async with origin(*answers) as web:
        url = web.url("/keys", host=HOST)
        source = KeyUrl(url, warn=warnings.append, fresh_seconds=fresh_seconds, again_seconds=again_seconds)
        try:
            yield source, web
        finally:
            await source.close()


async def test_a_url_is_asked_once_for_all_who_come_at_the_start(warnings: list[str]) -> None:
    async with asked(http(key_set(ONE)), warnings=warnings) as (source, web):
        found = await asyncio.gather(*(names(source, "one") for _ in range(50)))

        assert found == [["one"]] * 50
        assert len(web.requests) == 1
        assert not warnings


async def test_a_name_that_is_not_known_has_the_url_asked_again(warnings: list[str]) -> None:
    async with asked(http(key_set(ONE)), http(key_set(ONE, TWO)), warnings=warnings) as (source, web):
        assert await names(source, "one") == ["one"]
        assert await names(source, "two") == ["two"]
        assert len(web.requests) == 2


async def test_names_that_somebody_makes_up_are_not_asked_for_each_time(warnings: list[str]) -> None:
    async with asked(http(key_set(ONE)), warnings=warnings, again_seconds=30) as (source, web):
        for number in range(50):
            assert await names(source, f"made up {number}") == []
        assert len(web.requests) == 1


async def test_old_keys_are_renewed_beside_the_requests_that_use_them(warnings: list[str]) -> None:
    async with asked(http(key_set(ONE)), http(key_set(TWO)), warnings=warnings, fresh_seconds=0) as (source, _):
        assert await names(source, "one") == ["one"]
        assert await names(source, "one") == ["one"]
        assert source._asking is not None
        await source._asking
        assert await names(source, "two") == ["two"]


@pytest.mark.parametrize(
    "bad",
    [
        *(http(b"", "500 No"), http(b"", "302 Elsewhere"), http(b"<html>"), http(b" " * (jwks.SIZE_MAX + 1))),
        *(nothing, http(key_set({**ONE, "kty": "oct", "k": "AAAA"}))),
    ],
)
async def test_keys_outlive_a_url_that_fails(bad: Answer, warnings: list[str]) -> None:
    async with asked(http(key_set(ONE)), bad, warnings=warnings) as (source, web):
        assert await names(source, "one") == ["one"]

        with pytest.raises(KeysUnavailable):  # it may be a new one
            await source.keys("two")

        assert await names(source, "one") == ["one"]
        assert web.url("/keys", host=HOST) in warnings[0]


async def test_before_the_first_keys_a_url_that_is_away_is_no_fault_of_the_token(warnings: list[str]) -> None:
    async with asked(nothing, http(key_set(ONE)), warnings=warnings) as (source, _):
        with pytest.raises(Unavailable, match="nothing was lost, retry"):
            await source.keys("one")

        source._asked_at = None  # a moment later
        assert await names(source, "one") == ["one"]


async def test_a_url_that_hangs_keeps_nobody_for_long(warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: object) -> None:
        await asyncio.sleep(100)

    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.2)
    async with asked(hang, warnings=warnings) as (source, _):
        with pytest.raises(KeysUnavailable):
            await source.keys("one")
        assert "did not answer in time" in warnings[0]
