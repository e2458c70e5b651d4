"""Upload creation (R1, R4, R8 to R18): what a request with Upload-Complete brings about."""

from __future__ import annotations

import gzip
import random

from tests.interop.ietf.probe import NotOffered, Probe, expect
from tests.interop.ietf.rules import Level, rule
from tests.interop.ietf.wire import Malformed, Message, Request, boolean, integer

CONTENT = random.Random(104).randbytes(100_000)
SECTION = "Upload Creation"


@rule("R9 R12 R16", Level.MUST, SECTION)
def a_post_of_everything_is_answered_as_an_upload_without_this_protocol(probe: Probe) -> None:
    """With Upload-Complete ?1 and all content processed, the target resource's own answer is given."""
    whole_is_taken(probe, "POST")


@rule("R9 R12 R16", Level.SHOULD, SECTION)
def a_put_of_everything_is_answered_as_an_upload_without_this_protocol(probe: Probe) -> None:
    """Any method that takes content can begin an upload, such as POST, PUT and PATCH."""
    whole_is_taken(probe, "PUT")


def whole_is_taken(probe: Probe, method: str) -> None:
    """A creation with all content: its success, its bytes."""
    exchange = probe.begin(method, None, {"Upload-Complete": "?1", "Content-Length": str(len(CONTENT))})
    exchange.send(CONTENT)
    answer = exchange.answer()
    expect(answer.is_success, f"{method} with all the content was answered {answer.status}")
    named = [message for message in exchange.interims if message.field("Location")]
    if named:
        probe.expect_stored(probe.location_of(named[0]), CONTENT)


@rule("R16", Level.SHOULD, SECTION)
def the_answer_to_a_whole_upload_says_that_it_is_the_resources_own(probe: Probe) -> None:
    """Upload-Complete in the response says whether it is the result of processing the representation."""
    answer = probe.ask("POST", None, {"Upload-Complete": "?1"}, CONTENT)
    expect(answer.field("Upload-Complete") == "?1", f"Upload-Complete is {answer.field('Upload-Complete')}")


@rule("R9", Level.MUST, SECTION)
def an_empty_representation_is_complete_at_once(probe: Probe) -> None:
    """The content may be empty; with Upload-Complete ?1 the representation is then empty."""
    answer = probe.ask("POST", None, {"Upload-Complete": "?1"}, b"")
    expect(answer.is_success, f"an empty upload was answered {answer.status}")
    expect(answer.field("Upload-Complete") in {None, "?1"}, f"Upload-Complete is {answer.field('Upload-Complete')}")


@rule("R9 R13", Level.MUST, SECTION)
def a_creation_without_content_gives_the_location_and_the_limits(probe: Probe) -> None:
    """With ?0 and all content processed, Location is there, and Upload-Limit if there are limits."""
    incomplete_is_described(probe, b"")


@rule("R9 R13", Level.MUST, SECTION)
def a_creation_with_a_first_part_gives_the_location_and_the_limits(probe: Probe) -> None:
    """With ?0 and all content processed, Location is there, and Upload-Limit if there are limits."""
    incomplete_is_described(probe, CONTENT[:1000])


def incomplete_is_described(probe: Probe, content: bytes) -> None:
    """A creation with ?0, its answer and its offset."""
    said = {"Upload-Complete": "?0", "Upload-Length": "100000"}
    answer = probe.ask("POST", None, said, content)
    expect(answer.is_success, f"a creation with ?0 was answered {answer.status}")
    target = probe.location_of(answer)
    has_limits = probe.limits(probe.look(target))
    expect(not has_limits or probe.limits(answer), "there are limits, and the answer has no Upload-Limit")
    expect(probe.offset(target) == len(content), f"the offset is not {len(content)}")


@rule("R13", Level.SHOULD, SECTION)
def a_creation_with_a_first_part_is_201_and_says_that_it_is_not_complete(probe: Probe) -> None:
    """201 is recommended; Upload-Complete ?0 says that the upload protocol answers."""
    answer = probe.ask("POST", None, {"Upload-Complete": "?0"}, CONTENT[:1000])
    expect(answer.status == 201, f"the status is {answer.status}")
    expect(answer.field("Upload-Complete") == "?0", f"Upload-Complete is {answer.field('Upload-Complete')}")


@rule("R10", Level.SHOULD, SECTION)
def an_upload_is_announced_before_its_body_is_read(probe: Probe) -> None:
    """The server announces the upload resource by a 104, so that the client can resume after any cut."""
    for complete in ("?1", "?0"):
        exchange = probe.begin("POST", None, {"Upload-Complete": complete, "Content-Length": "100000"})
        expect(exchange.announced(), f"no 104 with a Location within 5 s of a head with Upload-Complete {complete}")


