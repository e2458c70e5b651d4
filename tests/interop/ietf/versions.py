"""Draft versions (R39): who gets a 104, and what older clients say otherwise."""

from __future__ import annotations

import random

from tests.interop.ietf.probe import PARTIAL, VERSION_FIELD, Probe, expect
from tests.interop.ietf.rules import Level, rule
from tests.interop.ietf.wire import Request, boolean, dictionary

CONTENT = random.Random(39).randbytes(20_000)
SECTION = "Draft Version Identification"
VERSIONS = range(3, 11)
FIRST_WITH_COMPLETE = 4
FIRST_WITH_MEDIA_TYPE = 6
FIRST_WITH_MAX_AGE = 7
UNKNOWN = ("2", "99", "-8", "0", "8.0", '"8"', "eight", "8, 8", "", "?1", "99999999999999999999")


def completeness(version: int, *, complete: bool) -> dict[str, str | None]:
    """The field that says whether an upload is complete, as a version has it."""
    if version < FIRST_WITH_COMPLETE:
        return {"Upload-Incomplete": "?0" if complete else "?1"}
    return {"Upload-Complete": "?1" if complete else "?0"}


def said_by(probe: Probe, version: int, target: str) -> bool:
    """Whether an upload is complete, as a version is told it."""
    answer = probe.ask("HEAD", target, {VERSION_FIELD: str(version)})
    expect(answer.is_success, f"HEAD was answered {answer.status}")
    if version < FIRST_WITH_COMPLETE:
        return not boolean(answer.field("Upload-Incomplete"))
    return boolean(answer.field("Upload-Complete"))


@rule("R39 R10", Level.SHOULD, SECTION)
def every_known_version_gets_its_104(probe: Probe) -> None:
    """The 104 has the interop version of the request."""
    for version in VERSIONS:
        said = {VERSION_FIELD: str(version), "Content-Length": "20000", **completeness(version, complete=True)}
        exchange = probe.begin("POST", None, said)
        message = exchange.announced()
        expect(message, f"no 104 with a Location within 5 s for version {version}")
        named = message.field(VERSION_FIELD) if message else None
        expect(named == str(version), f"version {version} was answered {named}")
        exchange.send(CONTENT)
        expect(exchange.answer().is_success, f"version {version} was answered {exchange.answer().status}")


@rule("R39", Level.MUST, SECTION)
def who_names_no_version_gets_no_104(probe: Probe) -> None:
    """No 104 is sent when the interop version is missing; the upload is served all the same."""
    expect_unannounced(probe, None)


@rule("R39", Level.MUST, SECTION)
def an_unknown_version_gets_no_104(probe: Probe) -> None:
    """No 104 is sent when the interop version mismatches; the upload is served all the same."""
    for value in UNKNOWN:
        expect_unannounced(probe, value)


def expect_unannounced(probe: Probe, version: str | None) -> None:
    """A creation and an append that end well without a 104."""
    shown = f"{VERSION_FIELD}: {version}"
    said = {VERSION_FIELD: version, "Upload-Complete": "?0", "Content-Length": "1000"}
    creation = probe.begin("POST", None, said)
    creation.listen(0.3)
    creation.send(CONTENT[:1000])
    answer = creation.answer()
    expect(not any(one.status == 104 for one in creation.interims), f"{shown}: a 104 was sent")
    expect(answer.is_success, f"{shown} was answered {answer.status}")
    target = probe.location_of(answer)
    append = probe.begin(
        "PATCH", target, {**probe.append_fields(1000, "?1", Content_Length="1000"), VERSION_FIELD: version}
    )
    append.send(CONTENT[1000:2000])
    expect(append.answer().is_success, f"{shown}: the append was answered {append.answer().status}")
    expect(not any(one.status == 104 for one in append.interims), f"{shown}: a 104 was sent to an append")


@rule("R39", Level.MUST, SECTION)
def a_version_that_is_there_twice_gets_no_104(probe: Probe) -> None:
    """Two lines are a list, which is no Integer."""
    lines = [("Host", "localhost"), (VERSION_FIELD, "8"), (VERSION_FIELD, "8")]
    exchange = probe.begin_as_is(
        Request("POST", probe.target, [*lines, ("Upload-Complete", "?0"), ("Content-Length", "10")])
    )
    exchange.listen(0.5)
    exchange.send(b"x" * 10)
    expect(exchange.answer().status < 500, f"it was answered {exchange.answer().status}")
    expect(not any(one.status == 104 for one in exchange.interims), "a 104 was sent")


