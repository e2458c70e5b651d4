"""The draft, item by item (R1 to R39 of the checklist), on a real engine in memory that can send interim responses."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.engine.world import World, blob_keys, content, memory_world
from tests.protocols.asgi import Heard, at_once, cut_request, hear, with_trailers
from uploadstream.core.access import Caller
from uploadstream.core.errors import StorageUnavailable
from uploadstream.core.session import Limits
from uploadstream.http.choice import Choice, only
from uploadstream.protocols.ietf.service import Ietf
from uploadstream.protocols.tus import Tus

NOBODY = Caller()
UNKNOWN = "/files/5f0c1a2b-0000-4000-8000-00000000000a"
V8 = {"Upload-Draft-Interop-Version": "8"}
MORE = {**V8, "Upload-Complete": "?0"}
LAST = {**V8, "Upload-Complete": "?1"}
PART = {**V8, "Content-Type": "application/partial-upload"}
TUS = {"Tus-Resumable": "1.0.0"}
REGISTRY = "https://iana.org/assignments/http-problem-types#"
KIB = 1024
LARGE = 300 * KIB  # more than the engine keeps back before it writes


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def app(world: World) -> Starlette:
    return app_of(world)


def app_of(world: World) -> Starlette:
    ietf = Ietf(world.engine.uploads, world.engine.downloads, progress_seconds=0.01)
    tus = Tus(world.engine.uploads, beside=ietf.discovery())
    return Starlette(routes=[*only(Choice.TUS, tus.routes()), *only(Choice.IETF, ietf.routes())])


async def begun(app: Starlette, body: bytes = b"", **fields: str) -> str:
    """The address of a new upload."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    heard = await hear(app, "POST", "/files", {**MORE, **named}, body)
    assert heard.status == 201, heard
    return heard.fields["location"]


async def patched(app: Starlette, url: str, at: int, body: bytes, *, last: bool = False, **fields: str) -> Heard:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    said = {**PART, "Upload-Offset": str(at), "Upload-Complete": "?1" if last else "?0"}
    return await hear(app, "PATCH", url, {**said, **named}, body)


async def stored_bytes(world: World, file_id: str) -> bytes:
    return await content(world.engine, await world.engine.files.describe(file_id, NOBODY))


async def slowly(*chunks: bytes, seconds: float = 0.15) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(seconds)


# Creation


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_r9_r12_a_whole_body_becomes_a_file(app: Starlette, world: World, method: str) -> None:
    named = {"Content-Type": "text/plain", "Content-Disposition": 'inline; filename="a.txt"', "X-User-Id": "ann"}

    heard = await hear(app, method, "/files", {**LAST, **named}, b"hello")

    file = heard.json()
    assert heard.status == 201
    assert heard.fields["location"] == f"/api/v1/files/{file['file_id']}/content"
    assert heard.fields["upload-complete"] == "?1"
    assert (file["filename"], file["size"], file["user_id"]) == ("a.txt", 5, "ann")
    assert await stored_bytes(world, file["file_id"]) == b"hello"


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, 400), ({"Upload-Complete": "yes"}, 400), ({**LAST, "Content-Type": "application/partial-upload"}, 415)],
)
async def test_r9_a_patch_that_begins_no_upload_is_refused(
    app: Starlette, world: World, fields: dict[str, str], status: int
) -> None:
    heard = await hear(app, "PATCH", "/files", {"Content-Type": "text/plain", **V8, **fields}, b"hello")

    assert heard.status == status
    assert await blob_keys(world) == set()


async def test_r1_every_upload_has_an_address_of_its_own(app: Starlette) -> None:
    assert len({await begun(app) for _ in range(5)}) == 5


async def test_r9_an_empty_first_body_only_gets_the_address(app: Starlette) -> None:
    heard = await hear(app, "POST", "/files", MORE)

    assert heard.status == 201
    assert heard.fields["upload-offset"] == "0"


async def test_r9_an_empty_last_body_is_an_empty_file(app: Starlette, world: World) -> None:
    heard = await hear(app, "POST", "/files", LAST)

    assert (heard.status, heard.fields["upload-complete"], heard.interims) == (201, "?1", [])
    assert await stored_bytes(world, heard.json()["file_id"]) == b""


