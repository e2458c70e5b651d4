"""Looks after the bodies that are being received, a few times a second, so that no piece of one needs a timer.

A batch that got nothing new since the last look is written, and its buffer freed. A body that brings nothing for the
read timeout is ended, as is one whose upload another request wants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from uploadstream.core.digests import Digest
from uploadstream.core.errors import BodyTimeout, Refusal
from uploadstream.core.session import Declared
from uploadstream.engine.checking import Given
from uploadstream.engine.intake import Intake
from uploadstream.engine.throttle import Throttle
from uploadstream.ports import Lease

LOOK_SECONDS: Final = 0.1

Pour = Callable[[Intake], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A body and what its request says of it; None: nothing.

    `at`: where its first byte belongs. `length`: that of the whole upload. `count`: how many bytes will come.
    `complete`: whether these are the last; if nothing is said, the upload is complete when its length is reached.
    `digest`: their checksum. Nothing of them is seen until it was found right.
    `whole_digest`: that of the whole upload, or what finds it in what was declared at its beginning. It is looked at if
    these bytes complete the upload, which ends if it is wrong.
    `may_repeat`: bytes that are stored already may come again; they are compared, and not stored.
    """

    pour: Pour
    at: int | None = None
    length: int | None = None
    count: int | None = None
    complete: bool | None = None
    digest: Given | None = None
    whole_digest: Digest | Callable[[Declared], Digest | None] | None = None
    may_repeat: bool = False

    def digest_of_all(self, declared: Declared) -> Digest | None:
        """The checksum that all bytes of the upload must have, if one was given."""
        given = self.whole_digest
        return given(declared) if callable(given) else given


class Pouring:
    """One body on its way into an intake, which can be stopped from outside.

    `address`: where it comes from. `lease`: the right to write it.
    """

    def __init__(self, address: str = "") -> None:
        self.address: Final = address
        self.intake: Intake | None = None
        self.quiet_since = 0.0
        self.lease: Lease | None = None
        self._task: asyncio.Task[object] | None = None
        self._is_cancelled = False
        self._why: Refusal | None = None

    def check(self) -> None:
        """Raise unless its bytes may be written: ports.Lease.check."""
        if self.lease is not None:
            self.lease.check()

    def stop(self, why: Refusal) -> None:
        """End the body now, or as soon as it begins, with the error `why`."""
        if self._why is None:
            self._why = why
            if self._task is not None:
                self._is_cancelled = self._task.cancel()

    async def run(self, pour: Pour, intake: Intake) -> None:
        """Await `pour(intake)`; raises what it raises, or why it was stopped."""
        if self._why is not None:
            raise self._why
        self.intake = intake
        self._task = task = asyncio.current_task()
        cancels_before = task.cancelling() if task else 0
        stopped = False
        try:
            try:
                await pour(intake)
            finally:
                self._task = None
                if task is not None and self._is_cancelled:
                    stopped = task.uncancel() <= cancels_before
        except (asyncio.CancelledError, Exception):
            # as asyncio.timeout does: only our own cancel becomes our error
            if stopped and self._why is not None:
                raise self._why from None
            raise


class Watch:
    """The bodies that are being received in this process."""

    def __init__(self, *, read_timeout_seconds: float, throttle: Throttle | None = None) -> None:
        self.throttle: Final = throttle or Throttle()
        self._timeout = read_timeout_seconds
        self._pourings: set[Pouring] = set()
        self._next_look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pourings)

    async def run(self, pouring: Pouring, pour: Pour, intake: Intake) -> None:
        """Run a pouring under this watch."""
        loop = asyncio.get_running_loop()
        pouring.quiet_since = loop.time()
        self._pourings.add(pouring)
        if self._next_look is None:
            self._next_look = loop.call_later(LOOK_SECONDS, self._look, loop)
        try:
            await pouring.run(pour, intake)
        finally:
            self._pourings.discard(pouring)
            intake.lane.forget(intake.turn)

    def stop_all(self, why: Refusal) -> None:
        """End every body, for a server that is about to stop."""
        for pouring in list(self._pourings):
            pouring.stop(why)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for pouring in list(self._pourings):
                self._look_at(pouring, loop.time())
        finally:  # whatever one of them does, the others are looked at again
            again = loop.call_later(LOOK_SECONDS, self._look, loop) if self._pourings else None
            self._next_look = again

    def _look_at(self, pouring: Pouring, now: float) -> None:
        intake = pouring.intake
        if intake is None:
            return
        try:
            intake.flush()  # also of one that goes on: what is told of its offset is never older than a look
        except Refusal as error:
            pouring.stop(error)
        if intake.stirred or intake.is_waiting:  # it goes on, or it is us who are slow
            intake.stirred = False
            pouring.quiet_since = now
        elif now - pouring.quiet_since >= self._timeout:
            pouring.stop(BodyTimeout(seconds=self._timeout))
