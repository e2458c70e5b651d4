"""No bytes of one request are taken for another: what two readers could read in two ways is refused, or read the one
way that the specification has.

Each request is followed at once by another, or carries one inside, which must never be executed where its reader could
be another's. Numbers are sections of RFC 9112.
"""

import asyncio
from contextlib import suppress

import pytest

from tests.http_rig import Client, FakeIntake, PouringApp, Receive, Scope, Send, respond, serving
from uploadstream.http.pour import pour_body
from uploadstream.servers.http1 import HttpLimits

# Nothing here is refused for being late, however late everything is: what is not answered ends a test by its time-out.
PATIENT = HttpLimits(head_seconds=60, body_seconds=60, linger_seconds=60)
HIDDEN = b"DELETE /hidden HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n"
CHUNKED_HIDDEN = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"


async def by_receive(scope: Scope, receive: Receive, intake: FakeIntake) -> None:
    await pour_body({}, receive, intake)


WAYS = [pytest.param(pour_body, id="pour"), pytest.param(by_receive, id="receive")]


async def everything(client: Client, *pieces: bytes, ends: bool = False) -> bytes:
    """What comes back for these bytes until the server closes, which it does for a client that `ends`."""
    with suppress(ConnectionError):
        await client.send(*pieces)
        if ends:
            client.writer.write_eof()
    got = b""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(60):
            while piece := await client.reader.read(65_536):
                got += piece
    return got


def cases(**texts: bytes) -> list[object]:
    return [pytest.param(text, id=name.replace("_", " ")) for name, text in texts.items()]


AMBIGUOUS = cases(
    length_and_chunks=HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    chunks_and_length=HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    chunks_and_no_length=HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    two_lengths=HEAD + b"Content-Length: 0\r\nContent-Length: 62\r\n\r\n",
    two_lengths_the_other_way=HEAD + b"Content-Length: 62\r\nContent-Length: 0\r\n\r\n",
    the_same_length_twice=HEAD + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    a_list_of_lengths=HEAD + b"Content-Length: 0, 62\r\n\r\n",
    a_list_of_the_same_length=HEAD + b"Content-Length: 0, 0\r\n\r\n",
    a_signed_length=HEAD + b"Content-Length: +0\r\n\r\n",
    a_negative_length=HEAD + b"Content-Length: -1\r\n\r\n",
    a_hexadecimal_length=HEAD + b"Content-Length: 0x0\r\n\r\n",
    a_length_with_underscore=HEAD + b"Content-Length: 0_0\r\n\r\n",
    a_length_with_a_fraction=HEAD + b"Content-Length: 0.0\r\n\r\n",
    a_length_with_a_space=HEAD + b"Content-Length: 0 0\r\n\r\n",
    a_length_in_quotes=HEAD + b'Content-Length: "0"\r\n\r\n',
    a_length_of_other_digits=HEAD + "Content-Length: \u0660\r\n\r\n".encode(),
    an_empty_length=HEAD + b"Content-Length:\r\n\r\n",
    a_length_that_overflows=HEAD + b"Content-Length: 18446744073709551616\r\n\r\n",
    a_space_before_the_colon=HEAD + b"Content-Length : 62\r\n\r\n",
    a_tab_before_the_colon=HEAD + b"Content-Length\t: 62\r\n\r\n",
    a_space_before_the_colon_of_chunks=HEAD + b"Transfer-Encoding : chunked\r\n\r\n",
    a_space_before_the_name=b"POST / HTTP/1.1\r\n Content-Length: 62\r\nHost: here\r\n\r\n",
    a_space_before_a_later_name=HEAD + b" Content-Length: 62\r\n\r\n",
    a_folded_length=HEAD + b"Content-Length:\r\n 62\r\n\r\n",
    a_folded_coding=HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
    a_field_that_folds_a_length_away=HEAD + b"A: b\r\n\tContent-Length: 62\r\n\r\n",
    bare_lf_behind_a_field=HEAD + b"A: b\nContent-Length: 62\r\n\r\n",
    bare_lf_behind_the_request_line=b"POST / HTTP/1.1\nHost: here\r\nContent-Length: 62\r\n\r\n",
    bare_lf_at_the_end=HEAD + b"Content-Length: 62\r\n\n",
    bare_cr_in_a_field=HEAD + b"A: b\rContent-Length: 62\r\n\r\n",
    bare_cr_behind_a_field=HEAD + b"A: b\r\r\nContent-Length: 62\r\n\r\n",
    bare_cr_in_a_name=HEAD + b"A\rB: c\r\n\r\n",
    bare_cr_at_the_end=HEAD + b"Content-Length: 62\r\n\r\r\n",
    nul_in_a_name=HEAD + b"Content-Length\0: 62\r\n\r\n",
    nul_in_a_value=HEAD + b"Content-Length: 62\0\r\n\r\n",
    nul_in_another_value=HEAD + b"A: \0\r\n\r\n",
    a_control_in_a_value=HEAD + b"A: \x01\r\n\r\n",
    a_line_without_a_colon=HEAD + b"Content-Length 62\r\n\r\n",
    a_vertical_tab_before_chunked=HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    a_coding_behind_chunked=HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    chunked_twice=HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    chunked_on_two_lines=HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    identity=HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    identity_and_chunked=HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    identity_and_length=HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 62\r\n\r\n",
    a_coding_like_chunked=HEAD + b"Transfer-Encoding: xchunked\r\n\r\n",
    a_coding_with_more=HEAD + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    a_coding_in_quotes=HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n',
    no_coding=HEAD + b"Transfer-Encoding:\r\n\r\n",
    a_comma_before_chunked=HEAD + b"Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n",
    chunks_of_an_old_client=HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    two_hosts=HEAD + b"Host: there\r\n\r\n",
)


