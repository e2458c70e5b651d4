"""FilePond's server protocol, item by item (F1 to F12 of the checklist), on a real engine in memory."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import unquote

import httpx
import pytest
from starlette.applications import Starlette

from tests.engine.world import ANN, World, blob_keys, content, memory_world
from tests.http.test_problems import EXPECTED
from tests.protocols.asgi import at_once, client_of, cut_request
from uploadstream.core.access import Caller
from uploadstream.core.errors import BadField, LengthMismatch, Refusal, TooLarge, every_refusal
from uploadstream.core.files import Action, File
from uploadstream.core.media import SNIFF_BYTES
from uploadstream.core.session import Limits
from uploadstream.core.sizes import KIB
from uploadstream.engine.chunks import Chunks
from uploadstream.http.cors import EXPOSED
from uploadstream.ports import Remote, Web
from uploadstream.protocols.filepond.endpoint import FilePond, out_of
from uploadstream.protocols.filepond.fields import CHUNK_TYPE, read_remote, write_disposition, write_refusal
from uploadstream.protocols.filepond.forms import FORM_BYTES_MAX

URL = "/filepond"
NOBODY = Caller()
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DATA = bytes(range(256)) * 4
CHUNK = 300


class OneFile:
    """Another server, which has one file."""

    def __init__(
        self,
        data: bytes,
        *,
        size: int | None = None,
        error: Refusal | None = None,
        name: str = "remote.bin",
        disposition: str | None = None,
        content_type: str = "application/x-test",
        first: int = 10,
    ) -> None:
        self.remote = (name, disposition, content_type, size)
        self.data, self.error, self.first = data, error, first
        self.asked: list[str] = []

    @asynccontextmanager
    async def get(self, url: str, *, size_max: int) -> AsyncIterator[Remote]:
        self.asked.append(url)

        if url == "http://nowhere.test/":
            raise BadField("fetch", "nowhere.test is not known")
        yield self.answer()

    def answer(self) -> Remote:
        return Remote(*self.remote, self.pieces())

    async def pieces(self) -> AsyncIterator[bytes]:
        if self.data:
            yield self.data[: self.first]
        if self.error is not None:
            raise self.error
        if self.data:
            yield self.data[self.first :]


def app_of(world: World, web: Web | None = None) -> Starlette:
    engine = world.engine
    chunks = Chunks(engine.uploads, patience_seconds=0.2)
    return Starlette(routes=FilePond(engine.uploads, chunks, engine.downloads, web).routes())


@pytest.fixture
async def world() -> World:
    return memory_world()


@pytest.fixture
async def app(world: World) -> Starlette:
    return app_of(world)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


def form(*parts: tuple[str | None, bytes, str | None]) -> list[tuple[str, tuple[str | None, bytes, str | None]]]:
    """Parts of a form under one name, as FilePond sends them."""
    return [("filepond", part) for part in parts]


def metadata(value: object) -> tuple[None, bytes, None]:
    return (None, json.dumps(value).encode(), None)


async def processed(client: httpx.AsyncClient, data: bytes = DATA, name: str = "a.bin") -> str:
    """The id of a file sent whole."""
    answer = await client.post(URL, files=form(metadata({}), (name, data, "application/octet-stream")))
    assert answer.is_success, answer.text
    return answer.text


async def begun(client: httpx.AsyncClient, length: int | None = len(DATA), **fields: str) -> str:
    """The id of an upload that will come in chunks."""
    said = {} if length is None else {"Upload-Length": str(length)}
    answer = await client.post(URL, files=form(metadata({})), headers={**said, **fields})
    assert answer.is_success, answer.text
    return answer.text


def chunk_fields(at: int, length: int, name: str = "a.bin") -> dict[str, str]:
    spelled = name.encode().decode("latin-1")
    return {
        "Content-Type": CHUNK_TYPE,
        "Upload-Offset": str(at),
        "Upload-Length": str(length),
        "Upload-Name": spelled,
    }


async def patched(
    client: httpx.AsyncClient, upload_id: str, at: int, chunk: bytes, *, length: int = len(DATA), name: str = "a.bin"
) -> httpx.Response:
    fields = [(key.encode(), value.encode("latin-1")) for key, value in chunk_fields(at, length, name).items()]
    return await client.patch(f"{URL}?patch={upload_id}", headers=fields, content=chunk)


async def resumed_at(client: httpx.AsyncClient, upload_id: str) -> int:
    answer = await client.head(f"{URL}?patch={upload_id}")
    assert answer.status_code == HTTPStatus.OK
    return int(answer.headers["Upload-Offset"])


async def sent_in_chunks(
    client: httpx.AsyncClient, upload_id: str, data: bytes, *, size: int = CHUNK, below: int = 0, name: str = "a.bin"
) -> None:
    """All chunks as processFileChunked has them, but for those that start below where HEAD said."""
    for start in range(0, len(data) // size * size + 1, size):
        if start >= below:
            answer = await patched(client, upload_id, start, data[start : start + size], length=len(data), name=name)
            assert answer.is_success, answer.text


async def file_of(world: World, file_id: str) -> File:
    return await world.engine.files.describe(file_id, NOBODY)


async def assert_stored(world: World, file_id: str, data: bytes) -> None:
    assert await content(world.engine, await file_of(world, file_id)) == data


# F1


async def test_f1_the_id_of_a_file_is_the_whole_body(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.post(URL, files=form(metadata({}), ("a.txt", b"abc", "text/plain")))

    assert answer.status_code == HTTPStatus.CREATED
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert ID.fullmatch(answer.text)
    file = await file_of(world, answer.text)
    assert (file.filename, file.content_type, file.size, file.protocol) == ("a.txt", "text/plain", 3, "filepond")
    await assert_stored(world, file.id, b"abc")


async def test_f1_a_transfer_id_is_the_whole_body_and_the_id_of_upload_and_file(
    client: httpx.AsyncClient, world: World
) -> None:
    answer = await client.post(URL, files=form(metadata({})), headers={"Upload-Length": str(len(DATA))})

    assert answer.status_code == HTTPStatus.CREATED
    assert ID.fullmatch(answer.text)
    assert [row.id for row in (await world.engine.uploads.list(NOBODY)).rows] == [answer.text]
    await sent_in_chunks(client, answer.text, DATA)
    await assert_stored(world, answer.text, DATA)


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
async def test_f1_an_upload_is_reverted_by_its_id_as_body(client: httpx.AsyncClient, world: World, url: str) -> None:
    file_id, upload_id = await processed(client), await begun(client)
    await patched(client, upload_id, 0, DATA[:CHUNK])

    answers = [await client.request("DELETE", url, content=one) for one in (file_id, upload_id)]

    assert [(answer.status_code, answer.text) for answer in answers] == [(HTTPStatus.NO_CONTENT, "")] * 2
    assert (await client.head(f"{URL}?patch={upload_id}")).status_code == HTTPStatus.GONE
    assert (await client.get(f"{URL}?restore={file_id}")).status_code == HTTPStatus.GONE
    assert await blob_keys(world) == {file_id}  # it is in the trash


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 404), (UNKNOWN.encode(), 404), (b"\xff" * 50, 404), (b"a" * 300, 400)]
)
async def test_f1_nothing_is_reverted_by_what_is_no_id(client: httpx.AsyncClient, body: bytes, status: int) -> None:
    answer = await client.request("DELETE", URL, content=body)

    assert answer.status_code == status


async def test_f1_an_error_is_a_sentence_that_can_be_shown(client: httpx.AsyncClient) -> None:
    answer = await client.head(f"{URL}?patch={UNKNOWN}")
    shown = await client.get(f"{URL}?restore={UNKNOWN}")

    assert answer.status_code == shown.status_code == HTTPStatus.NOT_FOUND
    assert shown.headers["Content-Type"].startswith("text/plain")
    assert shown.text == f"No file {UNKNOWN}"


def test_f1_every_refusal_has_a_status_outside_of_success() -> None:
    for cls in every_refusal():
        error = cls.__new__(cls)
        assert write_refusal(error, "POST") == EXPECTED[cls]
        assert write_refusal(error, "PATCH") == (413 if cls is LengthMismatch else EXPECTED[cls])


@pytest.mark.parametrize("method", ["PUT", "TRACE"])
async def test_f1_other_methods_are_none(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, URL)
    options = await client.options(URL)

    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert options.status_code == HTTPStatus.NO_CONTENT
    assert answer.headers["Allow"] == options.headers["Allow"] == "POST, PATCH, HEAD, GET, DELETE, OPTIONS"


async def test_f1_the_metadata_of_a_file_is_kept(client: httpx.AsyncClient, world: World) -> None:
    said = {"author": "Zoë", "tags": ["a", {"b": 1}]}
    answer = await client.post(URL, files=form(metadata(said), ("a.txt", b"abc", "text/plain")))
    chunked = await client.post(URL, files=form(metadata(said)), headers={"Upload-Length": "3"})

    kept = [
        (await file_of(world, answer.text)).metadata,
        (await world.engine.uploads.status(chunked.text, NOBODY)).session.declared.metadata,
    ]
    for one in kept:
        key, value = one.split(" ")
        assert key == "filepond"
        assert json.loads(base64.b64decode(value)) == said


@pytest.mark.parametrize("value", [b"{", b"{'a': 1}", b'{"a":' * 1000, b'{"a":\xff}'])
async def test_f1_metadata_that_is_no_json_is_refused(client: httpx.AsyncClient, world: World, value: bytes) -> None:
    answer = await client.post(URL, files=form((None, value, None), ("a.txt", b"abc", "text/plain")))

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "must be a JSON object" in answer.text
    assert await blob_keys(world) == set()


@pytest.mark.parametrize("value", [b"", b"text", b"{}", b"[1]"])
async def test_f1_a_field_that_is_no_metadata_is_nothing(client: httpx.AsyncClient, world: World, value: bytes) -> None:
    answer = await client.post(URL, files=form((None, value, None), ("a.txt", b"abc", "text/plain")))

    assert (await file_of(world, answer.text)).metadata == ""


@pytest.mark.parametrize(
    ("files", "status", "why"),
    [
        (form(("a.txt", b"x", "text/plain"), ("b.txt", b"y", "text/plain")), 400, "must have one file, has more"),
        (form(("a/b.txt", b"x", "text/plain")), 400, "filename: must not have separators"),
        (form(("a.png", b"plain text" * 100, "image/png")), 415, "Declared image/png, content is text/plain"),
        (form(("a.txt", b"x" * 2000, "text/plain")), 413, "exceeds limit of 1 KiB"),
    ],
)
async def test_f1_of_a_form_that_is_refused_nothing_is_left(
    world: World, files: list[tuple[str, tuple[str | None, bytes, str | None]]], status: int, why: str
) -> None:
    world.start(limits=Limits(file_size_max=KIB))
    async with client_of(app_of(world)) as client:
        answer = await client.post(URL, files=files)

    assert answer.status_code == status
    assert why in answer.text
    assert await blob_keys(world) == set()


async def test_f1_a_form_that_cannot_fit_is_refused_before_it_is_read(world: World) -> None:
    world.start(limits=Limits(file_size_max=KIB))
    async with client_of(app_of(world)) as client:
        fields = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(FORM_BYTES_MAX + KIB + 1)}
        answer = await client.post(URL, content=b"no form at all", headers=fields)

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_f1_of_a_form_that_is_cut_nothing_is_left(app: Starlette, world: World) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
    fields = {"Content-Type": "multipart/form-data; boundary=b"}

    sent = await cut_request(app, "POST", URL, fields, head, b"x" * 1000, then=at_once)

    assert sent[0]["status"] == HTTPStatus.BAD_REQUEST
    assert await blob_keys(world) == set()
    assert (await world.engine.files.list(NOBODY)).rows == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, 415), ({"Content-Type": "text/plain"}, 415), ({"Content-Type": "multipart/form-data; boundary=b"}, 400)],
)
async def test_f1_what_is_neither_a_form_nor_a_length_is_refused(
    client: httpx.AsyncClient, fields: dict[str, str], status: int
) -> None:
    assert (await client.post(URL, headers=fields)).status_code == status


@pytest.mark.parametrize("spelled", [{"X-User-Id": "ann"}, {}])
async def test_f1_the_user_is_named_by_a_field_or_in_the_link(
    client: httpx.AsyncClient, spelled: dict[str, str]
) -> None:
    query = "" if spelled else "user_id=ann"
    whole = await client.post(f"{URL}?{query}", files=form(("a.txt", b"abc", "text/plain")), headers=spelled)
    chunked = await client.post(f"{URL}?{query}", files=form(metadata({})), headers={"Upload-Length": "3", **spelled})

    for key, found in (("restore", whole.text), ("patch", chunked.text)):
        mine = await client.head(f"{URL}?{key}={found}&{query}", headers=spelled)
        others = await client.head(f"{URL}?{key}={found}", headers={"X-User-Id": "bob"})
        assert (mine.status_code, others.status_code) == (HTTPStatus.OK, HTTPStatus.NOT_FOUND)


# F2


@pytest.mark.parametrize("size", [7, CHUNK, len(DATA) // 2, len(DATA) - 1, len(DATA), len(DATA) + 1])
async def test_f2_chunks_of_any_size_make_the_file(client: httpx.AsyncClient, world: World, size: int) -> None:
    upload_id = await begun(client)

    await sent_in_chunks(client, upload_id, DATA, size=size)

    await assert_stored(world, upload_id, DATA)


async def test_f2_a_file_that_is_sent_whole_may_say_its_length(client: httpx.AsyncClient) -> None:
    files = form(("a.txt", b"abc", "text/plain"))

    right = await client.post(URL, files=files, headers={"Upload-Length": "3"})
    wrong = await client.post(URL, files=files, headers={"Upload-Length": "4"})

    assert right.status_code == HTTPStatus.CREATED
    assert (wrong.status_code, wrong.text) == (HTTPStatus.BAD_REQUEST, "Received 3 bytes, declared 4")


# F3


@pytest.mark.parametrize("name", ["a.bin", "Zürich 🎬.bin", "100%.bin", "a b;c.bin"])
async def test_f3_the_name_comes_with_the_first_chunk_as_raw_utf8(
    client: httpx.AsyncClient, world: World, name: str
) -> None:
    upload_id = await begun(client)

    await sent_in_chunks(client, upload_id, DATA, name=name)

    assert (await file_of(world, upload_id)).filename == name


async def test_f3_a_name_of_latin_1_is_read_too(client: httpx.AsyncClient, world: World) -> None:
    upload_id = await begun(client, 3)

    fields = {**chunk_fields(0, 3), "Upload-Name": "café.txt"}
    latin = [(key.encode(), value.encode("latin-1")) for key, value in fields.items()]
    await client.patch(f"{URL}?id={upload_id}", headers=latin, content=b"abc")

    assert (await file_of(world, upload_id)).filename == "café.txt"


async def test_f3_a_name_that_cannot_be_one_is_refused(client: httpx.AsyncClient) -> None:
    answer = await patched(client, await begun(client), 0, DATA[:CHUNK], name="a/b.bin")

    assert (answer.status_code, answer.text) == (HTTPStatus.BAD_REQUEST, "filename: must not have separators, has /")


async def test_f3_a_name_given_before_stays(client: httpx.AsyncClient, world: World) -> None:
    upload_id = await begun(client, 3, **{"Upload-Name": "first.txt"})

    await patched(client, upload_id, 0, b"abc", length=3, name="second.txt")

    assert (await file_of(world, upload_id)).filename == "first.txt"


# F4, F5


async def test_f4_a_last_empty_chunk_is_accepted(client: httpx.AsyncClient, world: World) -> None:
    upload_id = await begun(client, 600)
    for start in (0, 300):
        assert (await patched(client, upload_id, start, DATA[start : start + 300], length=600)).is_success

    answers = [await patched(client, upload_id, 600, b"", length=600) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [HTTPStatus.NO_CONTENT] * 2
    await assert_stored(world, upload_id, DATA[:600])


async def test_f5_an_upload_is_complete_when_its_length_is_reached(client: httpx.AsyncClient, world: World) -> None:
    upload_id = await begun(client, 3)

    before = await world.engine.uploads.status(upload_id, NOBODY)
    answer = await patched(client, upload_id, 0, b"abc", length=3)

    assert before.file is None
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (HTTPStatus.NO_CONTENT, "3")
    await assert_stored(world, upload_id, b"abc")


async def test_f5_a_file_of_no_bytes_is_complete_with_its_one_empty_chunk(
    client: httpx.AsyncClient, world: World
) -> None:
    upload_id = await begun(client, 0)

    assert (await patched(client, upload_id, 0, b"", length=0, name="empty.txt")).is_success

    file = await file_of(world, upload_id)
    assert (file.size, file.filename) == (0, "empty.txt")


async def test_f5_a_file_of_no_bytes_is_complete_when_it_is_sent_whole(client: httpx.AsyncClient, world: World) -> None:
    await assert_stored(world, await processed(client, b""), b"")


# F6, F7


@pytest.mark.parametrize("kept", [0, 1, CHUNK - 1, CHUNK])
async def test_f6_a_chunk_that_was_cut_is_sent_again_at_the_same_offset(
    app: Starlette, client: httpx.AsyncClient, world: World, kept: int
) -> None:
    upload_id = await begun(client)
    await patched(client, upload_id, 0, DATA[:CHUNK])
    fields = {**chunk_fields(CHUNK, len(DATA)), "Content-Length": str(CHUNK)}
    came = DATA[CHUNK : CHUNK + kept]
    await cut_request(app, "PATCH", f"{URL}?patch={upload_id}", fields, came, then=at_once)

    await sent_in_chunks(client, upload_id, DATA, below=CHUNK)

    await assert_stored(world, upload_id, DATA)


@pytest.mark.parametrize("last", [CHUNK, len(DATA)])
async def test_f6_a_chunk_whose_answer_was_lost_is_accepted_again(
    client: httpx.AsyncClient, world: World, last: int
) -> None:
    upload_id = await begun(client)
    await sent_in_chunks(client, upload_id, DATA[:last]) if last < CHUNK else None
    for start in range(0, last, CHUNK):
        await patched(client, upload_id, start, DATA[start : start + CHUNK])

    answer = await patched(client, upload_id, last - last % CHUNK or 0, DATA[last - last % CHUNK : last])

    assert answer.status_code == HTTPStatus.NO_CONTENT
    assert (await world.engine.uploads.status(upload_id, NOBODY)).session.offset == last


async def test_f6_another_file_does_not_go_on_with_an_upload(client: httpx.AsyncClient) -> None:
    upload_id = await begun(client)
    await patched(client, upload_id, 0, DATA[:CHUNK])

    answer = await patched(client, upload_id, 0, bytes(CHUNK))

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.text == "body: bytes 0 to 300 are not those that came before; is it the same file?"


async def test_f6_a_gap_is_refused_with_the_place_where_to_go_on(client: httpx.AsyncClient) -> None:
    answer = await patched(client, await begun(client), CHUNK, DATA[CHUNK : 2 * CHUNK])

    assert (answer.status_code, answer.text) == (HTTPStatus.CONFLICT, "Next byte belongs at 0, not at 300")


@pytest.mark.parametrize("cut_at", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 50, 3 * CHUNK + 100, len(DATA) - 1])
async def test_f7_head_answers_the_start_of_a_chunk_and_nothing_is_lost(
    app: Starlette, client: httpx.AsyncClient, world: World, cut_at: int
) -> None:
    upload_id = await begun(client)
    for start in range(0, cut_at, CHUNK):
        size = min(CHUNK, len(DATA) - start)
        fields = {**chunk_fields(start, len(DATA)), "Content-Length": str(size)}
        came = DATA[start : min(start + size, cut_at)]
        await cut_request(app, "PATCH", f"{URL}?patch={upload_id}", fields, came, then=at_once)

    at = await resumed_at(client, upload_id)

    assert at == cut_at - cut_at % CHUNK
    await sent_in_chunks(client, upload_id, DATA, below=at)
    await assert_stored(world, upload_id, DATA)


async def test_f7_an_upload_of_another_protocol_begins_anew_and_keeps_what_is_there(
    client: httpx.AsyncClient, world: World
) -> None:
    upload_id = await begun(client)
    sink = await world.blobs.append(upload_id, at=0)
    assert sink.write([DATA[:450]], 450) is None
    await sink.close(complete=False)

    at = await resumed_at(client, upload_id)

    assert at == 0
    await sent_in_chunks(client, upload_id, DATA)
    await assert_stored(world, upload_id, DATA)


@pytest.mark.parametrize("size", [350, 500, 512, 700, 900])
async def test_f7_a_sender_that_changed_its_chunks_finds_its_place(
    client: httpx.AsyncClient, world: World, size: int
) -> None:
    upload_id = await begun(client)
    for start in (0, CHUNK):
        await patched(client, upload_id, start, DATA[start : start + CHUNK])

    at = await resumed_at(client, upload_id)  # 600: no start of a chunk of this size
    after = -(-at // size) * size
    refused = await patched(client, upload_id, after, DATA[after : after + size])
    again = await resumed_at(client, upload_id)

    assert refused.status_code == HTTPStatus.CONFLICT
    assert again % size == 0
    await sent_in_chunks(client, upload_id, DATA, size=size, below=again)
    await assert_stored(world, upload_id, DATA)


async def test_f7_a_complete_upload_answers_its_length(client: httpx.AsyncClient) -> None:
    upload_id = await begun(client)
    await sent_in_chunks(client, upload_id, DATA)

    answer = await client.head(f"{URL}?patch={upload_id}")

    assert answer.headers["Upload-Offset"] == answer.headers["Upload-Length"] == str(len(DATA))
    assert answer.headers["Cache-Control"] == "no-store"


# F8


async def test_f8_an_upload_may_begin_without_a_length(client: httpx.AsyncClient, world: World) -> None:
    upload_id = await begun(client, None)

    assert "Upload-Length" not in (await client.head(f"{URL}?patch={upload_id}")).headers
    await sent_in_chunks(client, upload_id, DATA)
    await assert_stored(world, upload_id, DATA)


@pytest.mark.parametrize(
    ("fields", "status", "why"),
    [
        ({"Upload-Offset": "0"}, 204, ""),
        ({"Upload-Offset": "0", "Content-Type": "application/octet-stream"}, 204, ""),
        ({"Upload-Offset": "0", "Content-Type": "multipart/form-data; boundary=b"}, 415, "Content-Type: must be"),
        ({}, 400, "Upload-Offset: is missing"),
        ({"Upload-Offset": "-1"}, 400, "Upload-Offset: must be a whole number"),
        ({"Upload-Offset": "9" * 30}, 400, "Upload-Offset: must be a whole number"),
        ({"Upload-Offset": "0", "Upload-Length": "x"}, 400, "Upload-Length: must be a whole number"),
        ({"Upload-Offset": "0", "Upload-Length": "4"}, 400, "size: is 4 here, was 3"),
        ({"Upload-Offset": "1"}, 409, "Next byte belongs at 0, not at 1"),
    ],
)
async def test_f8_a_chunk_needs_its_offset_and_no_more(
    client: httpx.AsyncClient, fields: dict[str, str], status: int, why: str
) -> None:
    upload_id = await begun(client, 3)

    answer = await client.patch(f"{URL}?patch={upload_id}", headers=fields, content=b"abc")

    assert answer.status_code == status
    assert why in answer.text


async def test_f8_more_than_the_length_is_refused(client: httpx.AsyncClient) -> None:
    answer = await patched(client, await begun(client, 3), 0, b"abcd", length=3)

    assert (answer.status_code, answer.text) == (413, "Received 4 bytes, declared 3")


@pytest.mark.parametrize("name", ["Upload-Offset", "Upload-Length", "Upload-Name", "X-User-Id"])
async def test_f8_a_field_that_is_there_twice_is_refused(client: httpx.AsyncClient, name: str) -> None:
    fields = [*chunk_fields(0, 3).items(), (name, "0"), (name, "0")]

    answer = await client.patch(f"{URL}?patch={UNKNOWN}", headers=fields, content=b"abc")

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert f"{name}: must be there once" in answer.text


@pytest.mark.parametrize(
    "query", ["", "?patch", "?patch=", f"?patch={UNKNOWN}&patch={UNKNOWN}", f"?patch=a&id={UNKNOWN}"]
)
async def test_f8_a_chunk_of_no_upload_is_refused(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.patch(f"{URL}{query}", headers=chunk_fields(0, 3), content=b"abc")

    assert answer.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}


# F9, F10


def test_f9_what_scripts_read_is_named_for_cors() -> None:
    assert {"Upload-Offset", "Content-Disposition", "Content-Length", "X-Content-Transfer-Id"} <= set(EXPOSED)


@pytest.mark.parametrize("key", ["restore", "load", "id"])
async def test_f9_a_file_is_restored_with_its_name_type_and_size(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post(URL, files=form(("Zürich.txt", b"abc", "text/plain")))

    got = await client.get(f"{URL}?{key}={answer.text}")
    headers = await client.head(f"{URL}?{key}={answer.text}")

    assert (got.status_code, got.content) == (HTTPStatus.OK, b"abc")
    for said in (got.headers, headers.headers):
        assert (said["Content-Type"], said["Content-Length"]) == ("text/plain", "3")
        assert said["Content-Disposition"] == "attachment; filename*=UTF-8''Z%C3%BCrich.txt"
        assert said["X-Content-Type-Options"] == "nosniff"
        assert said["Content-Security-Policy"].startswith("sandbox")


async def test_f9_an_upload_that_is_not_complete_is_no_file(client: httpx.AsyncClient) -> None:
    upload_id = await begun(client)

    assert (await client.get(f"{URL}?restore={upload_id}")).status_code == HTTPStatus.NOT_FOUND
    assert (await client.get(URL)).text == "restore: is missing in the query"
    assert (await client.head(URL)).status_code == HTTPStatus.BAD_REQUEST


def name_in(disposition: str) -> str:
    """As getFileInfoFromHeaders.js reads it, with decodeURI."""
    found = [part.strip() for part in re.split(r"filename=|filename\*=.+''", disposition)[1:]]
    found = [re.sub(r"^[\"']|[;\"']{0,2}$", "", name, count=2) for name in found]
    last = [name for name in found if name][-1]
    assert not re.search(r"%(?![0-9A-Fa-f]{2})", last), "decodeURI raises"
    kept = re.sub(r"%(2[346BCF]|3[ABDF]|40)", r"%25\1", last, flags=re.IGNORECASE)  # ;/?:@&=+$,# stay encoded
    return unquote(kept, errors="strict")


@pytest.mark.parametrize(
    "name",
    [
        "a.txt",
        "a b.txt",
        "Zürich 🎬.txt",
        "100%.txt",
        "50%25.txt",
        'a"b.txt',
        "a'b'",
        "a;b,c.txt",
        "a#b&c$d+é.txt",
        "a;",
        "é'",
    ],
)
def test_f10_filepond_reads_the_name_that_was_sent(name: str) -> None:
    disposition = write_disposition(name)

    assert disposition.startswith("attachment; filename")
    if name != "a;":
        assert name_in(disposition) == name
    assert disposition.isascii()


# F11


@pytest.fixture
def web() -> OneFile:
    return OneFile(DATA, size=len(DATA))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_f11_fetch_is_off_unless_it_was_turned_on(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, f"{URL}?fetch=https://example.org/a")

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.text in {"fetch: is off on this server", ""}


async def test_f11_a_file_of_another_server_is_handed_on(world: World, web: OneFile) -> None:
    async with client_of(app_of(world, web)) as client:
        answer = await client.get(f"{URL}?fetch=https%3A%2F%2Fexample.org%2Fa%3Fb")

    assert web.asked == ["https://example.org/a?b"]
    assert answer.content == DATA
    assert answer.headers["Content-Disposition"] == 'attachment; filename="remote.bin"'
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert await blob_keys(world) == set()


@pytest.mark.parametrize("size", [None, len(DATA)])
async def test_f11_a_file_of_another_server_is_stored_and_its_id_is_told(world: World, size: int | None) -> None:
    async with client_of(app_of(world, OneFile(DATA, size=size))) as client:
        answer = await client.head(f"{URL}?fetch=https://example.org/a", headers={"X-User-Id": "ann"})

    assert answer.status_code == HTTPStatus.OK
    file = await world.engine.files.describe(answer.headers["X-Content-Transfer-Id"], ANN)
    assert (file.filename, file.size, file.user_id) == ("remote.bin", len(DATA), "ann")
    assert answer.headers["Content-Length"] == str(len(DATA))
    await assert_stored(world, file.id, DATA)


@pytest.mark.parametrize(("error", "status"), [(TooLarge(size=2, limit=1), 413), (BadField("fetch", "a failed"), 400)])
async def test_f11_of_a_file_that_fails_nothing_is_left(world: World, error: Refusal, status: int) -> None:
    async with client_of(app_of(world, OneFile(DATA, error=error))) as client:
        answer = await client.head(f"{URL}?fetch=https://example.org/a")

    assert answer.status_code == status
    assert await blob_keys(world) == set()


async def forever() -> None:
    await asyncio.Event().wait()


async def test_f11_a_file_that_fails_while_it_is_handed_on_has_no_end(world: World) -> None:
    """F11. The browser must not take what came for the whole."""
    path = f"{URL}?fetch=https://example.org/a"
    web = OneFile(2 * DATA, first=SNIFF_BYTES)

    whole = await cut_request(app_of(world, web), "GET", path, {}, then=forever)
    web.error = BadField("fetch", "example.org broke off")
    part = await cut_request(app_of(world, web), "GET", path, {}, then=forever)

    assert whole[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert [message["more_body"] for message in part[1:]] == [True]
    assert part[1]["body"] == DATA[:SNIFF_BYTES]


async def test_f11_a_file_that_fails_before_it_can_be_known_is_refused(world: World) -> None:
    web = OneFile(DATA, error=BadField("fetch", "example.org broke off"))
    async with client_of(app_of(world, web)) as client:
        answer = await client.get(f"{URL}?fetch=https://example.org/a")

    assert (answer.status_code, answer.text) == (HTTPStatus.BAD_REQUEST, "fetch: example.org broke off")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("limits", [Limits(), Limits(allowed_types=("image/*",))], ids=["declared", "allowed"])
async def test_f11_what_comes_must_be_what_it_is_said_to_be_and_be_let_in(method: str, limits: Limits) -> None:
    world = memory_world()
    world.start(limits=limits)
    declared = "image/png" if limits == Limits() else ""
    web = OneFile(b"#!/bin/sh\nrm -r .\n", content_type=declared)
    async with client_of(app_of(world, web)) as client:
        answer = await client.request(method, f"{URL}?fetch=https://example.org/a.png")

    assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert await blob_keys(world) == set()


async def test_f11_an_empty_file_is_handed_on(world: World) -> None:
    async with client_of(app_of(world, OneFile(b"", size=0, content_type=""))) as client:
        answer = await client.get(f"{URL}?fetch=https://example.org/")

    assert (answer.content, answer.headers["Content-Length"]) == (b"", "0")
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_f11_a_load_of_a_url_is_a_fetch(world: World, web: OneFile) -> None:
    async with client_of(app_of(world, web)) as client:
        answer = await client.get(f"{URL}?load=https%3A%2F%2Fexample.org%2Fa")

    assert (answer.content, web.asked) == (DATA, ["https://example.org/a"])


@pytest.mark.parametrize(
    ("name", "disposition", "expected"),
    [
        ("a.png", None, "a.png"),
        ("a.png", 'inline; filename="b.png"', "b.png"),
        ("a.png", "attachment; filename=\"b\"; filename*=UTF-8''%C3%9C.png", "Ü.png"),
        ("a.png", 'attachment; filename="../../etc/passwd"', "passwd"),
        ("a.png", r'attachment; filename="C:\\x\\c.png"', "c.png"),
        ("a.png", 'attachment; filename=".."', "a.png"),
        ("a.png", f'attachment; filename="{"x" * 300}"', "a.png"),
        ("a.png", f'attachment; filename="{"x" * 5000}"', "a.png"),
        ("a.png", "attachment; filename*=UTF-8''a%00b", "a.png"),
        ("a\nb", None, "unnamed"),
        ("", "attachment", "unnamed"),
        ("..", "", "unnamed"),
    ],
)
def test_f11_a_name_from_another_server_is_a_name_or_none(name: str, disposition: str | None, expected: str) -> None:
    declared = read_remote(OneFile(b"", name=name, disposition=disposition).answer(), "ann")

    assert declared.filename == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("image/png; a=b", "image/png; a=b"),
        ("Application/Octet-Stream", ""),
        ("png", ""),
        ("a/" + 300 * "b", ""),
        ("", ""),
    ],
)
def test_f11_a_type_from_another_server_is_a_type_or_none(said: str, expected: str) -> None:
    assert read_remote(OneFile(b"", content_type=said).answer(), "ann").content_type == expected


async def test_f11_a_server_that_cannot_be_reached_is_said_so(world: World, web: OneFile) -> None:
    async with client_of(app_of(world, web)) as client:
        answer = await client.get(f"{URL}?fetch=http://nowhere.test/")

    assert (answer.status_code, answer.text) == (HTTPStatus.BAD_REQUEST, "fetch: nowhere.test is not known")


async def test_f11_a_file_of_another_server_waits_for_the_store() -> None:
    class Busy:
        taken = 0

        def feed(self, data: bytes) -> asyncio.Future[None] | None:
            self.taken += len(data)
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    async with OneFile(DATA).get("", size_max=0) as remote:
        busy = Busy()
        await out_of(remote)(busy)  # type: ignore[arg-type]

    assert busy.taken == len(DATA)


# F12


async def test_f12_a_5_0_begins_without_a_form_and_sends_chunks_at_once(
    client: httpx.AsyncClient, world: World
) -> None:
    answer = await client.post(URL, headers={"Upload-Length": str(len(DATA))})
    upload_id = answer.text

    async def chunk(start: int) -> httpx.Response:
        fields = chunk_fields(start, len(DATA))
        query = f"contentType=application%2Foffset%2Boctet-stream&id={upload_id}"
        return await client.patch(f"{URL}?{query}", headers=fields, content=DATA[start : start + CHUNK])

    answers = await asyncio.gather(*(chunk(start) for start in (300, 0, 900, 600)))

    assert [one.status_code for one in answers] == [HTTPStatus.NO_CONTENT] * 4
    await assert_stored(world, upload_id, DATA)


async def test_f12_a_5_0_asks_completes_and_releases_by_id(client: httpx.AsyncClient) -> None:
    upload_id = await begun(client)
    chunks = json.dumps({"chunks": [{"index": 0, "offset": 0, "size": len(DATA)}]})
    await patched(client, upload_id, 0, DATA[:CHUNK])

    at = await client.head(f"{URL}?id={upload_id}")
    early = await client.post(f"{URL}?id={upload_id}", content=chunks)
    await sent_in_chunks(client, upload_id, DATA, below=CHUNK)
    complete = await client.post(f"{URL}?id={upload_id}", content=chunks)
    about = await client.head(f"{URL}?id={upload_id}")
    released = await client.delete(f"{URL}?id={upload_id}")

    assert at.headers["Upload-Offset"] == str(CHUNK)
    assert (early.status_code, early.text) == (HTTPStatus.BAD_REQUEST, "Received 300 bytes, declared 1024")
    assert (complete.status_code, complete.text) == (HTTPStatus.OK, upload_id)
    assert about.headers["Content-Disposition"] == 'attachment; filename="a.bin"'
    assert about.headers["Content-Length"] == about.headers["Upload-Offset"] == str(len(DATA))
    assert released.status_code == HTTPStatus.NO_CONTENT


async def test_f12_an_upload_without_a_length_is_not_complete(client: httpx.AsyncClient) -> None:
    upload_id = await begun(client, None)

    assert (await client.post(f"{URL}?id={upload_id}")).status_code == HTTPStatus.BAD_REQUEST


async def test_f12_a_cut_list_of_chunks_is_answered_by_nobody(app: Starlette, client: httpx.AsyncClient) -> None:
    upload_id = await begun(client)

    sent = await cut_request(app, "POST", f"{URL}?id={upload_id}", {}, b"{", then=at_once)

    assert sent[0]["status"] == HTTPStatus.BAD_REQUEST


async def test_a_file_that_is_loaded_is_in_the_trail_if_downloads_are(client: httpx.AsyncClient, world: World) -> None:
    world.engine.downloads._audited = True
    file_id = await processed(client)

    await client.get(URL, params={"load": file_id})

    (*_, row) = (await world.engine.files.audit(file_id, NOBODY)).rows
    assert (row.action, row.details) == (Action.DOWNLOAD, {"start": "0", "bytes": str(len(DATA))})
