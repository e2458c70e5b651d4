"""A client of one server that speaks the draft as a check wants it, and remembers what was said."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from tests.interop.ietf.wire import Broken, Exchange, Malformed, Message, Request, boolean, dictionary, integer

PARTIAL = "application/partial-upload"
VERSION_FIELD = "Upload-Draft-Interop-Version"
PROBLEMS = "https://iana.org/assignments/http-problem-types#"
SETTLE_SECONDS_MAX = 5.0
ARRIVAL_SECONDS = 0.5

Fields = Mapping[str, str | None]


class Differs(AssertionError):
    """The server does other than the draft says."""


class NotOffered(Exception):
    """The server has not what the check is about, and need not."""


def expect(fact: object, found: str) -> None:
    """Differs, unless the fact is one."""
    if not fact:
        raise Differs(found)


class Probe:
    """Requests to the resource at `url`; `read_back` gives a finished upload's bytes, if there is a way to them."""

    def __init__(
        self,
        url: str,
        *,
        interop: int = 8,
        read_back: Callable[[str], bytes] | None = None,
        seconds: float = 10,
    ) -> None:
        parts = urlsplit(url)
        self.url = url
        self.target = parts.path or "/"
        self.interop = interop
        self.seconds = seconds
        self.exchanges: list[Exchange] = []
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._host = parts.netloc
        self._read_back = read_back
        self._uploads: list[str] = []

    def begin(self, method: str, target: str | None = None, fields: Fields | None = None) -> Exchange:
        """Send a head; a field that is None is left out."""
        said: dict[str, str | None] = {VERSION_FIELD: str(self.interop), **(fields or {})}
        lines = [("Host", self._host), *((name, value) for name, value in said.items() if value is not None)]
        return self.begin_as_is(Request(method, target or self.target, lines))

    def begin_as_is(self, request: Request) -> Exchange:
        """Send a head to which nothing is added."""
        exchange = Exchange(self._address, request, seconds=self.seconds)
        self.exchanges.append(exchange)
        return exchange

    def ask(
        self, method: str, target: str | None = None, fields: Fields | None = None, content: bytes | None = None
    ) -> Message:
        """One whole request and its final response. Broken."""
        said = dict(fields or {})
        if content is not None:
            said = {"Content-Length": str(len(content)), **said}
        exchange = self.begin(method, target, said)
        if content:
            exchange.send(content)
        answer = exchange.answer()
        self.remember(exchange)
        exchange.close()
        return answer

    def remember(self, exchange: Exchange) -> None:
        """Take note of an upload that an exchange made, so that it is gone after the check."""
        for message in [*exchange.interims, *([exchange.final] if exchange.final else [])]:
            location = message.field("Location")
            if location is not None and message.field("Upload-Complete") != "?1":
                self._uploads.append(self.resolved(location))

    def resolved(self, location: str) -> str:
        """The request target of a Location, which may be relative."""
        parts = urlsplit(urljoin(self.url, location))
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def create(self, content: bytes = b"", fields: Fields | None = None) -> str:
        """The target of a new upload that is not complete. Differs."""
        answer = self.ask("POST", None, {"Upload-Complete": "?0", **(fields or {})}, content)
        expect(answer.is_success, f"a creation was refused with {answer.status}")
        return self.location_of(answer)

    def location_of(self, message: Message) -> str:
        """Where a response says that the upload is. Differs."""
        location = message.field("Location")
        if not location:
            raise Differs(f"a {message.status} that has no Location")
        self._uploads.append(self.resolved(location))
        return self.resolved(location)

    def announce(self, content_length: int, fields: Fields | None = None) -> tuple[Exchange, str]:
        """A creation whose body is still to come, and the target that its 104 named. NotOffered."""
        said = {"Upload-Complete": "?1", "Content-Length": str(content_length), **(fields or {})}
        exchange = self.begin("POST", None, said)
        message = exchange.announced()
        if message is None:
            raise NotOffered("no 104 with a Location came before the body")
        return exchange, self.location_of(message)

    def look(self, target: str) -> Message:
        """A HEAD that must succeed. Differs."""
        answer = self.ask("HEAD", target)
        expect(answer.is_success, f"HEAD was answered {answer.status}")
        return answer

    def offset(self, target: str) -> int:
        """Where the upload stands. Differs, Malformed."""
        return integer(self.look(target).field("Upload-Offset"))

    def is_complete(self, target: str) -> bool:
        """What the server says of completeness. Differs, Malformed."""
        return boolean(self.look(target).field("Upload-Complete"))

    def settled_offset(self, target: str, wanted: int) -> int:
        """The offset, after a while in which it may still grow to what is wanted."""
        time.sleep(ARRIVAL_SECONDS)  # asking ends what still runs, and so what is on its way would be lost
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while (offset := self.offset(target)) < wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        return offset

    def append_fields(self, at: int, complete: str, **more: str | None) -> dict[str, str | None]:
        """The fields of a PATCH; those in `more` have `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Content-Type": PARTIAL, "Upload-Offset": str(at), "Upload-Complete": complete, **named}

    def append(self, target: str, at: int, content: bytes, complete: str = "?0", **more: str | None) -> Message:
        """One whole PATCH."""
        return self.ask("PATCH", target, self.append_fields(at, complete, **more), content)

    def appended(self, target: str, at: int, content: bytes, complete: str = "?0") -> Message:
        """A PATCH that must succeed. Differs."""
        answer = self.append(target, at, content, complete)
        expect(answer.is_success, f"an append of {len(content)} bytes at {at} was refused with {answer.status}")
        return answer

    def begin_append(self, target: str, at: int, length: int, complete: str = "?0") -> Exchange:
        """A PATCH whose body is still to come."""
        return self.begin("PATCH", target, self.append_fields(at, complete, Content_Length=str(length)))

    def limits(self, message: Message) -> dict[str, int]:
        """The limits that a response names, unknown ones left out. Malformed."""
        known = ("max-size", "min-size", "max-append-size", "min-append-size", "max-age")
        members = dictionary(message.field("Upload-Limit"))
        return {key: integer(members[key]) for key in known if key in members}

    def stored(self, target: str) -> bytes:
        """A finished upload's bytes. NotOffered."""
        if self._read_back is None:
            raise NotOffered("nothing was said of how finished uploads are read (--content)")
        return self._read_back(target.rstrip("/").rpartition("/")[2])

    def expect_stored(self, target: str, content: bytes) -> None:
        """Differs if other bytes are stored; nothing where they cannot be read."""
        if self._read_back is not None:
            kept = self.stored(target)
            expect(kept == content, f"{len(kept)} bytes are stored which are not the {len(content)} that were sent")

    def clean_up(self) -> None:
        """Close what is open and cancel what was begun."""
        for exchange in self.exchanges:
            self.remember(exchange)
            exchange.close()
        self.exchanges.clear()
        for target in dict.fromkeys(self._uploads):
            try:
                self.ask("DELETE", target)
            except (Broken, Malformed, OSError):
                continue
        self._uploads.clear()
        self.exchanges.clear()
