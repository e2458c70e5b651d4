"""Sockets to listen on, alone or together with other processes."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def listen(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Sockets bound to every address of `host`, on one port (0: any free one). OSError.

    `shared`: other processes may listen there as well, if they say the same; the kernel spreads connections.
    """
    options = [socket.SO_REUSEADDR, socket.SO_REUSEPORT] if shared else [socket.SO_REUSEADDR]
    return _bind_all(host, port, options)


def reserve(host: str, port: int) -> list[socket.socket]:
    """Sockets that keep a port (0: any free one) for processes that share it; they take no connections. OSError.

    A port that somebody else listens on is refused, even if they would share it.
    """
    if port:
        for probe in listen(host, port):
            probe.close()
    # Without SO_REUSEADDR nobody else gets a port on which nobody listens yet; with it a port that was in use a moment
    # ago is to be had. The first is for a port that the kernel chose, the second for one that is wanted.
    return _bind_all(host, port, [socket.SO_REUSEADDR, socket.SO_REUSEPORT] if port else [socket.SO_REUSEPORT])


def port_of(bound: socket.socket) -> int:
    """The port that a socket is bound to."""
    port: int = bound.getsockname()[1]
    return port


def _bind_all(host: str, port: int, options: list[int]) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    bound: list[socket.socket] = []
    with ExitStack() as undo:
        for family, address in addresses:
            try:
                one = _bind(family, (address[0], port, *address[2:]), options)
            except OSError as error:
                # a name may have an address of a family that this machine does not have
                if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT} and len(addresses) > 1:
                    continue
                raise
            undo.callback(one.close)
            bound.append(one)
            port = port_of(one)
        if not bound:
            raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {host}: no address of it is one of this machine")
        undo.pop_all()
    return bound


def _bind(family: int, address: tuple[str | int, ...], options: list[int]) -> socket.socket:
    # asyncio looks at the protocol before it lets a connection send at once what it has (TCP_NODELAY)
    one = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError as error:
        one.close()
        raise OSError(error.errno, f"cannot listen on {address[0]} port {address[1]}: {error.strerror}") from None
    return one


class CannotListen(OSError):
    """A port cannot be had; `field` is the setting that has it."""

    def __init__(self, error: OSError, *, field: str) -> None:
        super().__init__(error.errno, error.strerror)
        self.field = field


@contextmanager
def listening_by(field: str) -> Iterator[None]:
    """What keeps a port from being had is CannotListen."""
    try:
        yield
    except OSError as error:
        raise CannotListen(error, field=field) from error