@rule("R10 R15 R39", Level.MUST, SECTION)
def the_announcement_has_what_it_must_have(probe: Probe) -> None:
    """The 104 includes Location, Upload-Limit if there are limits, and the draft's interop version."""
    exchange, target = probe.announce(len(CONTENT))
    first = exchange.interims[0]
    expect(first.field("Upload-Draft-Interop-Version") == str(probe.interop), "the 104 has not the interop version")
    said = probe.limits(first) if first.field("Upload-Limit") else {}
    exchange.send(CONTENT[:100])
    exchange.close()
    expect(said or not probe.limits(probe.look(target)), "there are limits, and the 104 has no Upload-Limit")


@rule("R10 R9", Level.MUST, SECTION)
def the_announced_upload_can_be_continued(probe: Probe) -> None:
    """The 104's Location points to the upload resource."""
    exchange, target = probe.announce(len(CONTENT), {"Upload-Complete": "?0"})
    exchange.send(CONTENT)
    expect(exchange.answer().is_success, f"the creation was answered {exchange.answer().status}")
    expect(probe.offset(target) == len(CONTENT), "the announced upload has not the content")


@rule("R15", Level.MUST, SECTION)
def every_response_to_a_creation_names_the_same_location(probe: Probe) -> None:
    """Where Location is required, all interim and final responses to the request carry the identical value."""
    exchange, _ = probe.announce(len(CONTENT), {"Upload-Complete": "?0"})
    exchange.send(CONTENT)
    messages = [*exchange.interims, exchange.answer()]
    named = {message.field("Location") for message in messages if message.field("Location") is not None}
    expect(exchange.answer().field("Location"), "the final response has no Location")
    expect(len(named) == 1, f"there are several: {sorted(str(one) for one in named)}")


@rule("R1 R38", Level.SHOULD, "Upload Resource; Security Considerations")
def locations_are_unique_and_hard_to_guess(probe: Probe) -> None:
    """An upload's URI is unique, and made so that it is hard to be guessed."""
    made = [probe.create() for _ in range(8)]
    expect(len(set(made)) == len(made), "a Location was given twice")
    shortest = min(len(target.rstrip("/").rpartition("/")[2]) for target in made)
    expect(shortest >= 16, f"a Location ends in {shortest} characters")


@rule("R4 R14", Level.MUST, "Length")
def the_length_of_a_whole_upload_is_known_from_its_content_length(probe: Probe) -> None:
    """Upload-Complete ?1 with Content-Length indicates the length; it is recorded."""
    exchange, target = probe.announce(len(CONTENT))
    exchange.send(CONTENT[:1000])
    exchange.close()
    length = probe.look(target).field("Upload-Length")
    expect(length == str(len(CONTENT)), f"after the cut Upload-Length is {length}")


