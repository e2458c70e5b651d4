"""Files on other servers (F11), which are real ones on another address of this machine, and mean no good."""

import asyncio
import resource
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adapters.origin import HOST, Names, Origin, in_the_test, origin, redirects, says, sends
from uploadstream.adapters.web import AT_ONCE_MAX, LOOK_UPS_MAX, URL_LENGTH_MAX, HttpWeb, Resolver
from uploadstream.core.errors import BadField, TooLarge
from uploadstream.core.sizes import MIB
from uploadstream.ports import Remote, Web

DATA = bytes(range(256)) * 40
LIMIT = 64 * MIB


@pytest.fixture
async def web() -> AsyncIterator[HttpWeb]:
    opened = HttpWeb(["*"], seconds_max=60, silence_seconds=0.5, may_ask=in_the_test, resolve=Names())
    yield opened
    await opened.close()


def web_of(names: Names, *, seconds_max: float = 60, trusted: ssl.SSLContext | None = None) -> HttpWeb:
    return HttpWeb(["*"], seconds_max=seconds_max, may_ask=in_the_test, resolve=names, trusted=trusted)


async def fetched(web: Web, url: str, *, size_max: int = LIMIT) -> tuple[Remote, bytes]:
    async with web.get(url, size_max=size_max) as remote:
        return remote, b"".join([piece async for piece in remote.pieces])


async def refused(web: Web, url: str, *, size_max: int = LIMIT) -> str:
    with pytest.raises((BadField, TooLarge)) as caught:
        await fetched(web, url, size_max=size_max)
    return str(caught.value)


async def test_f11_a_file_comes_with_what_is_said_of_it(web: HttpWeb) -> None:
    lines = ("Content-Type: image/png", 'Content-Disposition: inline; filename="b.png"')
    async with origin(sends(DATA, *lines)) as there:
        remote, data = await fetched(web, there.url("/x/%C3%9C.png?size=1#part"))

    assert data == DATA
    assert (remote.name, remote.disposition) == ("Ü.png", 'inline; filename="b.png"')
    assert (remote.content_type, remote.size) == ("image/png", len(DATA))


async def test_f11_the_request_says_nothing_of_us_or_of_who_asked(
    web: HttpWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    async with origin(sends(DATA, "Set-Cookie: a=b; Path=/"), sends(DATA)) as there:
        await fetched(web, there.url("/x?y=%20"))
        await fetched(web, there.url("/x?y=%20"))

    first, second = there.requests
    assert first == second
    assert first.splitlines() == [
        b"GET /x?y=%20 HTTP/1.1",
        f"Host: origin.test:{there.port}".encode(),
        b"Accept: */*",
        b"Accept-Encoding: identity",
        b"Connection: close",
        b"User-Agent: uploadstream",
        b"",
    ]


async def test_f11_a_file_in_chunks_has_no_size_before_its_end(web: HttpWeb) -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA)
    async with origin(says("Transfer-Encoding: chunked", body=chunked)) as there:
        remote, data = await fetched(web, there.url())

    assert (remote.size, data) == (None, DATA)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc/passwd", "fetch: must be a URL of http or https, is 'file:///etc/passwd'"),
        ("gopher://origin.test/", "fetch: must be a URL of http or https, is 'gopher://origin.test/'"),
        ("//origin.test/", "fetch: must be a URL of http or https, is '//origin.test/'"),
        ("http:/origin.test", "fetch: must be a URL of http or https, is 'http:/origin.test'"),
        ("", "fetch: must be a URL of http or https, is ''"),
        ("http://user:secret@origin.test/", "fetch: must have no user and no password"),
        ("http://user@origin.test/", "fetch: must have no user and no password"),
        ("http://origin.test:22/", "fetch: port 22 is not one of web servers"),
        ("http://origin.test:99999/", "fetch: port 99999 is not one of web servers"),
        ("http://[::1/", "fetch: is no URL"),
        ("http://a b/", "fetch: a%20b is not known"),
        (f"http://origin.test/{'x' * URL_LENGTH_MAX}", "fetch: must have at most 4096 characters, has 4115"),
        ("http://unknown.test/", "fetch: unknown.test is not known"),
        ("http://xn--/", "fetch: xn-- is not known"),
        ("http://bücher.test/", "fetch: xn--bcher-kva.test is not known"),
        (f"http://{'a.' * 127}/", "fetch: the name of a host must have at most 253 characters, has 254"),
    ],
)
async def test_f11_only_a_plain_url_of_the_web_is_asked_for(web: HttpWeb, url: str, says: str) -> None:
    assert await refused(web, url) == says


