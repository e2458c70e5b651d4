"""What FilePond's requests and answers say, as values."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from uploadstream.core.errors import BadBodyType, BadField, LengthMismatch, Refusal
from uploadstream.core.files import File
from uploadstream.core.media import check_content_type, check_filename
from uploadstream.core.session import UNNAMED, Declared, Session
from uploadstream.http.fields import essence, http_date, read_count, read_filename, read_text, shown
from uploadstream.http.problems import STATUS, status_of
from uploadstream.ports import Remote
from uploadstream.protocols.filepond.forms import FilePart

CHUNK_TYPE: Final = "application/offset+octet-stream"
# Said by whoever does not know better.
ANY_TYPE: Final = "application/octet-stream"

Fields = Mapping[str, str]

# FilePond takes a quoted name through decodeURI, which `%` may break, and cuts quotes and semicolons off its end.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9 !#$&()+,./:;=?@^_`{|}~-]*[A-Za-z0-9)_-]", re.ASCII)
_SEPARATOR: Final = re.compile(r"[/\\]")
# RFC 8187, section 3.2.1; decodeURI leaves the percent-encoded spellings of `#$&+` as they are.
_EXTENDED_SAFE: Final = "!#$&+-.^_`|~"


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a PATCH says: `count` bytes (None: not known) at `offset` of `length`, of the file `name` ("": not said)."""

    offset: int
    length: int | None
    count: int | None
    name: str


def read_chunk(fields: Fields) -> Chunk:
    """PATCH (F3, F8). BadField."""
    content_type = essence(fields.get("content-type"))
    if content_type not in {CHUNK_TYPE, ANY_TYPE, ""}:
        raise BadBodyType("Content-Type", f"must be {CHUNK_TYPE}, is {shown(content_type)}")
    offset = read_count("Upload-Offset", fields.get("upload-offset"))
    if offset is None:
        raise BadField("Upload-Offset", "is missing")
    return Chunk(
        offset,
        read_count("Upload-Length", fields.get("upload-length")),
        read_count("Content-Length", fields.get("content-length")),
        read_text(fields.get("upload-name", "")),
    )


def read_declared(headers: Fields, user_id: str, fields: Iterable[tuple[str, str]], file: FilePart | None) -> Declared:
    """POST: what is told of the file before its bytes. BadField.

    An upload in chunks of 0 bytes is not complete at once: its name comes with a last, empty chunk (F5).
    """
    length = read_count("Upload-Length", headers.get("upload-length"))
    name = file.filename if file else read_text(headers.get("upload-name", "")) or UNNAMED
    content_type = file.content_type if file and essence(file.content_type) != ANY_TYPE else ""
    return Declared(user_id, name, content_type, length, read_metadata(fields), is_told=file is None and length == 0)


def read_remote(remote: Remote, user_id: str) -> Declared:
    """What another server says of its file. What cannot be a name, or a type, is passed over."""
    names = (_name_in(remote.disposition), last_word(remote.name))
    name = next((name for name in names if _passes(check_filename, name)), UNNAMED)
    is_type = essence(remote.content_type) != ANY_TYPE and _passes(check_content_type, remote.content_type)
    return Declared(user_id, name, remote.content_type if is_type else "", remote.size)


def _name_in(disposition: str | None) -> str:
    try:
        return last_word(read_filename(disposition))
    except BadField:
        return ""


def last_word(path: str) -> str:
    """What a path ends with (RFC 6266, section 4.3: nothing else of it is a name)."""
    return _SEPARATOR.split(path)[-1]


def _passes(check: Callable[[str], str], value: str) -> bool:
    try:
        check(value)
    except BadField:
        return False
    return True


def read_metadata(fields: Iterable[tuple[str, str]]) -> str:
    """The metadata of an upload, if a field has an object that is not empty. BadField.

    It is kept as a pair of tus's Upload-Metadata, whose value is the object word for word: so that HEAD over tus,
    which gives what is kept, gives what tus has.
    """
    for name, value in fields:
        if not value.lstrip().startswith("{"):
            continue
        try:
            is_empty = not json.loads(value)
        except (ValueError, RecursionError):
            raise BadField(shown(name), f"must be a JSON object, is {shown(value)}") from None
        return "" if is_empty else f"filepond {base64.b64encode(value.encode()).decode()}"
    return ""


def write_status(session: Session) -> dict[str, str]:
    """HEAD of an upload: where its sender goes on (F7)."""
    fields = {"Upload-Offset": str(session.chunk_start), "Cache-Control": "no-store"}
    if session.length is not None:
        fields["Upload-Length"] = str(session.length)
    return fields


def write_file(file: File) -> dict[str, str]:
    """The fields of a download."""
    return {
        **write_content(file.filename, file.content_type, file.size),
        "ETag": f'"{file.id}"',
        "Last-Modified": http_date(file.uploaded_at),
    }


def write_content(filename: str, content_type: str, size: int | None) -> dict[str, str]:
    """The fields of any bytes. FilePond reads them by script: opened as a page, they are saved, and nothing runs."""
    fields = {
        "Content-Type": content_type,
        "Content-Disposition": write_disposition(filename),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return fields if size is None else {**fields, "Content-Length": str(size)}


def write_disposition(filename: str) -> str:
    """Content-Disposition with one name (F10), spelled as FilePond reads it: a 5.0 wants to see `attachment`."""
    if _PLAIN_NAME.fullmatch(filename):
        return f'attachment; filename="{filename}"'
    return f"attachment; filename*=UTF-8''{quote(filename, safe=_EXTENDED_SAFE)}"


def write_refusal(error: Refusal, method: str) -> int:
    """The status of an error."""
    if method == "PATCH" and isinstance(error, LengthMismatch):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return status_of(error, STATUS)
