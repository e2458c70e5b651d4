"""What to set where, in the words of the three proxies that docs/deploying.md has examples for."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Trouble(enum.Enum):
    """What a proxy may do to uploads and downloads."""

    KEEPS_REQUESTS = enum.auto()
    KEEPS_RESPONSES = enum.auto()
    LIMITS_BODIES = enum.auto()
    LIMITS_FIELDS = enum.auto()
    ENDS_SILENCE = enum.auto()
    FORGETS_HOST = enum.auto()
    REWRITES_LOCATION = enum.auto()
    SMALL_WINDOW = enum.auto()
    BREAKS_104 = enum.auto()
    NO_HTTP2 = enum.auto()


NGINX: Final = "nginx"
HAPROXY: Final = "HAProxy"
CADDY: Final = "Caddy"

DIRECTIVES: Final[Mapping[Trouble, Mapping[str, str]]] = {
    Trouble.KEEPS_REQUESTS: {
        NGINX: "proxy_request_buffering off",
        HAPROXY: "no option http-buffer-request",
        CADDY: "no request_buffers, no buffer_requests",
    },
    Trouble.KEEPS_RESPONSES: {
        NGINX: "proxy_buffering off",
        CADDY: "flush_interval -1",
    },
    Trouble.LIMITS_BODIES: {
        NGINX: "client_max_body_size 0",
        HAPROXY: "no rule that denies by req.body_size or content-length",
        CADDY: "no request_body max_size",
    },
    Trouble.LIMITS_FIELDS: {
        NGINX: "large_client_header_buffers 4 32k",
        HAPROXY: "tune.bufsize 65536",
        CADDY: "no small max_header_size",
    },
    Trouble.ENDS_SILENCE: {
        NGINX: "client_body_timeout 1h, proxy_read_timeout 1h, proxy_send_timeout 1h",
        HAPROXY: "timeout client 1h, timeout server 1h",
        CADDY: "no read_body timeout",
    },
    Trouble.FORGETS_HOST: {
        NGINX: "proxy_set_header Host $http_host",
        HAPROXY: "no rule that sets Host",
        CADDY: "no header_up Host",
    },
    Trouble.REWRITES_LOCATION: {
        NGINX: "no proxy_redirect",
        HAPROXY: "no rule that replaces Location",
        CADDY: "no header_down Location",
    },
    Trouble.SMALL_WINDOW: {
        NGINX: "http2_body_preread_size 1m, client_body_buffer_size 1m",
        HAPROXY: "tune.h2.initial-window-size 1048576",
    },
    Trouble.BREAKS_104: {
        NGINX: 'proxy_set_header Upload-Draft-Interop-Version ""',
    },
    Trouble.NO_HTTP2: {
        NGINX: "listen 443 ssl http2",
        HAPROXY: "alpn h2,http/1.1",
        CADDY: "no protocols h1",
    },
}


def what_to_set(trouble: Trouble, server: str) -> str:
    """The directive of the proxy that names itself in `server`, or those of all."""
    directives = DIRECTIVES[trouble]
    for proxy, directive in directives.items():
        if server.lower().startswith(proxy.lower()):
            return f"{proxy}: {directive}"
    return "; ".join(f"{proxy}: {directive}" for proxy, directive in directives.items())