@pytest.mark.parametrize("request_", AMBIGUOUS)
@pytest.mark.parametrize("cut", [False, True])
async def test_a_head_that_two_readers_could_read_in_two_ways_is_refused(request_: bytes, cut: bool) -> None:
    app = PouringApp(pour_body)
    data = request_ + HIDDEN
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        got = await everything(client, *(split(data) if cut else [data]))

    assert got.split(b" ")[1] in {b"400", b"501"}, got
    assert b"connection: close" in got
    assert got.count(b"HTTP/1.1") == 1
    assert app.poured == []


def split(data: bytes) -> list[bytes]:
    """In three pieces, cut where lines end: between CR and LF, where there are such."""
    middle = data.find(b"\r\n", len(data) // 3) + 1
    return [data[:middle], data[middle : middle + 1], data[middle + 1 :]]


BAD_LINES = cases(
    a_tab=b"GET\t/x HTTP/1.1\r\n",
    a_space_in_the_target=b"GET /x y HTTP/1.1\r\n",
    a_request_in_the_target=b"GET /x HTTP/1.1 /hidden HTTP/1.1\r\n",
    a_space_before=b" GET /x HTTP/1.1\r\n",
    nul_in_the_method=b"G\0T /x HTTP/1.1\r\n",
    nul_in_the_target=b"GET /x\0y HTTP/1.1\r\n",
    nul_in_the_version=b"GET /x HTTP/1.1\0\r\n",
    cr_in_the_target=b"GET /x\rHost: a HTTP/1.1\r\n",
    no_target=b"GET HTTP/1.1\r\n",
    an_empty_target=b"GET  HTTP/1.1\r\n",
    a_target_without_slash=b"GET x HTTP/1.1\r\n",
    bytes_that_are_no_ascii=b"GET /\xff HTTP/1.1\r\n",
    an_unknown_method=b"HELLO /x HTTP/1.1\r\n",
    a_method_in_lower_case=b"get /x HTTP/1.1\r\n",
    a_long_method=b"G" * 5000 + b" /x HTTP/1.1\r\n",
    a_method_with_a_colon=b"GET: /x HTTP/1.1\r\n",
    a_version_in_lower_case=b"GET /x http/1.1\r\n",
    a_version_with_more=b"GET /x HTTP/1.1.1\r\n",
    a_version_of_many_digits=b"GET /x HTTP/1.01\r\n",
    a_later_version=b"GET /x HTTP/1.2\r\n",
    version_2=b"PRI * HTTP/2.0\r\n",
    no_version=b"GET /x\r\n",
    a_tunnel=b"CONNECT here:80 HTTP/1.1\r\n",
    the_server_itself_as_a_page=b"GET * HTTP/1.1\r\n",
    a_fragment=b"GET /x#y HTTP/1.1\r\n",
    another_scheme=b"GET ftp://here/x HTTP/1.1\r\n",
    a_name_and_password=b"GET http://user:password@here/x HTTP/1.1\r\n",
    an_authority_that_is_not_the_host=b"GET http://there/x HTTP/1.1\r\n",
    an_authority_with_a_port_that_is_not_the_hosts=b"GET http://here:81/x HTTP/1.1\r\n",
    no_authority=b"GET http:///x HTTP/1.1\r\n",
)


@pytest.mark.parametrize("line", BAD_LINES)
async def test_a_request_line_that_is_none_is_refused_and_nothing_behind_it_is_read(line: bytes) -> None:
    app = PouringApp(pour_body)
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        got = await everything(client, line + b"Host: here\r\n\r\n" + HIDDEN)

    assert got.split(b" ")[1] in {b"400", b"505"}, got
    assert b"connection: close" in got
    assert got.count(b"HTTP/1.1") == 1
    assert app.poured == []


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://here/a?b=c", "/a", b"b=c"),
        (b"http://here", "/", b""),
        (b"http://here?b=c", "/", b"b=c"),
        (b"https://HERE/a", "/a", b""),
        (b"//there/a", "//there/a", b""),
        (b"/a/../b//c", "/a/../b//c", b""),
        (b"/a%2Fb%00%20", "/a/b\0 ", b""),
        (b"/a?http://there/b", "/a", b"http://there/b"),
        (b"/a:b@c", "/a:b@c", b""),
    ],
)
async def test_a_target_in_any_form_is_read_the_one_right_way(target: bytes, path: str, query: bytes) -> None:
    app = PouringApp(pour_body)
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        await client.send(b"GET " + target + b" HTTP/1.1\r\nHost: here\r\n\r\n" + HIDDEN)
        statuses = [(await client.answer()).status for _ in range(2)]

    assert statuses == [200, 200]
    assert [one.scope["path"] for one in app.poured] == [path, "/hidden"]
    assert app.poured[0].scope["query_string"] == query


