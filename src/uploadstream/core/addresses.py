"""Where this machine may be sent by somebody who names an address: to the public's, and nowhere else.

Its neighbours may trust it more than they trust whoever asks it. So what is not known to be public is not.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address

# IANA's registries of special-purpose addresses. The lists in Python's own module differ from release to release.
_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
# Global unicast is all in here: loopback, link-local, unique local, multicast and IPv4-mapped addresses are not.
_GLOBAL_6: Final = IPv6Network("2000::/3")
# Of those: assignments to protocols (Teredo is one), documentation, and 6to4, which hides any IPv4 address.
_NOT_PUBLIC_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# RFC 6052: how a network that has only IPv6 reaches the IPv4 address in the last 32 bits.
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")

# Below 1024 are services that are no web servers; some of them take a request for commands of their own.
_WEB_PORTS: Final = frozenset({80, 443})
_FREE_PORTS: Final = range(1024, 65536)


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may mean the same machine by this address."""
    if isinstance(address, IPv6Address):
        if address not in _TRANSLATED or address.scope_id is not None:
            is_global = address.scope_id is None and address in _GLOBAL_6
            return is_global and not any(address in network for network in _NOT_PUBLIC_6)
        address = IPv4Address(address.packed[-4:])
    return not any(address in network for network in _NOT_PUBLIC_4)


def is_web_port(port: int) -> bool:
    """Whether a web server may be expected there."""
    return port in _WEB_PORTS or port in _FREE_PORTS


def is_among(host: str, patterns: Collection[str]) -> bool:
    """Whether a host's name is one of these: `*` is any, `*.example.org` any below example.org."""
    name = host.lower().rstrip(".")
    return any(
        pattern in {"*", name} or (pattern.startswith("*.") and name.endswith(pattern.removeprefix("*")))
        for pattern in patterns
    )
