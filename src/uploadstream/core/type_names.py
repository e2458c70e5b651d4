"""Names of content types: which mean the same, and which bytes a file of a name may begin with.

People, browsers and libraries declare a type by a file's ending; what its bytes show is often the format around it
(a docx is a zip, an m4a an MP4, a CSV a text). Rules, each about names only:

1. Spellings of one type are the same type.
2. A textual type may be shown as any text, and compressed: its sender names what is inside.
3. Types of one family are told apart by more than 512 bytes, or by nothing.
4. A type that no signature is known for may be shown as anything generic, never as something as definite as a
   program, a picture or a film.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from uploadstream.core.signatures import (
    AAC,
    HTML,
    MP3,
    OLE,
    OPEN_DOCUMENT,
    OPEN_XML,
    SCRIPT,
    SIGNATURES,
    SVG,
    TAR,
    TEXT,
    UNKNOWN,
    XML,
    ZIP,
)

# What says nothing: no type at all, or "some bytes".
NOTHING_SAID: Final = frozenset({"", UNKNOWN, "binary/octet-stream", "application/x-unknown", "application/unknown"})

_SPELLINGS: Final[Mapping[str, str]] = {
    "image/png": "image/x-png",
    "image/apng": "image/vnd.mozilla.apng",
    "image/jpeg": "image/jpg image/pjpeg",
    "image/bmp": "image/x-ms-bmp image/x-bmp image/x-windows-bmp",
    "image/vnd.microsoft.icon": "image/x-icon image/ico",
    "image/vnd.adobe.photoshop": "image/x-photoshop image/psd application/x-photoshop application/photoshop",
    "image/tiff": "image/tif image/x-tiff",
    "image/x-adobe-dng": "image/dng",
    "image/jp2": "image/jpx image/j2k image/jpeg2000 image/x-jp2",
    "image/vnd-ms.dds": "image/x-dds image/vnd.ms-dds",
    "image/icns": "image/x-icns",
    "image/emf": "image/x-emf application/x-msmetafile",
    "image/wmf": "image/x-wmf",
    "image/x-portable-anymap": "image/x-portable-bitmap image/x-portable-graymap image/x-portable-pixmap"
    " image/x-portable-arbitrarymap",
    "video/mp4": "application/mp4 video/x-m4v video/m4v video/x-f4v",
    "audio/mp4": "audio/x-m4a audio/m4a audio/x-m4b",
    "video/quicktime": "video/mov",
    "video/matroska": "video/x-matroska video/mkv video/matroska-3d",
    "audio/matroska": "audio/x-matroska",
    "video/x-msvideo": "video/avi video/msvideo video/vnd.avi",
    "video/x-flv": "video/flv",
    "video/x-ms-asf": "application/vnd.ms-asf",
    "video/mpeg": "video/mpg video/x-mpeg video/mp1s video/mp2p",
    "video/mp2t": "video/mpeg2-ts video/vnd.dlna.mpeg-tts",
    MP3: "audio/mp3 audio/x-mp3 audio/mpeg3 audio/x-mpeg-3 audio/x-mpeg audio/mpg audio/mp2 audio/x-mp2",
    AAC: "audio/aacp audio/x-aac audio/vnd.dlna.adts audio/x-hx-aac-adts",
    "audio/wav": "audio/x-wav audio/wave audio/vnd.wave audio/x-pn-wav",
    "audio/aiff": "audio/x-aiff audio/aif",
    "audio/midi": "audio/mid audio/x-midi audio/sp-midi",
    "audio/flac": "audio/x-flac",
    "audio/ogg": "audio/x-ogg",
    "application/ogg": "application/x-ogg",
    "audio/ac3": "audio/eac3 audio/vnd.dolby.dd-raw",
    "audio/amr": "audio/amr-wb",
    "application/pdf": "application/x-pdf",
    "application/postscript": "application/eps application/x-eps image/eps image/x-eps",
    "application/rtf": "text/rtf application/x-rtf text/richtext",
    ZIP: "application/x-zip-compressed application/x-zip",
    "application/java-archive": "application/x-java-archive",
    "application/gzip": "application/x-gzip application/x-tgz application/x-compressed-tar",
    TAR: "application/tar application/x-gtar application/x-ustar",
    "application/x-bzip2": "application/x-bzip application/bzip2 application/x-bzip-compressed-tar",
    "application/x-xz": "application/xz application/x-xz-compressed-tar",
    "application/zstd": "application/x-zstd application/x-zstd-compressed-tar",
    "application/x-lz4": "application/lz4",
    "application/x-7z-compressed": "application/x-7z",
    "application/vnd.rar": "application/x-rar-compressed application/x-rar",
    "application/vnd.ms-cab-compressed": "application/x-cab-compressed",
    "application/vnd.debian.binary-package": "application/x-deb application/x-debian-package",
    "application/x-rpm": "application/x-redhat-package-manager",
    "application/x-dosexec": "application/vnd.microsoft.portable-executable application/x-msdownload"
    " application/x-msdos-program application/x-ms-dos-executable application/x-exe application/x-winexe",
    "application/x-elf": "application/x-executable application/x-pie-executable application/x-sharedlib"
    " application/x-object application/x-coredump",
    "application/java-vm": "application/java application/x-java-applet application/x-java-class",
    "application/vnd.adobe.flash.movie": "application/x-shockwave-flash",
    "font/woff": "application/font-woff application/x-font-woff",
    "font/woff2": "application/font-woff2 application/x-font-woff2",
    "font/ttf": "application/x-font-ttf application/x-font-truetype font/x-ttf",
    "font/otf": "application/x-font-otf application/x-font-opentype application/vnd.ms-opentype",
    "font/sfnt": "application/font-sfnt",
    "application/vnd.sqlite3": "application/x-sqlite3",
    "application/vnd.apache.parquet": "application/x-parquet application/parquet",
    XML: "application/xml",
}
_CANONICAL: Final = {other: name for name, others in _SPELLINGS.items() for other in others.split()}

_TEXTS: Final = frozenset({TEXT, HTML, XML, SVG, SCRIPT, "application/rtf", "application/postscript"})
_COMPRESSED: Final = frozenset(
    {"application/gzip", "application/x-bzip2", "application/x-xz", "application/zstd", "application/x-lz4"}
)
_ZIPS: Final = frozenset(
    name for name, magic in SIGNATURES if name == ZIP or (b"PK" in magic and name.startswith("application/"))
)
_ARCHIVES: Final = _ZIPS | _COMPRESSED | {TAR, "application/x-7z-compressed", "application/vnd.rar"}
# Formats that others are built in; and sounds without a container, which random bytes are taken for now and then.
_GENERIC: Final = (
    _TEXTS | _ARCHIVES | {UNKNOWN, OLE, "application/vnd.sqlite3", "application/x-lzma", MP3, AAC, "audio/ac3"}
)

_FAMILIES: Final = tuple(
    frozenset(names.split())
    for names in (
        "video/mp4 audio/mp4 video/quicktime video/3gpp audio/3gpp video/3gpp2 audio/3gpp2",
        "image/heic image/heif image/heic-sequence image/heif-sequence",
        "image/avif image/avif-sequence image/heif",
        "image/png image/apng",
        "image/tiff image/tiff-fx image/x-adobe-dng image/x-canon-cr2 image/x-nikon-nef image/x-sony-arw",
        "video/matroska audio/matroska video/webm audio/webm",
        "application/ogg audio/ogg video/ogg audio/opus audio/vorbis audio/speex",
        "video/x-ms-asf video/x-ms-wmv audio/x-ms-wma",
        "video/mpeg video/mp2t",
        "font/ttf font/otf font/sfnt font/collection",
    )
)

# Declared, and what may be shown besides itself and its family.
_MAY_SHOW_TOO: Final[Mapping[str, frozenset[str]]] = {
    # streams can be cut anywhere, and begin with any byte of a frame
    MP3: frozenset({UNKNOWN}),
    "video/mpeg": frozenset({UNKNOWN}),
    "audio/ac3": frozenset({UNKNOWN}),
    AAC: frozenset({UNKNOWN, MP3, "audio/mp4"}),  # an ID3 tag, which stands for MP3, may be before any audio
    "audio/flac": frozenset({MP3, "audio/ogg"}),
    "audio/x-tta": frozenset({MP3}),
    "audio/x-ape": frozenset({MP3}),
    "video/mp2t": frozenset({UNKNOWN, TEXT}),  # browsers know TypeScript by this name
    "image/x-portable-anymap": frozenset({TEXT}),  # numbers, in its plain form
    SVG: _TEXTS | _COMPRESSED,
    "application/postscript": frozenset({"application/pdf"}),  # Illustrator's files, by browsers
    "application/illustrator": frozenset({"application/pdf", "application/postscript"}),
    "application/vnd.adobe.illustrator": frozenset({"application/pdf", "application/postscript"}),
    "application/x-dosexec": frozenset({TEXT}),  # Debian's list names batch files so
    TAR: _COMPRESSED,  # Python's mimetypes names a tar.gz by what is inside
    "application/x-compressed": _ARCHIVES,
    "application/vnd.comicbook-rar": frozenset({"application/vnd.rar", ZIP}),
    "application/msword": _ZIPS | _TEXTS | {OLE},  # Windows names RTF so
    "application/vnd.ms-excel": _ZIPS | _TEXTS | {OLE},  # and CSV so
    "application/vnd.ms-powerpoint": _ZIPS | {OLE},
    "application/vnd.ms-outlook": frozenset({OLE}),
    "application/x-msi": frozenset({OLE}),
    "application/vnd.visio": frozenset({OLE}),
}

_SIGNED: Final = (
    frozenset(name for name, _ in SIGNATURES) | {TAR, AAC} | frozenset().union(*_FAMILIES) | frozenset(_MAY_SHOW_TOO)
)
_TEXTUAL: Final = re.compile(
    r"text/.*|message/.*|.*\+(?:json|xml|yaml)|application/(?:x-)?(?:javascript|ecmascript|typescript|json|json5|json-seq"
    r"|jsonl|jsonlines|ndjson|yaml|toml|sql|graphql|sh|shellscript|csh|perl|php|httpd-php|python|ruby|tex|latex|troff"
    r"|subrip|pem-file|mbox|www-form-urlencoded|n-triples|n-quads|trig|sparql-query)"
)
_ZIPPED_PREFIXES: Final = (OPEN_XML, OPEN_DOCUMENT, "application/vnd.sun.xml.")
_ZIPPED_SUFFIXES: Final = ("+zip", ".macroenabled.12")

# What is shown does not tell which of its kinds a file is, so that the declared name may be the narrower one.
_VAGUE: Final = frozenset(
    {
        ZIP,
        OLE,
        "image/tiff",
        "image/heif",
        "video/mp4",
        "video/webm",
        "video/matroska",
        "application/ogg",
        "video/x-ms-asf",
    }
)


def essence(content_type: str) -> str:
    """A content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def canonical(name: str) -> str:
    """The one spelling of an essence."""
    return _CANONICAL.get(name, name)


