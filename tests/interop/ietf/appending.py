"""Upload append (R3, R4, R22 to R30, R34, R35)."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

from tests.interop.ietf.probe import PARTIAL, PROBLEMS, NotOffered, Probe, expect
from tests.interop.ietf.rules import Level, rule
from tests.interop.ietf.wire import Message, Request, boolean, integer

CONTENT = random.Random(22).randbytes(100_000)
SECTION = "Upload Append"


def refused(probe: Probe, target: str, fields: Mapping[str, str | None], what: str) -> Message:
    """The refusal of an append that appends nothing. Differs."""
    before = probe.offset(target)
    answer = probe.ask("PATCH", target, fields, b"y" * 10)
    expect(answer.is_client_error, f"{what} was answered {answer.status}")
    after = probe.offset(target)
    expect(after == before, f"{what} was refused, and the offset went from {before} to {after}")
    return answer


@rule("R25", Level.MUST, SECTION)
def an_append_that_is_not_the_last_is_acknowledged(probe: Probe) -> None:
    """With ?0 and all processed: 2xx with Upload-Complete ?0."""
    target = probe.create(CONTENT[:10])
    answer = probe.append(target, 10, CONTENT[10:30])
    expect(answer.is_success, f"the append was answered {answer.status}")
    expect(answer.field("Upload-Complete") == "?0", f"Upload-Complete is {answer.field('Upload-Complete')}")
    expect(probe.offset(target) == 30, f"the offset is {probe.offset(target)}")


@rule("R24", Level.MUST, SECTION)
def the_last_append_completes(probe: Probe) -> None:
    """With ?1 and all processed the upload is complete; the response has Upload-Complete ?1."""
    target = probe.create(CONTENT[:10])
    answer = probe.append(target, 10, CONTENT[10:], "?1")
    expect(answer.is_success, f"the append was answered {answer.status}")
    expect(answer.field("Upload-Complete") == "?1", f"Upload-Complete is {answer.field('Upload-Complete')}")
    probe.expect_stored(target, CONTENT)


@rule("R24", Level.SHOULD, SECTION)
def the_last_append_is_answered_as_a_whole_upload_is(probe: Probe) -> None:
    """The response matches what the target resource would have given to all the content in one request."""
    whole = probe.ask("POST", None, {"Upload-Complete": "?1"}, CONTENT)
    target = probe.create(CONTENT[:10])
    last = probe.append(target, 10, CONTENT[10:], "?1")
    expect(last.status == whole.status, f"{whole.status} at once, {last.status} in parts")
    types = [(one.field("Content-Type") or "").partition(";")[0] for one in (whole, last)]
    expect(types[0] == types[1], f"content of {types[0] or 'no type'} at once, of {types[1] or 'no type'} in parts")
    expect(bool(whole.content) == bool(last.content), "only one of the two has content")


@rule("R22", Level.MUST, SECTION)
def an_append_without_an_offset_is_refused(probe: Probe) -> None:
    """The client indicates the offset of the content."""
    target = probe.create(CONTENT[:10])
    fields = {"Content-Type": PARTIAL, "Upload-Complete": "?0"}
    expect(refused(probe, target, fields, "no Upload-Offset").status in {400, 409}, "the status is not 400")


@rule("R2 R22", Level.MUST, "Offset")
def an_append_with_a_malformed_offset_is_refused(probe: Probe) -> None:
    """Other values than a non-negative structured Integer cause the field to be ignored: it is then missing."""
    target = probe.create(CONTENT[:10])
    for value in ("ten", "-10", "10.0", '"10"', "10, 10", "1e1", "0xa", "", "1234567890123456", "?1", "10 20"):
        fields = {**probe.append_fields(0, "?0"), "Upload-Offset": value}
        refused(probe, target, fields, f"Upload-Offset: {value}")


@rule("R2 R22", Level.MUST, "RFC 9110, section 5.3")
def an_append_with_two_offsets_is_refused(probe: Probe) -> None:
    """Two lines are a list, which is no Item: the field is ignored and so missing."""
    target = probe.create(CONTENT[:10])
    lines = [("Host", "localhost"), ("Content-Type", PARTIAL), ("Upload-Complete", "?0"), ("Content-Length", "0")]
    exchange = probe.begin_as_is(Request("PATCH", target, [*lines, ("Upload-Offset", "10"), ("Upload-Offset", "10")]))
    expect(exchange.answer().is_client_error, f"two offsets were answered {exchange.answer().status}")


@rule("R3 R22", Level.MUST, SECTION)
def an_append_without_upload_complete_is_refused(probe: Probe) -> None:
    """The request includes Upload-Complete; a malformed one is ignored and so missing."""
    target = probe.create(CONTENT[:10])
    refused(probe, target, {"Content-Type": PARTIAL, "Upload-Offset": "10"}, "no Upload-Complete")
    for value in ("true", "1", "?2", '"?1"', "?1, ?1", "?10"):
        refused(probe, target, probe.append_fields(10, value), f"Upload-Complete: {value}")


@rule("R22", Level.MUST, SECTION)
def an_append_of_another_media_type_is_refused(probe: Probe) -> None:
    """An append is a PATCH with application/partial-upload; 415 says that the type is not one."""
    target = probe.create(CONTENT[:10])
    for value in ("application/octet-stream", "application/json-patch+json", "partial-upload", "*/*", None):
        answer = refused(probe, target, probe.append_fields(10, "?0", Content_Type=value), f"Content-Type: {value}")
        expect(answer.status in {400, 415}, f"Content-Type: {value} was answered {answer.status}")


@rule("R22", Level.SHOULD, "RFC 5789, section 2.2")
def the_refusal_of_a_media_type_is_415(probe: Probe) -> None:
    """A patch document of a type that is not supported is answered 415."""
    target = probe.create(CONTENT[:10])
    status = refused(probe, target, probe.append_fields(10, "?0", Content_Type="text/plain"), "text/plain").status
    expect(status == 415, f"the status is {status}")


@rule("R22", Level.MUST, "RFC 9110, section 8.3.1")
def a_media_type_is_the_same_in_capitals(probe: Probe) -> None:
    """Type and subtype are case-insensitive."""
    target = probe.create(CONTENT[:10])
    answer = probe.append(target, 10, b"z", Content_Type="Application/Partial-Upload")
    expect(answer.is_success, f"it was answered {answer.status}")


@rule("R23", Level.MUST, SECTION)
def another_offset_is_409_with_the_right_one(probe: Probe) -> None:
    """409 with Upload-Complete ?0 and the correct offset; nothing is appended."""
    target = probe.create(CONTENT[:50])
    for at in (0, 49, 51, 10**14):
        answer = refused(probe, target, probe.append_fields(at, "?0"), f"an append at {at}")
        expect(answer.status == 409, f"an append at {at} was answered {answer.status}")
        expect(answer.field("Upload-Complete") == "?0", f"Upload-Complete is {answer.field('Upload-Complete')}")
        expect(answer.field("Upload-Offset") == "50", f"Upload-Offset is {answer.field('Upload-Offset')}")


@rule("R23", Level.MUST, SECTION)
def another_offset_is_409_also_in_the_last_append(probe: Probe) -> None:
    """What does not fit completes nothing."""
    target = probe.create(CONTENT[:50])
    answer = refused(probe, target, probe.append_fields(10, "?1"), "a last append at 10")
    expect(answer.status == 409, f"it was answered {answer.status}")
    expect(not probe.is_complete(target), "it has completed the upload")


@rule("R34", Level.SHOULD, "Mismatching Offset")
def another_offset_has_its_problem_type(probe: Probe) -> None:
    """A response with this problem type has expected-offset and provided-offset."""
    target = probe.create(CONTENT[:50])
    answer = probe.append(target, 12, b"y" * 10)
    expect((answer.field("Content-Type") or "").startswith("application/problem+json"), "it is no problem+json")
    problem = json.loads(answer.content)
    expect(problem.get("type") == f"{PROBLEMS}mismatching-upload-offset", f"the type is {problem.get('type')}")
    expect(problem.get("expected-offset") == 50, f"expected-offset is {problem.get('expected-offset')}")
    expect(problem.get("provided-offset") == 12, f"provided-offset is {problem.get('provided-offset')}")


@rule("R3", Level.MUST, "Length")
def all_bytes_alone_complete_nothing(probe: Probe) -> None:
    """Length and offset do not determine whether an upload is complete."""
    target = probe.create(CONTENT[:60], {"Upload-Length": "100"})
    answer = probe.append(target, 60, CONTENT[60:100])
    expect(answer.field("Upload-Complete") == "?0", f"Upload-Complete is {answer.field('Upload-Complete')}")
    expect(probe.offset(target) == 100, f"the offset is {probe.offset(target)}")
    expect(not probe.is_complete(target), "the upload is complete, and nobody said so")
    full = probe.create(CONTENT[:100], {"Upload-Length": "100"})
    expect(not probe.is_complete(full), "the created upload is complete, and nobody said so")


@rule("R26", Level.MUST, SECTION)
def an_empty_append_completes_what_is_all_there(probe: Probe) -> None:
    """A request without content and with ?1 completes the upload, whether or not its length was known."""
    for fields in ({"Upload-Length": "100"}, {}):
        target = probe.create(CONTENT[:100], fields)
        answer = probe.append(target, 100, b"", "?1")
        expect(answer.is_success, f"it was answered {answer.status}")
        expect(answer.field("Upload-Complete") == "?1", f"Upload-Complete is {answer.field('Upload-Complete')}")
        probe.expect_stored(target, CONTENT[:100])


@rule("R4 R26", Level.MUST, "Length")
def an_end_before_the_length_is_refused(probe: Probe) -> None:
    """?1 with Content-Length indicates the length; it matches the one of another request."""
    target = probe.create(CONTENT[:60], {"Upload-Length": "100"})
    for content in (b"", b"x" * 10):
        answer = probe.append(target, 60, content, "?1")
        expect(answer.is_client_error, f"an end at {60 + len(content)} of 100 was answered {answer.status}")
    expect(not probe.is_complete(target), "the upload is complete at 60 of 100")


@rule("R4 R35", Level.MUST, "Length")
def another_length_in_an_append_is_refused(probe: Probe) -> None:
    """If several requests have indicators, their values match."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "100"})
    for value in ("99", "101", "5"):
        fields = probe.append_fields(10, "?0", Upload_Length=value)
        answer = refused(probe, target, fields, f"Upload-Length {value} after 100")
        expect(answer.status == 400, f"Upload-Length {value} after 100 was answered {answer.status}")
    probe.appended(target, 10, CONTENT[10:100], "?1")
    probe.expect_stored(target, CONTENT[:100])