PIECES = st.sampled_from(
    [
        *("http://", "https://", "//", "a.test", "[::1]", "[", "]", "@", ":", "80", "65536", "-1", "/", "\\", "?", "#"),
        *("%", "%zz", "%00", "\x00", "\r\n", "é", "①", "\uff0e", "xn--", "xn--a", "..", "*", "\u200d", "\u202e", " "),
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(url=st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join)))
async def test_f11_any_text_is_a_url_or_is_refused(web: HttpWeb, url: str) -> None:
    for one in (url, f"http://{url}"):
        assert (await refused(web, one)).startswith("fetch: ")


@settings(deadline=None, max_examples=25)
@given(target=st.lists(PIECES, max_size=8).map("".join).filter(lambda text: "\r" not in text and "\0" not in text))
async def test_f11_any_text_is_a_redirect_or_is_refused(target: str) -> None:
    async with origin(says(f"Location: {target}".encode().decode("latin-1"), status="302 Found")) as there:
        assert (await refused(web_of(Names()), there.url())).startswith("fetch: ")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "10.0.0.1"),
        *("169.254.169.254", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[fe80::1]", "224.0.0.1"),
    ],
)
async def test_f11_an_address_that_is_not_public_is_not_asked(web: HttpWeb, host: str) -> None:
    assert "is not at a public address" in await refused(web, f"http://{host}:8080/")


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "①②⑦.0.0.1"])
async def test_f11_nor_by_another_spelling_of_it(host: str) -> None:
    """F11. With this machine's own resolver, which understands more than the standards do."""
    web = HttpWeb(["*"])

    words = await refused(web, f"http://{host}:8080/")

    assert words.endswith(("is not at a public address", "is no URL", "is not known"))
    await web.close()


async def test_f11_this_machines_resolver_finds_each_address_once() -> None:
    resolver = Resolver()

    assert ip_address("127.0.0.1") in await resolver("localhost", 80)
    assert await resolver("93.184.216.34", 80) == [ip_address("93.184.216.34")]
    resolver.close()


async def test_f11_names_that_nobody_answers_for_keep_no_other_work_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """F11. The threads in which disks are written are not theirs."""
    answered = threading.Event()

    def hanging(*_: object, **__: object) -> list[object]:
        answered.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    web = HttpWeb(["*"])
    tasks = [asyncio.create_task(refused(web, f"http://{number}.test/")) for number in range(3 * LOOK_UPS_MAX)]
    await asyncio.sleep(0.1)

    began = time.monotonic()
    await asyncio.to_thread(lambda: None)
    took = time.monotonic() - began

    answered.set()
    assert all("is not at a public address" in words for words in await asyncio.gather(*tasks))
    assert took < 5
    await web.close()


async def test_f11_only_hosts_that_are_named_are_asked() -> None:
    web = HttpWeb(["origin.test"], may_ask=in_the_test, resolve=Names(other=HOST))
    async with origin(sends(DATA)) as there:
        assert (await fetched(web, there.url()))[1] == DATA
        assert await refused(web, there.url(host="other.test")) == "fetch: files of other.test are not fetched here"
    await web.close()