def may_show(declared: str, detected: str) -> bool:
    """Whether a file declared as the first (an essence) may be shown as the second."""
    name = canonical(declared)
    return name in NOTHING_SAID or name == detected or detected in _shown(name)


def narrows(declared: str, detected: str) -> bool:
    """Whether `declared` says more precisely what `detected` leaves open."""
    name = canonical(declared)
    if detected == TEXT:
        return _is_textual(name) and name != SVG
    if detected == XML:
        return _is_textual(name) and name.endswith("xml") and name != SVG
    return detected in _VAGUE and _has_signature(name) and detected in _shown(name)


def known_by_name_alone(declared: str, detected: str) -> bool:
    """Whether no bytes could show `declared`, and these do not speak against it."""
    name = canonical(declared)
    return name not in NOTHING_SAID and not _has_signature(name) and detected in _GENERIC


def _has_signature(name: str) -> bool:
    """Whether files of this type can be known by their first bytes."""
    return name in _SIGNED or _is_textual(name) or _is_zipped(name)


def _shown(name: str) -> frozenset[str]:
    """What a file of this canonical name may be shown as, besides itself."""
    if not _has_signature(name):
        return _GENERIC
    shown = _MAY_SHOW_TOO.get(name, frozenset()).union(*(family for family in _FAMILIES if name in family))
    if name != SVG and _is_textual(name):
        shown |= _TEXTS | _COMPRESSED | {UNKNOWN}  # UTF-16 without a mark; a log with a stray NUL
    if _is_zipped(name):
        shown |= _ZIPS
    if name.startswith(OPEN_XML):
        shown |= {OLE}  # it has a password
    return shown


def _is_textual(name: str) -> bool:
    return _TEXTUAL.fullmatch(name) is not None


def _is_zipped(name: str) -> bool:
    return name in _ZIPS or name.startswith(_ZIPPED_PREFIXES) or name.endswith(_ZIPPED_SUFFIXES)