@rule("R35", Level.MAY, "Inconsistent Length")
def another_length_has_its_problem_type(probe: Probe) -> None:
    """A problem type says that lengths are inconsistent, across requests as in one."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "100"})
    answer = probe.append(target, 10, b"x", Upload_Length="99")
    expect(json.loads(answer.content).get("type") == f"{PROBLEMS}inconsistent-upload-length", "it is another")


@rule("R14 R28", Level.MUST, SECTION)
def a_length_told_by_an_append_is_recorded(probe: Probe) -> None:
    """Upload-Length is recorded whichever request has it."""
    target = probe.create(CONTENT[:10])
    answer = probe.append(target, 10, CONTENT[10:20], Upload_Length="30")
    expect(answer.is_success, f"the append was answered {answer.status}")
    expect(probe.look(target).field("Upload-Length") == "30", "Upload-Length is not 30")
    expect(probe.append(target, 20, b"x", Upload_Length="31").is_client_error, "another length was taken")
    probe.appended(target, 20, CONTENT[20:30], "?1")
    probe.expect_stored(target, CONTENT[:30])


@rule("R4 R28", Level.MUST, SECTION)
def a_length_told_by_the_last_append_is_recorded_when_it_is_cut(probe: Probe) -> None:
    """Upload-Complete ?1 with Content-Length indicates the length before all the bytes are there."""
    target = probe.create(CONTENT[:10])
    exchange = probe.begin_append(target, 10, 90, "?1")
    exchange.send(CONTENT[10:40])
    exchange.close()
    offset = probe.settled_offset(target, 40)
    said = probe.look(target).field("Upload-Length")
    expect(said == "100", f"Upload-Length is {said}")
    expect(not probe.is_complete(target), "the upload is complete though its last append was cut")
    probe.appended(target, offset, CONTENT[offset:100], "?1")
    probe.expect_stored(target, CONTENT[:100])


@rule("R28", Level.MUST, SECTION)
def what_would_pass_the_length_is_refused(probe: Probe) -> None:
    """With a known length the offset does not exceed it."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "20"})
    answer = probe.append(target, 10, b"x" * 11)
    expect(answer.is_client_error, f"21 bytes of 20 were answered {answer.status}")
    after = probe.ask("HEAD", target)
    expect(not after.is_success or integer(after.field("Upload-Offset")) <= 20, "the offset passed the length")


