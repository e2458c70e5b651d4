"""Interim responses (RFC 9110, section 15.2), on servers that can send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import Scope, Send

EXTENSION: Final = "uploadstream.interim"


class Interim:
    """One request's interim responses; where the server has no such extension, they are left out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.is_possible: Final = EXTENSION in (scope.get("extensions") or {})
        self._send = send

    async def send(self, status: int, fields: Mapping[str, str]) -> None:
        """Send one now; only before the response begins."""
        if self.is_possible:
            headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
            await self._send({"type": EXTENSION, "status": status, "headers": headers})
