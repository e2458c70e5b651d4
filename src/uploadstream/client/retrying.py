"""How long the client goes on trying.

What may pass is tried again after an exponential wait with full jitter, or after what the server asks for. The
patience is about time *without progress*: it is counted from the first failure after the last step forward, so a
transfer that keeps moving may fail as often as it likes. A server that says when its user may begin again is waited for
as it says, which costs no patience unless it says longer than there is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from uploadstream.client.errors import RATE_LIMITED, UploadError

FIRST_WAIT_SECONDS: Final = 0.25
LONGEST_WAIT_SECONDS: Final = 15.0
FIRST_CONTACT_SECONDS: Final = 1.0
CALL_PATIENCE_SECONDS: Final = 10.0

Waiting = Callable[[UploadError, float], None]
Result = TypeVar("Result")


def _in_silence(_: UploadError, __: float) -> None:
    """Tell nobody."""


class Contact:
    """Whether the server has ever answered this client: one that never did is given up sooner."""

    def __init__(self) -> None:
        self.is_made = False


class Patience:
    """The tries of one transfer or call."""

    def __init__(self, seconds: float, contact: Contact) -> None:
        self._seconds = seconds
        self._contact = contact
        self._failing_since: float | None = None
        self._failures = 0

    def reached(self) -> None:
        """The server has answered; it is worth waiting for if it goes away now."""
        self._contact.is_made = True

    def progressed(self) -> None:
        """There was a step forward: all patience is back."""
        self.reached()
        self._failing_since = None
        self._failures = 0

    async def until_done(self, attempt: Callable[[], Awaitable[Result]], waiting: Waiting = _in_silence) -> Result:
        """What `attempt` gives, as soon as it gives something; its last error if patience ends first.

        `waiting` is told of each failure, and of the seconds until the next try.
        """
        tries = AsyncRetrying(
            retry=retry_if_exception(self._is_worth_another_try),
            after=self._count_failure,
            wait=self._wait_seconds,
            stop=self._is_at_its_end,
            before_sleep=lambda state: waiting(_error_of(state), state.upcoming_sleep),
            reraise=True,
        )

        async def one() -> Result:  # tenacity awaits what it can see to be a coroutine function
            return await attempt()

        result: Result = await tries(one)
        self.reached()
        return result

    def _is_worth_another_try(self, error: BaseException) -> bool:
        if not isinstance(error, UploadError):
            return False
        self._contact.is_made = self._contact.is_made or error.came_from_server
        return error.is_passing

    def _count_failure(self, state: RetryCallState) -> None:
        if _error_of(state).reason == RATE_LIMITED:  # each time, somebody of the same user began instead
            self._failing_since = None
        else:
            self._failing_since = self._failing_since or time.monotonic()
        self._failures += 1

    def _wait_seconds(self, state: RetryCallState) -> float:
        ceiling = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (self._failures - 1))
        jittered = random.uniform(0, ceiling)  # noqa: S311 - spreads clients out, keeps nothing secret
        error = _error_of(state)
        asked = error.retry_after_seconds or 0.0
        return asked + jittered if error.reason == RATE_LIMITED else max(asked, jittered)

    def _is_at_its_end(self, state: RetryCallState) -> bool:
        now = time.monotonic()
        seconds = self._seconds if self._contact.is_made else min(self._seconds, FIRST_CONTACT_SECONDS)
        return now + state.upcoming_sleep - (self._failing_since or now) > seconds


def _error_of(state: RetryCallState) -> UploadError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, UploadError)  # noqa: S101 - _is_worth_another_try lets no other through
    return error
