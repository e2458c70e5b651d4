"""Cuts, progress, cancellation and requests at the same time (R2, R17, R21, R29 to R32)."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress

from tests.interop.ietf.probe import NotOffered, Probe, expect
from tests.interop.ietf.rules import Level, rule
from tests.interop.ietf.wire import Exchange, integer

CONTENT = random.Random(32).randbytes(2 << 20)
ANSWER_SECONDS_MAX = 8.0
ENOUGH = 3  # 104s to look at


@rule("R30", Level.SHOULD, "Upload Append")
def an_append_that_is_cut_keeps_what_came(probe: Probe) -> None:
    """As much of the patch document as possible is appended, from its beginning and without gaps."""
    target = probe.create(CONTENT[:10])
    exchange = probe.begin_append(target, 10, 90_000, "?1")
    exchange.send(CONTENT[10:50_000])
    exchange.close()
    offset = probe.settled_offset(target, 50_000)
    expect(offset == 50_000, f"the offset is {offset}, bytes up to 50000 were sent before the connection was closed")


@rule("R2 R17 R30", Level.MUST, "Upload Creation; Upload Append")
def an_upload_cut_anywhere_is_whole_in_the_end(probe: Probe) -> None:
    """Only a contiguous prefix is kept; the offset never decreases; what was acknowledged need not be sent again."""
    rng = random.Random(17)
    for _ in range(3):
        target, at = begun_and_cut(probe, rng)
        for _ in range(12):
            offset = probe.offset(target)
            expect(offset >= at, f"the offset fell from {at} to {offset}")
            at = offset
            stop = rng.randrange(at, len(CONTENT)) if at < len(CONTENT) else at
            exchange = probe.begin_append(target, at, len(CONTENT) - at, "?1")
            exchange.send(CONTENT[at:stop])
            end(exchange, rng)
        at = probe.offset(target)
        expect(not probe.is_complete(target), "it is complete, and no request was whole")
        probe.appended(target, at, CONTENT[at:], "?1")
        probe.expect_stored(target, CONTENT)


def begun_and_cut(probe: Probe, rng: random.Random) -> tuple[str, int]:
    """An upload whose creation was cut, if the server announces it, and an offset that it had."""
    try:
        exchange, target = probe.announce(len(CONTENT))
    except NotOffered:
        target = probe.create(fields={"Upload-Length": str(len(CONTENT))})
        return target, 0
    exchange.send(CONTENT[: rng.randrange(300_000)])
    end(exchange, rng)
    return target, probe.offset(target)


def end(exchange: Exchange, rng: random.Random) -> None:
    """Cut a connection in one of two ways."""
    if rng.random() < 0.5:
        exchange.close()
    else:
        exchange.reset()


@rule("R29", Level.SHOULD, "Upload Append")
def the_progress_of_a_long_append_is_told(probe: Probe) -> None:
    """While content is processed, 104s with the current Upload-Offset are sent."""
    exchange, _ = slow_append(probe, pieces=20, pause=0.25)
    told = [one for one in exchange.interims if one.status == 104]
    expect(told, "no 104 during an append of 5 s")


@rule("R29 R39 R2", Level.MUST, "Upload Append")
def what_is_told_of_progress_is_true(probe: Probe) -> None:
    """These 104s have Upload-Offset, no Location, the interop version; an offset is a promise."""
    exchange, target = slow_append(probe, pieces=20, pause=0.25)
    told = [one for one in exchange.interims if one.status == 104]
    if not told:
        raise NotOffered("no 104 during an append of 5 s")
    exchange.reset()
    for one in told:
        expect(one.field("Location") is None, "a 104 to an append has a Location")
        expect(one.field("Upload-Draft-Interop-Version") == str(probe.interop), "a 104 has not the interop version")
        offset = integer(one.field("Upload-Offset"))
        expect(offset <= one.sent, f"a 104 tells {offset} when {one.sent} bytes were sent")
    offsets = [integer(one.field("Upload-Offset")) for one in told]
    expect(offsets == sorted(offsets), f"the offsets do not rise: {offsets}")
    expect(probe.offset(target) >= offsets[-1], f"{offsets[-1]} was promised, {probe.offset(target)} are there")


def slow_append(probe: Probe, *, pieces: int, pause: float) -> tuple[Exchange, str]:
    """An append of some seconds that is still open, and where it goes."""
    size = 64 * 1024
    target = probe.create()
    exchange = probe.begin_append(target, 0, len(CONTENT))
    for number in range(pieces):
        exchange.send(CONTENT[number * size : (number + 1) * size])
        exchange.listen(pause)
        if len(exchange.interims) >= ENOUGH:
            break
    return exchange, target


def under_way(probe: Probe) -> tuple[Exchange, str]:
    """An append that has brought 30,000 of its 100,000 bytes, and where it goes."""
    target = probe.create()
    running = probe.begin_append(target, 0, 100_000)
    running.send(CONTENT[:30_000])
    time.sleep(0.3)
    return running, target


@rule("R21 R32", Level.MUST, "Concurrency")
def an_offset_told_during_an_append_is_taken(probe: Probe) -> None:
    """The server sends no outdated offset: a following append there is accepted."""
    running, target = under_way(probe)
    offset = probe.offset(target)
    running.send(CONTENT[30_000:60_000])  # what an older request still brings must not move it
    answer = probe.append(target, offset, CONTENT[offset:100_000], "?1")
    expect(answer.is_success, f"the offset {offset} was told, and an append there was answered {answer.status}")
    probe.expect_stored(target, CONTENT[:100_000])


@rule("R32", Level.SHOULD, "Concurrency")
def a_running_append_does_not_keep_the_offset_from_being_told(probe: Probe) -> None:
    """A new request to retrieve the offset terminates the running append before it is answered."""
    running, target = under_way(probe)
    began = time.monotonic()
    probe.look(target)
    took = time.monotonic() - began
    expect(took < ANSWER_SECONDS_MAX, f"HEAD took {took:.1f} s")
    expect(running.has_ended(ANSWER_SECONDS_MAX), "the running append goes on after the offset was told")


@rule("R32", Level.SHOULD, "Concurrency")
def a_running_creation_does_not_keep_the_offset_from_being_told(probe: Probe) -> None:
    """A creation is terminated in the same way, so that its client can resume on another connection."""
    running, target = probe.announce(100_000)
    running.send(CONTENT[:30_000])
    time.sleep(0.3)
    offset = probe.offset(target)
    expect(running.has_ended(ANSWER_SECONDS_MAX), "the running creation goes on after the offset was told")
    answer = probe.append(target, offset, CONTENT[offset:100_000], "?1")
    expect(answer.is_success, f"an append at {offset} was answered {answer.status}")
    probe.expect_stored(target, CONTENT[:100_000])


@rule("R32", Level.SHOULD, "Concurrency")
def a_newer_append_takes_the_place_of_a_running_one(probe: Probe) -> None:
    """A new append terminates the running one before it is handled."""
    running, target = under_way(probe)
    began = time.monotonic()
    answer = probe.append(target, 0, b"")
    took = time.monotonic() - began
    expect(took < ANSWER_SECONDS_MAX, f"it took {took:.1f} s")
    expect(answer.is_success or answer.status == 409, f"the newer append was answered {answer.status}")
    expect(running.has_ended(ANSWER_SECONDS_MAX), "the older append goes on")
    offset = probe.offset(target)
    probe.appended(target, offset, CONTENT[offset:100_000], "?1")
    probe.expect_stored(target, CONTENT[:100_000])


@rule("R32", Level.MUST, "Concurrency")
def many_appends_at_once_lose_and_mix_nothing(probe: Probe) -> None:
    """Races, data loss and corruption between requests to one upload are prevented."""
    target = probe.create(fields={"Upload-Length": str(len(CONTENT))})
    statuses: list[int] = []

    def send() -> None:
        with suppress(OSError):  # ended before its head was through
            exchange = probe.begin_append(target, 0, len(CONTENT))
            time.sleep(0.3)  # until all of them have begun
            exchange.send(CONTENT)
            if exchange.has_ended(probe.seconds) and exchange.final is not None:
                statuses.append(exchange.final.status)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(all(status < 500 for status in statuses), f"the answers were {statuses}")
    expect(sum(200 <= status < 300 for status in statuses) <= 1, f"several had all of it: {statuses}")
    at = probe.offset(target)
    probe.appended(target, at, CONTENT[at:], "?1")
    probe.expect_stored(target, CONTENT)


@rule("R31", Level.SHOULD, "Upload Cancellation")
def a_cancelled_upload_is_gone(probe: Probe) -> None:
    """DELETE deactivates the upload resource."""
    target = probe.create(CONTENT[:10], {"Upload-Length": "100"})
    answer = probe.ask("DELETE", target)
    expect(answer.is_success, f"DELETE was answered {answer.status}")
    for again in (probe.ask("HEAD", target), probe.append(target, 10, b"x")):
        expect(again.is_client_error, f"it was answered {again.status} afterwards")


@rule("R31", Level.SHOULD, "Upload Cancellation")
def cancellation_answers_204(probe: Probe) -> None:
    """The example has 204 (No Content); since -09 every 2xx is right."""
    status = probe.ask("DELETE", probe.create()).status
    expect(status == 204, f"the status is {status}")


@rule("R31 R32", Level.SHOULD, "Upload Cancellation")
def cancellation_ends_a_running_append(probe: Probe) -> None:
    """In-flight requests to the upload are terminated before the response is sent."""
    running, target = under_way(probe)
    began = time.monotonic()
    answer = probe.ask("DELETE", target)
    took = time.monotonic() - began
    expect(answer.is_success, f"DELETE was answered {answer.status}")
    expect(took < ANSWER_SECONDS_MAX, f"it took {took:.1f} s")
    expect(running.has_ended(ANSWER_SECONDS_MAX), "the running append goes on")
    expect(running.final is None or not running.final.is_success, "the running append ended in success")
    expect(probe.ask("HEAD", target).is_client_error, "the upload is there again")


@rule("R31 R32", Level.MUST, "Concurrency")
def cancellation_ends_a_running_creation(probe: Probe) -> None:
    """Races between creation and cancellation are prevented: what was cancelled does not come back."""
    running, target = probe.announce(100_000)
    running.send(CONTENT[:30_000])
    time.sleep(0.3)
    expect(probe.ask("DELETE", target).is_success, "DELETE was refused")
    running.send(CONTENT[30_000:100_000])
    running.has_ended(ANSWER_SECONDS_MAX)
    expect(running.final is None or not running.final.is_success, "the creation succeeded after its cancellation")
    expect(probe.ask("HEAD", target).is_client_error, "the upload is there again")
