"""Files on other servers, asked for over HTTP by somebody who is not trusted, and sent by somebody who is not either.

Invariant: a connection goes to an address that was checked, never to a name. A name is resolved once; what a resolver
says the next time plays no part. Each redirect is checked as the first URL was. No proxy, cookie or password of this
machine's environment is used.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from ipaddress import ip_address
from typing import Final

import httpx

from uploadstream.core.addresses import Address, is_among, is_public, is_web_port
from uploadstream.core.errors import BadField, TooLarge
from uploadstream.core.wording import shortened
from uploadstream.ports import Remote

FIELD: Final = "fetch"
SCHEMES: Final = {"http": 80, "https": 443}
URL_LENGTH_MAX: Final = 4096
NAME_LENGTH_MAX: Final = 253  # RFC 1035, section 2.3.4, as it is written
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
REDIRECTS_MAX: Final = 3
ADDRESSES_MAX: Final = 3  # that are tried, of a name that has many
CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 20.0
SECONDS_MAX: Final = 600.0
AT_ONCE_MAX: Final = 32
LOOK_UPS_MAX: Final = 8
# No encoding: a small body could become a large one. No name of ours: whoever asks need not learn which server this is.
FIELDS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "uploadstream"}

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


def name_of(url: httpx.URL) -> str:
    """A host as it is looked up. Not as it is read: other letters than ASCII may look like these, or be none at all."""
    return url.raw_host.decode()


class Resolver:
    """Looks names up in threads of its own: one that hangs keeps nobody else's work from being done."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UPS_MAX, thread_name_prefix="resolver")

    def close(self) -> None:
        """Let go of the threads; what still hangs in one is not waited for here."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a name, or of an address in any of its spellings. OSError, UnicodeError."""
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(ip_address(where[0]) for *_, where in found))