async def test_r10_the_address_is_told_as_soon_as_there_is_one(app: Starlette) -> None:
    heard = await hear(app, "POST", "/files", MORE, b"hello")

    (status, fields), *rest = heard.interims
    assert (status, rest) == (104, [])
    assert fields["location"] == heard.fields["location"]
    assert fields["upload-limit"] == f"max-size={512 * KIB * KIB}, max-age=86400"
    assert fields["upload-draft-interop-version"] == "8"


async def test_r10_r39_who_names_no_known_version_gets_no_104(app: Starlette) -> None:
    for version in ({}, {"Upload-Draft-Interop-Version": "11"}, {"Upload-Draft-Interop-Version": "x"}):
        heard = await hear(app, "POST", "/files", {"Upload-Complete": "?1", **version}, b"hello")
        assert (heard.status, heard.interims) == (201, [])


async def test_r39_a_version_that_is_there_twice_is_none(app: Starlette) -> None:
    twice = {**LAST, "upload-draft-interop-version": "8"}

    heard = await hear(app, "POST", "/files", twice, b"hello")

    assert (heard.status, heard.interims) == (201, [])


async def test_r10_a_server_that_has_no_interim_responses_does_without(app: Starlette) -> None:
    heard = await hear(app, "POST", "/files", LAST, b"hello", can_interim=False)

    assert (heard.status, heard.interims) == (201, [])


async def test_r11_progress_is_told_while_a_body_comes(app: Starlette) -> None:
    body = slowly(b"a" * LARGE, b"b" * LARGE, b"c")

    heard = await hear(app, "POST", "/files", LAST, body)

    (_, first), *rest = heard.interims
    assert "upload-offset" not in first
    assert [fields["upload-offset"] for _, fields in rest] == [str(LARGE), str(2 * LARGE), str(2 * LARGE + 1)]
    assert all(status == 104 and "location" not in fields for status, fields in rest)
    assert all(fields["upload-draft-interop-version"] == "8" for _, fields in rest)


async def test_r11_nothing_is_told_behind_the_answer(app: Starlette) -> None:
    before = asyncio.all_tasks()

    await hear(app, "POST", "/files", LAST, slowly(b"a" * LARGE))
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


async def test_r13_a_first_part_is_answered_with_the_address(app: Starlette) -> None:
    heard = await hear(app, "POST", "/files", {**MORE, "Upload-Length": "9"}, b"hello")

    assert heard.status == 201
    assert heard.fields["upload-complete"] == "?0"
    assert heard.fields["upload-offset"] == "5"
    assert heard.fields["upload-length"] == "9"
    assert heard.fields["upload-limit"].startswith("max-size=")
    assert heard.body == b""


@pytest.mark.parametrize("fields", [{**MORE, "Upload-Length": "5"}, LAST])
async def test_r14_r17_a_cut_creation_keeps_its_bytes_and_its_length(
    app: Starlette, world: World, fields: dict[str, str]
) -> None:
    await cut_request(app, "POST", "/files", {**fields, "Content-Length": "5"}, b"he", then=at_once)

    heard = await hear(app, "HEAD", await only_upload(world), V8)

    assert (heard.fields["upload-length"], heard.fields["upload-offset"]) == ("5", "2")
    assert heard.fields["upload-complete"] == "?0"


async def only_upload(world: World) -> str:
    """The address of the one open upload."""
    (session,) = (await world.engine.uploads.list(NOBODY)).rows
    return f"/files/{session.id}"


async def test_r15_every_answer_to_a_creation_names_the_same_address(app: Starlette, world: World) -> None:
    world.start(limits=Limits(file_size_max=5))
    app = app_of(world)

    heard = await hear(app, "POST", "/files", MORE, b"too many", is_sized=False)

    assert heard.status == 413
    assert heard.fields["location"] == heard.interims[0][1]["location"] == await only_upload(world)
    assert heard.fields["upload-complete"] == "?0"


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        ({"Upload-Length": str(2**40)}, b"", 413),
        ({"Content-Type": "image/png"}, b"no picture " * 60, 415),
        ({"Content-Encoding": "gzip"}, b"x", 415),
        ({"Content-Disposition": "inline; filename=a/b"}, b"x", 400),
        ({"X-User-Id": "a" * 129}, b"x", 400),
    ],
)
async def test_r16_an_early_refusal_is_final(
    app: Starlette, world: World, fields: dict[str, str], body: bytes, status: int
) -> None:
    heard = await hear(app, "POST", "/files", {**MORE, **fields}, body)

    assert heard.status == status
    assert heard.fields["content-type"] == "application/problem+json"
    assert heard.fields["upload-complete"] == "?1"
    assert "upload-offset" not in heard.fields
    assert await blob_keys(world) == set()
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_r8_a_refusal_for_a_limit_says_the_limits(app: Starlette) -> None:
    heard = await hear(app, "POST", "/files", {**LAST, "Content-Length": str(2**40)})

    assert heard.status == 413
    assert heard.fields["upload-limit"] == f"max-size={512 * KIB * KIB}"


