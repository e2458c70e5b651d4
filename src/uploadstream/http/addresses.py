"""Our own addresses as clients are told them: below whatever the application is mounted under.

They have no scheme and no host (RFC 3986, section 4.2), so that no proxy in front can make them wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


def address(scope: Mapping[str, Any], path: str) -> str:
    """The reference to one of our paths, which begins with a slash; what is before it is percent-encoded."""
    return quote(str(scope.get("root_path") or "").rstrip("/")) + path
