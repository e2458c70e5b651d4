"""FilePond's server protocol item by item, over sockets: a real server, asked as FilePond's client asks it."""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.robustness.raw_tus import RawTus, answer_on
from tests.running_server import HOST, RunningServer

URL = "/filepond"
CHUNK = 5000
DATA = os.urandom(3 * CHUNK + 1234)


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """A client of its own user, so that nobody else's uploads are seen."""
    with httpx.Client(base_url=server.http_url, headers={"X-User-Id": secrets.token_hex(8)}, timeout=60) as opened:
        yield opened


def begun(client: httpx.Client, length: int | None) -> str:
    """The transfer id that the form with nothing but metadata gets."""
    said = {} if length is None else {"Upload-Length": str(length)}
    answer = client.post(URL, files=[("filepond", (None, b"{}", None))], headers=said)
    assert answer.is_success, answer.text
    return answer.text


def sent(
    client: httpx.Client, transfer: str, at: int, chunk: bytes, *, length: int = len(DATA), name: str = "a.bin"
) -> httpx.Response:
    fields = {
        b"Content-Type": b"application/offset+octet-stream",
        b"Upload-Offset": str(at).encode(),
        b"Upload-Length": str(length).encode(),
        b"Upload-Name": name.encode(),
    }
    return client.patch(f"{URL}?patch={transfer}", headers=fields, content=chunk)


def restored(client: httpx.Client, file_id: str) -> httpx.Response:
    answer = client.get(f"{URL}?restore={file_id}")
    assert answer.status_code == 200, answer.text
    return answer


def cut(server: RunningServer, client: httpx.Client, transfer: str, at: int, came: bytes) -> None:
    """A chunk of which only the beginning comes, before its connection ends."""
    tus = RawTus(HOST, server.http_port)
    fields = {
        "Host": HOST,
        "X-User-Id": client.headers["X-User-Id"],
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(at),
        "Upload-Length": str(len(DATA)),
        "Content-Length": str(CHUNK),
    }
    lines = [f"PATCH {URL}?patch={transfer} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    with tus.connect() as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + came)
        connection.shutdown(1)  # no more will come, and the answer is waited for
        try:
            assert answer_on(connection).status >= 400
        except ConnectionError:
            return


def test_f1_the_body_of_an_answer_is_the_id_and_nothing_else(client: httpx.Client) -> None:
    whole = client.post(URL, files=[("filepond", (None, b"{}", None)), ("filepond", ("a.bin", DATA, "x/y"))])
    begin = client.post(URL, files=[("filepond", (None, b"{}", None))], headers={"Upload-Length": "3"})

    for answer in (whole, begin):
        assert answer.is_success
        assert re.fullmatch(rb"[0-9a-f-]{36}", answer.content)
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert restored(client, whole.text).content == DATA
    for transfer in (whole.text, begin.text):
        assert client.request("DELETE", URL, content=transfer).is_success
        assert client.get(f"{URL}?restore={transfer}").status_code in {404, 410}


def test_f1_an_error_is_no_success_and_can_be_shown(client: httpx.Client) -> None:
    answer = client.post(URL, files=[("filepond", ("a.png", b"plain text" * 100, "image/png"))])

    assert (answer.status_code, answer.text) == (415, "Declared image/png, content is text/plain")


@pytest.mark.parametrize("size", [CHUNK, 1, len(DATA)])
def test_f2_f3_a_file_comes_in_chunks_of_any_size_and_is_named_by_the_first(client: httpx.Client, size: int) -> None:
    data = DATA if size > 1 else DATA[:7]
    transfer = begun(client, len(data))

    for start in range(0, len(data), size):
        answer = sent(client, transfer, start, data[start : start + size], length=len(data), name="Zürich 🎬.bin")
        assert answer.is_success, answer.text

    file = restored(client, transfer)
    assert file.content == data
    assert "Z%C3%BCrich%20%F0%9F%8E%AC.bin" in file.headers["Content-Disposition"]


def test_f4_f5_a_last_chunk_may_be_empty_and_the_length_is_the_end(client: httpx.Client) -> None:
    transfer, empty = begun(client, 2 * CHUNK), begun(client, 0)
    sent(client, transfer, 0, DATA[:CHUNK], length=2 * CHUNK)
    before = client.get(f"{URL}?restore={transfer}")
    sent(client, transfer, CHUNK, DATA[CHUNK : 2 * CHUNK], length=2 * CHUNK)

    last = sent(client, transfer, 2 * CHUNK, b"", length=2 * CHUNK)
    only = sent(client, empty, 0, b"", length=0, name="empty.txt")

    assert (before.status_code, last.is_success, only.is_success) == (404, True, True)
    assert restored(client, transfer).content == DATA[: 2 * CHUNK]
    assert restored(client, empty).content == b""


@pytest.mark.parametrize("came", [0, 1, CHUNK - 1])
def test_f6_f7_a_chunk_that_was_cut_comes_again_at_its_start(
    client: httpx.Client, server: RunningServer, came: int
) -> None:
    transfer = begun(client, len(DATA))
    sent(client, transfer, 0, DATA[:CHUNK])
    cut(server, client, transfer, CHUNK, DATA[CHUNK : CHUNK + came])

    head = client.head(f"{URL}?patch={transfer}")
    answers = [
        sent(client, transfer, at, DATA[at : at + CHUNK])
        for at in (CHUNK, CHUNK, 2 * CHUNK, 3 * CHUNK)  # the first of them twice, as after a lost answer
    ]

    assert (head.status_code, head.headers["Upload-Offset"]) == (200, str(CHUNK))
    assert all(answer.is_success for answer in answers), [answer.text for answer in answers]
    assert restored(client, transfer).content == DATA


def test_f6_another_file_is_not_mixed_in(client: httpx.Client) -> None:
    transfer = begun(client, len(DATA))
    sent(client, transfer, 0, DATA[:CHUNK])

    assert sent(client, transfer, 0, bytes(CHUNK)).status_code == 400
    assert sent(client, transfer, 2 * CHUNK, DATA[2 * CHUNK : 3 * CHUNK]).status_code == 409


def test_f8_a_client_with_fields_of_its_own_says_the_least(client: httpx.Client) -> None:
    transfer = begun(client, None)
    said = {"Upload-Offset": "0", "Upload-Length": "3"}

    assert client.patch(f"{URL}?patch={transfer}", content=b"abc").status_code == 400
    assert client.patch(f"{URL}?patch={transfer}", headers=said, content=b"abc").is_success
    assert restored(client, transfer).content == b"abc"


def test_f9_scripts_of_other_origins_may_ask_and_read(client: httpx.Client) -> None:
    origin = {"Origin": "https://page.test"}
    asks = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "upload-offset,upload-name"}
    transfer = begun(client, 3)

    preflight = client.options(URL, headers={**origin, **asks})
    head = client.head(f"{URL}?patch={transfer}", headers=origin)

    assert preflight.status_code in {200, 204}
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"].lower() in {"*", "upload-offset,upload-name"}
    assert head.headers["Access-Control-Allow-Origin"] == "*"
    exposed = {name.strip().lower() for name in head.headers["Access-Control-Expose-Headers"].split(",")}
    assert {"upload-offset", "content-disposition", "content-length", "x-content-transfer-id"} <= exposed


