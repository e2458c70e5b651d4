"""How fast something goes now: over the last seconds only, so that a halt is seen and the past is forgotten."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 10.0
SAMPLE_SECONDS: Final = 0.2
KNOWN_SECONDS_MIN: Final = 0.5


class Pace:
    """Bytes counted over time."""

    def __init__(self) -> None:
        self._count = 0
        self._samples = deque([(time.monotonic(), 0)])

    def move(self, count: int) -> None:
        """So many bytes more have gone."""
        self._count += count
        now = time.monotonic()
        if now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, self._count))

    def bytes_per_second(self) -> float | None:
        """None as long as it is too early to say."""
        now = time.monotonic()
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW_SECONDS:
            self._samples.popleft()
        began, before = self._samples[0]
        return (self._count - before) / (now - began) if now - began >= KNOWN_SECONDS_MIN else None