BAD_CHUNKS = cases(
    a_size_in_decimal_words=b"five\r\nhello\r\n0\r\n\r\n",
    a_negative_size=b"-1\r\nx\r\n0\r\n\r\n",
    a_signed_size=b"+1\r\nx\r\n0\r\n\r\n",
    a_prefixed_size=b"0x1\r\nx\r\n0\r\n\r\n",
    a_space_before_the_size=b" 1\r\nx\r\n0\r\n\r\n",
    a_space_behind_the_size=b"1 \r\nx\r\n0\r\n\r\n",
    a_tab_behind_the_size=b"1\t\r\nx\r\n0\r\n\r\n",
    a_size_with_underscore=b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    an_empty_size=b"\r\nx\r\n0\r\n\r\n",
    an_extension_without_size=b";a=b\r\nx\r\n0\r\n\r\n",
    a_size_that_overflows=b"10000000000000001\r\nx\r\n0\r\n\r\n",
    a_size_of_many_digits=b"f" * 1000 + b"\r\nx\r\n0\r\n\r\n",
    bare_lf_behind_the_size=b"1\nx\r\n0\r\n\r\n",
    bare_cr_behind_the_size=b"1\rx\r\n0\r\n\r\n",
    bare_lf_behind_the_data=b"1\r\nx\n0\r\n\r\n",
    bare_cr_behind_the_data=b"1\r\nx\r0\r\n\r\n",
    nothing_behind_the_data=b"1\r\nx0\r\n\r\n",
    more_data_than_size=b"1\r\nxy\r\n0\r\n\r\n",
    nul_in_the_size=b"1\0\r\nx\r\n0\r\n\r\n",
    bare_lf_in_an_extension=b"1;a\nb\r\nx\r\n0\r\n\r\n",
    bare_cr_in_an_extension=b"1;a\rb\r\nx\r\n0\r\n\r\n",
    nul_in_an_extension=b"1;a=\0\r\nx\r\n0\r\n\r\n",
    bare_lf_in_a_quoted_extension=b'1;a="\n"\r\nx\r\n0\r\n\r\n',
    bare_lf_behind_the_last=b"1\r\nx\r\n0\n\r\n",
    bare_lf_at_the_end=b"1\r\nx\r\n0\r\n\n",
    a_request_for_a_trailer=b"1\r\nx\r\n0\r\nGET /hidden HTTP/1.1\r\nHost: here\r\n\r\n",
    a_length_for_a_trailer=b"1\r\nx\r\n0\r\nContent-Length: 62\r\n\r\n",
    an_endless_extension=b"1;" + b"a" * 1_000_000 + b"\r\nx\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("chunks", BAD_CHUNKS)
@pytest.mark.parametrize("way", WAYS)
async def test_chunks_that_two_readers_could_read_in_two_ways_end_the_connection(chunks: bytes, way: object) -> None:
    app = PouringApp(way)  # type: ignore[arg-type]
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        got = await everything(client, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + HIDDEN)

    assert got.split(b" ")[1] == b"400", got
    assert b"connection: close" in got
    assert got.count(b"HTTP/1.1") == 1
    assert "/hidden" not in [one.scope["path"] for one in app.poured]


@pytest.mark.parametrize(
    "chunks",
    cases(
        an_extension=b"3e;a=b\r\n%b\r\n0\r\n\r\n",
        a_quoted_extension=b'3e;a="0; b"\r\n%b\r\n0;c\r\n\r\n',
        leading_zeros=b"0" * 40 + b"3e\r\n%b\r\n000\r\n\r\n",
        upper_case=b"3E\r\n%b\r\n0\r\n\r\n",
        a_trailer=b"3e\r\n%b\r\n0\r\nA: b\r\n\r\n",
    ),
)
@pytest.mark.parametrize("way", WAYS)
async def test_chunks_in_any_right_form_are_a_body_and_no_requests(chunks: bytes, way: object) -> None:
    app = PouringApp(way)  # type: ignore[arg-type]
    inside = HIDDEN.ljust(0x3E, b"\n")
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        await client.send(HEAD + b"Transfer-Encoding: Chunked\r\n\r\n" + chunks % inside + HIDDEN)
        statuses = [(await client.answer()).status for _ in range(2)]

    assert statuses == [200, 200]
    assert [one.scope["path"] for one in app.poured] == ["/", "/hidden"]
    assert app.poured[0].intake.content == inside


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "PUT", "POST"])
@pytest.mark.parametrize("form", ["sized", "chunked"])
@pytest.mark.parametrize("reads", [False, True])
async def test_a_request_inside_a_body_is_never_executed_whatever_the_method(
    method: str, form: str, reads: bool
) -> None:
    paths = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        if reads:
            await pour_body(scope, receive, FakeIntake())
        await respond(send)

    line = f"{method} / HTTP/1.1\r\nHost: here\r\n".encode()
    field = b"Content-Length: %d\r\n\r\n" % len(HIDDEN) if form == "sized" else b"Transfer-Encoding: chunked\r\n\r\n"
    body = HIDDEN if form == "sized" else CHUNKED_HIDDEN
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        at_once = await everything(client, line + field + body, ends=True)
        late = await running.connect()
        in_pieces = await everything(late, line + field, body, ends=True)

    assert set(paths) == {"/"}
    for got in (at_once, in_pieces):
        assert got.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("form", ["sized", "chunked"])
