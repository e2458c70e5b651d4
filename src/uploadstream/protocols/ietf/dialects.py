"""What the interop versions 3 to 10 of draft-ietf-httpbis-resumable-upload (-01 to -13) do differently.

Clients name theirs (`Upload-Draft-Interop-Version`). The drafts are in force; the last one is what is spoken with
whoever names none, or one that is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from uploadstream.http.structured import read_boolean, read_integer, write_boolean

VERSION_FIELD: Final = "Upload-Draft-Interop-Version"

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One interop version; without arguments, the text of the last draft for a client that names no version."""

    version: int | None = None  # None: no 104 may be sent
    has_media_type: bool = True  # a PATCH must be application/partial-upload (from -04 on)
    tells_progress: bool = True  # 104s may tell an offset (from -03 on)
    lifetime: str = "max-age"  # what Upload-Limit calls it ("expires" in -04 and -05)
    asks_bare: bool = False  # HEAD and DELETE must not have the fields of an append (up to -05)
    ends_at_length: bool = False  # nothing but a body's end is the end of an upload (up to -05)
    says_incomplete: bool = False  # Upload-Incomplete instead of Upload-Complete, and the other way round (-01)

    def read_complete(self, fields: Fields) -> bool | None:
        """Whether the client says that a request completes its upload; None if it says nothing."""
        if not self.says_incomplete:
            return read_boolean(fields.get("upload-complete"))
        said = read_boolean(fields.get("upload-incomplete"))
        return None if said is None else not said

    def completes(self, *, said: bool) -> bool | None:
        """Whether a body completes its upload; None: if it reaches its length.

        tus-js-client says ?0 of the last part of a file that it reads from a disk.
        """
        return None if self.ends_at_length and not said else said

    def write_complete(self, *, complete: bool) -> dict[str, str]:
        """Whether the upload is complete."""
        if self.says_incomplete:
            return {"Upload-Incomplete": write_boolean(not complete)}
        return {"Upload-Complete": write_boolean(complete)}


LATEST: Final = Dialect()
_EXPIRES: Final = Dialect(lifetime="expires", asks_bare=True, ends_at_length=True)
_UNTYPED: Final = replace(_EXPIRES, has_media_type=False)
_SILENT: Final = replace(_UNTYPED, tells_progress=False)
_INCOMPLETE: Final = replace(_SILENT, says_incomplete=True)
DIALECTS: Final[Mapping[int, Dialect]] = {
    3: replace(_INCOMPLETE, version=3),
    4: replace(_SILENT, version=4),
    5: replace(_UNTYPED, version=5),
    6: replace(_EXPIRES, version=6),
    **{version: replace(LATEST, version=version) for version in (7, 8, 9, 10)},
}


def read_dialect(fields: Fields) -> Dialect:
    """How to speak with a client, by what its request has."""
    version = read_integer(fields.get(VERSION_FIELD.lower()))
    if version is not None and version in DIALECTS:
        return DIALECTS[version]
    if "upload-incomplete" in fields and "upload-complete" not in fields:
        return _INCOMPLETE
    return LATEST