@rule("R28", Level.MUST, SECTION)
def what_passes_the_length_in_chunks_is_refused(probe: Probe) -> None:
    """Content-Length is not enough to keep the offset from exceeding the length: it may be absent."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "20"})
    overrun(probe, target)
    after = probe.ask("HEAD", target)
    expect(not after.is_success or integer(after.field("Upload-Offset")) <= 20, "the offset passed the length")


@rule("R28", Level.MUST, SECTION)
def an_upload_whose_length_was_passed_is_invalid(probe: Probe) -> None:
    """Once the offset exceeds the length, the resource is marked invalid; any further interaction is rejected."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "20"})
    overrun(probe, target)
    for method in ("HEAD", "GET"):
        status = probe.ask(method, target).status
        expect(400 <= status < 500, f"{method} was answered {status} afterwards")


def overrun(probe: Probe, target: str) -> None:
    """Send 40 chunked bytes where 10 belong; refused."""
    exchange = probe.begin("PATCH", target, probe.append_fields(10, "?0", Transfer_Encoding="chunked"))
    for _ in range(4):
        exchange.send_chunk(b"x" * 10)
        exchange.listen(0.1)
    exchange.send_chunk(b"")
    expect(exchange.answer().is_client_error, f"50 bytes of 20 were answered {exchange.answer().status}")


