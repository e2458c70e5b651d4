"""What a request is for, as its first line says it (RFC 9112, section 3.2)."""

from __future__ import annotations

import re
from typing import Final

WHOLE_SERVER: Final = b"*"
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]+)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)


def origin_form(target: bytes, host: bytes | None, *, method: bytes = b"GET") -> bytes | None:
    """The path and query of a target; None for one that this server is not asked about, or not clearly.

    `*` is the server itself, which may be asked for what it can do (section 3.2.4). An absolute target goes before
    Host (section 3.2.2). One that names another host was meant for somebody else, or would be understood otherwise by
    whoever looks at Host.
    """
    if target.startswith(b"/"):
        return None if b"#" in target else target
    if target == WHOLE_SERVER and method == b"OPTIONS":
        return target
    found = _ABSOLUTE.fullmatch(target)
    if found is None or (host is not None and found[1].lower() != host.lower()):
        return None
    return (found[2] or b"/") + (found[3] or b"")
