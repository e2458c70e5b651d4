"""Whether a process of this machine lives: it has a socket without a file, which the kernel closes when it ends.

One that stands still has it as long as it is there. Of processes of other machines, or behind another network
namespace, nothing can be said.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NETWORK: Final = Path("/proc/self/ns/net")


class Beacon:
    """Says that this process lives, as long as it does."""

    def __init__(self, name: str) -> None:
        self.place: Final = f"{_here()}/{name}"
        self._socket: Final = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(_address(name))

    def close(self) -> None:
        """Say it no more."""
        self._socket.close()


def is_surely_dead(place: str) -> bool:
    """Whether the process whose beacon is at that place has ended; False if that cannot be told from here."""
    here, _, name = place.rpartition("/")
    if not here or here != _here():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_address(name))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _address(name: str) -> bytes:
    return b"\0uploadstream-" + name.encode()


def _here() -> str:
    """This start of this machine, and the namespace that sockets without a file are in."""
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()}-{_NETWORK.stat().st_ino}"
    except OSError:  # no machine is like this one
        return f"unknown-{os.getpid()}"
