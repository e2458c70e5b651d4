"""What a request for content is answered with: status, fields and which bytes, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from uploadstream.core.errors import RangeNotSatisfiable
from uploadstream.core.files import File
from uploadstream.core.session import Session
from uploadstream.core.showing import may_be_shown, served_type
from uploadstream.core.signatures import UNKNOWN
from uploadstream.http.conditions import Validators, is_range_meant, judge
from uploadstream.http.digests import write_known
from uploadstream.http.fields import COUNT_MAX, disposition, http_date
from uploadstream.http.ranges import Span, Spec, part_heads, read_spans, read_specs, write_range

# What a file may do that a browser opens: nothing, in an origin of its own; shown, it may also be seen and heard.
# Chromium's viewer shows a PDF in it as well.
_SANDBOX: Final = "sandbox; default-src 'none'"
_SHOWN: Final = f"{_SANDBOX}; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"

# What a condition that does not hold is refused with.
OTHER_FILE: Final = "The file is not the one that the conditions name"

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """`body`: bytes as they are, and spans of the file, in order."""

    status: HTTPStatus
    fields: dict[str, str]
    body: Sequence[bytes | Span] = ()


@dataclass(frozen=True, slots=True)
class Following:
    """The answer about an upload that is not complete: bytes from `start` up to `stop`, or to the end of the file."""

    answer: Answer
    start: int = 0
    stop: int | None = None


def answer_file(file: File, asked: Fields, *, inline: bool, boundary: str) -> Answer:
    """Of a finished file. RangeNotSatisfiable. `asked`: names in lower case; `boundary`: between several ranges."""
    validators = Validators(_tag(file.id), file.uploaded_at)
    status = judge(asked, validators)
    fields = {
        "ETag": validators.tag,
        "Last-Modified": http_date(file.uploaded_at),
        "Cache-Control": "private, no-cache",  # kept, and asked for again: the file may be deleted
    }
    if status is not HTTPStatus.OK:
        return Answer(status, fields)
    fields |= _fields_of(file, inline=inline and may_be_shown(file))
    spans = read_spans(asked.get("range"), size=file.size) if is_range_meant(asked.get("if-range"), validators) else []
    if len(spans) > 1:
        return _several(spans, fields, size=file.size, boundary=boundary)
    (span,) = spans or [Span(0, file.size)]
    fields["Content-Length"] = str(len(span))
    if not spans:
        return Answer(HTTPStatus.OK, fields, [span])
    fields["Content-Range"] = write_range(span, size=file.size)
    return Answer(HTTPStatus.PARTIAL_CONTENT, fields, [span])


def answer_upload(session: Session, asked: Fields) -> Following:
    """Of an upload whose bytes are sent as they arrive. RangeNotSatisfiable.

    Its tag is already that of the file: who was cut goes on with `Range` and `If-Range`. Of several ranges, and of a
    last so many bytes of nobody knows how many, it is as if they had not been asked for.
    """
    validators = Validators(_tag(session.id))
    status = judge(asked, validators)
    fields = {"ETag": validators.tag, "Cache-Control": "no-store"}
    if status is not HTTPStatus.OK:
        return Following(Answer(status, fields))
    name, content_type = session.declared.filename, session.declared.content_type
    fields |= _safety(name, content_type or UNKNOWN, inline=False)
    size = session.length
    specs = read_specs(asked.get("range")) if is_range_meant(asked.get("if-range"), validators) else []
    if len(specs) != 1 or (size is None and specs[0].first is None):
        if size is not None:
            fields["Content-Length"] = str(size)
        return Following(Answer(HTTPStatus.OK, fields))
    span = specs[0].of(session.size_max if size is None else size)
    if span is None:
        raise RangeNotSatisfiable(
            start=min(specs[0].first or 0, COUNT_MAX), size=session.size_max if size is None else size
        )
    if size is not None:
        fields["Content-Length"] = str(len(span))
    # Without a length, the last position is one that the file may have and no promise (RFC 8673, section 2.2).
    fields["Content-Range"] = write_range(span, size=size)
    return Following(Answer(HTTPStatus.PARTIAL_CONTENT, fields), span.start, _end(specs[0], span, size))


def _end(spec: Spec, span: Span, size: int | None) -> int | None:
    """Where a reader wants to stop; None: where the file does."""
    return None if span.stop == size or spec.last is None else span.stop


def _several(spans: Sequence[Span], fields: dict[str, str], *, size: int, boundary: str) -> Answer:
    heads = part_heads(spans, size=size, content_type=fields["Content-Type"], boundary=boundary)
    body: list[bytes | Span] = [piece for pair in zip(heads, spans, strict=False) for piece in pair]
    body.append(heads[-1])
    fields["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    fields["Content-Length"] = str(sum(map(len, body)))
    return Answer(HTTPStatus.PARTIAL_CONTENT, fields, body)


def _tag(file_id: str) -> str:
    """A file never changes."""
    return f'"{file_id}"'


def _fields_of(file: File, *, inline: bool) -> dict[str, str]:
    return {
        **_safety(file.filename, served_type(file), inline=inline),
        "Repr-Digest": write_known(sha256=file.sha256, crc32c=file.crc32c),
    }


def _safety(filename: str, content_type: str, *, inline: bool) -> dict[str, str]:
    """A file under its name and type, with nothing of it at work in our origin."""
    return {
        "Accept-Ranges": "bytes",
        "Content-Type": content_type,
        "Content-Disposition": disposition(filename, inline=inline),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _SHOWN if inline else _SANDBOX,
        # Nothing is shown to one page and not to another: there are no cookies, who knows the address may read.
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
