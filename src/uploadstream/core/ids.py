"""Ids of uploads and files: random UUIDs (122 bits, RFC 9562 section 5.4), so that a URI cannot be guessed.

Only the canonical spelling is one. Whatever else a client sends is the id of nothing, and never becomes part of a
path.
"""

from __future__ import annotations

import re
from typing import Final

from uploadstream.core.errors import NotFound
from uploadstream.core.wording import SHOWN_MAX

PATTERN: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CANONICAL: Final = re.compile(PATTERN, re.ASCII)


def is_id(text: str) -> bool:
    """Whether something could have this id."""
    return _CANONICAL.fullmatch(text) is not None


def check_id(text: str, *, kind: str) -> str:
    """`text` if it can be an id; NotFound otherwise, as for an id that nothing has."""
    if not is_id(text):
        raise NotFound(kind=kind, id=ascii(text[:SHOWN_MAX])[1:-1])
    return text
