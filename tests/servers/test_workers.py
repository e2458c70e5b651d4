"""Several processes on one port: started, replaced, stopped together, and never left behind."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from uploadstream.servers.listening import listen, port_of, reserve
from uploadstream.servers.workers import STARTS_MAX, WAIT_SECONDS_MIN

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "from tests.worker_samples import main; main()"
LONG_SECONDS = 30.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a supervisor in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def start_one(work: str, count: int = 2, stop_seconds: float = LONG_SECONDS) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, work, str(count), str(stop_seconds)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, process_group=0)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def port_when_ready(supervisor: subprocess.Popen[str]) -> int:
    assert supervisor.stdout is not None
    word, port = supervisor.stdout.readline().split()
    assert word == "ready"
    return int(port)


def ask(port: int, path: str = "/") -> int:
    """The pid of whoever answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_SECONDS)
    connection.request("GET", path)
    pid = int(connection.getresponse().read())
    connection.close()
    return pid


def answering(port: int) -> set[int]:
    """The pids of all that answer, most likely."""
    return {ask(port) for _ in range(40)}


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def eventually(condition: Callable[[], bool], seconds: float = LONG_SECONDS) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_all_workers_answer_on_one_port(start: Start) -> None:
    supervisor = start("serve", 3)

    port = port_when_ready(supervisor)

    assert len(answering(port)) == 3
    assert supervisor.pid not in answering(port)


def test_a_worker_that_dies_is_replaced_while_the_other_answers(start: Start) -> None:
    supervisor = start("serve")
    port = port_when_ready(supervisor)
    before = answering(port)
    victim = min(before)

    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        with suppress(OSError):  # what waited to be accepted by the dead one
            now = answering(port)
            return len(now) == 2 and victim not in now
        return False

    assert eventually(replaced)
    assert before - {victim} <= answering(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_they_finish_what_they_do_and_all_is_well(start: Start, number: signal.Signals) -> None:
    supervisor = start("serve")
    port = port_when_ready(supervisor)
    pids = answering(port)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_SECONDS)
    connection.request("GET", "/slow")
    time.sleep(0.2)

    os.killpg(supervisor.pid, number)
    response = connection.getresponse()

    assert int(response.read()) in pids
    assert response.getheader("Connection") == "close"
    assert supervisor.wait(LONG_SECONDS) == 0
    assert not any(map(lives, pids))
    connection.close()


def test_a_worker_that_does_not_stop_in_time_is_killed_and_that_is_told(start: Start) -> None:
    supervisor = start("stuck", 1, 0.5)
    assert supervisor.stdout is not None
    pid = next(int(line.split()[1]) for line in supervisor.stdout if line.startswith("pid"))

    supervisor.send_signal(signal.SIGTERM)

    assert supervisor.wait(LONG_SECONDS) == 1
    assert supervisor.stderr is not None
    assert f"worker {pid} did not end well: killed by SIGKILL" in supervisor.stderr.read()
    assert not lives(pid)


def test_a_second_interrupt_does_not_wait(start: Start) -> None:
    supervisor = start("stuck", 2, 60)
    assert supervisor.stdout is not None
    pids = [int(line.split()[1]) for line in [supervisor.stdout.readline() for _ in range(3)] if line.startswith("pid")]

    supervisor.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGINT)

    assert supervisor.wait(LONG_SECONDS) == 130
    assert len(pids) == 2
    assert not any(map(lives, pids))


def test_workers_do_not_outlive_a_supervisor_that_was_killed(start: Start) -> None:
    supervisor = start("serve", 2)
    pids = answering(port_when_ready(supervisor))

    supervisor.kill()

    assert len(pids) == 2
    assert eventually(lambda: not any(map(lives, pids)))


def test_workers_that_hear_nothing_do_not_outlive_it_for_long(start: Start) -> None:
    supervisor = start("stuck", 1, 0.5)
    assert supervisor.stdout is not None
    pid = next(int(line.split()[1]) for line in supervisor.stdout if line.startswith("pid"))

    supervisor.kill()

    assert eventually(lambda: not lives(pid))


def test_what_cannot_be_started_is_given_up_with_the_reason(start: Start) -> None:
    supervisor = start("unable", 3)

    output, errors = supervisor.communicate(timeout=30)

    assert supervisor.returncode == 1
    assert output.split() == ["tried"] * STARTS_MAX
    assert "died: exit status 1 (OSError: no such disk)" in errors
    assert "giving up: no worker could be started" in errors
    assert "Traceback" not in errors


def test_who_dies_again_and_again_is_started_again_at_longer_and_longer_intervals(start: Start) -> None:
    supervisor = start("unwell", 1)
    assert supervisor.stdout is not None
    deaths: list[float] = []
    while len(deaths) < 4:
        word, value = supervisor.stdout.readline().split()
        deaths += [float(value)] if word == "dies" else []

    supervisor.send_signal(signal.SIGTERM)
    _, errors = supervisor.communicate(timeout=LONG_SECONDS)

    waits = [later - earlier for earlier, later in pairwise(deaths)]
    assert all(waited > WAIT_SECONDS_MIN * 2**number for number, waited in enumerate(waits)), waits
    assert "killed by SIGABRT" in errors
    assert "giving up" not in errors


def test_sighup_is_passed_on_to_every_worker(start: Start) -> None:
    supervisor = start("serve", 3)
    port = port_when_ready(supervisor)
    pids = answering(port)

    supervisor.send_signal(signal.SIGHUP)
    assert supervisor.stdout is not None
    lines = {supervisor.stdout.readline().strip() for _ in range(3)}

    assert lines >= {f"hangup {pid}" for pid in pids}
    assert len(lines) == 3
    assert answering(port) <= {int(line.split()[1]) for line in lines}


def test_a_worker_that_is_not_ready_gets_sighup_when_it_is(start: Start) -> None:
    supervisor = start("late", 1)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "starting\n"

    supervisor.send_signal(signal.SIGHUP)

    said = {supervisor.stdout.readline().split()[0] for _ in range(2)}  # by two processes, in no order
    assert said == {"ready", "hangup"}


def test_a_port_that_somebody_listens_on_is_not_reserved_even_if_they_would_share_it() -> None:
    there = listen("127.0.0.1", 0, shared=True)
    there[0].listen()

    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port_of(there[0])}"):
        reserve("127.0.0.1", port_of(there[0]))

    there[0].close()


def test_a_reserved_port_takes_no_connections_but_is_there_for_those_who_share_it() -> None:
    reserved = reserve("127.0.0.1", 0)
    port = port_of(reserved[0])

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(OSError, match="cannot listen"):
        listen("127.0.0.1", port)
    worker = listen("127.0.0.1", port, shared=True)
    worker[0].listen()
    socket.create_connection(("127.0.0.1", port)).close()

    for one in [*reserved, *worker]:
        one.close()


def test_a_name_with_several_addresses_has_one_port() -> None:
    bound = listen("localhost", 0)

    assert len({port_of(one) for one in bound}) == 1

    for one in bound:
        one.close()
