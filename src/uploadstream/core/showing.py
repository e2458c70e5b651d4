"""What a browser may show, or run, of a file that somebody sent: it would do so in the service's own origin.

Invariant: only what is on the list is shown, by what was declared and by what its bytes show alike; no new type that a
browser learns to run is on it.
"""

from __future__ import annotations

import re
from typing import Final

from uploadstream.core.files import File
from uploadstream.core.signatures import TEXT, UNKNOWN
from uploadstream.core.type_names import canonical, essence

# Pictures without scripts (SVG has them), sound and film, plain text. PDF: its scripts run in the viewer alone.
_SHOWN: Final = re.compile(
    r"image/(?:png|apng|vnd\.mozilla\.apng|jpeg|gif|webp|avif|bmp|vnd\.microsoft\.icon|heic|heif|tiff|jxl)"
    rf"|audio/.+|video/.+|{re.escape(TEXT)}|application/pdf"
)
# WHATWG MIME Sniffing, section 4.6: the names under which a browser runs a script, whatever page asks for it.
_SCRIPT: Final = re.compile(
    r"(?:application|text)/(?:x-)?(?:java|ecma)script|text/(?:javascript1\.[0-5]|jscript|livescript)"
)


def may_be_shown(file: File) -> bool:
    """Whether a browser may show the file where it is asked to, and not only save it."""
    shown_by_bytes = file.detected_type == UNKNOWN or _is_shown(file.detected_type)
    return shown_by_bytes and _is_shown(file.content_type)


def served_type(file: File) -> str:
    """The file's type as a browser is told: no page of our origin can be made to load a user's file as its script."""
    return TEXT if _SCRIPT.fullmatch(essence(file.content_type)) else file.content_type


def _is_shown(content_type: str) -> bool:
    return _SHOWN.fullmatch(canonical(essence(content_type))) is not None
