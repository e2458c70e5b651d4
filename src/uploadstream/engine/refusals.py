"""New uploads that are refused are in the trail too, though nothing is there of them: as many as it can bear.

Whoever is refused may come again at once, and the trail is never shortened. So of each user, and of all together, no
more are written than some a minute; the next row says how many were left out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from uploadstream.core.access import Caller, Forbidden
from uploadstream.core.allowances import LimitReached
from uploadstream.core.errors import ContentRefused, Refusal, TooLarge
from uploadstream.core.files import Action, audit_of
from uploadstream.core.ratelimit import Bucket, Rate
from uploadstream.core.session import Declared
from uploadstream.ports import Catalog, Clock

# What an operator has forbidden; not what is misspelled, nor what fails for want of something.
RECORDED: Final = (TooLarge, ContentRefused, LimitReached, Forbidden)
OF_A_USER: Final = Rate(10, 60, 20)
OF_ALL: Final = Rate(60, 60, 120)
# Remembered at once; of more it is forgotten how many they were.
USERS_MAX: Final = 1000


class Refusals:
    """Those of one process."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._all: Bucket | None = None
        self._users: dict[str, tuple[Bucket | None, int]] = {}

    async def record(self, declared: Declared, caller: Caller, error: Refusal) -> None:
        """Add a refusal to the trail of whose file it would have been, if there is room; what fails is left out."""
        now, owner = self._clock.now(), caller.owner_of(declared.user_id)
        bucket, left_out = self._users.get(owner, (None, 0))
        if len(self._users) >= USERS_MAX:
            self._users.clear()
        if not OF_A_USER.tokens(bucket, now) or not OF_ALL.tokens(self._all, now):
            self._users[owner] = (bucket, left_out + 1)
            return
        self._users[owner] = (OF_A_USER.take(bucket, now), 0)
        self._all = OF_ALL.take(self._all, now)
        details = {"why": str(error), "reason": error.reason} | ({"left_out": str(left_out)} if left_out else {})
        audit = audit_of(self._clock.new_id(), Action.REFUSE, caller, at=now, **details)
        with suppress(Refusal):
            await self._catalog.record(audit, owner=owner)


class _Recording(Protocol):
    """Whose acts they are."""

    refusals: Refusals


Self = TypeVar("Self", bound=_Recording)
More = ParamSpec("More")
Result = TypeVar("Result")
Act = Callable[Concatenate[Self, Declared, Caller, More], Coroutine[Any, Any, Result]]


def recorded(act: Act[Self, More, Result]) -> Act[Self, More, Result]:
    """An act that begins an upload; when it is refused, that is in the trail."""

    @wraps(act)
    async def recorded_act(
        self: Self, declared: Declared, caller: Caller, /, *args: More.args, **kwargs: More.kwargs
    ) -> Result:
        try:
            return await act(self, declared, caller, *args, **kwargs)
        except RECORDED as error:
            await self.refusals.record(declared, caller, error)
            raise

    return recorded_act
