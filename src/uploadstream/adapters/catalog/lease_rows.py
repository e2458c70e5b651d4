"""The rows of leases: plain functions over a connection to PostgreSQL, whose clock is the only one that counts.

A row of `leases` says who holds a key, and by which of its numbers; one of `lease_holders` until when that process is
taken for alive. A holder that is not may be robbed, after which the blob has to be fenced: until that is done the row
is dirty, and whoever takes it from a robber that died meanwhile fences it again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Double, and_, cast, delete, func, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from uploadstream.adapters.catalog.tables import LEASE_HOLDERS, LEASES
from uploadstream.core.errors import TakenOver

CHANNEL: Final = "uploadstream_leases"

_NOW: Final = func.clock_timestamp()
_SECONDS: Final = cast(func.extract("epoch", _NOW), Double)


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease by which something is to be done: `number` is the holder's own, and never used again.

    `until`: when one ends that has no row, because nobody else knew its key when it began; in seconds since 1970.
    """

    key: str
    holder: str
    number: int
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """Who has a lease that was wanted: the holder (None: it gave up), where it lives, and whether it lives."""

    holder: str | None
    place: str
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """That a lease was taken, or by whom else, and when; one that was just given back is nobody's: try again."""

    at: float
    rival: Rival | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A lease that is given back; `tell`: to those who wait for it."""

    claim: Claim
    tell: bool


def take(connection: Connection, given: Sequence[Claim]) -> Sequence[Tried]:
    """Take leases that nobody has. Those that are this holder's own are left of work that has ended."""
    ordered = sorted(given, key=lambda claim: claim.key)  # so that no two groups wait for each other
    rows = [{"key": one.key, "holder": one.holder, "number": one.number, "dirty": False} for one in ordered]
    adding = insert(LEASES).values(rows).on_conflict_do_nothing().returning(LEASES, _SECONDS)
    taken = {Claim(key, holder, number): Tried(at) for key, holder, number, _, at in connection.execute(adding)}
    for one in ordered:
        if one not in taken:
            again = (
                update(LEASES)
                .where(LEASES.c.key == one.key, LEASES.c.holder == one.holder, ~LEASES.c.dirty)
                .values(number=one.number)
                .returning(_SECONDS)
            )
            at = connection.execute(again).scalar()
            if at is not None:
                taken[one] = Tried(at)
    rivals = _rivals(connection, [one.key for one in ordered if one not in taken])
    just_freed = Tried(0.0, Rival(None, "", is_alive=True))
    return [taken.get(one) or rivals.get(one.key, just_freed) for one in given]


def _rivals(connection: Connection, keys: Sequence[str]) -> dict[str, Tried]:
    if not keys:
        return {}
    alive = func.coalesce(LEASE_HOLDERS.c.until > _NOW, literal(value=False))
    place = func.coalesce(LEASE_HOLDERS.c.place, "")
    asking = (
        select(LEASES.c.key, LEASES.c.holder, place, alive, _SECONDS)
        .outerjoin(LEASE_HOLDERS, LEASE_HOLDERS.c.id == LEASES.c.holder)
        .where(LEASES.c.key.in_(keys))
    )
    rows = connection.execute(asking)
    return {key: Tried(at, Rival(holder, where, is_alive=lives)) for key, holder, where, lives, at in rows}


def rob(connection: Connection, claim: Claim, *, dead: str | None) -> bool | None:
    """Take a lease from a holder that is not alive; whether the blob has to be fenced, None: it cannot be taken.

    `dead`: a holder whose process is known to have ended, and so writes no more.
    """
    row = connection.execute(
        select(LEASES.c.holder, LEASES.c.dirty).where(LEASES.c.key == claim.key).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    if row.holder is not None and row.holder != dead:
        # waits for one that is just being renewed, and keeps it from being renewed before this is committed
        until = select(LEASE_HOLDERS.c.until > _NOW).where(LEASE_HOLDERS.c.id == row.holder).with_for_update(read=True)
        if connection.execute(until).scalar():
            return None
    dirty = row.dirty or row.holder is None or row.holder != dead
    values = {"holder": claim.holder, "number": claim.number, "dirty": dirty}
    connection.execute(update(LEASES).where(LEASES.c.key == claim.key).values(values))
    return bool(dirty)


def release(connection: Connection, given: Sequence[Release]) -> Sequence[bool]:
    """Give leases back; whether they were still their holders'."""
    columns = (LEASES.c.key, LEASES.c.holder, LEASES.c.number)
    names = [(one.claim.key, one.claim.holder, one.claim.number) for one in given]
    going = delete(LEASES).where(tuple_(*columns).in_(sorted(names))).returning(*columns)
    gone = {tuple(row) for row in connection.execute(going)}
    tell(connection, [f"free {one.claim.key}" for one in given if one.tell])
    return [name in gone for name in names]


def tell(connection: Connection, words: Sequence[str]) -> None:
    """Say something to every process that listens, when the transaction is committed."""
    if words:
        saying = text("SELECT pg_notify(:channel, word) FROM unnest(CAST(:words AS text[])) AS word")
        connection.execute(saying, {"channel": CHANNEL, "words": list(words)})


def drop(connection: Connection, holder: str, numbers: Sequence[int] | None = None) -> None:
    """Let go of a holder's leases, or all of them with the holder; what is dirty is left for somebody to fence."""
    mine = LEASES.c.holder == holder
    if numbers is not None:
        mine = and_(mine, LEASES.c.number.in_(numbers))
    connection.execute(delete(LEASES).where(mine, ~LEASES.c.dirty))
    connection.execute(update(LEASES).where(mine).values(holder=None))
    if numbers is None:
        connection.execute(delete(LEASE_HOLDERS).where(LEASE_HOLDERS.c.id == holder))


def lost(connection: Connection, claims: Collection[Claim]) -> set[Claim]:
    """Those by which nothing may be done any more. The others are nobody else's before the transaction ends."""
    looking = (
        select(LEASES.c.key, LEASES.c.holder, LEASES.c.number)
        .where(LEASES.c.key.in_(sorted({claim.key for claim in claims})))
        .order_by(LEASES.c.key)
        .with_for_update(read=True)
    )
    there = {key: (holder, number) for key, holder, number in connection.execute(looking)}
    mine = {claim: there.get(claim.key) == (claim.holder, claim.number) for claim in claims}
    new = {claim for claim, is_mine in mine.items() if claim.until is not None and claim.key not in there}
    if new:
        now = connection.execute(select(_SECONDS)).scalar_one()
        new = {claim for claim in new if (claim.until or 0) >= now}
    return {claim for claim, is_mine in mine.items() if not is_mine} - new


def refused(claim: Claim) -> TakenOver:
    """What whoever does something by a lost lease is told."""
    return TakenOver(upload_id=claim.key)