async def test_r18_a_refused_coding_is_told_what_would_be_taken(app: Starlette) -> None:
    heard = await hear(app, "POST", "/files", {**LAST, "Content-Encoding": "gzip"}, b"x")

    assert heard.fields["accept-encoding"] == "identity"


async def test_r4_lengths_that_differ_begin_nothing(app: Starlette, world: World) -> None:
    heard = await hear(app, "POST", "/files", {**LAST, "Upload-Length": "9"}, b"hello")

    assert (heard.status, heard.json()["type"]) == (400, f"{REGISTRY}inconsistent-upload-length")
    assert heard.fields["upload-complete"] == "?0"
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_r4_a_last_body_that_ends_before_the_length_completes_nothing(app: Starlette) -> None:
    heard = await hear(app, "POST", "/files", {**LAST, "Upload-Length": "9"}, b"hello", is_sized=False)

    assert (heard.status, heard.json()["type"]) == (400, f"{REGISTRY}inconsistent-upload-length")
    assert (heard.fields["upload-complete"], heard.fields["upload-offset"]) == ("?0", "5")


# Offset retrieval


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("fields", [V8, {}])
async def test_r19_an_upload_says_where_it_stands(app: Starlette, method: str, fields: dict[str, str]) -> None:
    url = await begun(app, b"hello", Upload_Length="9")

    heard = await hear(app, method, url, fields)

    assert (heard.status, heard.body) == (204, b"")
    assert heard.fields["upload-offset"] == "5"
    assert heard.fields["upload-complete"] == "?0"
    assert heard.fields["upload-length"] == "9"
    assert heard.fields["upload-limit"].startswith("max-size=")
    assert heard.fields["cache-control"] == "no-store"


async def test_r19_a_finished_upload_still_answers(app: Starlette) -> None:
    url = await begun(app, b"hello")
    await patched(app, url, 5, b"", last=True)

    heard = await hear(app, "HEAD", url, V8)

    assert (heard.status, heard.fields["upload-complete"]) == (204, "?1")
    assert heard.fields["upload-offset"] == heard.fields["upload-length"] == "5"


async def test_r20_a_slash_at_the_end_redirects_nobody(app: Starlette) -> None:
    assert (await hear(app, "HEAD", f"{await begun(app)}/", V8)).status == 204
    assert (await hear(app, "POST", "/files/", MORE)).status == 201


@pytest.mark.parametrize("url", [UNKNOWN, "/files/nothing"])
@pytest.mark.parametrize("method", ["HEAD", "GET", "PATCH", "DELETE"])
async def test_r19_what_is_not_there_has_no_offset(app: Starlette, url: str, method: str) -> None:
    fields = {**PART, "Upload-Offset": "0", "Upload-Complete": "?0"} if method == "PATCH" else V8

    heard = await hear(app, method, url, fields)

    assert heard.status == 404
    assert not {"upload-offset", "upload-complete"} & set(heard.fields)


async def test_r21_r32_who_asks_for_the_offset_ends_the_body_that_comes(app: Starlette) -> None:
    url = await begun(app)
    blocked = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"a" * LARGE
        await blocked.wait()
        yield b"never"

    said = {**PART, "Upload-Offset": "0", "Upload-Complete": "?1"}
    older = asyncio.create_task(hear(app, "PATCH", url, said, body()))
    await asyncio.sleep(0.05)
    found = await hear(app, "HEAD", url, V8)

    assert (await older).status == 423
    offset = int(found.fields["upload-offset"])
    assert offset == LARGE
    assert (await patched(app, url, offset, b"b", last=True)).status == 201


async def test_r39_up_to_version_6_a_question_with_an_offset_is_refused(app: Starlette) -> None:
    url = await begun(app)
    fields = {"Upload-Draft-Interop-Version": "6", "Upload-Offset": "0"}

    assert (await hear(app, "HEAD", url, fields)).status == 400
    assert (await hear(app, "DELETE", url, fields)).status == 400
    assert (await hear(app, "HEAD", url, {**fields, **V8})).status == 204


