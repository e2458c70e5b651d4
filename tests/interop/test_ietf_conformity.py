"""The IETF's resumable upload, rule by rule from the draft's text; and each check itself, on servers that err."""

from __future__ import annotations

import pytest

from tests.interop.ietf.fake import serving
from tests.interop.ietf.probe import Probe
from tests.interop.ietf.rules import Level, Outcome, Rule, examine, report
from tests.interop.ietf_conformity import all_rules, reader
from tests.interop.stored import description
from tests.running_server import RunningServer

RULES = all_rules()

# What a server may do wrong, and the check that must see it.
FAULTS = {
    "announces late": "an upload is announced before its body is read",
    "announces to all": "who names no version gets no 104",
    "names two locations": "every response to a creation names the same location",
    "locates progress": "what is told of progress is true",
    "promises too much": "what is told of progress is true",
    "is complete when full": "all bytes alone complete nothing",
    "tells no offset": "another offset is 409 with the right one",
    "has no limits": "head says offset completeness length and limits",
    "forgets the length": "a declared length is recorded",
    "asks for nothing": "a 104 does not take the place of 100",
    "takes any number": "a malformed upload length is ignored",
    "keeps going": "a running append does not keep the offset from being told",
    "mixes": "many appends at once lose and mix nothing",
    "takes a cut for the end": "a chunked last append that is cut completes nothing",
    "appends for ever": "nothing is appended to a complete upload",
    "believes digests": "an append with another digest fails and appends nothing",
}


# What the draft leaves to a server, and ours does not offer.
NOT_OFFERED = {"a coded representation is counted as it came"}


def titled(title: str) -> Rule:
    """The rule with this title."""
    [found] = [rule for rule in RULES if rule.title == title]
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.title.replace(" ", "-"))
def test_the_server_holds_to_the_draft(rule: Rule, server: RunningServer) -> None:
    content = f"{server.http_url}/api/v1/files/{{id}}/content"

    finding = examine(rule, Probe(f"{server.http_url}/files", read_back=reader(content)))

    assert finding.outcome is not Outcome.DIFFERS, str(finding)
    offered = finding.outcome is Outcome.HOLDS
    assert offered or rule.level is Level.MAY or rule.title in NOT_OFFERED, str(finding)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.title.replace(" ", "-"))
def test_a_server_made_of_the_draft_alone_passes_every_check(rule: Rule) -> None:
    with serving() as fake:
        finding = examine(rule, Probe(fake.url, read_back=fake.stored))

    assert finding.outcome is not Outcome.DIFFERS, str(finding)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_errs_is_found_out(fault: str) -> None:
    with serving(fault) as fake:
        finding = examine(titled(FAULTS[fault]), Probe(fake.url, read_back=fake.stored))

    assert finding.outcome is Outcome.DIFFERS, str(finding)
    assert "came" in str(finding)


def test_the_report_says_what_was_sent_what_came_and_what_the_draft_says() -> None:
    with serving("is complete when full") as fake:
        finding = examine(titled("all bytes alone complete nothing"), Probe(fake.url, read_back=fake.stored))

    text = report([finding])

    assert "MUST R3 all bytes alone complete nothing" in text
    assert "Length and offset do not determine whether an upload is complete." in text
    assert "POST /files HTTP/1.1" in text
    assert "Upload-Complete: ?1" in text
    assert text.endswith("MUST: 0 holds, 1 DIFFERS, 0 not offered")


def test_every_number_of_the_checklist_has_a_check() -> None:
    numbers = {number for rule in RULES for number in rule.numbers}

    assert numbers == {f"R{number}" for number in range(1, 40)} - WITHOUT_CHECK


# R18: what becomes of metadata is the server's own, and so is where it is seen; see the test below.
WITHOUT_CHECK = {"R18"}


def test_r18_the_creations_metadata_is_the_files(server: RunningServer) -> None:
    probe = Probe(f"{server.http_url}/files")
    named = {
        "na\u00efve \u20ac.txt": "inline; filename=\"x.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt",
        "file name.txt": 'inline; filename="file name.txt"',
    }
    for filename, disposition in named.items():
        target = probe.create(b"Some ", {"Content-Type": "text/plain", "Content-Disposition": disposition})
        probe.appended(target, 5, b"text, in two parts.\n", "?1")

        file = description(server, target)

        assert (file["filename"], file["content_type"]) == (filename, "text/plain")


def test_no_two_checks_have_one_title() -> None:
    titles = [rule.title for rule in RULES]

    assert len(set(titles)) == len(titles)
