"""Why a port cannot be listened on, for people."""

from __future__ import annotations

import errno
import socket

from uploadstream.settings import option_of, variable_of


def why_no_port(error: OSError, *, host: str, port: int, field: str) -> tuple[str, str]:
    """What is in the way of the port that `field` sets, and what to do about it."""
    another = f"another with {option_of(field)} or {variable_of(field)}"
    of_the_host = f"listen on an address of this machine: {option_of('host')} or {variable_of('host')}"
    if isinstance(error.__cause__ or error, socket.gaierror):
        return f"Host {host} is not known", of_the_host
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} of {host} is taken", f"stop what listens there, or choose {another}"
        case errno.EACCES | errno.EPERM:
            return f"Port {port} of {host} is not for this user", f"choose {another}, above 1023"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return f"Host {host} is no address of this machine", of_the_host
    return f"Cannot listen on {host} port {port}: {error.strerror}", f"choose {another}"