# Append


async def test_r22_r25_a_part_moves_the_offset(app: Starlette) -> None:
    url = await begun(app)

    heard = await patched(app, url, 0, b"hello")

    assert heard.status == 204
    assert (heard.fields["upload-complete"], heard.fields["upload-offset"]) == ("?0", "5")
    assert not {"location", "upload-length"} & set(heard.fields)


async def test_r12_r24_the_last_part_is_answered_as_the_whole_would_have_been(app: Starlette, world: World) -> None:
    url = await begun(app, b"hello ")

    heard = await patched(app, url, 6, b"world", last=True)

    assert (heard.status, heard.fields["upload-complete"]) == (201, "?1")
    assert heard.json()["size"] == 11
    assert heard.fields["location"] == f"/api/v1/files/{url[7:]}/content"
    assert await stored_bytes(world, url[7:]) == b"hello world"


async def test_r24_a_refusal_of_the_whole_is_the_files_answer_and_the_last(app: Starlette) -> None:
    url = await begun(app, b"no ", Content_Type="image/png")

    heard = await patched(app, url, 3, b"picture", last=True)

    assert (heard.status, heard.fields["upload-complete"]) == (415, "?1")
    assert (await hear(app, "HEAD", url, V8)).status == 410


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Upload-Offset": "-5"}, 400),
        ({"Upload-Offset": "5.0"}, 400),
        ({"Upload-Complete": "true"}, 400),
    ],
)
async def test_r22_a_part_that_says_too_little_is_refused(app: Starlette, fields: dict[str, str], status: int) -> None:
    url = await begun(app, b"hello")

    heard = await hear(app, "PATCH", url, {**PART, "Upload-Offset": "5", "Upload-Complete": "?0", **fields}, b"x")

    assert heard.status == status
    assert (heard.fields["upload-offset"], heard.fields["upload-complete"]) == ("5", "?0")


@pytest.mark.parametrize("at", [0, 4, 6])
async def test_r23_r34_a_wrong_offset_is_told_the_right_one(app: Starlette, at: int) -> None:
    url = await begun(app, b"hello")

    heard = await patched(app, url, at, b"x", last=True)

    assert heard.status == 409
    assert (heard.fields["upload-complete"], heard.fields["upload-offset"]) == ("?0", "5")
    assert heard.json()["type"] == f"{REGISTRY}mismatching-upload-offset"
    assert (heard.json()["expected-offset"], heard.json()["provided-offset"]) == (5, at)


async def test_r3_r26_an_upload_with_all_its_bytes_is_complete_when_its_sender_says_so(app: Starlette) -> None:
    url = await begun(app, b"hello", Upload_Length="5")
    assert (await hear(app, "HEAD", url, V8)).fields["upload-complete"] == "?0"

    heard = await patched(app, url, 5, b"", last=True)

    assert (heard.status, heard.fields["upload-complete"]) == (201, "?1")


@pytest.mark.parametrize(("version", "complete"), [("5", "?1"), ("6", "?1"), ("7", "?0"), ("10", "?0")])
async def test_r3_r39_up_to_version_6_an_upload_is_complete_at_its_length(
    app: Starlette, version: str, complete: str
) -> None:
    said = {**PART, "Upload-Draft-Interop-Version": version, "Upload-Complete": "?0"}
    url = (await hear(app, "POST", "/files", {**said, "Upload-Length": "5"}, b"he")).fields["location"]

    heard = await hear(app, "PATCH", url, {**said, "Upload-Offset": "2"}, b"llo")

    assert (heard.fields["upload-offset"], heard.fields["upload-complete"]) == ("5", complete)
    assert (heard.status == 201) == (complete == "?1")


async def test_r27_the_last_answer_can_be_had_again(app: Starlette) -> None:
    url = await begun(app, b"hel")
    first = await patched(app, url, 3, b"lo", last=True)

    again = await patched(app, url, 5, b"", last=True)

    assert (again.status, again.fields, again.body) == (first.status, first.fields, first.body)


@pytest.mark.parametrize("is_last", [True, False])
async def test_r3_r35_a_complete_upload_takes_nothing_more(app: Starlette, world: World, is_last: bool) -> None:
    url = await begun(app, b"hello")
    await patched(app, url, 5, b"", last=True)

    more = await patched(app, url, 5, b"x", last=False)
    early = await patched(app, url, 3, b"l", last=is_last)

    assert (more.status, more.json()["type"]) == (400, f"{REGISTRY}completed-upload")
    assert more.fields["upload-complete"] == "?0"
    assert (early.status, early.fields["upload-offset"], early.fields["upload-complete"]) == (409, "5", "?0")
    assert await stored_bytes(world, url[7:]) == b"hello"


