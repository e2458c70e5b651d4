"""What requests and answers of the draft say in their fields; the names of fields stand here and in dialects.py."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from uploadstream.core.digests import Digest, spelled
from uploadstream.core.errors import BadBodyType, BadField
from uploadstream.core.files import File
from uploadstream.core.session import UNNAMED, Declared, Session, State, told_length
from uploadstream.http.digests import read_digest, read_wanted
from uploadstream.http.fields import essence, read_count, read_filename, shown
from uploadstream.http.structured import read_integer, write_dictionary
from uploadstream.http.trailers import is_announced
from uploadstream.protocols.ietf.dialects import Dialect, Fields

PART_TYPE: Final = "application/partial-upload"
# What a body is sent as by clients that do not say what it is: as a part, or as the form that `curl -d` takes it for.
_NO_TYPES: Final = {PART_TYPE, "application/x-www-form-urlencoded"}
_FORM: Final = "multipart/form-data"
_OF_APPENDS: Final = ("Upload-Offset", "Upload-Complete", "Upload-Incomplete", "Upload-Length")


@dataclass(frozen=True, slots=True)
class Append:
    """What a body is: where it belongs, how long it is and the upload will be, and whether it completes that."""

    at: int
    count: int | None
    length: int | None
    complete: bool | None
    digest: Digest | None = None
    whole_digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Creation:
    """What begins an upload: what is said of the file, and its first bytes."""

    declared: Declared
    first: Append


def read_declared(fields: Fields, *, name: str, length: int | None, is_told: bool) -> Declared:
    """What a request says of its file; `name`: what its address calls it. BadField."""
    content_type = fields.get("content-type", "")
    if essence(content_type) == _FORM:
        raise BadBodyType(field="Content-Type", problem=f"must be that of the file itself, is {_FORM}")
    if (coding := fields.get("content-encoding", "identity").strip().lower()) != "identity":
        # a file is given out as it came: without the coding's name it would be another one
        raise BadBodyType(field="Content-Encoding", problem=f"must be identity, is {shown(coding)}")
    return Declared(
        user_id="",  # the caller's
        filename=read_filename(fields.get("content-disposition")) or name or UNNAMED,
        content_type="" if essence(content_type) in _NO_TYPES else content_type,
        length=length,
        is_told=is_told,
    )


def read_kept(metadata: str, name: str) -> str | None:
    """What the request that began an upload said in this field, which its end is to know."""
    pairs = dict(pair.partition(" ")[::2] for pair in metadata.split(","))
    try:
        return base64.b64decode(pairs[name], validate=True).decode() if name in pairs else None
    except ValueError:
        return None  # of a tus client, that has its own use for the name


def read_kept_digest(declared: Declared) -> Digest | None:
    """The digest that a file was to have when its upload began (R37)."""
    try:
        return read_digest("Repr-Digest", read_kept(declared.metadata, "repr-digest"))
    except BadField:
        return None


def _write_kept(fields: Fields, first: Append) -> str:
    """What the end is to know, in the form of tus's metadata, which are kept with an upload and its file."""
    is_said = {"repr-digest": first.whole_digest, "want-repr-digest": read_wanted(fields.get("want-repr-digest"))}
    kept = {name: fields[name] for name, said in is_said.items() if said is not None}
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in kept.items())


def read_whole(fields: Fields, *, name: str) -> tuple[Declared, Digest | None]:
    """A request that brings a whole file and knows nothing of uploads. BadField."""
    length = read_count("Content-Length", fields.get("content-length"))
    of_content, of_whole = _read_digests(fields)  # which are the same here
    return read_declared(fields, name=name, length=length, is_told=False), of_content or of_whole


def read_creation(fields: Fields, *, name: str, complete: bool | None) -> Creation:
    """A request that begins an upload (R4, R9, R18). BadField, LengthMismatch."""
    first = _read_body(fields, at=0, complete=complete)
    is_checked = first.whole_digest is not None or is_announced("Repr-Digest", fields)
    # an upload of one body of known length is complete when that is there, whether or not its answer was sent; but one
    # whose bytes are still to be compared is not before its sender says so, and somebody compares them
    is_told = complete is False or first.length is None or is_checked
    declared = read_declared(fields, name=name, length=first.length, is_told=is_told)
    return Creation(replace(declared, metadata=_write_kept(fields, first)), first)


