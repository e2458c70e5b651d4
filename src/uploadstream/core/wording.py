"""What others said, as messages repeat it."""

from __future__ import annotations

from typing import Final

# Of what a client said; a refusal of all its fields is to fit in the 8 KiB that gRPC's clients take of a call's end.
SHOWN_MAX: Final = 64


def said(text: str) -> str:
    """A text for a message, which is not to have a hole where it is empty."""
    return text or '""'


def shortened(value: object) -> str:
    """What a client said, short enough for a message."""
    text = str(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