@pytest.mark.parametrize("private", ["127.0.0.1", "192.168.0.1", "::ffff:10.0.0.1"])
async def test_f11_a_name_with_a_private_address_among_others_is_not_asked(private: str) -> None:
    names = Names(mixed=[[HOST, private]])
    async with origin(sends(DATA)) as there:
        words = await refused(web_of(names), there.url(host="mixed.test"))

    assert words == "fetch: mixed.test is not at a public address"
    assert there.requests == []


async def test_f11_a_name_without_any_address_is_not_asked() -> None:
    words = await refused(web_of(Names(empty=[[]])), "http://empty.test/")

    assert words == "fetch: empty.test is not at a public address"


async def test_f11_a_name_that_changes_its_address_is_looked_up_once() -> None:
    """F11. DNS rebinding: what was checked is what is connected to."""
    names = Names(rebinding=[[HOST], ["127.0.0.1"]])
    async with origin(sends(DATA)) as there:
        _, data = await fetched(web_of(names), there.url(host="rebinding.test"))

    assert data == DATA
    assert names.asked == ["rebinding.test"]
    assert f"Host: rebinding.test:{there.port}".encode() in there.requests[0]


async def test_f11_a_name_is_looked_up_again_for_a_redirect() -> None:
    """F11. The connection before it plays no part."""
    names = Names(rebinding=[[HOST], ["127.0.0.1"]])
    async with origin(redirects("/again"), sends(DATA)) as there:
        words = await refused(web_of(names), there.url(host="rebinding.test"))

    assert words == "fetch: rebinding.test is not at a public address"
    assert len(there.requests) == 1


async def test_f11_of_several_addresses_one_that_answers_is_enough() -> None:
    names = Names(several=[["127.0.0.3", HOST]])
    web = HttpWeb(["*"], may_ask=lambda address: str(address) in {HOST, "127.0.0.3"}, resolve=names)
    async with origin(sends(DATA)) as there:
        _, data = await fetched(web, there.url(host="several.test"))

    assert data == DATA
    await web.close()


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_f11_a_redirect_is_followed(web: HttpWeb, status: str) -> None:
    async with origin(redirects("../b/c.txt?d", status), sends(DATA)) as there:
        remote, data = await fetched(web, there.url("/a/b"))

    assert (remote.name, data) == ("c.txt", DATA)
    assert there.requests[1].startswith(b"GET /b/c.txt?d HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://127.0.0.1:8080/", "127.0.0.1 is not at a public address"),
        ("http://[::ffff:127.0.0.1]:8080/", "is not at a public address"),
        ("//127.0.0.1:8080/", "127.0.0.1 is not at a public address"),
        ("http://metadata.test/", "metadata.test is not at a public address"),
        ("http://origin.test:25/", "port 25"),
        ("http://a:b@origin.test/", "must have no user and no password"),
        ("file:///etc/passwd", "must be a URL of http or https"),
        ("ftp://origin.test/", "must be a URL of http or https"),
        ("http://[::1/", "is no URL"),
    ],
)
async def test_f11_a_redirect_is_checked_as_the_url_was(target: str, says: str) -> None:
    async with origin(redirects(target)) as there:
        words = await refused(web_of(Names(metadata="169.254.169.254")), there.url())

    assert says in words
    assert len(there.requests) == 1


async def test_f11_a_loop_of_redirects_ends(web: HttpWeb) -> None:
    async with origin(redirects("/files/a.bin")) as there:
        words = await refused(web, there.url())

    assert words == "fetch: origin.test redirects once more, after 3 times"
    assert len(there.requests) == 4


async def test_f11_a_redirect_to_nowhere_is_one_to_itself(web: HttpWeb) -> None:
    async with origin(says("Content-Length: 0", status="302 Found")) as there:
        assert "redirects once more" in await refused(web, there.url())


# What is sent


