"""A page and its files, as routes for a Starlette application.

Invariant: the files' address contains a digest of all of them, so that a browser keeps them for good and never mixes
two versions. The page itself is asked for again each time, and is a 304 while nothing has changed.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from uploadstream.http.conditions import Validators, judge
from uploadstream.http.problems import unnamed_problem

INDEX: Final = "index.html"
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PACKED: Final = ".gz"
GZIP: Final = b"\x1f\x8b\x08"
METHODS: Final = ("GET", "HEAD")
DIGEST_LENGTH: Final = 16
# Nothing of another origin, nothing inline. blob: is a file that is not sent yet.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "frame-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
GUARD: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # browsers that know no frame-ancestors
}
FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent; `unpacked` is left out where nearly nobody asks for it."""

    content_type: str
    packed: bytes
    unpacked: bytes | None = None

    @classmethod
    def of(cls, name: str, content: bytes) -> Asset:
        """A file, packed once for all, unless it is."""
        content_type = TYPES[name[name.rindex(".") :]]
        if content.startswith(GZIP):
            return cls(content_type, content)
        return cls(content_type, gzip.compress(content, 9, mtime=0), content)

    @property
    def plain(self) -> bytes:
        """The file itself."""
        return gzip.decompress(self.packed) if self.unpacked is None else self.unpacked


def takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip may be sent (RFC 9110, section 12.5.3): named, or meant by `*`, and not with a weight of 0."""
    weights: dict[str, str] = {}
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = weight.strip().removeprefix("q=")
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != "" or weight == ""


def read_folder(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The names and contents of all files below that a browser may ask for; of packed ones, the names without that."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = entry.name.removesuffix(PACKED)
        if entry.is_dir():
            yield from read_folder(entry, f"{prefix}{entry.name}/")
        elif name.endswith(tuple(TYPES)):
            yield prefix + name, entry.read_bytes()


class Served:
    """An endpoint that reads; an ASGI application, so that every other method is refused here, as a problem."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope)
        if request.method in METHODS:
            response = self._answer(request)
        else:
            fields = {"Allow": ", ".join(METHODS)}
            response = unnamed_problem(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed", fields)
        await response(scope, receive, send)


class Page:
    """The endpoints of one page, at `address`, and of its files, below `/{folder}/`."""

    def __init__(self, contents: Mapping[str, bytes], *, address: str, folder: str) -> None:
        """`contents`: by their names, among them the page's."""
        total = hashlib.sha256()
        for name, content in contents.items():
            total.update(f"{name} {len(content)} ".encode() + content)
        self._address: Final = address
        self._folder: Final = folder
        self._digest: Final = total.hexdigest()[:DIGEST_LENGTH]
        self._tag: Final = f'W/"{self._digest}"'  # of both encodings
        self._index: Final = Asset.of(INDEX, self._page(contents[INDEX].decode(), contents))
        self._assets: Final = {name: Asset.of(name, content) for name, content in contents.items() if name != INDEX}

    def _page(self, text: str, names: Mapping[str, bytes]) -> bytes:
        """The page with the addresses of this version, and of every module at once: a browser finds them one by one."""
        modules = [name for name in names if name.endswith(".js") and "/" not in name]
        preloads = "\n".join(f'<link rel="modulepreload" href="{{web}}/{name}">' for name in modules)
        return text.replace("{preloads}", preloads).replace("{web}", f"{self._folder}/{self._digest}").encode()

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application."""
        files = Route(f"/{self._folder}/{{digest}}/{{name:path}}", Served(self.asset))
        return [Route(self._address, Served(self.index)), files]

    def index(self, request: Request) -> Response:
        """The page."""
        fields = {**GUARD, "Cache-Control": "no-cache", "ETag": self._tag, "Vary": "Accept-Encoding"}
        if judge(request.headers, Validators(self._tag)) is HTTPStatus.NOT_MODIFIED:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=fields)
        return write(self._index, fields, request)

    def asset(self, request: Request) -> Response:
        """One of its files, of this version only."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None or request.path_params["digest"] != self._digest:
            return unnamed_problem(HTTPStatus.NOT_FOUND, "Not Found", {"Cache-Control": "no-store"})
        return write(asset, {**GUARD, "Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}, request)


def write(asset: Asset, fields: dict[str, str], request: Request) -> Response:
    """An asset, packed if the client takes that."""
    packed = takes_gzip(request.headers.get("accept-encoding", ""))
    encoding = {"Content-Encoding": "gzip"} if packed else {}
    content = asset.packed if packed else asset.plain
    return Response(content, HTTPStatus.OK, {**fields, **encoding, "Content-Type": asset.content_type})