async def test_r28_the_length_told_with_a_part_is_remembered(app: Starlette) -> None:
    url = await begun(app)
    await patched(app, url, 0, b"hello", Upload_Length="9")

    heard = await patched(app, url, 5, b"x", Upload_Length="8")

    assert (heard.status, heard.json()["type"]) == (400, f"{REGISTRY}inconsistent-upload-length")
    assert (heard.fields["upload-length"], heard.fields["upload-offset"]) == ("9", "5")
    assert (await patched(app, url, 5, b"x")).status == 204


@pytest.mark.parametrize("is_sized", [True, False])
async def test_r28_an_upload_is_over_with_the_first_byte_behind_its_length(
    app: Starlette, world: World, is_sized: bool
) -> None:
    url = await begun(app, b"hello", Upload_Length="6")
    said = {**PART, "Upload-Offset": "5", "Upload-Complete": "?0"}

    heard = await hear(app, "PATCH", url, said, b"more", is_sized=is_sized)

    assert (heard.status, heard.json()["type"]) == (400, f"{REGISTRY}inconsistent-upload-length")
    assert (await hear(app, "HEAD", url, V8)).status == 410
    assert (await patched(app, url, 5, b"x")).status == 410
    assert await blob_keys(world) == set()


async def test_r29_progress_of_a_part_is_told_without_the_address(app: Starlette) -> None:
    url = await begun(app)
    said = {**PART, "Upload-Offset": "0", "Upload-Complete": "?1"}

    heard = await hear(app, "PATCH", url, said, slowly(b"a" * LARGE, b"b" * LARGE))

    assert [fields["upload-offset"] for _, fields in heard.interims] == [str(LARGE), str(2 * LARGE)]
    assert not any("location" in fields for _, fields in heard.interims)


@pytest.mark.parametrize(("version", "is_told"), [("4", False), ("5", True), ("11", False)])
async def test_r39_progress_is_told_from_version_5_on(app: Starlette, version: str, is_told: bool) -> None:
    url = await begun(app)
    said = {**PART, "Upload-Draft-Interop-Version": version, "Upload-Offset": "0", "Upload-Complete": "?1"}

    heard = await hear(app, "PATCH", url, said, slowly(b"a" * LARGE))

    assert (heard.status, bool(heard.interims)) == (201, is_told)


async def test_r17_r30_a_cut_part_keeps_its_bytes_and_completes_nothing(app: Starlette) -> None:
    url = await begun(app, b"he")
    said = {**PART, "Upload-Offset": "2", "Upload-Complete": "?1", "Content-Length": "3"}

    await cut_request(app, "PATCH", url, said, b"l", then=at_once)

    heard = await hear(app, "HEAD", url, V8)
    assert (heard.fields["upload-offset"], heard.fields["upload-complete"]) == ("3", "?0")
    assert heard.fields["upload-length"] == "5"


async def test_r36_chunks_do_not_count(app: Starlette, world: World) -> None:
    said = {**MORE, "Transfer-Encoding": "chunked"}

    heard = await hear(app, "POST", "/files", said, slowly(b"he", b"llo", seconds=0))

    assert heard.fields["upload-offset"] == "5"


async def test_r2_an_offset_never_goes_back(app: Starlette) -> None:
    url = await begun(app, b"hello")

    for body, last in ((b"", False), (b"x", False), (b"", False)):
        before = int((await hear(app, "HEAD", url, V8)).fields["upload-offset"])
        assert (await patched(app, url, before, body, last=last)).fields["upload-offset"] == str(before + len(body))


async def test_r7_the_end_of_an_upload_never_comes_nearer(app: Starlette, world: World) -> None:
    url = await begun(app, b"hello")
    world.clock.ahead = timedelta(hours=1)
    before = (await hear(app, "HEAD", url, V8)).fields["upload-limit"]
    await patched(app, url, 5, b"x")
    after = (await hear(app, "HEAD", url, V8)).fields["upload-limit"]

    ages = [int(limit.rpartition("=")[2]) for limit in (before, after)]
    assert ages[0] <= 82_800 <= ages[1]


# Digests