async def test_requests_in_a_large_body_that_is_refused_unread_are_not_executed(form: str) -> None:
    paths = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await respond(send, 413)

    body = HIDDEN * 20_000
    if form == "sized":
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        request = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        got = await everything(client, request + HIDDEN)

    assert got.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in got
    assert paths == ["/"]


async def test_who_was_not_asked_for_a_body_has_not_sent_one() -> None:
    """9112, 9.3; 9110, 10.1.1: what follows the head of a refused request that waits for 100 may be either."""
    paths = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await respond(send, 413)

    request = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (2 * len(HIDDEN))
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        got = await everything(client, request, HIDDEN)

    assert (got.count(b"HTTP/1.1"), b"connection: close" in got, paths) == (1, True, ["/"])


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_behind_the_last_request_nothing_is_executed(version: bytes) -> None:
    """9.6"""
    app = PouringApp(pour_body)
    request = b"GET / HTTP/" + version + b"\r\nHost: here\r\nConnection: close\r\n\r\n"
    async with serving(app, limits=PATIENT) as running:
        for pieces in ([request + HIDDEN], [request, HIDDEN]):
            client = await running.connect()
            got = await everything(client, *pieces)
            assert got.count(b"HTTP/1.1") == 1

    assert [one.scope["path"] for one in app.poured] == ["/", "/"]


async def test_a_wish_for_another_protocol_hides_no_request() -> None:
    app = PouringApp(pour_body)
    wish = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        got = await everything(
            client,
            HEAD + wish + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN + HEAD + wish + b"\r\n",
            ends=True,
        )

    assert got.count(b"HTTP/1.1 200") == 2
    assert [one.scope["path"] for one in app.poured] == ["/", "/"]
    assert app.poured[0].intake.content == HIDDEN


async def test_spaces_before_a_target_change_nothing() -> None:
    """3"""
    app = PouringApp(pour_body)
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        await client.send(b"GET  /x HTTP/1.1\r\nHost: here\r\n\r\n" + HIDDEN)
        statuses = [(await client.answer()).status for _ in range(2)]

    assert statuses == [200, 200]
    assert [one.scope["path"] for one in app.poured] == ["/x", "/hidden"]


async def test_empty_lines_before_a_request_are_no_request() -> None:
    """2.2"""
    app = PouringApp(pour_body)
    async with serving(app, limits=PATIENT) as running:
        client = await running.connect()
        await client.send(b"\r\n\r\n" + HIDDEN + b"\r\n" + HIDDEN)
        statuses = [(await client.answer()).status for _ in range(2)]

    assert statuses == [200, 200]
