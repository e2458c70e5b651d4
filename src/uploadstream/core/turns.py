"""Whose turn it is to send, when several users send at once: each gets as much as the others, if it can use it.

A user's clock runs with what it brings. Who is ahead of another that wants to send waits until the other has caught up.
Only those are waited for who can send: what one cannot use is there for the others.

Time is counted in rounds, in each of which whatever has come is taken. Who brought something in the last round wants to
send, as does who waits for its turn, or for the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Network
from math import inf, log
from typing import Final

from uploadstream.core.access import ANONYMOUS
from uploadstream.core.sizes import KIB, MIB

# How far ahead of another one may be: as much as one body brings in a round.
LEAD_MAX: Final = MIB
# What one that could not send may catch up on.
CREDIT_MAX: Final = 4 * MIB
# What beginning a body, and receiving a piece of it, cost beside its bytes: in bytes, as the time they take.
BODY_COST: Final = 256 * KIB
PIECE_COST: Final = 8 * KIB
# How many pieces of one user a round takes, so that rounds stay short: others' requests wait for the end of it.
PIECES_MAX: Final = 16
# Rounds from being let go until something can have come.
ROUNDS_TO_COME: Final = 3
# The bytes of so many bodies cost twice as much as those of one, because each has to be found among the others; and it
# is the crowd that pays for what sharing costs.
CROWD: Final = 64

# Who sends: a user; or, of those that name none, an address. An IPv6 host has a network of 64 bits to itself.
Sender = tuple[str, str]
HOST_BITS: Final = 64


def sender(user_id: str, address: str) -> Sender:
    """Who is to have as much as the others."""
    if user_id != ANONYMOUS:
        return user_id, ""
    if ":" in address:
        with suppress(ValueError):
            address = str(IPv6Network((address, HOST_BITS), strict=False))
    return ANONYMOUS, address


@dataclass(eq=False, slots=True)
class Standing:
    """How much a user has had, and what it waits for.

    `clock`: in bytes. `price`: of a byte. `waiting`: bodies that wait for their turn; `storing`: for the store, unless
    that `is_stuck`. `round`: the last in which it brought something, and `pieces`: how often it did so then. `let_go`:
    the last round in which a body of it was let go.
    """

    clock: float = 0.0
    price: float = 1.0
    bodies: int = 0
    waiting: int = 0
    storing: int = 0
    is_stuck: bool = False
    round: int = -1
    pieces: int = 0
    let_go: int = -ROUNDS_TO_COME

    def have(self, bodies: int) -> None:
        """So many bodies are received from now on."""
        self.bodies = bodies
        self.price = 1 + min(1.0, log(max(1, bodies), CROWD))

    @property
    def wants_to_send(self) -> bool:
        """Something of it waits, and is worth waiting for."""
        return self.waiting > 0 or (self.storing > 0 and not self.is_stuck)


class Turns:
    """The clocks of those who send at the same time."""

    def __init__(self) -> None:
        self.round = 0
        self.is_idle = True  # nothing came in the round before, and nobody was let go for this one
        self._users = 0
        self._time = 0.0  # of the one that is furthest behind, of those who want to send
        self._came: list[Standing] = []  # in this round
        self._lowest: Standing | None = None
        self._low = inf  # the clock of the lowest, when the round began
        self._next = inf  # and of the one above it

    def join(self, standing: Standing) -> None:
        """Begin where the others are."""
        standing.clock = self._time
        self._users += 1

    def leave(self) -> None:
        """One user less."""
        self._users -= 1

    def spend(self, standing: Standing, count: int) -> bool:
        """Count what has come; whether more may come now."""
        if standing.round != self.round:
            if standing.round < self.round - 1 and not standing.waiting:
                standing.clock = max(standing.clock, self._time - CREDIT_MAX)
            standing.round = self.round
            standing.pieces = 0
            standing.is_stuck = False
            self._came.append(standing)
        standing.pieces += 1
        standing.clock += count * standing.price
        return standing.clock <= self._bound_of(standing) and standing.pieces <= PIECES_MAX

    def next_round(self, others: Iterable[Standing]) -> list[tuple[Standing, int]]:
        """Begin a round; who may go on, with how many bodies. `others`: all of whom a body waits."""
        waiting = list(others)
        came, self._came = self._came, []
        self.round += 1
        self._low = self._next = inf
        self._lowest = None
        for standing in dict.fromkeys([*came, *(one for one in waiting if one.wants_to_send)]):
            if standing.clock < self._low:
                self._next, self._low, self._lowest = self._low, standing.clock, standing
            elif standing.clock < self._next:
                self._next = standing.clock
        if self._lowest is not None:
            self._time = max(self._time, self._low)
        chosen = [standing for standing in waiting if self._may_go(standing)]
        for standing in chosen:
            standing.let_go = self.round
        self.is_idle = not (came or chosen)
        several = PIECES_MAX if self._users == 1 else 1
        return [(standing, min(standing.waiting, several)) for standing in chosen]

    def _may_go(self, standing: Standing) -> bool:
        if not standing.waiting or standing.clock > self._bound_of(standing):
            return False
        return standing.round >= standing.let_go or self.round - standing.let_go >= ROUNDS_TO_COME

    def _bound_of(self, standing: Standing) -> float:
        """How far its clock may run: to where the first of the others is, and a little further."""
        return (self._next if standing is self._lowest else self._low) + LEAD_MAX