def digest_of(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


async def test_r37_content_with_its_digest_is_taken(app: Starlette) -> None:
    url = await begun(app, b"hel", Content_Digest=digest_of(b"hel"))

    heard = await patched(app, url, 3, b"lo", last=True, Content_Digest=digest_of(b"lo"))

    assert (heard.status, heard.json()["size"]) == (201, 5)


async def test_r37_content_with_another_digest_is_not_appended(app: Starlette) -> None:
    url = await begun(app, b"hel")

    heard = await patched(app, url, 3, b"lo", last=True, Content_Digest=digest_of(b"low"))

    assert heard.status == 400
    assert heard.json()["type"] == "urn:uploadstream:checksum-mismatch"
    assert (heard.fields["upload-offset"], heard.fields["upload-complete"]) == ("3", "?0")
    assert (await patched(app, url, 3, b"lo", last=True)).status == 201


async def test_r37_a_creation_with_another_digest_begins_an_empty_upload(app: Starlette, world: World) -> None:
    heard = await hear(app, "POST", "/files", {**LAST, "Content-Digest": digest_of(b"low")}, b"hello")

    assert (heard.status, heard.fields["upload-offset"]) == (400, "0")
    assert heard.fields["location"] == await only_upload(world)


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
async def test_r37_a_digest_that_cannot_be_read_begins_nothing(app: Starlette, world: World, field: str) -> None:
    assert (await hear(app, "POST", "/files", {**LAST, field: "sha-256=hello"}, b"hello")).status == 400
    assert (await hear(app, "POST", "/files", {field: "sha-256=hello"}, b"hello")).status == 400
    assert (await world.engine.uploads.list(NOBODY)).rows == []


@pytest.mark.parametrize("body", [b"lo", b""])
async def test_r37_a_whole_with_another_digest_fails_the_upload(app: Starlette, world: World, body: bytes) -> None:
    url = await begun(app, b"hel")

    heard = await patched(app, url, 3, body, last=True, Repr_Digest=digest_of(b"other"))

    assert (heard.status, heard.fields["upload-complete"]) == (400, "?1")
    assert (await hear(app, "HEAD", url, V8)).status == 410
    assert await blob_keys(world) == set()


async def test_r37_a_whole_with_its_digest_is_a_file(app: Starlette) -> None:
    url = await begun(app, b"hel")
    assert (await patched(app, url, 3, b"lo", last=True, Repr_Digest=digest_of(b"hello"))).status == 201
    whole = await hear(app, "POST", "/files", {**LAST, "Repr-Digest": digest_of(b"hello")}, b"hello")
    assert whole.status == 201


@pytest.mark.parametrize(("data", "status"), [(b"hello", 201), (b"other", 400)])
async def test_r37_the_digest_told_at_the_beginning_is_compared_at_the_end(
    app: Starlette, world: World, data: bytes, status: int
) -> None:
    url = await begun(app, data[:2], Repr_Digest=digest_of(b"hello"))

    heard = await patched(app, url, 2, data[2:], last=True)

    assert (heard.status, heard.fields["upload-complete"]) == (status, "?1")
    assert (await hear(app, "HEAD", url, V8)).status == (204 if status == 201 else 410)


async def test_r37_the_digest_wanted_at_the_beginning_is_told_at_the_end(app: Starlette) -> None:
    url = await begun(app, b"hel", Want_Repr_Digest="sha-256=1")

    heard = await patched(app, url, 3, b"lo", last=True)
    again = await patched(app, url, 5, b"", last=True)

    assert heard.fields["repr-digest"] == again.fields["repr-digest"] == digest_of(b"hello")


async def test_r37_tus_has_its_own_use_for_the_name(app: Starlette) -> None:
    metadata = "repr-digest aGVsbG8=,want-repr-digest,a"
    created = await hear(app, "POST", "/files", {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata})

    heard = await patched(app, created.fields["location"], 0, b"hello", last=True)

    assert heard.status == 201
    assert "repr-digest" not in heard.fields


@pytest.mark.parametrize(
    ("name", "of", "status", "offset"),
    [
        ("Content-Digest", b"lo", 201, "5"),
        ("Content-Digest", b"low", 400, "3"),
        ("Repr-Digest", b"hello", 201, "5"),
        ("Repr-Digest", b"other", 400, None),
    ],
)
async def test_r37_a_digest_that_was_announced_may_come_behind_the_body(
    app: Starlette, name: str, of: bytes, status: int, offset: str | None
) -> None:
    url = await begun(app, b"hel")
    said = {**PART, "Upload-Offset": "3", "Upload-Complete": "?1", "Trailer": name}

    heard = await hear(with_trailers(app, {name: digest_of(of)}), "PATCH", url, said, b"lo", is_sized=False)

    assert (heard.status, heard.fields.get("upload-offset")) == (status, offset)


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
async def test_r37_a_digest_behind_a_plain_body_is_compared_too(app: Starlette, world: World, name: str) -> None:
    for of, status in ((b"hello", 201), (b"other", 400)):
        other = with_trailers(app, {name: digest_of(of)})
        assert (await hear(other, "POST", "/files", {"Trailer": name}, b"hello", is_sized=False)).status == status
    assert (await hear(with_trailers(app, {}), "POST", "/files", {"Trailer": name}, b"x", is_sized=False)).status == 201

    assert len(await blob_keys(world)) == 2


async def test_r37_nobody_completes_what_is_still_to_be_compared(app: Starlette, world: World) -> None:
    said = {**LAST, "Repr-Digest": digest_of(b"other")}
    await cut_request(app, "POST", "/files", {**said, "Content-Length": "5"}, b"hel", then=at_once)
    url = await only_upload(world)
    sink = await world.blobs.append(url[7:], at=3)  # and a crash between its last byte and the comparison
    assert sink.write([b"lo"], 2) is None
    await sink.close(complete=True)

    await world.engine.sweeper.sweep()

    assert (await hear(app, "HEAD", url, V8)).fields["upload-complete"] == "?0"
    assert (await patched(app, url, 5, b"", last=True)).status == 400
    assert (await hear(app, "HEAD", url, V8)).status == 410


@pytest.mark.parametrize("data", [b"hello", b""])
@pytest.mark.parametrize("fields", [LAST, {}])
async def test_r37_the_wanted_digest_is_told_of_the_whole(app: Starlette, fields: dict[str, str], data: bytes) -> None:
    wanted = {"Want-Repr-Digest": "sha-256=5, unixsum=9"}

    heard = await hear(app, "POST", "/files", {**fields, **wanted}, data)

    assert heard.fields["repr-digest"] == digest_of(data)


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
async def test_r37_a_plain_body_with_another_digest_leaves_nothing(app: Starlette, world: World, field: str) -> None:
    assert (await hear(app, "POST", "/files", {field: digest_of(b"hello")}, b"hello")).status == 201
    heard = await hear(app, "POST", "/files", {field: digest_of(b"low")}, b"hello")

    assert (heard.status, heard.fields["upload-complete"]) == (400, "?1")
    assert len(await blob_keys(world)) == 1


# Cancellation


async def test_r31_a_cancelled_upload_is_gone(app: Starlette, world: World) -> None:
    url = await begun(app, b"hello")

    heard = await hear(app, "DELETE", url, V8)

    assert heard.status == 204
    assert (await hear(app, "HEAD", url, V8)).status == 410
    assert await blob_keys(world) == set()


async def test_r31_r32_a_cancel_ends_the_body_that_comes(app: Starlette, world: World) -> None:
    url = await begun(app)

    async def cancel() -> None:
        assert (await hear(app, "DELETE", url, V8)).status == 204

    said = {**PART, "Upload-Offset": "0", "Upload-Complete": "?1", "Content-Length": "9"}
    older = asyncio.create_task(cut_request(app, "PATCH", url, said, b"hello", then=lambda: asyncio.sleep(5)))
    await asyncio.sleep(0.02)
    await cancel()

    start = (await older)[0]
    assert start["status"] == 423
    assert await blob_keys(world) == set()


# Discovery


@pytest.mark.parametrize("fields", [{}, V8, {"Tus-Resumable": "1.0.0"}])
async def test_r6_options_says_the_limits_to_whoever_asks(app: Starlette, fields: dict[str, str]) -> None:
    heard = await hear(app, "OPTIONS", "/files", fields)

    assert heard.status == 204
    assert heard.fields["upload-limit"] == f"max-size={512 * KIB * KIB}, max-age=86400"
    assert heard.fields["accept-patch"] == "application/partial-upload"
    assert ("tus-version" in heard.fields) == (fields != V8)


async def test_r6_options_names_the_methods(app: Starlette) -> None:
    assert (await hear(app, "OPTIONS", "/files", V8)).fields["allow"] == "OPTIONS, POST, PUT, PATCH"
    assert (await hear(app, "OPTIONS", UNKNOWN, V8)).fields["allow"] == "OPTIONS, HEAD, GET, PATCH, DELETE"
    heard = await hear(app, "PUT", UNKNOWN, V8, b"x")
    assert (heard.status, heard.fields["allow"]) == (405, "OPTIONS, HEAD, GET, PATCH, DELETE")


# Who may, and faults


async def test_r38_another_ones_upload_is_as_unknown(app: Starlette) -> None:
    url = await begun(app, b"hello", X_User_Id="ann")

    assert (await hear(app, "HEAD", url, {**V8, "X-User-Id": "bob"})).status == 404
    assert (await patched(app, url, 5, b"x", X_User_Id="bob")).status == 404
    assert (await hear(app, "DELETE", url, {**V8, "X-User-Id": "bob"})).status == 404
    assert (await hear(app, "HEAD", url, {**V8, "X-User-Id": "ann"})).status == 204


async def test_a_fault_of_ours_says_that_the_upload_goes_on(
    app: Starlette, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await begun(app, b"hello")

    async def fail(*_: object, **__: object) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(world.blobs, "append", fail)
    heard = await patched(app, url, 5, b"x", last=True)

    assert heard.status == 503
    assert (heard.fields["upload-complete"], heard.fields["upload-offset"]) == ("?0", "5")
    assert "retry-after" in heard.fields


async def test_a_field_that_is_there_twice_is_refused(app: Starlette) -> None:
    heard = await hear(app, "PATCH", UNKNOWN, {**PART, "Upload-Offset": "0", "upload-offset": "1"})

    assert heard.status == 400


# Clients that know nothing of it


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("POST", "/files", "unnamed"),
        ("PUT", "/files?filename=a%20b.txt", "a b.txt"),
        ("PUT", "/files/photo%20%C3%BC.txt", "photo ü.txt"),
        ("POST", "/files/", "unnamed"),
    ],
)
@pytest.mark.parametrize("fields", [{}, {"Upload-Complete": "yes"}])
async def test_r3_a_plain_body_becomes_a_file(
    app: Starlette, world: World, method: str, target: str, name: str, fields: dict[str, str]
) -> None:
    curls = {"Content-Type": "application/x-www-form-urlencoded", **fields}

    heard = await hear(app, method, target, curls, b"hello")

    file = heard.json()
    assert heard.status == 201
    assert (file["filename"], file["content_type"]) == (name, "text/plain")
    assert heard.fields["location"] == f"/api/v1/files/{file['file_id']}/content"
    assert await stored_bytes(world, file["file_id"]) == b"hello"