def test_f10_a_name_is_said_in_both_spellings_where_one_does_not_do(client: httpx.Client) -> None:
    names = ("plain.txt", "Zürich.txt")
    said = []
    for name in names:
        made = client.post(URL, files=[("filepond", (name, b"abc", "text/plain"))])
        said.append(restored(client, made.text).headers["Content-Disposition"])

    assert said[0].endswith('filename="plain.txt"')
    assert said[1].endswith("filename*=UTF-8''Z%C3%BCrich.txt")  # the last one is what FilePond takes


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_f11_nothing_is_fetched_where_that_was_not_turned_on(
    client: httpx.Client, server: RunningServer, method: str
) -> None:
    answer = client.request(method, f"{URL}?fetch={server.http_url}/healthz")

    assert answer.status_code == 400


def test_f12_chunks_of_a_5_0_come_two_at_a_time_and_in_any_order(client: httpx.Client) -> None:
    transfer = client.post(URL, headers={"Upload-Length": str(len(DATA))}).text
    statuses: list[int] = []

    def send(starts: list[int]) -> None:
        with httpx.Client(base_url=client.base_url, headers=client.headers) as one:
            for at in starts:
                fields = {"Upload-Offset": str(at), "Upload-Length": str(len(DATA))}
                query = f"contentType=application%2Foffset%2Boctet-stream&id={transfer}"
                answer = one.patch(f"{URL}?{query}", headers=fields, content=DATA[at : at + CHUNK])
                statuses.append(answer.status_code)

    halves = [threading.Thread(target=send, args=(starts,)) for starts in ([CHUNK, 3 * CHUNK], [0, 2 * CHUNK])]
    for half in halves:
        half.start()
    for half in halves:
        half.join(60)
    done = client.post(f"{URL}?id={transfer}", content=json.dumps({"chunks": []}))

    assert statuses == [204] * 4
    assert done.is_success
    assert restored(client, transfer).content == DATA
    assert client.delete(f"{URL}?id={transfer}").is_success
