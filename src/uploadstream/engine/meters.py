"""Bytes a second of one user, on all its connections to all processes together: who brings more is read more slowly.

Each process takes half a second's worth, or less if others take, too, from the user's bucket in the catalog at a time:
no piece of a body asks for anything, and a process that dies has taken no more than that. Bodies that find nothing left
wait, the longest first, as they do for their turn (throttle.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice
from typing import Final

from uploadstream.core.allowances import Allowance
from uploadstream.core.errors import Unavailable
from uploadstream.core.ratelimit import Rate
from uploadstream.core.sizes import KIB, MIB
from uploadstream.ports import Clock
from uploadstream.ports.allowances import Allotments

ALLOTMENT_SECONDS: Final = 0.5
# A piece is a part of a second's bytes, so that nobody waits long after one; but not so small that pieces cost much.
PIECE_SECONDS: Final = 0.125
PIECE_MIN: Final = 4 * KIB
PIECE_MAX: Final = MIB
# Who was let go and sends nothing keeps those behind it back for no longer.
PATIENCE_SECONDS: Final = 0.05
# What comes with time is handed out in steps of so long.
STEP_SECONDS: Final = 0.05
# Remembered at once: what is left to a user who has just ended an upload.
_METERS_MAX: Final = 10_000

AllowanceOf = Callable[[str], Awaitable[Allowance]]


class Meter:
    """What one user may still send to this process. `left`: bytes, less than none when a piece was larger."""

    def __init__(self, user_id: str, rate: Rate, meters: Meters) -> None:
        self.left = 0
        self._portion_seconds = ALLOTMENT_SECONDS
        self._rate: Rate | None = rate
        self._user_id = user_id
        self._meters = meters
        self._waiting: dict[asyncio.Future[None], None] = {}  # the longest first
        self._refilling: asyncio.Task[None] | None = None
        self._used_up = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Nobody waits for anything."""
        return self._refilling is None

    @property
    def piece_max(self) -> int:
        """How much to receive at once."""
        if self._rate is None:
            return PIECE_MAX
        return max(PIECE_MIN, min(PIECE_MAX, int(_seconds_worth(self._rate, PIECE_SECONDS))))

    def spend(self, count: int) -> bool:
        """Count bytes that have come; whether more may come now."""
        self.left -= count
        if self.left > 0 or self._rate is None:
            return True
        self._used_up.set()
        return False

    def wait(self) -> asyncio.Future[None]:
        """Done when more may come."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        if self._refilling is None:
            self._refilling = asyncio.create_task(self._refill())
        return turn

    def forget(self, turn: asyncio.Future[None]) -> None:
        """Its body goes on, or has ended."""
        self._waiting.pop(turn, None)
        if not turn.done():
            turn.set_result(None)

    def set_rate(self, rate: Rate | None) -> None:
        """What counts from now on; None: as much as it likes."""
        self._rate = rate
        if rate is None:
            self.left = 0
            self._let_go(len(self._waiting))

    async def _refill(self) -> None:
        """As long as somebody waits, take what comes next."""
        try:
            while self._waiting:
                self.set_rate(await self._meters.rate_of(self._user_id, self._rate))
                if self._rate is None:
                    return
                count = int(_seconds_worth(self._rate, self._portion_seconds)) + max(0, -self.left) + 1
                wait = await self._meters.allot(self._user_id, self._rate, count)
                # the more processes take of it, the less each takes: nobody waits for all the others for long
                portion = self._portion_seconds * ALLOTMENT_SECONDS / max(wait, STEP_SECONDS)
                self._portion_seconds = max(STEP_SECONDS, min(ALLOTMENT_SECONDS, portion))
                await self._hand_out(count, wait, count * self._rate.seconds / self._rate.count)
        finally:
            self._refilling = None

    async def _hand_out(self, count: int, wait: float, takes: float) -> None:
        """Let bodies go on with `count` bytes, until these are used up.

        All are there after `wait` seconds, and the rate takes some to bring them: they are handed out meanwhile.
        """
        before, during = max(0.0, wait - takes), min(wait, takes)
        await asyncio.sleep(before)
        steps = max(1, int(during / STEP_SECONDS))
        for step in range(steps):
            await asyncio.sleep(during / steps)
            self.left += count * (step + 1) // steps - count * step // steps
            self._let_some_go()
        while self._waiting and self.left > 0:
            self._used_up.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._used_up.wait()
            self._let_some_go()

    def _let_some_go(self) -> None:
        """As many as there are bytes for."""
        if self.left > 0:
            self._let_go(max(1, self.left // self.piece_max))

    def _let_go(self, count: int) -> None:
        for turn in list(islice(self._waiting, count)):
            self.forget(turn)


class Meters:
    """The users whose bytes a second are limited. `allowance_of`: what each may."""

    def __init__(self, allowance_of: AllowanceOf, allotments: Allotments, clock: Clock) -> None:
        self._allowance_of = allowance_of
        self._allotments = allotments
        self._clock = clock
        self._meters: dict[str, Meter] = {}

    async def of(self, user_id: str) -> Meter | None:
        """A user's meter; None if it has no such limit. Unavailable."""
        rate = (await self._allowance_of(user_id)).rate_bytes
        meter = self._meters.pop(user_id, None)
        if rate is None:
            if meter is not None:
                meter.set_rate(None)
            return None
        if meter is None:
            meter = Meter(user_id, rate, self)
            self._forget_idle()
        meter.set_rate(rate)
        self._meters[user_id] = meter
        return meter

    def _forget_idle(self) -> None:
        """Make room: for those that nobody has needed for longest."""
        if len(self._meters) >= _METERS_MAX:
            for user_id in [user_id for user_id, meter in self._meters.items() if meter.is_idle][: _METERS_MAX // 10]:
                del self._meters[user_id]

    async def rate_of(self, user_id: str, before: Rate | None) -> Rate | None:
        """What counts now: as before, while nobody can be asked."""
        try:
            return (await self._allowance_of(user_id)).rate_bytes
        except Unavailable:
            return before

    async def allot(self, user_id: str, rate: Rate, count: int) -> float:
        """Take bytes from a user's bucket; the seconds until they may be used."""
        try:
            wait = await self._allotments.allot(user_id, rate, count=count, now=self._clock.now())
        except Unavailable:  # bodies go on while the catalog is away, at the rate that each process knows
            return count * rate.seconds / rate.count
        return wait.total_seconds()


def _seconds_worth(rate: Rate, seconds: float) -> float:
    return rate.count / rate.seconds * seconds
