"""Offset retrieval and limits (R2, R5 to R7, R19 to R21)."""

from __future__ import annotations

import itertools
import random

from tests.interop.ietf.probe import NotOffered, Probe, expect
from tests.interop.ietf.rules import Level, rule
from tests.interop.ietf.wire import Malformed, boolean, dictionary, integer

CONTENT = random.Random(19).randbytes(5000)
SECTION = "Offset Retrieval"


@rule("R19", Level.MUST, SECTION)
def head_says_offset_completeness_length_and_limits(probe: Probe) -> None:
    """A successful response includes Upload-Offset, Upload-Complete, Upload-Length if told, Upload-Limit."""
    state_is_told(probe, "HEAD")


@rule("R19", Level.MUST, SECTION)
def get_says_the_same_as_head(probe: Probe) -> None:
    """HEAD or GET to the upload resource retrieves the offset."""
    state_is_told(probe, "GET")


def state_is_told(probe: Probe, method: str) -> None:
    """Every field of the upload's state."""
    target = probe.create(CONTENT[:100], {"Upload-Length": "5000"})
    answer = probe.ask(method, target)
    expect(answer.is_success, f"{method} was answered {answer.status}")
    expect(integer(answer.field("Upload-Offset")) == 100, f"Upload-Offset is {answer.field('Upload-Offset')}")
    expect(boolean(answer.field("Upload-Complete")) is False, "Upload-Complete is not ?0")
    expect(integer(answer.field("Upload-Length")) == 5000, f"Upload-Length is {answer.field('Upload-Length')}")
    expect(dictionary(answer.field("Upload-Limit")), "there is no Upload-Limit")


@rule("R19", Level.MUST, SECTION)
def a_length_that_nobody_told_is_not_told(probe: Probe) -> None:
    """Upload-Length is included unless the client has not supplied one."""
    answer = probe.look(probe.create(CONTENT[:100]))
    expect(answer.field("Upload-Length") is None, f"Upload-Length is {answer.field('Upload-Length')}")


@rule("R19", Level.SHOULD, SECTION)
def the_state_is_not_to_be_cached(probe: Probe) -> None:
    """Cache-Control: no-store prevents caching."""
    said = probe.look(probe.create()).field("Cache-Control")
    expect("no-store" in (said or ""), f"Cache-Control is {said}")


@rule("R19", Level.SHOULD, SECTION)
def retrieval_answers_204_or_200(probe: Probe) -> None:
    """The examples have 204; a client treats every 2xx alike."""
    status = probe.look(probe.create()).status
    expect(status in {200, 204}, f"the status is {status}")


@rule("R20", Level.SHOULD, SECTION)
def retrieval_is_not_redirected_by_301_or_302(probe: Probe) -> None:
    """Clients might follow these without preserving the method."""
    target = probe.create()
    for one in (target, f"{target}/"):
        status = probe.ask("HEAD", one).status
        expect(status not in {301, 302}, f"HEAD {one} was answered {status}")


@rule("R39", Level.MUST, "Draft Version Identification")
def retrieval_needs_no_interop_version(probe: Probe) -> None:
    """The interop version governs 104s; without it, none are sent and nothing else changes."""
    target = probe.create(CONTENT[:100])
    answer = probe.ask("HEAD", target, {"Upload-Draft-Interop-Version": None})
    expect(answer.is_success, f"HEAD was answered {answer.status}")
    expect(answer.field("Upload-Offset") == "100", f"Upload-Offset is {answer.field('Upload-Offset')}")


@rule("R3 R19", Level.MUST, "Completeness")
def a_complete_upload_is_gone_or_says_that_it_is_complete(probe: Probe) -> None:
    """The server may remove the resource on completion; kept, it says ?1."""
    target = probe.create(CONTENT[:100])
    probe.appended(target, 100, CONTENT[100:200], "?1")
    answer = probe.ask("HEAD", target)
    expect(answer.is_success or answer.is_client_error, f"HEAD was answered {answer.status}")
    if answer.is_success:
        expect(boolean(answer.field("Upload-Complete")), "Upload-Complete is ?0")
        expect(answer.field("Upload-Offset") == "200", f"Upload-Offset is {answer.field('Upload-Offset')}")


