"""What a sender keeps with its upload: keys and texts, in tus's spelling, whichever protocol they came over."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping


def read_kept(metadata: str) -> dict[str, str]:
    """The texts by their keys, of metadata as it is kept; bytes that are no UTF-8 are replaced."""
    pairs = (pair.strip().partition(" ") for pair in metadata.split(",") if pair.strip())
    return {key: _decoded(encoded) for key, _, encoded in pairs}


def write_kept(pairs: Mapping[str, str]) -> str:
    """Metadata to be kept."""
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}".rstrip() for key, text in pairs.items())


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""
