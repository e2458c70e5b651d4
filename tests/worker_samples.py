"""Work for supervised processes, and a program that supervises it: what the tests of the supervisor start.

`python -c 'from tests.worker_samples import main; main()' WORK COUNT STOP_SECONDS`, in the project's folder.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.http_rig import Receive, Scope, Send, respond
from uploadstream.servers.http1_server import HttpServer
from uploadstream.servers.listening import listen, port_of, reserve
from uploadstream.servers.workers import supervise


def say(line: str) -> None:
    """To the test that reads."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def tell_pid(scope: Scope, receive: Receive, send: Send) -> None:
    """Who answers; `/slow` takes half a second."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    await respond(send, 200, str(os.getpid()).encode())


async def _serve(port: int, ready: Callable[[], None]) -> None:
    server = HttpServer(tell_pid, drain_seconds=5)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, setattr, server, "should_exit", True)
    loop.add_signal_handler(signal.SIGHUP, say, f"hangup {os.getpid()}")
    serving = asyncio.create_task(server.serve(listen("127.0.0.1", port, shared=True)))
    await server.ready.wait()
    ready()
    await serving


def serve(port: int, ready: Callable[[], None]) -> None:
    """Answer HTTP until SIGTERM."""
    asyncio.run(_serve(port, ready))


def late(port: int, ready: Callable[[], None]) -> None:
    """Take a second to be ready, and die of a signal that comes before."""
    say("starting")
    time.sleep(1)
    signal.signal(signal.SIGHUP, lambda *_: say(f"hangup {os.getpid()}"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ready()
    while True:
        time.sleep(1)


def stuck(port: int, ready: Callable[[], None]) -> None:
    """Hear nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready()
    say(f"pid {os.getpid()}")
    time.sleep(60)


def unable(port: int, ready: Callable[[], None]) -> None:
    """Fail before being ready."""
    say("tried")
    raise OSError("no such disk")


def unwell(port: int, ready: Callable[[], None]) -> None:
    """Die soon after being ready, and say when."""
    ready()
    say(f"dies {time.monotonic()}")
    os.kill(os.getpid(), signal.SIGABRT)


def main() -> None:
    """Supervise one of them."""
    work = {"serve": serve, "late": late, "stuck": stuck, "unable": unable, "unwell": unwell}[sys.argv[1]]
    reserved = reserve("127.0.0.1", 0)
    port = port_of(reserved[0])
    status = supervise(
        lambda: partial(work, port),
        count=int(sys.argv[2]),
        stop_seconds=float(sys.argv[3]),
        ready=lambda: say(f"ready {port}"),
    )
    sys.exit(status)