@rule("R4 R14", Level.MUST, "Length")
def a_declared_length_is_recorded(probe: Probe) -> None:
    """Upload-Length indicates the number of bytes of the entire representation; it is recorded."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "12345"})
    length = probe.look(target).field("Upload-Length")
    expect(length == "12345", f"Upload-Length is {length}")


@rule("R4 R35", Level.MUST, "Length")
def two_lengths_that_differ_in_one_creation_are_refused(probe: Probe) -> None:
    """If both indicators are in one request, their lengths match."""
    answer = contradictory_creation(probe)
    expect(answer.is_client_error, f"Content-Length 10 with ?1 and Upload-Length 20 was answered {answer.status}")


@rule("R35", Level.MAY, "Inconsistent Length")
def two_lengths_that_differ_have_their_problem_type(probe: Probe) -> None:
    """A problem type says that a request has inconsistent lengths; 400 is its status."""
    answer = contradictory_creation(probe)
    expect(answer.status == 400, f"the status is {answer.status}")
    expect(b"#inconsistent-upload-length" in answer.content, "the problem type is another")
    expect("application/problem+json" in (answer.field("Content-Type") or ""), "it is no problem+json")


def contradictory_creation(probe: Probe) -> Message:
    """The answer to a creation whose two lengths differ."""
    return probe.ask("POST", None, {"Upload-Complete": "?1", "Upload-Length": "20"}, b"x" * 10)


@rule("R4 R28", Level.MUST, "Length; Upload Append")
def a_first_part_longer_than_the_whole_is_refused(probe: Probe) -> None:
    """The offset does not exceed the length."""
    answer = probe.ask("POST", None, {"Upload-Complete": "?0", "Upload-Length": "5"}, b"x" * 10)
    expect(answer.is_client_error, f"10 bytes of an upload of 5 were answered {answer.status}")


@rule("R8", Level.SHOULD, "Limits")
def a_length_over_the_limit_is_413_with_the_limits(probe: Probe) -> None:
    """A 413 that comes of the upload limits includes Upload-Limit."""
    allowed = probe.limits(probe.look(probe.create())).get("max-size")
    if allowed is None:
        raise NotOffered("there is no max-size")
    answer = probe.ask("POST", None, {"Upload-Complete": "?0", "Upload-Length": str(allowed + 1)}, b"")
    expect(answer.status == 413, f"a length of max-size + 1 was answered {answer.status}")
    expect(probe.limits(answer).get("max-size") == allowed, "the 413 does not name max-size")


@rule("R17", Level.MUST, SECTION)
def a_creation_that_is_cut_is_not_complete(probe: Probe) -> None:
    """An upload that was interrupted is not considered complete."""
    exchange, target = probe.announce(len(CONTENT))
    exchange.send(CONTENT[:50_000])
    exchange.close()
    expect(not probe.is_complete(target), "the upload is complete with half of its bytes")
    offset = probe.offset(target)
    expect(offset <= 50_000, f"the offset is {offset}, 50000 bytes were sent")


@rule("R17", Level.SHOULD, SECTION)
def a_creation_that_is_cut_keeps_what_came(probe: Probe) -> None:
    """As much of the request content as possible is appended."""
    exchange, target = probe.announce(len(CONTENT))
    exchange.send(CONTENT[:50_000])
    exchange.close()
    offset = probe.settled_offset(target, 50_000)
    expect(offset == 50_000, f"the offset is {offset}, 50000 bytes were sent before the connection was closed")


@rule("R36", Level.MUST, "Transfer Codings")
def a_chunked_creation_counts_what_is_in_the_chunks(probe: Probe) -> None:
    """The transfer coding is removed before the offset is computed."""
    said = {"Upload-Complete": "?0", "Transfer-Encoding": "chunked"}
    exchange = probe.begin("POST", None, said)
    for start in range(0, 5000, 1000):
        exchange.send_chunk(CONTENT[start : start + 1000])
    exchange.send_chunk(b"")
    expect(exchange.answer().is_success, f"a chunked creation was answered {exchange.answer().status}")
    target = probe.location_of(exchange.answer())
    expect(probe.offset(target) == 5000, f"the offset is {probe.offset(target)}, 5000 bytes were in chunks")
    expect(probe.look(target).field("Upload-Length") is None, "there is an Upload-Length that nobody told")


@rule("R36", Level.MUST, "Content Codings")
def a_coded_representation_is_counted_as_it_came(probe: Probe) -> None:
    """Offset and length count content-coded data, which need not be decoded."""
    coded = gzip.compress(CONTENT[:10_000])
    half = len(coded) // 2
    said = {"Upload-Complete": "?0", "Content-Encoding": "gzip", "Upload-Length": str(len(coded))}
    created = probe.ask("POST", None, said, coded[:half])
    if created.status == 415:  # RFC 9110, section 8.4: which codings are taken is the server's choice
        raise NotOffered("content codings are refused")
    target = probe.location_of(created)
    expect(probe.offset(target) == half, f"the offset is {probe.offset(target)}, {half} bytes were sent")
    answer = probe.append(target, half, coded[half:], "?1")
    expect(answer.is_success, f"the rest was answered {answer.status}")
    probe.expect_stored(target, coded)


@rule("R3", Level.MUST, "Completeness")
def a_malformed_upload_complete_begins_no_upload_of_this_protocol(probe: Probe) -> None:
    """Other values than a structured Boolean cause the entire field to be ignored."""
    for value in ("true", "1", "?2", '"?1"', "?", "?1, ?1", "?1 x", "?10"):
        answer = probe.ask("POST", None, {"Upload-Complete": value}, b"whole")
        expect(answer.status < 500, f"Upload-Complete: {value} was answered {answer.status}")
        said = answer.field("Upload-Complete")
        expect(said != "?0", f"Upload-Complete: {value} began an upload that is to be continued")


@rule("R4", Level.MUST, "Length")
def a_malformed_upload_length_is_ignored(probe: Probe) -> None:
    """Other values than a non-negative structured Integer cause the entire field to be ignored."""
    for value in ("abc", "-5", "1.5", '"10"', "1e3", "10, 20", "1234567890123456", "?1", "0x10"):
        answer = probe.ask("POST", None, {"Upload-Complete": "?0", "Upload-Length": value}, b"first part")
        expect(answer.is_success, f"Upload-Length: {value} was not ignored but answered {answer.status}")
        said = probe.look(probe.location_of(answer)).field("Upload-Length")
        expect(said is None, f"Upload-Length: {value} was not ignored but taken for {said}")


@rule("R4 R3", Level.MUST, "Length; RFC 9651, section 4.2")
def parameters_that_nobody_defined_change_no_value(probe: Probe) -> None:
    """An Item may have parameters; those that are not defined are ignored."""
    said = {"Upload-Complete": "?0;later=1", "Upload-Length": "12;unit=bytes"}
    answer = probe.ask("POST", None, said, b"first part")
    expect(answer.status == 201 or answer.is_success, f"the answer is {answer.status}")
    length = probe.look(probe.location_of(answer)).field("Upload-Length")
    expect(length == "12", f"Upload-Length: 12;unit=bytes was taken for {length}")


@rule("R3 R4", Level.SHOULD, "RFC 9110, section 5.3")
def a_field_that_is_there_twice_is_ignored_or_refused(probe: Probe) -> None:
    """Two lines are a list, which is no Item: the field is malformed, whichever value would have been right."""
    lines = [("Host", "localhost"), ("Upload-Draft-Interop-Version", "8"), ("Upload-Complete", "?0")]
    lines += [("Upload-Length", "10"), ("Upload-Length", "20"), ("Content-Length", "0")]
    exchange = probe.begin_as_is(Request("POST", probe.target, lines))
    answer = exchange.answer()
    expect(answer.status < 500, f"two lengths were answered {answer.status}")
    if answer.is_success:
        said = probe.look(probe.location_of(answer)).field("Upload-Length")
        expect(said is None, f"of two lengths {said} was taken")


@rule("R16", Level.SHOULD, SECTION)
def a_refused_creation_says_whether_it_is_to_be_retried(probe: Probe) -> None:
    """Upload-Complete is in the response; an upload that is refused for good has ?1 or names no upload."""
    answer = contradictory_creation(probe)
    said = answer.field("Upload-Complete")
    expect(said is not None, f"the {answer.status} has no Upload-Complete")
    try:
        boolean(said)
    except Malformed as error:
        expect(fact=False, found=str(error))


@rule("R33", Level.MUST, "Status Code 104")
def a_104_does_not_take_the_place_of_100(probe: Probe) -> None:
    """The 100 (Continue) is not omitted because a 104 was sent."""
    said = {"Upload-Complete": "?1", "Content-Length": "1000", "Expect": "100-continue"}
    exchange = probe.begin("POST", None, said)
    expect(exchange.wait_for(100, seconds=5), "no 100 within 5 s")
    exchange.send(CONTENT[:1000])
    expect(exchange.answer().is_success, f"the upload was answered {exchange.answer().status}")


@rule("R33", Level.MUST, "RFC 9110, section 10.1.1")
def what_is_refused_unread_is_refused_without_100(probe: Probe) -> None:
    """A server that answers with a final status need not ask for the content."""
    said = {"Upload-Complete": "?1", "Upload-Length": "20", "Content-Length": "10", "Expect": "100-continue"}
    exchange = probe.begin("POST", None, said)
    expect(exchange.answer().is_client_error, f"it was answered {exchange.answer().status}")
    expect(not any(one.status == 100 for one in exchange.interims), "the client was asked for content first")


@rule("R11", Level.MAY, SECTION)
def the_progress_of_a_long_creation_is_told(probe: Probe) -> None:
    """While content is processed, 104s with Upload-Offset may be sent; each is a promise."""
    pieces, size = 12, 64 * 1024
    exchange, _ = probe.announce(pieces * size, {"Upload-Complete": "?0"})
    for number in range(pieces):
        exchange.send(bytes([number]) * size)
        exchange.listen(0.25)
    told = [one for one in exchange.interims if one.field("Upload-Offset") is not None]
    if not told:
        raise NotOffered("no progress within 3 s")
    offsets = [integer(one.field("Upload-Offset")) for one in told]
    expect(offsets == sorted(offsets), f"the offsets do not rise: {offsets}")
    expect(all(integer(one.field("Upload-Offset")) <= one.sent for one in told), "more was told than was sent")