def read_append(fields: Fields, dialect: Dialect) -> Append:
    """A request that continues an upload (R4, R22). BadField, LengthMismatch."""
    if dialect.has_media_type and essence(fields.get("content-type")) != PART_TYPE:
        raise BadBodyType(field="Content-Type", problem=f"must be {PART_TYPE}")
    at = read_integer(fields.get("upload-offset"))
    if at is None:
        raise BadField("Upload-Offset", "must be a whole number, is missing or something else")
    complete = _read_said(fields, dialect)
    return _read_body(fields, at=at, complete=dialect.completes(said=complete))


def check_creating(fields: Fields, dialect: Dialect) -> None:
    """Raise BadField unless a PATCH says that it begins an upload: a part of one is sent to the upload's address."""
    if essence(fields.get("content-type")) == PART_TYPE:
        raise BadBodyType(field="Content-Type", problem=f"must be that of the file itself, is {PART_TYPE}")
    _read_said(fields, dialect)


def check_bare(fields: Fields, dialect: Dialect) -> None:
    """Raise BadField if a request without a body has fields of an append, where a draft forbids that."""
    for name in _OF_APPENDS:
        if dialect.asks_bare and name.lower() in fields:
            raise BadField(name, "must not be in a request that appends nothing")


def write_limit(*, size_max: int, lifetime: str = "max-age", seconds: float | None = None) -> dict[str, str]:
    """What is taken (R5), and how long an upload lives if it is not over yet."""
    members = {"max-size": size_max}
    if seconds is not None:
        # upwards: what OPTIONS promised, an upload has when it begins; the sweeper leaves it at least that long
        members[lifetime] = max(0, math.ceil(seconds))
    return {"Upload-Limit": write_dictionary(members)}


def write_state(session: Session, dialect: Dialect, *, seconds_left: float) -> dict[str, str]:
    """Where an upload stands: in every answer about it (R13, R16, R19, R23 to R25)."""
    is_open = session.state is State.OPEN
    fields = {"Upload-Offset": str(session.offset), **dialect.write_complete(complete=not is_open)}
    if session.length is not None:
        fields["Upload-Length"] = str(session.length)
    seconds = seconds_left if is_open else None
    return {**fields, **write_limit(size_max=session.size_max, lifetime=dialect.lifetime, seconds=seconds)}


def write_file(file: File) -> dict[str, object]:
    """The body of the answer to a complete upload: the file, in the words of the REST API."""
    return {
        "file_id": file.id,
        "user_id": file.user_id,
        "filename": file.filename,
        "size": file.size,
        "content_type": file.content_type,
        "crc32c": spelled(file.crc32c),
        "uploaded_at": file.uploaded_at.isoformat().replace("+00:00", "Z"),
    }


def _read_said(fields: Fields, dialect: Dialect) -> bool:
    """Whether a request that has to say so completes its upload. BadField."""
    complete = dialect.read_complete(fields)
    if complete is None:
        name = next(iter(dialect.write_complete(complete=True)))
        raise BadField(name, "must be ?0 or ?1, is missing or something else")
    return complete


def _read_body(fields: Mapping[str, str], *, at: int, complete: bool | None) -> Append:
    count = read_count("Content-Length", fields.get("content-length"))
    length = read_integer(fields.get("upload-length"))
    length = told_length(at=at, count=count, length=length, complete=complete)
    return Append(at, count, length, complete, *_read_digests(fields))


def _read_digests(fields: Fields) -> tuple[Digest | None, Digest | None]:
    """Those of the content and of the whole (R37)."""
    return (
        read_digest("Content-Digest", fields.get("content-digest")),
        read_digest("Repr-Digest", fields.get("repr-digest")),
    )