@rule("R3", Level.MUST, "Completeness")
def nothing_is_appended_to_a_complete_upload(probe: Probe) -> None:
    """After completion no more representation data can be appended."""
    target = probe.create(CONTENT[:10])
    probe.appended(target, 10, CONTENT[10:20], "?1")
    for complete in ("?0", "?1"):
        answer = probe.append(target, 20, b"more", complete)
        expect(answer.is_client_error, f"an append with {complete} after the end was answered {answer.status}")
    probe.expect_stored(target, CONTENT[:20])


@rule("R27", Level.MAY, SECTION)
def a_last_append_whose_answer_was_lost_can_be_repeated(probe: Probe) -> None:
    """The final response may be replayed if the append to the completed upload is valid."""
    target = probe.create(CONTENT[:10])
    first = probe.appended(target, 10, CONTENT[10:20], "?1")
    head = probe.ask("HEAD", target)
    if not head.is_success:
        raise NotOffered("the upload is gone once it is complete")
    again = probe.append(target, integer(head.field("Upload-Offset")), b"", "?1")
    if not again.is_success:
        raise NotOffered(f"it is answered {again.status}")
    expect(boolean(again.field("Upload-Complete")), "the repeated answer has not Upload-Complete ?1")
    expect(again.status == first.status, f"{first.status} first, {again.status} when repeated")


@rule("R30 R36", Level.MUST, SECTION)
def a_chunked_append_counts_what_is_in_the_chunks(probe: Probe) -> None:
    """The transfer coding is removed first; ?1 without Content-Length ends where the content does."""
    target = probe.create(CONTENT[:10])
    exchange = probe.begin("PATCH", target, probe.append_fields(10, "?1", Transfer_Encoding="chunked"))
    for start in range(10, 5010, 500):
        exchange.send_chunk(CONTENT[start : start + 500])
    exchange.send_chunk(b"")
    answer = exchange.answer()
    expect(answer.is_success, f"it was answered {answer.status}")
    expect(answer.field("Upload-Complete") == "?1", f"Upload-Complete is {answer.field('Upload-Complete')}")
    probe.expect_stored(target, CONTENT[:5010])


@rule("R30", Level.MUST, SECTION)
def a_chunked_last_append_that_is_cut_completes_nothing(probe: Probe) -> None:
    """An upload whose request was interrupted is not complete, also where no Content-Length says what is missing."""
    target = probe.create(CONTENT[:10])
    exchange = probe.begin("PATCH", target, probe.append_fields(10, "?1", Transfer_Encoding="chunked"))
    exchange.send_chunk(CONTENT[10:510])
    exchange.close()
    offset = probe.settled_offset(target, 510)
    expect(not probe.is_complete(target), "the upload is complete though its last append was cut")
    probe.appended(target, offset, CONTENT[offset:600], "?1")
    probe.expect_stored(target, CONTENT[:600])
