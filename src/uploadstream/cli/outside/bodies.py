"""How bodies of requests come through: at once or kept back, up to which size, and what is left of one that is cut."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http import HTTPMethod, HTTPStatus
from typing import Final

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.deployment import CHUNK, TUS, Deployment, Unexpected, Upload
from uploadstream.cli.outside.directives import Trouble, what_to_set
from uploadstream.cli.outside.exchange import Answer, Broken, Exchange
from uploadstream.core.sizes import KIB, MIB, iec

STREAMED: Final = "request bodies"
CUT: Final = "cut bodies"
SIZE: Final = "body size"
FIELDS: Final = "long fields"

PIECE: Final = 32 * KIB
SILENT_SECONDS: Final = 3.0
POLL_SECONDS: Final = 0.05
PROPOSED_SIZE: Final = 20 * MIB  # where the service does not say how much it takes
METADATA_SIZE: Final = 6000  # bytes; 8000 when written as base64, which is as much as UploadStream takes


def check_bodies(there: Deployment) -> Iterator[Finding]:
    """A body of which a part is sent, then nothing, then another part, and which is then cut."""
    length = 4 * PIECE
    with there.upload(length) as upload, closing(there.exchange()) as exchange:
        _begin_body(there, exchange, upload, length, {})
        began = time.monotonic()
        exchange.send(bytes(PIECE))
        arrived = _wait_for(upload, lambda offset: offset > 0)
        if not arrived:
            if answer := exchange.head(POLL_SECONDS):
                raise Unexpected(HTTPMethod.PATCH, upload.path, answer)
            found = (
                f"none of the first {iec(PIECE)} reached UploadStream in {there.prompt_seconds:g} s: a cut loses them"
            )
            advice = what_to_set(Trouble.KEEPS_REQUESTS, there.server)
            yield Finding(STREAMED, Level.FAIL, found, advice)
            return
        seconds = time.monotonic() - began
        found = f"{iec(arrived)} reached UploadStream after {seconds * 1000:.0f} ms, while the body went on"
        yield Finding(STREAMED, Level.OK, found)
        yield _judge_silence(there, exchange, upload)


def _begin_body(there: Deployment, exchange: Exchange, upload: Upload, length: int, more: dict[str, str]) -> None:
    fields = {**TUS, **CHUNK, "Upload-Offset": "0", "Content-Length": str(length), **more}
    there.begin(exchange, HTTPMethod.PATCH, upload.path, fields)


def _wait_for(upload: Upload, is_enough: Callable[[int], bool]) -> int:
    """The offset once it is enough; 0 if that does not come in time."""
    deadline = time.monotonic() + upload.deployment.prompt_seconds
    while time.monotonic() < deadline:
        if is_enough(offset := upload.offset()):
            return offset
        time.sleep(POLL_SECONDS)
    return 0


def _judge_silence(there: Deployment, exchange: Exchange, upload: Upload) -> Finding:
    if answer := exchange.head(SILENT_SECONDS):
        found = f"a body that brought nothing was answered {answer.status} in less than {SILENT_SECONDS:g} s"
        return Finding(CUT, Level.FAIL, found, what_to_set(Trouble.ENDS_SILENCE, there.server))
    before = upload.offset()
    exchange.send(bytes(PIECE))
    if _wait_for(upload, lambda offset: offset > before) == 0:
        found = f"a body went no further after {SILENT_SECONDS:g} s of silence"
        return Finding(CUT, Level.FAIL, found, what_to_set(Trouble.ENDS_SILENCE, there.server))
    exchange.close()
    # the last of it may be lost with a proxy that hears of the cut before it has passed them on
    kept = _wait_for(upload, lambda offset: offset == 2 * PIECE) or upload.offset()
    if kept <= before:
        found = f"{iec(2 * PIECE)} were sent, {iec(kept)} kept"
        return Finding(CUT, Level.FAIL, found, what_to_set(Trouble.KEEPS_REQUESTS, there.server))
    found = f"{iec(kept)} of {iec(2 * PIECE)} were kept; "
    found += f"{SILENT_SECONDS:g} s of silence did no harm (longer was not tried)"
    return Finding(CUT, Level.OK, found)


def check_sizes(there: Deployment) -> Iterator[Finding]:
    """How large a body is let in, by heads alone: nothing of it is sent."""
    said = there.must("OPTIONS", "/files").get("tus-max-size")
    size_max = int(said) if said.isdigit() else PROPOSED_SIZE
    try:
        with there.upload(size_max) as upload:
            yield _judge_size(there, upload, size_max)
    except Unexpected as error:
        if error.status != HTTPStatus.INSUFFICIENT_STORAGE:
            raise
        yield _judge_less(there, size_max)
    yield _judge_fields(there)


def _judge_less(there: Deployment, size_max: int) -> Finding:
    """There is no room for the largest file; whether a body that fits is let in."""
    with there.upload(PROPOSED_SIZE) as upload:
        finding = _judge_size(there, upload, PROPOSED_SIZE)
    if finding.level is not Level.OK:
        return finding
    found = f"the storage has no room for a file of {iec(size_max)}, which the limit allows; one of "
    found += f"{iec(PROPOSED_SIZE)} is let in"
    return Finding(SIZE, Level.WARN, found, "make room, or lower UPLOADSTREAM_MAX_FILE_SIZE")


def _judge_size(there: Deployment, upload: Upload, size_max: int) -> Finding:
    refused = _propose(there, upload, size_max)
    if refused is None:
        found = f"a body of {iec(size_max)} is let in"
        return Finding(SIZE, Level.OK, found)
    if refused.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        found = f"a body of {iec(size_max)} is answered {refused.status}, before a byte of it is sent"
        return Finding(SIZE, Level.FAIL, found, "look for a rule about it in what stands before UploadStream")
    passes = _largest(there, upload, size_max)
    found = f"a body of {iec(size_max)} is refused (413), one of {iec(passes)} is let in"
    advice = f"{what_to_set(Trouble.LIMITS_BODIES, there.server)}; or let clients send chunks of {iec(passes)}"
    return Finding(SIZE, Level.FAIL, found, advice)


def _largest(there: Deployment, upload: Upload, refused: int) -> int:
    """The largest power of two, in MiB, that is let in; or one byte."""
    size = 1 << (refused - 1).bit_length() - 1
    while size >= MIB:
        if _propose(there, upload, size) is None:
            return size
        size //= 2
    return 1


def _propose(there: Deployment, upload: Upload, size: int) -> Answer | None:
    """The refusal of a body of this size, None if it is asked for (RFC 9110, section 10.1.1) or not refused."""
    with closing(there.exchange()) as exchange:
        _begin_body(there, exchange, upload, size, {"Expect": "100-continue"})
        answer = exchange.head(there.prompt_seconds)
    if answer is None or answer.status == HTTPStatus.CONTINUE:
        return None
    return answer


def _judge_fields(there: Deployment) -> Finding:
    """Metadata, and the list of what is to be joined, are as long as a head may be."""
    text = f"note {base64.b64encode(bytes(METADATA_SIZE)).decode()}"
    try:
        with there.upload(1, {"Upload-Metadata": text}):
            return Finding(FIELDS, Level.OK, f"a field of {len(text)} bytes comes through")
    except (Unexpected, Broken) as error:
        advice = what_to_set(Trouble.LIMITS_FIELDS, there.server)
        return Finding(FIELDS, Level.WARN, f"a field of {len(text)} bytes does not come through ({error})", advice)