@rule("R2 R31", Level.MUST, "Offset")
def what_does_not_exist_is_refused(probe: Probe) -> None:
    """If state is lost, the resource is deactivated and further interaction with it is rejected."""
    gone = probe.create()
    probe.ask("DELETE", gone)
    unknown = gone[:-4] + ("0000" if not gone.endswith("0000") else "1111")
    for target in (gone, unknown):
        for method, fields in (("HEAD", {}), ("GET", {}), ("PATCH", probe.append_fields(0, "?0")), ("DELETE", {})):
            answer = probe.ask(method, target, fields, b"x" if method == "PATCH" else None)
            expect(answer.is_client_error, f"{method} {target} was answered {answer.status}")


@rule("R5", Level.MUST, "Limits")
def limits_are_a_dictionary_of_integers(probe: Probe) -> None:
    """Upload-Limit is a Dictionary; the values of the known keys are Integers."""
    target = probe.create(CONTENT[:10])
    for answer in (probe.look(target), probe.ask("OPTIONS")):
        limits = probe.limits(answer)
        expect(all(value >= 0 for value in limits.values()), f"a limit is negative: {limits}")


@rule("R6", Level.MUST, "Limits")
def options_announces_the_limits(probe: Probe) -> None:
    """OPTIONS without Upload-Complete on a resource that can create uploads includes Upload-Limit."""
    answer = probe.ask("OPTIONS")
    expect(answer.is_success, f"OPTIONS was answered {answer.status}")
    expect(answer.field("Upload-Limit"), "there is no Upload-Limit")


@rule("R6", Level.MUST, "Limits; Draft Version Identification")
def options_announces_the_limits_to_who_names_no_interop_version(probe: Probe) -> None:
    """A client discovers support by OPTIONS; the interop version governs 104s alone."""
    answer = probe.ask("OPTIONS", None, {"Upload-Draft-Interop-Version": None})
    expect(answer.field("Upload-Limit"), "there is no Upload-Limit")


@rule("R6", Level.MAY, "Limits")
def options_for_the_whole_server_announces_the_limits(probe: Probe) -> None:
    """OPTIONS * carries the limits where they are the same everywhere and the target is supported."""
    answer = probe.ask("OPTIONS", "*")
    if not answer.is_success or not answer.field("Upload-Limit"):
        raise NotOffered(f"OPTIONS * was answered {answer.status}")
    probe.limits(answer)


@rule("R39", Level.MAY, "OPTIONS in -10 and -11")
def options_names_the_media_type_of_appends(probe: Probe) -> None:
    """Accept-Patch: application/partial-upload is what -10 and -11 want in an answer to OPTIONS."""
    said = probe.ask("OPTIONS").field("Accept-Patch")
    if said is None:
        raise NotOffered("there is no Accept-Patch")
    expect("application/partial-upload" in said, f"Accept-Patch is {said}")


@rule("R7", Level.SHOULD, "Limits")
def limits_do_not_tighten(probe: Probe) -> None:
    """max-* do not decrease, min-* do not increase, the end of life comes not earlier; OPTIONS promises no more."""
    promised = probe.limits(probe.ask("OPTIONS"))
    target = probe.create(CONTENT[:10])
    seen = [promised, probe.limits(probe.look(target))]
    probe.appended(target, 10, CONTENT[10:20])
    seen.append(probe.limits(probe.look(target)))
    for before, after in itertools.pairwise(seen):
        for key in ("max-size", "max-append-size"):
            expect(before.get(key, 2**63) <= after.get(key, 2**63) or key not in after, f"{key} fell: {before} {after}")
            expect(key in before or key not in after, f"{key} was not announced: {before} {after}")
        for key in ("min-size", "min-append-size"):
            expect(before.get(key, 0) >= after.get(key, 0), f"{key} rose: {before} {after}")
    ages = [limits["max-age"] for limits in seen[1:] if "max-age" in limits]
    expect(all(late >= early - 2 for early, late in itertools.pairwise(ages)), f"max-age fell: {ages}")


@rule("R21 R2", Level.MUST, "Concurrency")
def an_offset_that_was_told_is_taken(probe: Probe) -> None:
    """The offset sent is accepted by a following append, if nothing else happened in between."""
    target = probe.create()
    at = 0
    for size in (1, 999, 0, 4000):
        expect(probe.offset(target) == at, f"the offset is not {at}")
        probe.appended(target, at, CONTENT[at : at + size])
        at += size
    try:
        integer(probe.look(target).field("Upload-Offset"))
    except Malformed as error:
        expect(fact=False, found=str(error))
    probe.appended(target, at, b"", "?1")
    probe.expect_stored(target, CONTENT)
