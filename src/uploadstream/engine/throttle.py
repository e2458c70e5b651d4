"""Lets the users that send at the same time have equal parts of what this process can take: see core/turns.py.

A body whose turn it is not, or whose user may send no more just now (meters.py), gets a future from its intake instead
of an answer, as one does whose store is slow: its transport reads no more from its connection until that is done. While
one user without a limit sends alone, with few bodies, nothing is counted.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Final

from uploadstream.core.turns import BODY_COST, PIECE_COST, PIECES_MAX, Sender, Standing, Turns
from uploadstream.engine.meters import PIECE_MAX, Meter, Meters

# A store that takes longer over one user's bytes holds up the others no more.
STUCK_SECONDS: Final = 0.1


class Lane:
    """The bodies of one user. `counts`: others send, too, or it has a limit, which is that of its meter."""

    def __init__(self, throttle: Throttle, who: Sender) -> None:
        self.who: Final = who
        self.counts = False
        self.meter: Meter | None = None
        self.standing: Final = Standing()
        self._throttle = throttle
        self._waiting: dict[asyncio.Future[None], None] = {}  # the longest first

    @property
    def piece_max(self) -> int:
        """How much of a body to receive at once."""
        return PIECE_MAX if self.meter is None else self.meter.piece_max

    def took(self, count: int, busy: asyncio.Future[None] | None = None) -> asyncio.Future[None] | None:
        """Count a piece that has come; a future if more has to wait. `busy`: it waits already, for the store."""
        is_its_turn = self._throttle.spend(self, count + PIECE_COST)
        meter = self.meter
        has_some_left = meter is None or meter.spend(count)
        if busy is not None:
            self.standing.storing += 1
            self._throttle.look_after(self)
            busy.add_done_callback(self._stored)
            return busy
        if not (meter is None or has_some_left):
            return meter.wait()
        if is_its_turn:
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        self.standing.waiting += 1
        self._throttle.look_after(self)
        return turn

    def _stored(self, _: asyncio.Future[None]) -> None:
        self.standing.storing -= 1
        self._throttle.wake()

    def let_go(self, count: int) -> None:
        """Let the bodies go on that have waited longest."""
        for turn in list(islice(self._waiting, count)):
            self.forget(turn)

    def forget(self, turn: asyncio.Future[None] | None) -> None:
        """Its body goes on, or has ended."""
        if turn is None:
            return
        if turn in self._waiting:
            del self._waiting[turn]
            self.standing.waiting -= 1
        elif self.meter is not None:
            self.meter.forget(turn)
        if not turn.done():
            turn.set_result(None)


class Throttle:
    """The users who send to this process. `meters`: of those who may send so many bytes a second only."""

    def __init__(self, meters: Meters | None = None) -> None:
        self._meters = meters
        self._turns = Turns()
        self._lanes: dict[Sender, Lane] = {}
        self._are_several = False
        self._looked_after: dict[Standing, Lane] = {}  # those with bodies that wait
        self._next_round: asyncio.Handle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    async def meter_of(self, user_id: str) -> Meter | None:
        """What a user's bodies are to be measured by, if anything. Unavailable."""
        return None if self._meters is None else await self._meters.of(user_id)

    def enter(self, who: Sender, meter: Meter | None = None) -> Lane:
        """A body of `who` is going to be received: the lane that it is in, until it leaves that."""
        lane = self._lanes.get(who)
        if lane is None:
            lane = self._lanes[who] = Lane(self, who)
            self._turns.join(lane.standing)
        lane.meter = meter
        lane.standing.have(lane.standing.bodies + 1)
        self._see_who_counts(lane)
        if lane.counts:
            self.spend(lane, BODY_COST)
        return lane

    def leave(self, lane: Lane) -> None:
        """One body less."""
        lane.standing.have(lane.standing.bodies - 1)
        if not lane.standing.bodies:
            del self._lanes[lane.who]
            self._looked_after.pop(lane.standing, None)
            self._turns.leave()
        self._see_who_counts(lane)
        if lane.counts:
            self.wake()

    def _see_who_counts(self, lane: Lane) -> None:
        """One that is alone, with few bodies, does not wait for turns: nothing would come of it."""
        several = len(self._lanes) > 1
        for one in list(self._lanes.values()) if several is not self._are_several else [lane]:
            shares = several or one.standing.bodies > PIECES_MAX
            one.counts = shares or one.meter is not None
            if not shares:
                one.let_go(one.standing.waiting)
        self._are_several = several

    def spend(self, lane: Lane, count: int) -> bool:
        """Count what a user has sent; whether it may send more now."""
        self.wake()
        return self._turns.spend(lane.standing, count)

    def look_after(self, lane: Lane) -> None:
        """A body of it waits."""
        self._looked_after[lane.standing] = lane

    def wake(self) -> None:
        """Something has happened in this round, so that there is a next one."""
        if self._next_round is None:
            self._next_round = asyncio.get_running_loop().call_soon(self._begin_round)

    def _begin_round(self) -> None:
        self._next_round = None
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        looked_after = self._looked_after
        going = self._turns.next_round(looked_after)
        for standing, count in going:
            looked_after[standing].let_go(count)
        for standing in [one for one in looked_after if not (one.waiting or one.storing)]:
            del looked_after[standing]
        if not any(standing.waiting for standing in looked_after):
            return
        if self._turns.is_idle and any(standing.storing and not standing.is_stuck for standing in looked_after):
            self._stuck = asyncio.get_running_loop().call_later(STUCK_SECONDS, self._give_up)
        else:
            self.wake()

    def _give_up(self) -> None:
        """Wait no longer for those whose bytes the store does not take."""
        for standing in self._looked_after:
            standing.is_stuck = standing.storing > 0
        self.wake()


# Of a body that shares with nobody.
ALONE: Final = Lane(Throttle(), ("", ""))
