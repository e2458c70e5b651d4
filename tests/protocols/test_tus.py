"""tus 1.0.0, item by item (T1 to T32 of the checklist), on a real engine in memory."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from tests.core.refusals import refusal_of
from tests.engine.world import World, blob_keys, content, memory_world
from tests.http.test_problems import EXPECTED
from tests.protocols.asgi import at_once, client_of, cut_request, with_trailers
from uploadstream.core.access import Caller
from uploadstream.core.errors import (
    BadBodyType,
    BadField,
    CatalogUnavailable,
    ChecksumMismatch,
    LengthMismatch,
    Refusal,
    StorageUnavailable,
    UploadJoined,
    every_refusal,
)
from uploadstream.core.session import Declared, Limits, Session
from uploadstream.core.sizes import MIB
from uploadstream.engine import uploads as uploads_module
from uploadstream.protocols.tus import (
    CHUNK_TYPE,
    METADATA_LENGTH_MAX,
    TUS_STATUS,
    Tus,
    read_checksum,
    read_creation,
    read_metadata,
    read_method,
    read_patch,
    write_offset,
    write_refusal,
    write_status,
)

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": CHUNK_TYPE}
UNKNOWN = "/files/5f0c1a2b-0000-4000-8000-00000000000a"
NO_COUNTS = ["", "-1", "+1", " 1", "1.0", "1e3", "0x1", "9223372036854775808", "one"]
NOBODY = Caller()
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def app(world: World) -> Starlette:
    return Starlette(routes=Tus(world.engine.uploads).routes())


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def created(client: httpx.AsyncClient, length: int | None = 10, fields: dict[str, str] | None = None) -> str:
    """The location of a new upload."""
    said = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    answer = await client.post("/files", headers={**TUS, **said, **(fields or {})})
    assert answer.status_code == HTTPStatus.CREATED
    return answer.headers["Location"]


async def patched(client: httpx.AsyncClient, url: str, at: int, chunk: bytes, **fields: str) -> httpx.Response:
    return await client.patch(url, headers={**CHUNK, "Upload-Offset": str(at), **fields}, content=chunk)


async def offset(client: httpx.AsyncClient, url: str) -> int:
    answer = await client.head(url, headers=TUS)
    assert answer.status_code == HTTPStatus.OK
    return int(answer.headers["Upload-Offset"])


# Core


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0", "2.0.0", "1.0.0, 2.0.0"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/files"), ("HEAD", UNKNOWN), ("PATCH", UNKNOWN), ("DELETE", UNKNOWN)]
)
async def test_t1_a_request_of_another_version_is_412_and_not_processed(
    client: httpx.AsyncClient, world: World, method: str, path: str, version: str | None
) -> None:
    fields = {"Upload-Length": "10"} | ({} if version is None else {"Tus-Resumable": version})

    answer = await client.request(method, path, headers=fields)

    assert answer.status_code == HTTPStatus.PRECONDITION_FAILED
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_t1_every_response_carries_the_version(client: httpx.AsyncClient) -> None:
    url = await created(client)

    answers = [
        await client.post("/files", headers={**TUS, "Upload-Length": "10"}),
        await client.post("/files", headers=TUS),
        await client.post("/files"),
        await client.head(url, headers=TUS),
        await client.head(UNKNOWN, headers=TUS),
        await patched(client, url, 0, b"abc"),
        await patched(client, url, 0, b"abc"),
        await client.post(url, headers=TUS),
        await client.delete(url, headers=TUS),
        await client.delete("/files", headers=TUS),
        await client.options("/files"),
    ]

    assert [answer.headers.get("Tus-Resumable") for answer in answers] == ["1.0.0"] * len(answers)


async def test_t2_the_versions_are_a_list(client: httpx.AsyncClient) -> None:
    assert (await client.options("/files")).headers["Tus-Version"] == "1.0.0"


@pytest.mark.parametrize("fields", [{}, TUS, {"Tus-Resumable": "0.2.2"}])
@pytest.mark.parametrize("path", ["/files", "/files/", UNKNOWN])
async def test_t3_options_says_what_there_is_whatever_version_is_asked(
    client: httpx.AsyncClient, path: str, fields: dict[str, str]
) -> None:
    answer = await client.options(path, headers=fields)

    assert answer.status_code in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}
    assert {"Tus-Version", "Tus-Extension", "Tus-Max-Size"} <= {name.title() for name in answer.headers}


async def test_t4_the_extensions_are_a_list(client: httpx.AsyncClient) -> None:
    extensions = (await client.options("/files")).headers["Tus-Extension"].split(",")

    assert {
        *("creation", "creation-with-upload", "creation-defer-length"),
        *("termination", "expiration", "checksum", "concatenation"),
    } <= set(extensions)


async def test_t5_the_hard_limit_is_told(client: httpx.AsyncClient) -> None:
    assert (await client.options("/files")).headers["Tus-Max-Size"] == str(512 * MIB)


async def test_t6_the_method_that_is_said_overrides_the_one_that_is_used(client: httpx.AsyncClient) -> None:
    url = await created(client, 3)

    patch = await client.post(
        url, headers={**CHUNK, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}, content=b"abc"
    )
    head = await client.post(url, headers={**TUS, "X-HTTP-Method-Override": "HEAD"})
    delete = await client.post(url, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    none = await client.post(url, headers={**TUS, "X-HTTP-Method-Override": "BREW"})

    assert (patch.status_code, head.headers["Upload-Offset"], delete.status_code) == (204, "3", 204)
    assert none.status_code == HTTPStatus.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("used", ["POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_t6_the_method_that_is_used_is_ignored(client: httpx.AsyncClient, used: str) -> None:
    url = await created(client, 3)

    head = await client.request(used, url, headers={**TUS, "X-HTTP-Method-Override": "head"})
    made = await client.request(used, "/files", headers={**TUS, "Upload-Length": "3", "X-HTTP-Method-Override": "POST"})

    assert (head.status_code, head.headers["Upload-Offset"]) == (HTTPStatus.OK, "0")
    assert made.status_code == HTTPStatus.CREATED
    assert await offset(client, url) == 0


async def test_t6_a_method_is_not_said_twice(client: httpx.AsyncClient) -> None:
    url = await created(client)

    answer = await client.post(
        url, headers=[*TUS.items(), ("X-HTTP-Method-Override", "HEAD"), ("X-HTTP-Method-Override", "DELETE")]
    )

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert await offset(client, url) == 0


@pytest.mark.parametrize("text", NO_COUNTS)
async def test_t7_lengths_and_offsets_are_digits_and_nothing_else(client: httpx.AsyncClient, text: str) -> None:
    url = await created(client)

    length = await client.post("/files", headers={**TUS, "Upload-Length": text})
    place = await client.patch(url, headers={**CHUNK, "Upload-Offset": text}, content=b"abc")

    assert length.status_code == place.status_code == HTTPStatus.BAD_REQUEST
    assert length.text.startswith("Upload-Length: must be a whole number from 0 to 9223372036854775807")
    assert await offset(client, url) == 0


@pytest.mark.parametrize("length", [0, 10, None])
async def test_t8_head_says_offset_and_length_and_is_not_stored(client: httpx.AsyncClient, length: int | None) -> None:
    url = await created(client, length)

    answer = await client.head(url, headers=TUS)

    assert answer.status_code in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}
    assert answer.headers["Upload-Offset"] == "0"
    assert answer.headers.get("Upload-Length") == (None if length is None else str(length))
    assert answer.headers["Cache-Control"] == "no-store"


async def test_t8_head_still_answers_when_the_upload_is_complete(client: httpx.AsyncClient) -> None:
    url = await created(client, 3)
    await patched(client, url, 0, b"abc")

    answer = await client.head(url, headers=TUS)

    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("3", "3")


async def test_t8_an_upload_whose_last_answer_failed_is_a_file_when_head_says_that_all_is_there(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await created(client, 3)

    async def away(*_: object) -> None:
        raise CatalogUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(world.catalog, "publish", away)
        assert (await patched(client, url, 0, b"abc")).status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert (await client.head(url, headers=TUS)).status_code == HTTPStatus.LOCKED

    assert (await client.head(url, headers=TUS)).headers["Upload-Offset"] == "3"
    assert (await world.engine.files.describe(url.rpartition("/")[2], Caller())).size == 3


@pytest.mark.parametrize("path", [UNKNOWN, "/files/nonsense", "/files/..%2f..%2fetc%2fpasswd", UNKNOWN.upper()])
async def test_t8_an_unknown_upload_is_404_without_an_offset(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.head(path, headers=TUS)

    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "Upload-Offset" not in answer.headers


async def test_t8_a_fault_that_may_pass_does_not_make_a_client_forget_its_upload(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await created(client)

    async def away(_: str) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(world.blobs, "stat", away)

    assert (await client.head(url, headers=TUS)).status_code == HTTPStatus.LOCKED
    assert (await patched(client, url, 0, b"abc")).status_code == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("content_type", [None, "application/octet-stream", "text/plain", "offset+octet-stream"])
async def test_t9_a_patch_of_another_type_is_415(client: httpx.AsyncClient, content_type: str | None) -> None:
    url = await created(client)
    fields = {**TUS, "Upload-Offset": "0"} | ({"Content-Type": content_type} if content_type else {})

    answer = await client.patch(url, headers=fields, content=b"abc")

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert await offset(client, url) == 0


@pytest.mark.parametrize("at", [0, 2, 4, 10, 2**63 - 1])
async def test_t9_wrong_offset_is_409_and_changes_nothing(client: httpx.AsyncClient, at: int) -> None:
    url = await created(client)
    await patched(client, url, 0, b"abc")

    answer = await patched(client, url, at, b"xyz")

    assert answer.status_code == HTTPStatus.CONFLICT
    assert answer.text == f"Next byte belongs at 3, not at {at}\n"
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert await offset(client, url) == 3


async def test_t9_a_patch_without_an_offset_is_400(client: httpx.AsyncClient) -> None:
    url = await created(client)

    answer = await client.patch(url, headers=CHUNK, content=b"abc")

    assert (answer.status_code, answer.text) == (HTTPStatus.BAD_REQUEST, "Upload-Offset: is missing\n")


async def test_t9_success_is_204_with_the_new_offset(client: httpx.AsyncClient, world: World) -> None:
    url = await created(client)

    answers = [await patched(client, url, 0, b"abc"), await patched(client, url, 3, b"defghij")]

    assert [answer.status_code for answer in answers] == [HTTPStatus.NO_CONTENT] * 2
    assert [answer.headers["Upload-Offset"] for answer in answers] == ["3", "10"]
    file = await world.engine.downloads.open(url.rpartition("/")[2], NOBODY)
    assert await content(world.engine, file) == b"abcdefghij"


async def test_t9_a_body_without_a_length_is_taken_too(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    url = await created(client)

    answer = await client.patch(url, headers={**CHUNK, "Upload-Offset": "0"}, content=chunks())

    assert answer.headers["Upload-Offset"] == "6"


async def test_t9_an_unknown_upload_is_404(client: httpx.AsyncClient) -> None:
    assert (await patched(client, UNKNOWN, 0, b"abc")).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("known", [False, True])
async def test_t9_more_than_the_declared_length_is_413_and_of_it_only_what_fits_is_kept(
    client: httpx.AsyncClient, known: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"defghijk"

    url = await created(client)
    body = b"abcdefghijk" if known else chunks()

    answer = await client.patch(url, headers={**CHUNK, "Upload-Offset": "0"}, content=body)

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert answer.text == "Received 11 bytes, declared 10\n"
    assert await offset(client, url) == (0 if known else 10)


async def test_t10_a_cut_connection_keeps_its_bytes(app: Starlette, client: httpx.AsyncClient) -> None:
    url = await created(client)

    await cut_request(app, "PATCH", url, {**CHUNK, "Upload-Offset": "0"}, b"abc", b"def", then=at_once)

    assert await offset(client, url) == 6
    assert (await patched(client, url, 6, b"ghij")).headers["Upload-Offset"] == "10"


async def test_t10_a_newer_request_takes_over_and_the_older_is_423(app: Starlette, client: httpx.AsyncClient) -> None:
    url = await created(client)
    stalled = asyncio.Event()

    async def stall() -> None:
        stalled.set()
        await asyncio.sleep(3600)

    older = asyncio.create_task(cut_request(app, "PATCH", url, {**CHUNK, "Upload-Offset": "0"}, b"abc", then=stall))
    await stalled.wait()
    newer = await patched(client, url, 3, b"defghij")

    assert newer.headers["Upload-Offset"] == "10"
    start, *_ = await older
    assert start["status"] == HTTPStatus.LOCKED


async def test_t10_only_a_holder_that_cannot_be_taken_over_makes_it_423(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "PATIENCE_SECONDS", 0.05)
    url = await created(client)

    async with world.engine.ports.leases.hold(url.rpartition("/")[2], let_go=lambda: None):
        patch = await patched(client, url, 0, b"abc")
        delete = await client.delete(url, headers=TUS)
        at = await offset(client, url)

    assert patch.status_code == delete.status_code == HTTPStatus.LOCKED
    assert at == 0
    assert (await patched(client, url, 0, b"abc")).status_code == HTTPStatus.NO_CONTENT


# Creation


async def test_t12_a_length_or_its_deferral_is_needed(client: httpx.AsyncClient) -> None:
    neither = await client.post("/files", headers=TUS)
    both = await client.post("/files", headers={**TUS, "Upload-Length": "10", "Upload-Defer-Length": "1"})

    assert neither.status_code == both.status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("value", ["0", "2", "true", "", "1 ", "-1"])
async def test_t12_a_deferral_is_1_and_nothing_else(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.post("/files", headers={**TUS, "Upload-Defer-Length": value})

    assert answer.status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("path", ["/files", "/files/"])
async def test_t13_a_created_upload_has_a_location(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, headers={**TUS, "Upload-Length": "10"})

    assert answer.status_code == HTTPStatus.CREATED
    for suffix in ("", "/"):
        found = await client.head(answer.headers["Location"] + suffix, headers=TUS)
        assert found.headers["Upload-Length"] == "10"


async def test_t14_a_length_above_the_limit_is_413(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.post("/files", headers={**TUS, "Upload-Length": str(600 * MIB)})

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert answer.text == "File size 600 MiB exceeds limit of 512 MiB\n"
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_t15_an_upload_of_0_bytes_is_complete_at_once(client: httpx.AsyncClient, world: World) -> None:
    url = await created(client, 0)

    assert (await world.engine.files.describe(url.rpartition("/")[2], NOBODY)).size == 0
    assert (await patched(client, url, 0, b"")).status_code == HTTPStatus.NO_CONTENT


METADATA = [
    f"filename {encoded('film.mp4')}",
    f"filename {encoded('山.png')},filetype {encoded('text/plain')},is_confidential",
    "is_confidential ",
    f"filename {encoded('a')}, other {encoded('b')}",
    f"raw {base64.b64encode(bytes(range(256))).decode()}",
]


@pytest.mark.parametrize("metadata", METADATA)
async def test_t16_metadata_comes_back_as_it_was_sent(client: httpx.AsyncClient, metadata: str) -> None:
    url = await created(client, 3, {"Upload-Metadata": metadata})

    before = (await client.head(url, headers=TUS)).headers["Upload-Metadata"]
    await patched(client, url, 0, b"abc")
    after = (await client.head(url, headers=TUS)).headers["Upload-Metadata"]

    assert before == after == metadata


async def test_t16_without_metadata_none_comes_back(client: httpx.AsyncClient) -> None:
    assert "Upload-Metadata" not in (await client.head(await created(client), headers=TUS)).headers


@pytest.mark.parametrize(
    "metadata",
    [
        ",",
        f"filename {encoded('a')},",
        f"filename {encoded('a')},filename {encoded('b')}",
        "filename not/base64!",
        "filename YQ",
        "filename  YQ==",
        f"filename {encoded('../../etc/passwd')}",
        f"filename {encoded('a' * 256)}",
        f"filename {encoded('a')},filetype {encoded('nonsense')}",
        f"user_id {encoded('x' * 129)}",
        f"x {encoded('a' * METADATA_LENGTH_MAX)}",
    ],
)
async def test_t16_metadata_that_breaks_the_rules_is_400(client: httpx.AsyncClient, metadata: str) -> None:
    answer = await client.post("/files", headers={**TUS, "Upload-Length": "10", "Upload-Metadata": metadata})

    assert answer.status_code == HTTPStatus.BAD_REQUEST


async def test_t16_a_file_is_named_and_typed_by_its_metadata(client: httpx.AsyncClient, world: World) -> None:
    metadata = f"filename {encoded('山.txt')},filetype {encoded('text/plain')},user_id {encoded('ann')}"
    url = await created(client, 3, {"Upload-Metadata": metadata})
    await patched(client, url, 0, b"abc")

    file = await world.engine.files.describe(url.rpartition("/")[2], NOBODY)

    assert (file.filename, file.content_type, file.user_id, file.protocol) == ("山.txt", "text/plain", "ann", "tus")
    assert file.metadata == metadata


async def test_t16_content_of_another_type_than_said_is_415_and_the_upload_is_over(client: httpx.AsyncClient) -> None:
    url = await created(client, 3000, {"Upload-Metadata": f"filetype {encoded('image/png')}"})

    answer = await patched(client, url, 0, b"function hello() {}\n" * 50)

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert answer.text == "Declared image/png, content is text/plain\n"
    assert (await client.head(url, headers=TUS)).status_code == HTTPStatus.GONE


# Deferred length


async def test_t17_a_deferred_length_is_said_so_until_it_is_told(client: httpx.AsyncClient) -> None:
    url = await created(client, None)
    before = (await client.head(url, headers=TUS)).headers

    answer = await patched(client, url, 0, b"abc", **{"Upload-Length": "6"})
    after = (await client.head(url, headers=TUS)).headers

    assert (before["Upload-Defer-Length"], "Upload-Length" in before) == ("1", False)
    assert answer.status_code == HTTPStatus.NO_CONTENT
    assert ("Upload-Defer-Length" in after, after["Upload-Length"]) == (False, "6")


async def test_t17_a_length_that_was_told_never_changes(client: httpx.AsyncClient) -> None:
    url = await created(client, None)
    await patched(client, url, 0, b"abc", **{"Upload-Length": "6"})

    other = await patched(client, url, 3, b"def", **{"Upload-Length": "7"})
    same = await patched(client, url, 3, b"def", **{"Upload-Length": "6"})

    assert (other.status_code, same.status_code) == (HTTPStatus.BAD_REQUEST, HTTPStatus.NO_CONTENT)


async def test_t17_a_length_below_the_offset_is_refused(client: httpx.AsyncClient) -> None:
    url = await created(client, None)
    await patched(client, url, 0, b"abc")

    answer = await patched(client, url, 3, b"", **{"Upload-Length": "2"})

    assert HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    assert "Upload-Defer-Length" in (await client.head(url, headers=TUS)).headers


async def test_t17_an_empty_patch_that_tells_the_length_completes(client: httpx.AsyncClient, world: World) -> None:
    url = await created(client, None)
    await patched(client, url, 0, b"abc")

    answer = await patched(client, url, 3, b"", **{"Upload-Length": "3"})

    assert answer.status_code == HTTPStatus.NO_CONTENT
    assert (await world.engine.files.describe(url.rpartition("/")[2], NOBODY)).size == 3


# Creation with upload


@pytest.mark.parametrize(("sent", "state"), [(b"abc", "open"), (b"abcdefghij", "complete")])
async def test_t18_a_post_may_bring_bytes(client: httpx.AsyncClient, sent: bytes, state: str) -> None:
    answer = await client.post("/files", headers={**CHUNK, "Upload-Length": "10"}, content=sent)

    assert answer.status_code == HTTPStatus.CREATED
    assert answer.headers["Upload-Offset"] == str(len(sent))
    assert await offset(client, answer.headers["Location"]) == len(sent)
    assert ("Upload-Expires" in answer.headers) == (state == "open")


async def test_t18_a_post_may_bring_bytes_and_no_length(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"

    answer = await client.post("/files", headers={**CHUNK, "Upload-Defer-Length": "1"}, content=chunks())

    assert answer.headers["Upload-Offset"] == "3"


async def test_t18_a_post_with_a_body_of_another_type_is_415(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.post("/files", headers={**TUS, "Upload-Length": "10"}, content=b"abc")

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_t18_a_post_with_more_bytes_than_declared_is_413_and_leaves_nothing(
    client: httpx.AsyncClient, world: World
) -> None:
    answer = await client.post("/files", headers={**CHUNK, "Upload-Length": "3"}, content=b"abcd")

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert answer.text == "Received 4 bytes, declared 3\n"
    assert await blob_keys(world) == set()
    assert (await world.engine.uploads.list(NOBODY)).rows == []


@pytest.mark.parametrize("fields", [{"Upload-Length": "3"}, {"Upload-Defer-Length": "1"}])
async def test_t18_a_post_whose_body_turns_out_too_long_is_413_and_leaves_nothing(
    world: World, fields: dict[str, str]
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    world.start(limits=Limits(file_size_max=5))
    async with client_of(Starlette(routes=Tus(world.engine.uploads).routes())) as client:
        answer = await client.post("/files", headers={**CHUNK, **fields}, content=chunks())

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert await blob_keys(world) == set()
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_t18_a_post_with_content_of_another_type_than_said_is_415(
    client: httpx.AsyncClient, world: World
) -> None:
    metadata = {"Upload-Metadata": f"filetype {encoded('image/png')}"}

    answer = await client.post(
        "/files", headers={**CHUNK, "Upload-Length": "20", **metadata}, content=b"plain text" * 2
    )

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert await blob_keys(world) == set()


# Expiration


async def test_t19_every_answer_about_an_open_upload_says_when_it_expires(
    client: httpx.AsyncClient, world: World
) -> None:
    ttl = world.engine.limits.upload_ttl
    post = await client.post("/files", headers={**TUS, "Upload-Length": "10"})
    url = post.headers["Location"]
    patch = await patched(client, url, 0, b"abc")
    head = await client.head(url, headers=TUS)
    refused = [await patched(client, url, 0, b"abc"), await patched(client, url, 3, b"x", **checksum())]
    last = await patched(client, url, 3, b"defghij")

    for answer in (post, patch, head, *refused):
        expires = parsedate_to_datetime(answer.headers["Upload-Expires"])
        assert abs(world.clock.now() + ttl - expires) < timedelta(seconds=5)
    gone = [await patched(client, url, 0, b"x"), await patched(client, UNKNOWN, 0, b"x")]
    assert not any("Upload-Expires" in answer.headers for answer in (last, *gone))


async def test_t20_an_upload_that_expired_is_410(client: httpx.AsyncClient, world: World) -> None:
    url = await created(client)
    world.clock.ahead = world.engine.limits.upload_ttl + timedelta(minutes=1)
    await world.engine.sweeper.sweep()

    answers = [await client.head(url, headers=TUS), await patched(client, url, 0, b"abc")]

    assert [answer.status_code for answer in answers] == [HTTPStatus.GONE] * 2


# Checksum

CHECKSUMS = {
    "sha1": hashlib.sha1(b"abc", usedforsecurity=False).digest(),
    "sha256": hashlib.sha256(b"abc").digest(),
    "sha512": hashlib.sha512(b"abc").digest(),
    "md5": hashlib.md5(b"abc", usedforsecurity=False).digest(),
    "crc32": bytes.fromhex("352441c2"),
    "crc32c": bytes.fromhex("364b3fb7"),
}


def checksum(algorithm: str = "sha1") -> dict[str, str]:
    """The field that is right for `abc`."""
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(CHECKSUMS[algorithm]).decode()}"}


async def test_t21_the_algorithms_are_told_and_sha1_is_among_them(client: httpx.AsyncClient) -> None:
    answer = await client.options("/files")

    algorithms = answer.headers["Tus-Checksum-Algorithm"].split(",")
    assert set(algorithms) == set(CHECKSUMS)
    assert all(name.isascii() and name == name.lower() for name in algorithms)
    assert "checksum" in answer.headers["Tus-Extension"].split(",")


@pytest.mark.parametrize("algorithm", list(CHECKSUMS))
async def test_t22_a_chunk_with_the_right_checksum_is_204(client: httpx.AsyncClient, algorithm: str) -> None:
    url = await created(client, 6)

    answers = [await patched(client, url, at, b"abc", **checksum(algorithm)) for at in (0, 3)]

    assert [answer.status_code for answer in answers] == [HTTPStatus.NO_CONTENT] * 2
    assert [answer.headers["Upload-Offset"] for answer in answers] == ["3", "6"]


@pytest.mark.parametrize("algorithm", list(CHECKSUMS))
async def test_t22_a_chunk_with_another_checksum_is_460_and_discarded(
    client: httpx.AsyncClient, algorithm: str
) -> None:
    url = await created(client)
    await patched(client, url, 0, b"abc")

    answer = await patched(client, url, 3, b"abd", **checksum(algorithm))

    assert answer.status_code == 460
    assert answer.text.startswith(f"Chunk at 3: {algorithm} is ")
    assert await offset(client, url) == 3
    assert (await patched(client, url, 3, b"defghij")).headers["Upload-Offset"] == "10"


@pytest.mark.parametrize(
    "value",
    ["", "sha1", "sha1 ", "sha1 YQ==", "sha1 !", "SHA1 YQ==", "sha3 YQ==", "none YQ==", "sha1,md5 YQ==", " sha1 YQ=="],
)
async def test_t22_a_checksum_that_is_none_or_unknown_is_400_and_the_chunk_is_discarded(
    client: httpx.AsyncClient, value: str
) -> None:
    url = await created(client)

    answer = await client.patch(url, headers={**CHUNK, "Upload-Offset": "0", "Upload-Checksum": value}, content=b"abc")

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.text.startswith("Upload-Checksum: must ")
    assert await offset(client, url) == 0


async def test_t22_a_creation_whose_body_has_another_checksum_leaves_nothing(
    client: httpx.AsyncClient, world: World
) -> None:
    fields = {**CHUNK, "Upload-Length": "3", **checksum()}

    right = await client.post("/files", headers=fields, content=b"abc")
    wrong = await client.post("/files", headers=fields, content=b"abd")

    assert (right.status_code, right.headers["Upload-Offset"]) == (HTTPStatus.CREATED, "3")
    assert wrong.status_code == 460
    assert await blob_keys(world) == {right.headers["Location"].rpartition("/")[2]}
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_t23_a_chunk_is_not_seen_before_it_was_checked(app: Starlette, client: httpx.AsyncClient) -> None:
    url, seen = await created(client), []

    async def look() -> None:
        seen.append(await offset(client, url))

    await cut_request(app, "PATCH", url, {**CHUNK, "Upload-Offset": "0", **checksum()}, b"abc", then=look)

    assert [*seen, await offset(client, url)] == [0, 0]


@pytest.mark.parametrize(
    ("announced", "trailer", "status", "stored"),
    [
        ("Upload-Checksum", checksum()["Upload-Checksum"], 204, 3),
        ("x, upload-checksum", checksum("crc32c")["Upload-Checksum"], 204, 3),
        ("Upload-Checksum", checksum()["Upload-Checksum"].swapcase(), 400, 0),
        ("Upload-Checksum", f"sha1 {encoded('x' * 20)}", 460, 0),
        ("Upload-Checksum", "sha3 YQ==", 400, 0),
        ("Upload-Checksum", None, 204, 3),
        ("Other", f"sha1 {encoded('x' * 20)}", 204, 3),
    ],
)
async def test_t24_a_checksum_that_was_announced_may_come_behind_the_body(
    app: Starlette, client: httpx.AsyncClient, announced: str, trailer: str | None, status: int, stored: int
) -> None:
    url = await created(client)
    fields = {} if trailer is None else {"Upload-Checksum": trailer}

    async with client_of(with_trailers(app, fields)) as other:
        answer = await patched(other, url, 0, b"abc", Trailer=announced)
        options = await other.options("/files")

    assert answer.status_code == status
    assert await offset(client, url) == stored
    assert "checksum-trailer" in options.headers["Tus-Extension"].split(",")


async def test_t24_trailers_are_not_announced_where_the_server_does_not_give_them(client: httpx.AsyncClient) -> None:
    url = await created(client)

    assert "checksum-trailer" not in (await client.options("/files")).headers["Tus-Extension"]
    assert (await patched(client, url, 0, b"abc", Trailer="Upload-Checksum")).headers["Upload-Offset"] == "3"


# Termination


@pytest.mark.parametrize("sent", [b"", b"abc", b"abcdefghij"])
async def test_t25_an_upload_is_ended_finished_or_not(client: httpx.AsyncClient, sent: bytes) -> None:
    url = await created(client)
    await patched(client, url, 0, sent)

    first = await client.delete(url, headers=TUS)
    after = [
        await client.head(url, headers=TUS),
        await client.delete(url, headers=TUS),
        await patched(client, url, 0, b"x"),
    ]

    assert first.status_code == HTTPStatus.NO_CONTENT
    assert [answer.status_code for answer in after] == [HTTPStatus.GONE] * 3


async def test_t25_an_unknown_upload_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.delete(UNKNOWN, headers=TUS)).status_code == HTTPStatus.NOT_FOUND


# Concatenation


async def partial(client: httpx.AsyncClient, data: bytes, *, length: int | None = None, **fields: str) -> str:
    """The location of a partial upload that has these bytes."""
    url = await created(client, len(data) if length is None else length, {"Upload-Concat": "partial", **fields})
    assert (await patched(client, url, 0, data)).status_code == HTTPStatus.NO_CONTENT
    return url


async def joined(client: httpx.AsyncClient, *urls: str, **fields: str) -> httpx.Response:
    return await client.post("/files", headers={**TUS, "Upload-Concat": f"final;{' '.join(urls)}", **fields})


async def stored_content(world: World, url: str) -> bytes:
    file = await world.engine.downloads.open(url.rpartition("/")[2], NOBODY)
    return await content(world.engine, file)


async def test_t26_a_partial_upload_is_told_from_others_and_is_no_file(client: httpx.AsyncClient, world: World) -> None:
    url = await partial(client, b"abc")

    answer = await client.head(url, headers=TUS)

    assert "concatenation" in (await client.options("/files")).headers["Tus-Extension"].split(",")
    assert answer.headers["Upload-Concat"] == "partial"
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("3", "3")
    assert "Upload-Expires" in answer.headers
    assert (await world.engine.files.list(NOBODY)).rows == []


@pytest.mark.parametrize("base", ["", "http://service.test", "https://other.test:8443/mounted"])
async def test_t27_a_final_upload_has_the_bytes_of_its_parts_in_order(
    client: httpx.AsyncClient, world: World, base: str
) -> None:
    one, two = await partial(client, b"one "), await partial(client, b"two")

    answer = await joined(client, base + one, f"{base}{two}/", base + one)

    assert answer.status_code == HTTPStatus.CREATED
    assert await stored_content(world, answer.headers["Location"]) == b"one twoone "


@pytest.mark.parametrize("fields", [{"Upload-Length": "3"}, {"Upload-Length": "0"}, {"Upload-Defer-Length": "1"}])
async def test_t27_the_length_of_a_final_upload_is_the_sum_and_not_said(
    client: httpx.AsyncClient, fields: dict[str, str]
) -> None:
    answer = await joined(client, await partial(client, b"abc"), **fields)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.text == "Upload-Length: is the sum of the parts, and must not be given\n"


async def test_t27_a_final_upload_brings_no_bytes(client: httpx.AsyncClient) -> None:
    fields = {**CHUNK, "Upload-Concat": f"final;{await partial(client, b'abc')}"}

    assert (await client.post("/files", headers=fields, content=b"x")).status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    "value", ["", "PARTIAL", "partial;", "final", "final;", "final; ", "whole;/files/a", "final,a"]
)
async def test_t27_what_is_neither_partial_nor_final_is_400(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.post("/files", headers={**TUS, "Upload-Length": "3", "Upload-Concat": value})

    assert answer.status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(("part", "status"), [(UNKNOWN, 404), ("nonsense", 404), ("http://[", 400), ("/", 404)])
async def test_t27_a_part_that_is_not_there_is_refused(client: httpx.AsyncClient, part: str, status: int) -> None:
    assert (await joined(client, await partial(client, b"abc"), part)).status_code == status


async def test_t27_anothers_part_is_as_unknown(client: httpx.AsyncClient) -> None:
    url = await partial(client, b"abc", length=None, **{"X-User-Id": "ann"})

    assert (await joined(client, url, **{"X-User-Id": "bob"})).status_code == HTTPStatus.NOT_FOUND
    assert (await joined(client, url, **{"X-User-Id": "ann"})).status_code == HTTPStatus.CREATED


async def test_t28_parts_are_used_again_and_deleted(client: httpx.AsyncClient, world: World) -> None:
    one, two = await partial(client, b"one "), await partial(client, b"two ")

    finals = [(await joined(client, *urls)).headers["Location"] for urls in ([one, one, two], [two, one])]
    deleted = [(await client.delete(url, headers=TUS)).status_code for url in (one, two)]

    assert deleted == [HTTPStatus.NO_CONTENT] * 2
    assert [await stored_content(world, url) for url in finals] == [b"one one two ", b"two one "]
    assert (await joined(client, one)).status_code == HTTPStatus.GONE


async def test_t29_a_final_upload_has_metadata_of_its_own(client: httpx.AsyncClient, world: World) -> None:
    of_part, of_final = (f"filename {encoded(name)}" for name in ("part.bin", "whole.bin"))
    url = await partial(client, b"abc", length=None, **{"Upload-Metadata": of_part})

    without = (await joined(client, url)).headers["Location"]
    with_own = (await joined(client, url, **{"Upload-Metadata": of_final})).headers["Location"]

    assert "Upload-Metadata" not in (await client.head(without, headers=TUS)).headers
    assert (await client.head(with_own, headers=TUS)).headers["Upload-Metadata"] == of_final
    names = [
        (await world.engine.files.describe(url.rpartition("/")[2], NOBODY)).filename for url in (without, with_own)
    ]
    assert names == ["unnamed", "whole.bin"]


@pytest.mark.parametrize(("at", "data"), [(0, b"x"), (3, b"x"), (3, b""), (2, b"")])
async def test_t30_a_patch_of_a_final_upload_is_403_and_changes_nothing(
    client: httpx.AsyncClient, world: World, at: int, data: bytes
) -> None:
    url = (await joined(client, await partial(client, b"abc"))).headers["Location"]

    answer = await patched(client, url, at, data)

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert await stored_content(world, url) == b"abc"


async def test_t31_a_final_upload_says_what_it_was_joined_from_and_that_it_is_whole(client: httpx.AsyncClient) -> None:
    one, two = await partial(client, b"abc"), await partial(client, b"de")
    said = f"final;http://service.test{one} {two}"
    answer = await client.post("/files", headers={**TUS, "Upload-Concat": said})

    head = await client.head(answer.headers["Location"], headers=TUS)

    assert head.headers["Upload-Concat"] == said
    assert head.headers["Upload-Offset"] == head.headers["Upload-Length"] == "5"


async def test_t31_a_partial_upload_says_its_offset_all_along(client: httpx.AsyncClient) -> None:
    url = await partial(client, b"abc", length=10)

    head = (await client.head(url, headers=TUS)).headers

    assert (head["Upload-Offset"], head["Upload-Length"], head["Upload-Concat"]) == ("3", "10", "partial")


async def test_t31_an_upload_that_is_neither_says_nothing_of_it(client: httpx.AsyncClient) -> None:
    assert "Upload-Concat" not in (await client.head(await created(client), headers=TUS)).headers


async def test_t32_an_unfinished_part_is_refused_as_the_extension_is_not_announced(client: httpx.AsyncClient) -> None:
    done, half = await partial(client, b"abc"), await partial(client, b"abc", length=10)

    answer = await joined(client, done, half)

    assert "concatenation-unfinished" not in (await client.options("/files")).headers["Tus-Extension"]
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.text == f"parts: {half.rpartition('/')[2]} is not finished: 3 of 10 bytes are there\n"


# Who


async def test_t11_another_users_upload_is_as_unknown(client: httpx.AsyncClient) -> None:
    url = await created(client, 10, {"X-User-Id": "ann"})
    bob = {"X-User-Id": "bob"}

    answers = [
        await client.head(url, headers={**TUS, **bob}),
        await patched(client, url, 0, b"abc", **bob),
        await client.delete(url, headers={**TUS, **bob}),
    ]

    assert [answer.status_code for answer in answers] == [HTTPStatus.NOT_FOUND] * 3
    assert await offset(client, url) == 0


async def test_a_user_may_have_any_letters(client: httpx.AsyncClient, world: World) -> None:
    fields = {b"Tus-Resumable": b"1.0.0", b"Upload-Length": b"10", b"X-User-Id": "太郎".encode()}

    answer = await client.post("/files", headers=fields)

    upload_id = answer.headers["Location"].rpartition("/")[2]
    session = await world.catalog.upload(upload_id)
    assert session is not None
    assert session.declared.user_id == "太郎"


async def test_a_user_that_cannot_be_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.head(UNKNOWN, headers={**TUS, "X-User-Id": "x" * 129})

    assert answer.status_code == HTTPStatus.BAD_REQUEST


async def test_a_type_that_is_not_taken_here_is_415(world: World) -> None:
    world.start(limits=Limits(allowed_types=("image/*",)))
    async with client_of(Starlette(routes=Tus(world.engine.uploads).routes())) as client:
        answer = await client.post("/files", headers={**CHUNK, "Upload-Length": "3"}, content=b"abc")

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert answer.text == "Type text/plain is not allowed; allowed: image/*\n"


# Fields, as values

field_names = st.sampled_from(
    [
        *("upload-length", "upload-defer-length", "upload-offset", "upload-metadata", "content-type"),
        *("content-length", "transfer-encoding", "x-user-id", "tus-resumable", "upload-checksum"),
        "upload-concat",
    ]
)
field_values = (
    st.text(max_size=40)
    | st.sampled_from(["1", "10", CHUNK_TYPE, "chunked", f"filename {encoded('a')}", "sha1 YQ==", "partial", "final;a"])
    | st.integers(-5, 2**70).map(str)
)


@given(st.dictionaries(field_names, field_values))
def test_any_fields_are_read_or_refused(fields: dict[str, str]) -> None:
    refusals: list[Refusal] = []
    for read in (read_creation, read_patch, read_checksum):
        try:
            read(fields)
        except BadField as error:
            refusals.append(error)
    assert all(400 <= write_refusal(error, "POST") < 500 and str(error).isascii() for error in refusals)


@given(st.text(max_size=80))
def test_any_metadata_is_read_or_refused(value: str) -> None:
    error = refusal_of(read_metadata, value)

    assert error is None or (isinstance(error, BadField) and error.field == "Upload-Metadata")


@given(st.dictionaries(st.text("abcxyz_-", min_size=1, max_size=8), st.text(max_size=30), max_size=5))
def test_metadata_goes_round(pairs: dict[str, str]) -> None:
    field = ",".join(
        f"{key} {base64.b64encode(value.encode(errors='replace')).decode()}" for key, value in pairs.items()
    )

    assert read_metadata(field) == {key: value.encode(errors="replace").decode() for key, value in pairs.items()}


def test_a_creation_says_what_is_declared() -> None:
    creation = read_creation({"upload-length": "10", "upload-metadata": f"name {encoded('a')}", "x-user-id": "ann"})

    assert creation.declared == Declared("ann", "a", "", 10, f"name {encoded('a')}")
    assert not creation.has_body


@pytest.mark.parametrize("second", ["0", "1"])
async def test_a_field_that_says_one_thing_is_not_taken_twice(client: httpx.AsyncClient, second: str) -> None:
    url = await created(client)

    answer = await client.patch(
        url, headers=[*CHUNK.items(), ("Upload-Offset", "0"), ("Upload-Offset", second)], content=b"abc"
    )

    assert (answer.status_code, answer.text) == (400, "Upload-Offset: must be there once, is there 2 times\n")
    assert await offset(client, url) == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "TRACE", "POST"])
async def test_a_method_that_no_upload_has_is_405_and_says_which_it_has(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, await created(client), headers=TUS)

    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert answer.headers["Allow"] == "OPTIONS, HEAD, PATCH, DELETE"


async def test_every_bad_field_of_a_creation_is_said(client: httpx.AsyncClient) -> None:
    said = ",".join(f"{key} {encoded(value)}" for key, value in {"filename": "a/b", "filetype": "text"}.items())

    answer = await client.post(
        "/files", headers={**TUS, "Upload-Length": "1", "Upload-Metadata": said, "X-User-Id": "x" * 129}
    )

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert [bad.partition(":")[0] for bad in answer.text.split("; ")] == ["user_id", "filename", "content_type"]


def test_a_file_without_a_name_gets_one() -> None:
    assert read_creation({"upload-length": "10"}).declared.filename == "unnamed"


def test_a_patch_says_where_and_how_much() -> None:
    patch = read_patch({"content-type": CHUNK_TYPE, "upload-offset": "7", "content-length": "3"})

    assert (patch.offset, patch.length, patch.count) == (7, None, 3)
    with pytest.raises(BadBodyType):
        read_patch({"upload-offset": "7"})


@pytest.mark.parametrize(("fields", "method"), [({}, "POST"), ({"x-http-method-override": "patch"}, "PATCH")])
def test_the_method_is_the_one_that_is_meant(fields: dict[str, str], method: str) -> None:
    assert read_method("POST", fields) == method


def test_an_open_upload_is_written_with_its_expiry() -> None:
    session = Session("a", Declared("ann", "a", "", None), 10, "tus", NOON, NOON, offset=3)

    assert write_offset(session, NOON) == {"Upload-Offset": "3", "Upload-Expires": "Fri, 02 Jan 2026 12:00:00 GMT"}
    assert write_status(session, NOON) == {
        **write_offset(session, NOON),
        "Cache-Control": "no-store",
        "Upload-Defer-Length": "1",
    }


def test_no_refusal_is_missing_in_the_table() -> None:
    own = {ChecksumMismatch: 460, LengthMismatch: 413, UploadJoined: 403}

    statuses = {cls: write_refusal(cls.__new__(cls), "PATCH") for cls in every_refusal()}

    assert statuses == {**EXPECTED, **own}
    assert set(TUS_STATUS) <= set(every_refusal())