@rule("R39 R3", Level.MUST, "Draft versions")
def every_version_is_served_from_creation_to_completion(probe: Probe) -> None:
    """3 says Upload-Incomplete in the inverse sense; up to 5 an append has no media type; from 6 on it has."""
    for version in VERSIONS:
        told = f"version {version}"
        said = {VERSION_FIELD: str(version), **completeness(version, complete=False)}
        answer = probe.ask("POST", None, said, CONTENT[:5000])
        expect(answer.is_success, f"{told}: the creation was answered {answer.status}")
        target = probe.location_of(answer)
        expect(not said_by(probe, version, target), f"{told}: the upload is complete after its first part")
        part = {"Upload-Offset": "5000", "Content-Type": PARTIAL if version >= FIRST_WITH_MEDIA_TYPE else None}
        answer = probe.ask("PATCH", target, {**said, **part}, CONTENT[5000:9000])
        expect(answer.is_success, f"{told}: the second part was answered {answer.status}")
        whole = {VERSION_FIELD: str(version), **completeness(version, complete=True), **part, "Upload-Offset": "9000"}
        answer = probe.ask("PATCH", target, whole, CONTENT[9000:])
        expect(answer.is_success, f"{told}: the last part was answered {answer.status}")
        probe.expect_stored(target, CONTENT)


@rule("R39 R29", Level.MUST, "Draft versions up to -05")
def an_older_client_is_told_the_offset_after_each_part(probe: Probe) -> None:
    """Up to version 6 successful answers to creations and appends have Upload-Offset; tus-js-client wants it."""
    for version in range(FIRST_WITH_COMPLETE, FIRST_WITH_MAX_AGE):
        said = {VERSION_FIELD: str(version), "Upload-Complete": "?0"}
        answer = probe.ask("POST", None, said, CONTENT[:5000])
        found = answer.field("Upload-Offset")
        expect(found == "5000", f"version {version}: Upload-Offset is {found} after creation")
        part = {"Upload-Offset": "5000", "Content-Type": PARTIAL}
        answer = probe.ask("PATCH", probe.location_of(answer), {**said, **part}, CONTENT[5000:9000])
        found = answer.field("Upload-Offset")
        expect(found == "9000", f"version {version}: Upload-Offset is {found} after an append")


@rule("R39 R5", Level.MUST, "Draft versions -04 and -05")
def version_6_calls_the_end_of_life_expires(probe: Probe) -> None:
    """The limit on lifetime is called expires in version 6 and max-age from 7 on."""
    target = probe.create(CONTENT[:10])
    for version in range(FIRST_WITH_MEDIA_TYPE, VERSIONS.stop):
        answer = probe.ask("HEAD", target, {VERSION_FIELD: str(version)})
        limits = dictionary(answer.field("Upload-Limit"))
        wanted = "max-age" if version >= FIRST_WITH_MAX_AGE else "expires"
        if {"max-age", "expires"} & set(limits):
            expect(wanted in limits, f"version {version}: the limits are {sorted(limits)}, without {wanted}")


@rule("R39", Level.SHOULD, "Draft versions")
def an_upload_can_be_continued_by_a_client_of_another_version(probe: Probe) -> None:
    """An upload belongs to no version; a client that was updated goes on."""
    target = probe.create(CONTENT[:5000], {VERSION_FIELD: "5"})
    expect(said_by(probe, 3, target) is False, "version 3 is told that it is complete")
    append = {VERSION_FIELD: "3", "Upload-Incomplete": "?1", "Upload-Offset": "5000"}
    expect(probe.ask("PATCH", target, append, CONTENT[5000:9000]).is_success, "version 3 was refused")
    answer = probe.append(target, 9000, CONTENT[9000:], "?1")
    expect(answer.is_success, f"version {probe.interop} was answered {answer.status}")
    probe.expect_stored(target, CONTENT)
