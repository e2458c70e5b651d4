"""Memory to receive into, shared by every request of a process.

One buffer, the scratch, is lent to whoever receives next: a connection that brings a few bytes at a time never owns
a buffer. Who receives much at once takes the scratch for itself, and another takes its place.
"""

from __future__ import annotations

from typing import Final

from uploadstream.core.sizes import MIB

BUFFER_SIZE: Final = MIB


class Buffers:
    """A pool of equal buffers; keeps up to `kept` free ones for the next who needs one."""

    def __init__(self, size: int = BUFFER_SIZE, *, kept: int = 16) -> None:
        self.size: Final = size
        self.out = 0
        self._kept = kept
        self._free: list[memoryview] = []
        self.scratch = self._new()

    def _new(self) -> memoryview:
        return memoryview(bytearray(self.size))

    def take_scratch(self) -> memoryview:
        """The scratch, with what was just received in it, now owned by the caller until `give_back`."""
        taken = self.scratch
        self.scratch = self._free.pop() if self._free else self._new()
        self.out += 1
        return taken

    def give_back(self, buffer: memoryview) -> None:
        """The owner needs `buffer` no more."""
        self.out -= 1
        if len(self._free) < self._kept:
            self._free.append(buffer)
