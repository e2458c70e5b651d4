"""Integrity digests (R37): the fields of RFC 9530 on creation and append."""

from __future__ import annotations

import base64
import hashlib
import random
import re

from tests.interop.ietf.probe import Probe, expect
from tests.interop.ietf.rules import Level, rule
from tests.interop.ietf.wire import Message

CONTENT = random.Random(9530).randbytes(100_000)
SECTION = "Integrity Digests"
WRONG = hashlib.sha256(b"another content").digest()


def field_of(digest: bytes, algorithm: str = "sha-256") -> str:
    """One digest as RFC 9530 writes it."""
    return f"{algorithm}=:{base64.b64encode(digest).decode()}:"


def sha256(content: bytes) -> str:
    """The field of a content."""
    return field_of(hashlib.sha256(content).digest())


def append(probe: Probe, target: str, content: bytes, digest: str) -> Message:
    """An append at 10 with a Content-Digest."""
    return probe.append(target, 10, content, Content_Digest=digest)


@rule("R37", Level.MUST, SECTION)
def an_append_with_its_digest_is_taken(probe: Probe) -> None:
    """A Content-Digest that matches is no hindrance; other algorithms than one knows may be ignored."""
    target = probe.create(CONTENT[:10])
    answer = append(probe, target, CONTENT[10:5000], f"sha-256-x=:AAAA:, {sha256(CONTENT[10:5000])}")
    expect(answer.is_success, f"it was answered {answer.status}")
    expect(probe.offset(target) == 5000, f"the offset is {probe.offset(target)}")


@rule("R37", Level.SHOULD, SECTION)
def an_append_with_another_digest_fails_and_appends_nothing(probe: Probe) -> None:
    """If digests do not match, the content is not appended and the failure is signalled."""
    target = probe.create(CONTENT[:10])
    for algorithm, digest in (("sha-256", WRONG), ("sha-512", hashlib.sha512(b"another").digest())):
        answer = append(probe, target, CONTENT[10:5000], field_of(digest, algorithm))
        expect(answer.is_client_error, f"a wrong {algorithm} was answered {answer.status}")
        expect(probe.offset(target) == 10, f"the offset is {probe.offset(target)} after a wrong {algorithm}")
    probe.appended(target, 10, CONTENT[10:20], "?1")
    probe.expect_stored(target, CONTENT[:20])


@rule("R37", Level.SHOULD, SECTION)
def a_last_append_with_another_digest_completes_nothing(probe: Probe) -> None:
    """The failed transfer is no part of the upload, so the upload goes on from before it."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "5000"})
    answer = probe.append(target, 10, CONTENT[10:5000], "?1", Content_Digest=field_of(WRONG))
    expect(answer.is_client_error, f"it was answered {answer.status}")
    expect(not probe.is_complete(target), "the upload is complete")
    expect(probe.offset(target) == 10, f"the offset is {probe.offset(target)}")
    probe.appended(target, 10, CONTENT[10:5000], "?1")
    probe.expect_stored(target, CONTENT[:5000])


@rule("R37", Level.SHOULD, SECTION)
def a_creation_with_another_content_digest_fails(probe: Probe) -> None:
    """The content of a creation is protected as that of an append is."""
    said = {"Upload-Complete": "?0", "Content-Digest": field_of(WRONG)}
    answer = probe.ask("POST", None, said, CONTENT[:100])
    expect(answer.is_client_error, f"it was answered {answer.status}")
    location = answer.field("Location")
    if location is not None:
        expect(probe.offset(probe.resolved(location)) == 0, "the content was appended")


@rule("R37", Level.MUST, SECTION)
def a_creation_with_its_digests_is_taken(probe: Probe) -> None:
    """Digests that match are no hindrance."""
    said = {"Upload-Complete": "?1", "Content-Digest": sha256(CONTENT), "Repr-Digest": sha256(CONTENT)}
    answer = probe.ask("POST", None, said, CONTENT)
    expect(answer.is_success, f"it was answered {answer.status}")


@rule("R37", Level.SHOULD, SECTION)
def a_representation_with_another_digest_fails_at_its_end(probe: Probe) -> None:
    """Repr-Digest of the creation is compared once the upload is complete; a mismatch fails the upload."""
    target = probe.create(CONTENT[:10], {"Repr-Digest": field_of(WRONG)})
    answer = probe.append(target, 10, CONTENT[10:100], "?1")
    expect(answer.is_client_error, f"the end of another representation was answered {answer.status}")
    whole = probe.ask("POST", None, {"Upload-Complete": "?1", "Repr-Digest": field_of(WRONG)}, CONTENT)
    expect(whole.is_client_error, f"another representation in one request was answered {whole.status}")


@rule("R37", Level.MUST, SECTION)
def a_representation_with_its_digest_is_taken_in_parts(probe: Probe) -> None:
    """Repr-Digest covers the whole, which may come in several requests."""
    target = probe.create(CONTENT[:10], {"Repr-Digest": sha256(CONTENT)})
    probe.appended(target, 10, CONTENT[10:60_000])
    probe.appended(target, 60_000, CONTENT[60_000:], "?1")
    probe.expect_stored(target, CONTENT)


@rule("R37", Level.SHOULD, SECTION)
def the_digest_that_was_wanted_is_given_at_the_end(probe: Probe) -> None:
    """Want-Repr-Digest on creation: Repr-Digest is in the response once the upload is complete."""
    whole = probe.ask("POST", None, {"Upload-Complete": "?1", "Want-Repr-Digest": "sha-256=10"}, CONTENT)
    given = whole.field("Repr-Digest") or ""
    expect(sha256(CONTENT) in given, f"Repr-Digest is {given or 'missing'} at once")
    target = probe.create(CONTENT[:10], {"Want-Repr-Digest": "sha-512=3, sha-256=10"})
    last = probe.append(target, 10, CONTENT[10:], "?1")
    given = last.field("Repr-Digest") or ""
    expect(sha256(CONTENT) in given or "sha-512=:" in given, f"Repr-Digest is {given or 'missing'} in parts")


@rule("R37", Level.MUST, "RFC 9530, sections 2 to 4")
def digest_fields_that_cannot_be_read_break_nothing(probe: Probe) -> None:
    """A digest field is a Dictionary of byte sequences; one that is not is ignored or refused."""
    values = ("sha-256", "sha-256=abc", "sha-256=:!!:", "sha-256=:AAAA:", ":", "=", "sha-256=1;", "md5=:AAAA:", "")
    for name in ("Content-Digest", "Repr-Digest", "Want-Repr-Digest", "Want-Content-Digest"):
        for value in values:
            answer = probe.ask("POST", None, {"Upload-Complete": "?0", name: value}, b"part")
            expect(answer.status < 500, f"{name}: {value} was answered {answer.status}")


@rule("R37", Level.SHOULD, "RFC 9530, section 5")
def what_is_given_is_of_the_form_that_the_registry_has(probe: Probe) -> None:
    """Algorithm names are those of the registry, values are byte sequences."""
    answer = probe.ask("POST", None, {"Upload-Complete": "?1", "Want-Repr-Digest": "sha-256=1"}, CONTENT)
    given = answer.field("Repr-Digest")
    expect(given, "there is no Repr-Digest")
    member = r"[a-z0-9-]+=:[A-Za-z0-9+/]+={0,2}:"
    expect(re.fullmatch(rf"{member}(?:, *{member})*", given or ""), f"Repr-Digest is {given}")
