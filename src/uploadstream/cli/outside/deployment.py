"""The deployment that is looked at: asking it something, and an upload in it that is gone afterwards."""

from __future__ import annotations

import json
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPMethod
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from uploadstream.cli.outside.exchange import Answer, Broken, Exchange
from uploadstream.client.endpoint import Endpoint

PROMPT_SECONDS: Final = 2.0
PROMPT_ANSWERS: Final = 5  # or as long as so many answers take, where they take long

TUS: Final = {"Tus-Resumable": "1.0.0"}
CHUNK: Final = {"Content-Type": "application/offset+octet-stream"}


class Unexpected(Exception):
    """A request that has to work did not."""

    def __init__(self, method: str, path: str, answer: Answer) -> None:
        self.status = answer.status
        self.server = answer.server
        super().__init__(f"{method} {path}: {answer.status}{f' from {answer.server}' if answer.server else ''}")


@dataclass
class Deployment:
    """Where it is, who asks, and how to connect."""

    address: Endpoint
    who: Mapping[str, str]  # fields that name the user
    context: ssl.SSLContext | None = None
    server: str = ""  # what stands before it, as far as it says
    prompt_seconds: float = PROMPT_SECONDS  # what takes longer is kept back
    _kept: Exchange | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The address as clients write it, without a slash at its end."""
        return f"{self.address.scheme}://{self.address.authority}{self.address.path}"

    def allow_for(self, answer_seconds: float) -> None:
        """Take the time of an answer for what the way and the machine need."""
        self.prompt_seconds = max(PROMPT_SECONDS, round(PROMPT_ANSWERS * answer_seconds))

    def exchange(self) -> Exchange:
        """A connection of one's own."""
        return Exchange(self.address, self.context)

    def begin(self, exchange: Exchange, method: str, path: str, fields: Mapping[str, str]) -> None:
        """Send the head of a request for a path below the address, as the user."""
        exchange.begin(method, self.address.path + path, {**self.who, **fields})

    def ask(self, method: str, path: str, fields: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """The answer to a request, over a connection that is kept if it can be. OSError, Broken."""
        # whoever keeps a connection has to reckon with its end; what begins something is not asked twice
        is_kept = self._kept is not None and self._kept.renew() and method != HTTPMethod.POST
        if not is_kept:
            self.close()
            self._kept = self.exchange()
        assert self._kept is not None  # noqa: S101 - it was made above
        counted = {"Content-Length": str(len(body))} if body or method in {"POST", "PATCH", "PUT"} else {}
        try:
            self.begin(self._kept, method, path, {**(fields or {}), **counted})
            if body:
                self._kept.send(body)
            self._kept.end()
            return self._kept.answer()
        except (OSError, Broken):
            self.close()
            if not is_kept:
                raise
        return self.ask(method, path, fields, body)

    def must(self, method: str, path: str, fields: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """The same, Unexpected if it is no success."""
        answer = self.ask(method, path, fields, body)
        if not answer.is_success:
            raise Unexpected(method, path, answer)
        return answer

    def json(self, path: str) -> Any:
        """What an address of the API says. Unexpected, ValueError."""
        return json.loads(self.must("GET", path).body)

    @contextmanager
    def upload(self, length: int, fields: Mapping[str, str] | None = None) -> Generator[Upload]:
        """An upload that is open, and removed whatever happens. Unexpected, also if it cannot be removed."""
        answer = self.must(HTTPMethod.POST, "/files", {**TUS, "Upload-Length": str(length), **(fields or {})})
        upload = Upload(self, answer.get("location"))
        try:
            yield upload
        finally:
            self.remove(upload.path)

    def remove(self, path: str) -> None:
        """End an upload. Unexpected."""
        self.must(HTTPMethod.DELETE, path, TUS)

    def close(self) -> None:
        """Let the connection go."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an absolute URL (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that the doctor has begun; `location`: as the answer named it."""

    deployment: Deployment
    location: str

    @property
    def id(self) -> str:
        """What it is called in every protocol."""
        return urlsplit(self.location).path.rstrip("/").rpartition("/")[2]

    @property
    def path(self) -> str:
        """Where it has to be, whatever was said of it."""
        return f"/files/{self.id}"

    @property
    def url(self) -> str:
        """Where a client looks for it."""
        return urljoin(f"{self.deployment.url}/files", self.location)

    def offset(self) -> int:
        """How many bytes of it have arrived, asked without disturbing who sends them."""
        said = self.deployment.json(f"/api/v1/uploads/{self.id}")
        return int(said["offset"])

    def append(self, data: bytes, *, at: int = 0) -> Answer:
        """Send some bytes of it."""
        fields = {**TUS, **CHUNK, "Upload-Offset": str(at)}
        return self.deployment.must(HTTPMethod.PATCH, self.path, fields, data)