@pytest.mark.parametrize(
    ("lines", "body", "words"),
    [
        (("Content-Length: 100",), b"x" * 99, "broke off, or does not speak HTTP"),
        (("Content-Length: 5", "Content-Length: 6"), b"x" * 6, "broke off, or does not speak HTTP"),
        (("Content-Length: -5",), b"x", "broke off, or does not speak HTTP"),
        (("Content-Length: 5x",), b"x" * 5, "broke off, or does not speak HTTP"),
        (("Transfer-Encoding: chunked",), b"5\r\nxx", "broke off, or does not speak HTTP"),
        (("Transfer-Encoding: chunked",), b"nonsense\r\n", "broke off, or does not speak HTTP"),
        (("Transfer-Encoding: gzip",), b"xx", "broke off, or does not speak HTTP"),
        ((f"X-Long: {'x' * 200_000}", "Content-Length: 1"), b"x", "broke off, or does not speak HTTP"),
        ((f"Content-Length: {'9' * 30}",), b"x", "broke off, or does not speak HTTP"),
        (("no colon",), b"x", "broke off, or does not speak HTTP"),
        (("Content-Encoding: gzip", "Content-Length: 2"), b"xx", "sent it as 'gzip', which was not asked for"),
    ],
)
async def test_f11_what_is_not_whole_or_not_plain_is_no_file(
    web: HttpWeb, lines: tuple[str, ...], body: bytes, words: str
) -> None:
    async with origin(says(*lines, body=body)) as there:
        assert await refused(web, there.url()) == f"fetch: origin.test {words}"


async def test_f11_what_comes_behind_the_length_is_not_of_the_file(web: HttpWeb) -> None:
    async with origin(says("Content-Length: 3", body=b"abcHTTP/1.1 200 OK\r\n\r\n")) as there:
        assert (await fetched(web, there.url()))[1] == b"abc"


async def test_f11_a_length_beside_chunks_says_nothing(web: HttpWeb) -> None:
    lines = ("Content-Length: 3", "Transfer-Encoding: chunked")
    async with origin(says(*lines, body=b"5\r\nabcde\r\n0\r\n\r\n")) as there:
        remote, data = await fetched(web, there.url())

    assert (remote.size, data) == (None, b"abcde")


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content", "304 Not Modified", "404 No", "500 No"])
async def test_f11_only_a_whole_file_is_one(web: HttpWeb, status: str) -> None:
    async with origin(says("Content-Length: 0", status=status)) as there:
        assert await refused(web, there.url()) == f"fetch: origin.test answered with status {status[:3]}"


@pytest.mark.parametrize("size", [1001, 10**20 - 1])
async def test_f11_a_file_that_says_it_is_too_large_is_not_read(web: HttpWeb, size: int) -> None:
    async with origin(says(f"Content-Length: {size}")) as there:
        with pytest.raises(TooLarge) as caught:
            await fetched(web, there.url(), size_max=1000)

    assert caught.value.numbers == {"size": size, "limit": 1000}
    assert "exceeds limit of 1000 B" in str(caught.value)


async def test_f11_a_file_without_an_end_is_cut_at_the_limit_and_memory_stays_flat(web: HttpWeb) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(MIB))
            await writer.drain()

    received = 0
    async with origin(endless) as there:
        async with web.get(there.url(), size_max=128 * MIB) as remote:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            with suppress(TooLarge):
                async for piece in remote.pieces:
                    received += len(piece)
        await asyncio.wait_for(there.gone.wait(), 5)

    assert 127 * MIB < received <= 128 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


# Time


async def test_f11_a_server_that_says_nothing_is_not_waited_for(web: HttpWeb) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with origin(silent) as there:
        assert await refused(web, there.url()) == "fetch: origin.test said nothing for too long"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], ids=["head", "body"])
async def test_f11_a_server_that_says_little_at_a_time_has_a_limit(head: bytes) -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(head or b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    began = time.monotonic()
    async with origin(slow) as there:
        words = await refused(web_of(Names(), seconds_max=0.5), there.url())

    assert words == "fetch: origin.test was not done in 0.5 s"
    assert time.monotonic() - began < 3


async def test_f11_interim_responses_without_end_have_a_limit() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)

    async with origin(endless) as there:
        assert "was not done in 0.5 s" in await refused(web_of(Names(), seconds_max=0.5), there.url())