async def test_a_plain_body_that_is_cut_leaves_nothing(app: Starlette, world: World) -> None:
    await cut_request(app, "POST", "/files", {"Content-Length": "5"}, b"he", then=at_once)

    assert await blob_keys(world) == set()
    assert (await world.engine.uploads.list(NOBODY)).rows == []


async def test_an_address_below_which_we_are_mounted_is_named(world: World) -> None:
    outer = Starlette(routes=[Mount("/media", app_of(world))])

    heard = await hear(outer, "POST", "/media/files", MORE)

    assert heard.fields["location"].startswith("/media/files/")
    assert (await hear(outer, "HEAD", heard.fields["location"], V8)).status == 204
    whole = await hear(outer, "POST", "/media/files", LAST, b"x")
    assert whole.fields["location"].startswith("/media/api/v1/files/")


# With the other protocols


async def test_an_upload_of_the_draft_is_continued_over_tus(app: Starlette, world: World) -> None:
    url = await begun(app, b"hello ", Upload_Length="11")

    chunk = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "6"}
    heard = await hear(app, "PATCH", url, chunk, b"world")

    assert (heard.status, heard.fields["upload-offset"]) == (204, "11")
    assert (await hear(app, "HEAD", url, V8)).fields["upload-complete"] == "?1"
    assert await stored_bytes(world, url[7:]) == b"hello world"


async def test_an_upload_of_tus_is_continued_over_the_draft(app: Starlette, world: World) -> None:
    created = await hear(app, "POST", "/files", {**TUS, "Upload-Length": "11"})
    url = created.fields["location"]

    assert (await patched(app, url, 0, b"hello ")).status == 204
    assert (await hear(app, "HEAD", url, TUS)).fields["upload-offset"] == "6"
    assert (await patched(app, url, 6, b"world", last=True)).status == 201
    assert await stored_bytes(world, url[7:]) == b"hello world"