class HttpWeb:
    """The web, as far as it is public and on these hosts (core/addresses.py)."""

    def __init__(
        self,
        hosts: Collection[str],
        *,
        seconds_max: float = SECONDS_MAX,
        silence_seconds: float = SILENCE_SECONDS,
        may_ask: Callable[[Address], bool] = is_public,
        resolve: Resolve | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = hosts
        self._seconds_max = seconds_max
        self._silence_seconds = silence_seconds
        self._may_ask = may_ask
        self._resolver = Resolver()
        self._resolve = resolve or self._resolver
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        # No connection is used twice: it was made for one name, and another may have the same address.
        self._transport = httpx.AsyncHTTPTransport(
            verify=trusted or True,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Let go of what is open."""
        self._resolver.close()
        await self._transport.aclose()

    @asynccontextmanager
    async def get(self, url: str, *, size_max: int) -> AsyncIterator[Remote]:
        """As the port has it. Who comes when as many as may be are on their way waits for one to end."""
        deadline = asyncio.get_running_loop().time() + self._seconds_max
        asked = self._checked(url)
        async with AsyncExitStack() as opened:
            with self._told(name_of(asked)):
                async with asyncio.timeout_at(deadline):
                    await opened.enter_async_context(self._turns)
                    asked, response = await self._follow(asked)
                    opened.push_async_callback(response.aclose)
            yield self._remote(asked, response, size_max, deadline)

    def _checked(self, url: str, base: httpx.URL | None = None) -> httpx.URL:
        """A URL, which a redirect gives as one relative to its own, that may be asked for. BadField."""
        if len(url) > URL_LENGTH_MAX:
            raise BadField(FIELD, f"must have at most {URL_LENGTH_MAX} characters, has {len(url)}")
        try:
            found = base.join(url) if base else httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            raise BadField(FIELD, "is no URL") from None
        if found.scheme not in SCHEMES or not name_of(found):
            raise BadField(FIELD, f"must be a URL of http or https, is {shortened(url)!a}")
        if len(name_of(found)) > NAME_LENGTH_MAX:
            problem = f"the name of a host must have at most {NAME_LENGTH_MAX} characters, has {len(name_of(found))}"
            raise BadField(FIELD, problem)
        if found.userinfo:
            raise BadField(FIELD, "must have no user and no password")
        if not is_web_port(found.port or SCHEMES[found.scheme]):
            raise BadField(FIELD, f"port {found.port} is not one of web servers")
        if not is_among(name_of(found), self._hosts):
            raise BadField(FIELD, f"files of {name_of(found)} are not fetched here")
        return found

    async def _follow(self, url: httpx.URL) -> tuple[httpx.URL, httpx.Response]:
        """The answer at the end of all redirects, and the URL that gave it."""
        for _ in range(REDIRECTS_MAX + 1):
            response = await self._ask(url)
            if response.status_code not in REDIRECTS:
                return url, response
            await response.aclose()
            target = self._checked(response.headers.get("Location", ""), url)
            if (url.scheme, target.scheme) == ("https", "http"):
                raise BadField(FIELD, f"{name_of(url)} redirects from https to http")
            url = target
        raise BadField(FIELD, f"{name_of(url)} redirects once more, after {REDIRECTS_MAX} times")

    async def _ask(self, url: httpx.URL) -> httpx.Response:
        """Ask the first address that takes a connection."""
        addresses = await self._addresses(url)
        for address in addresses[:-1]:
            try:
                return await self._ask_at(address, url)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._ask_at(addresses[-1], url)

    async def _addresses(self, url: httpx.URL) -> Sequence[Address]:
        """Where a host is. One that is also where it must not be asked is asked nowhere: it is no mistake."""
        host = name_of(url)
        try:
            found = await self._resolve(host, url.port or SCHEMES[url.scheme])
        except (OSError, UnicodeError):
            raise BadField(FIELD, f"{name_of(url)} is not known") from None
        if not found or not all(map(self._may_ask, found)):
            raise BadField(FIELD, f"{name_of(url)} is not at a public address")
        return found[:ADDRESSES_MAX]

    async def _ask_at(self, address: Address, url: httpx.URL) -> httpx.Response:
        """Ask one address; Host, and the name that a certificate must have, are those of the URL."""
        limits = httpx.Timeout(self._silence_seconds, connect=CONNECT_SECONDS)
        request = httpx.Request(
            "GET",
            url.copy_with(host=str(address), fragment=None),
            headers={"Host": url.netloc.decode(), **FIELDS},
            extensions={"sni_hostname": name_of(url), "timeout": limits.as_dict()},
        )
        return await self._transport.handle_async_request(request)

    def _remote(self, url: httpx.URL, response: httpx.Response, size_max: int, deadline: float) -> Remote:
        """What was answered, if it is a file that may be taken. BadField, TooLarge."""
        if response.status_code != httpx.codes.OK:
            raise BadField(FIELD, f"{name_of(url)} answered with status {response.status_code}")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise BadField(FIELD, f"{name_of(url)} sent it as {shortened(encoding)!a}, which was not asked for")
        is_chunked = "Transfer-Encoding" in response.headers
        size = None if is_chunked or not (said := response.headers.get("Content-Length")) else int(said)
        if size is not None and size > size_max:
            raise TooLarge(size=size, limit=size_max)
        return Remote(
            name=url.path.rpartition("/")[2],
            disposition=response.headers.get("Content-Disposition"),
            content_type=response.headers.get("Content-Type", ""),
            size=size,
            pieces=self._pieces(name_of(url), response, size_max, deadline),
        )

    async def _pieces(
        self, host: str, response: httpx.Response, size_max: int, deadline: float
    ) -> AsyncIterator[bytes]:
        stream = aiter(response.stream)  # type: ignore[arg-type]
        received = 0
        while True:
            with self._told(host):
                async with asyncio.timeout_at(deadline):
                    piece = await anext(stream, None)
            if piece is None:
                return
            received += len(piece)
            if received > size_max:
                raise TooLarge(size=received, limit=size_max)
            yield piece

    @contextmanager
    def _told(self, host: str) -> Iterator[None]:
        """What another server does wrong is BadField."""
        try:
            yield
        except TimeoutError:
            raise BadField(FIELD, f"{host} was not done in {self._seconds_max:g} s") from None
        except httpx.ConnectError:
            raise BadField(FIELD, f"{host} cannot be connected to") from None
        except httpx.TimeoutException:
            raise BadField(FIELD, f"{host} said nothing for too long") from None
        except httpx.TransportError:
            raise BadField(FIELD, f"{host} broke off, or does not speak HTTP") from None