async def test_f11_a_resolver_that_hangs_has_a_limit() -> None:
    async def hanging(host: str, port: int) -> list[object]:
        await asyncio.sleep(30)
        return []

    web = HttpWeb(["*"], seconds_max=0.2, resolve=hanging)  # type: ignore[arg-type]

    assert await refused(web, "http://slow.test/") == "fetch: slow.test was not done in 0.2 s"


async def test_f11_who_goes_away_lets_the_other_server_go(web: HttpWeb) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(MIB))
            await writer.drain()

    async with origin(endless) as there:
        async with web.get(there.url(), size_max=LIMIT) as remote:
            await anext(remote.pieces)
        await asyncio.wait_for(there.gone.wait(), 5)


async def test_f11_so_many_files_are_on_their_way_at_once_and_the_next_waits_its_turn() -> None:
    held, all_there = asyncio.Event(), asyncio.Event()

    async def waiting(writer: asyncio.StreamWriter) -> None:
        if len(there.requests) == AT_ONCE_MAX:
            all_there.set()
        await held.wait()
        await sends(DATA)(writer)

    async with origin(waiting) as there:
        web = web_of(Names(), seconds_max=20)
        tasks = [asyncio.create_task(fetched(web, there.url())) for _ in range(AT_ONCE_MAX + 1)]
        await all_there.wait()
        await asyncio.sleep(0.1)
        assert len(there.requests) == AT_ONCE_MAX
        held.set()
        assert {data for _, data in await asyncio.gather(*tasks)} == {DATA}


async def test_f11_a_server_that_is_not_there_is_said_so(web: HttpWeb) -> None:
    with socket.create_server((HOST, 0)) as closed:
        there = Origin(closed.getsockname()[1])

    assert await refused(web, there.url()) == "fetch: origin.test cannot be connected to"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of origin.test and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=origin.test", "-addext", "subjectAltName=DNS:origin.test"]
    paths = folder / "cert.pem", folder / "key.pem"
    files = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return paths


def with_key(certificate: tuple[Path, Path], seen: list[str | None]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def note(_: object, name: str | None, __: object) -> None:
        seen.append(name)

    context.sni_callback = note
    return context


async def test_f11_over_tls_the_name_of_the_url_is_asked_for_and_must_be_shown(certificate: tuple[Path, Path]) -> None:
    names, seen = Names(other=HOST), list[str | None]()
    web = web_of(names, trusted=ssl.create_default_context(cafile=certificate[0]))
    async with origin(sends(DATA), tls=with_key(certificate, seen)) as there:
        _, data = await fetched(web, there.url(scheme="https"))
        words = await refused(web, there.url(scheme="https", host="other.test"))
        by_address = await refused(web, there.url(scheme="https", host=HOST))

    assert data == DATA
    assert seen[:2] == ["origin.test", "other.test"]
    assert words == "fetch: other.test cannot be connected to"
    assert by_address == f"fetch: {HOST} cannot be connected to"
    await web.close()


async def test_f11_a_certificate_that_nobody_vouches_for_is_none(
    web: HttpWeb, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with origin(sends(DATA), tls=with_key(certificate, [])) as there:
        assert await refused(web, there.url(scheme="https")) == "fetch: origin.test cannot be connected to"


async def test_f11_a_redirect_does_not_lead_out_of_tls(certificate: tuple[Path, Path]) -> None:
    web = web_of(Names(), trusted=ssl.create_default_context(cafile=certificate[0]))
    async with origin(redirects("http://origin.test:8080/"), tls=with_key(certificate, [])) as there:
        assert await refused(web, there.url(scheme="https")) == "fetch: origin.test redirects from https to http"
    with suppress(OSError):
        await web.close()
