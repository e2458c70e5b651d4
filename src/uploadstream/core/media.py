"""What a file is: by its first bytes, by what its sender declared, and by its name.

Invariant: only the first SNIFF_BYTES count. `detect` never raises; the checks raise what core/errors.py has for them.
signatures.py has the table of formats, type_names.py knows which names mean the same.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from uploadstream.core.errors import BadField, TypeMismatch, TypeNotAllowed
from uploadstream.core.signatures import BINARY_BYTE, HTML, SCRIPT, SVG, TEXT, UNKNOWN, XML, signed
from uploadstream.core.type_names import canonical, essence, known_by_name_alone, may_show, narrows
from uploadstream.core.wording import shortened

SNIFF_BYTES: Final = 512
FILENAME_BYTES_MAX: Final = 255
CONTENT_TYPE_LENGTH_MAX: Final = 255

_BLANK: Final = rb"[\t\n\f\r ]"
_MARK: Final = codecs.BOM_UTF8
# MIME Sniffing, section 7.1: the tags by which HTML is known, each with what ends it.
_HTML: Final = re.compile(
    rb"<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\t\n\f\r >])",
    re.IGNORECASE,
)
_XML: Final = re.compile(rb"<\?xml" + _BLANK)
_BLANKS: Final = re.compile(rb"(?:" + _MARK + rb")?" + _BLANK + rb"*")
_BEFORE_ROOT: Final = re.compile(_BLANK + rb"+|<\?.*?\?>|<!--.*?-->", re.DOTALL)
_SVG: Final = re.compile(rb"<(?:!DOCTYPE svg|(?:[a-z]+:)?svg)[\t\n\f\r />]")
_SHELL: Final = re.compile(rb"#![\t ]*/[^\n]*sh(?:[\t\r\n ]|$)")
_BINARY: Final = re.compile(BINARY_BYTE)
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# C0, DEL, C1; line and paragraph separators; what turns the direction of writing, and so the look of a name.
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SEPARATOR: Final = re.compile(r"[/\\]")
# RFC 9110, sections 5.6.2, 5.6.4, 5.6.6 and 8.3.1; of quoted strings, what is ASCII. What is matched is not given back
# (`*+`): blanks could be the end of one parameter or the beginning of the next, and 2^125 ways would be tried.
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a word of the grammar, not a secret
_QUOTED: Final = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_CONTENT_TYPE: Final = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[\t ]*+;[\t ]*+(?:{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?+)*+")


def detect(head: bytes) -> str:
    """The content type that a file's first bytes show; UNKNOWN where they show none, as those of an empty file."""
    head = head[:SNIFF_BYTES]
    if not head:
        return UNKNOWN
    return signed(head) or _markup(head) or _text(head)


def check_declared(declared: str, head: bytes) -> str:
    """The detected type, if a file declared so may begin like this. TypeMismatch."""
    detected = detect(head)
    name = essence(declared)
    if head and not may_show(name, detected):
        raise TypeMismatch(declared=name, detected=detected)
    return detected


def check_pattern(text: str, *, field: str) -> str:
    """A pattern of types: `*/*`, `image/*` or `image/png`; a star stands for a whole word. BadField."""
    try:
        kind, _, name = essence(check_content_type(text)).partition("/")
    except BadField:
        kind = name = ""
    is_any = (kind, name) == ("*", "*")
    if not (is_any or (kind and "*" not in kind and (name == "*" or "*" not in name))) or "," in text:
        raise BadField(field=field, problem=f"must be */*, or such as image/* or image/png, is {shortened(text)}")
    return text


def check_allowed(detected: str, allowed: tuple[str, ...], *, declared: str = "") -> None:
    """Raise TypeNotAllowed unless a pattern (`*/*`, `image/*`, `application/pdf`) lets the detected type in.

    A `declared` type, agreed with before, helps where the first bytes cannot know: a docx that shows a zip is let in
    as the docx, and a type that has no signature by its full name, which a wildcard does not do for it.
    """
    patterns = {canonical(essence(pattern)) for pattern in allowed}
    name = canonical(essence(declared))
    if _matches(detected, patterns) or (narrows(name, detected) and _matches(name, patterns)):
        return
    if name in patterns and known_by_name_alone(name, detected):
        return
    raise TypeNotAllowed(detected=detected, allowed=allowed)


def check_filename(name: str) -> str:
    """The name, if it can be shown, sent in a header and stored anywhere. BadField."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BadField(field="filename", problem="must be valid Unicode") from None
    if not 1 <= size <= FILENAME_BYTES_MAX:
        raise BadField(field="filename", problem=f"must be 1 to {FILENAME_BYTES_MAX} bytes, has {size}")
    if unprintable := _UNPRINTABLE.search(name):
        problem = f"must not have control characters, has U+{ord(unprintable[0]):04X}"
        raise BadField(field="filename", problem=problem)
    if separator := _SEPARATOR.search(name):
        raise BadField(field="filename", problem=f"must not have separators, has {separator[0]}")
    if name in {".", ".."}:
        raise BadField(field="filename", problem=f"must not be {name}")
    return name


def check_content_type(text: str) -> str:
    """A media type with its parameters, or "" for none; blanks around it are taken off. BadField."""
    content_type = text.strip("\t ")
    if len(content_type) > CONTENT_TYPE_LENGTH_MAX:
        problem = f"must be at most {CONTENT_TYPE_LENGTH_MAX} characters, has {len(content_type)}"
        raise BadField(field="content_type", problem=problem)
    if content_type and not _CONTENT_TYPE.fullmatch(content_type):
        raise BadField(field="content_type", problem=f"must be type/subtype, is {shortened(content_type)!a}")
    return content_type


def _matches(name: str, patterns: set[str]) -> bool:
    return not patterns.isdisjoint((name, f"{name.partition('/')[0]}/*", "*/*"))


def _markup(head: bytes) -> str | None:
    """SVG, XML or HTML, after blanks."""
    blanks = _BLANKS.match(head)
    start = root = blanks.end() if blanks else 0
    while skipped := _BEFORE_ROOT.match(head, root):
        root = skipped.end()
    if _SVG.match(head, root):
        return SVG
    if _XML.match(head, start):
        return XML
    return HTML if _HTML.match(head, start) else None


def _text(head: bytes) -> str:
    """Text, in UTF-16 with its mark or in any encoding that has control characters where ASCII does; or UNKNOWN."""
    shown = head
    if head.startswith(_UTF16_MARKS):
        try:
            shown = codecs.getincrementaldecoder("utf-16")().decode(head).encode()
        except UnicodeDecodeError:
            return UNKNOWN
    if _BINARY.search(shown):  # MIME Sniffing, section 7.2
        return UNKNOWN
    return SCRIPT if _SHELL.match(shown) else TEXT
