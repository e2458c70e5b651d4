"""A form with a file (multipart/form-data, RFC 7578), read as it arrives: the file is never in memory as a whole.

Invariant: what is kept of a form, beside the file's bytes on their way, has at most FORM_BYTES_MAX bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from uploadstream.core.errors import BadBodyType, BadField
from uploadstream.core.sizes import KIB
from uploadstream.engine.intake import Intake
from uploadstream.http.fields import essence, read_text, shown
from uploadstream.http.pour import ClientGone

FORM_TYPE: Final = "multipart/form-data"
FORM_BYTES_MAX: Final = 64 * KIB
FIELDS_MAX: Final = 16
FIELD_BYTES_MAX: Final = 6 * KIB
PART_HEADERS_MAX: Final = 8
PART_HEADER_SIZE_MAX: Final = 4 * KIB

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class FilePart:
    """What a form says of its file."""

    filename: str
    content_type: str


class Form:
    """One form on its way. `fields`: names and values of what came before the file, or of all if there is none."""

    def __init__(self, content_type: str, receive: Receive) -> None:
        self.fields: list[tuple[str, str]] = []
        self.file: FilePart | None = None
        self._receive = receive
        self._more = True
        self._ended = False
        self._beside = 0  # bytes that are not the file's
        self._pieces: list[memoryview] = []
        self._in_file = False
        self._headers: dict[str, bytearray] = {}
        self._header = (bytearray(), bytearray())
        self._name = ""
        self._value = bytearray()
        self._parser = self._new_parser(content_type)

    def _new_parser(self, content_type: str) -> MultipartParser:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if essence(content_type) != FORM_TYPE or not boundary:
            raise BadBodyType("Content-Type", f"must be {FORM_TYPE} with a boundary, is {shown(content_type)}")
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._take_header_name,
                    "on_header_value": self._take_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_count=PART_HEADERS_MAX,
                max_header_size=PART_HEADER_SIZE_MAX,
            )
        except FormParserError as error:
            raise BadBodyType("Content-Type", str(error)) from None

    async def read_head(self) -> FilePart | None:
        """Read up to the file's first byte; None: the form is read to its end and has no file. BadField."""
        while self.file is None and self._more:
            await self._read()
        return self.file

    async def pour(self, intake: Intake) -> None:
        """Move the file's bytes into `intake`, and read the form to its end. BadField, and what the intake raises."""
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                busy = intake.feed(piece)
                if busy is not None:
                    await busy
            if not self._more:
                return
            await self._read()

    async def _read(self) -> None:
        """Parse what has come."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client went away before the end of its form")
        data = bytes(message.get("body", b""))
        self._more = message.get("more_body", False)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadField("form", f"is no {FORM_TYPE} (RFC 7578): {error}") from None
        self._beside += len(data) - sum(map(len, self._pieces))
        if self._beside > FORM_BYTES_MAX:
            raise BadField("form", f"must have at most {FORM_BYTES_MAX} bytes beside its file")
        if not self._more and not self._ended:
            raise BadField("form", "ends before its last boundary")

    # From the parser

    def _begin_part(self) -> None:
        self._headers, self._name, self._value = {}, "", bytearray()

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[name.decode("latin-1").lower()] = value

    def _end_headers(self) -> None:
        """A part begins: the file, or a field."""
        disposition, options = parse_options_header(self._text("content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise BadField("form", "has a part without a name")
        self._name = read_text(options[b"name"].decode("latin-1"))
        filename = options.get(b"filename")
        self._in_file = filename is not None
        if filename is None:
            if len(self.fields) == FIELDS_MAX:
                raise BadField("form", f"must have at most {FIELDS_MAX} fields")
        elif self.file is not None:
            raise BadField("form", "must have one file, has more")
        elif not filename:
            raise BadField("form", "has no file: none was chosen")
        else:
            # HTML, section 4.10.22.8: a browser spells a quotation mark so; other signs stay as they are
            name = read_text(filename.decode("latin-1")).replace("%22", '"')
            self.file = FilePart(name, self._text("content-type").strip())

    def _text(self, header: str) -> str:
        return self._headers.get(header, bytearray()).decode("latin-1")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pieces.append(memoryview(data)[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > FIELD_BYTES_MAX:
            raise BadField(shown(self._name), f"must have at most {FIELD_BYTES_MAX} bytes")

    def _end_part(self) -> None:
        if not self._in_file:
            self.fields.append((self._name, self._value.decode(errors="replace")))

    def _end(self) -> None:
        self._ended = True
