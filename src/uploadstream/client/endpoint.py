"""Where a server is: `grpc://host:port` or `http://host:port`, and their variants over TLS."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

DEFAULT_SERVER: Final = "grpc://127.0.0.1:50051"

# scheme: is gRPC, is over TLS, port if none is named
_SCHEMES: Final = {
    "grpc": (True, False, 50051),
    "grpcs": (True, True, 50051),
    "http": (False, False, 80),
    "https": (False, True, 443),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address, taken apart. `path` is what an HTTP server is mounted under, without a slash at its end."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that `text` writes; ValueError says what is wrong with it."""
        parts = urlsplit(text)
        try:
            _, _, default_port = _SCHEMES[parts.scheme]
            port = parts.port or default_port
        except (KeyError, ValueError):
            port = 0
        is_plain = not (parts.query or parts.fragment or parts.username)
        if not (port and parts.hostname and is_plain):
            message = f"{text!r} is not a server; write grpc://host:port or http://host:port"
            raise ValueError(message)
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def is_grpc(self) -> bool:
        """Whether gRPC is spoken there, rather than HTTP."""
        return _SCHEMES[self.scheme][0]

    @property
    def is_secure(self) -> bool:
        """Whether the connection is over TLS."""
        return _SCHEMES[self.scheme][1]

    @property
    def is_local(self) -> bool:
        """Whether it is this machine, as far as the name tells."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def target(self) -> str:
        """`host:port`, with the brackets that IPv6 needs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The same, without the port that the scheme has anyway: as requests name the server."""
        return self.target.removesuffix(f":{_SCHEMES[self.scheme][2]}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.target}{self.path}"
