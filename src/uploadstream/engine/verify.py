"""Reads every stored file again and compares it with what the catalog says of it."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from uploadstream.core.digests import crc32c, spelled
from uploadstream.core.errors import StorageUnavailable
from uploadstream.core.files import File
from uploadstream.core.pages import Position
from uploadstream.core.sizes import MIB
from uploadstream.engine.contents import Contents
from uploadstream.ports import Ports

BATCH: Final = 500


class Finding(enum.StrEnum):
    """What a look at one file showed."""

    WHOLE = "whole"
    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    WRONG_DIGEST = "wrong digest"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One file and what was found; `says` names the numbers when it is not whole."""

    file: File
    finding: Finding
    says: str = ""


async def verify(ports: Ports) -> AsyncIterator[Verdict]:
    """A verdict on every file, those in the trash too."""
    for deleted in (False, True):
        place: Position | None = None
        while rows := await ports.catalog.files(None, deleted=deleted, after=place, limit=BATCH):
            for file in rows:
                verdict = await _look_at(ports, file)
                if verdict.finding is Finding.WHOLE or await ports.catalog.file(file.id) is not None:
                    yield verdict  # it has not been purged meanwhile
            place = Position(rows[-1].uploaded_at, rows[-1].id)


async def _look_at(ports: Ports, file: File) -> Verdict:
    contents = Contents(ports)
    stored = await contents.stored_size(file)
    if not file.is_whole(stored or 0):
        finding = Finding.MISSING if stored is None else Finding.WRONG_SIZE
        return Verdict(file, finding, f"{stored or 0} of {file.size} bytes are there")
    crc = 0
    try:
        if file.size:
            async for piece in contents.read(file, start=0, stop=file.size, piece_size=MIB):
                crc = crc32c(piece, crc)
    except StorageUnavailable as error:
        return Verdict(file, Finding.MISSING, f"cannot be read: {error.__cause__ or error}")
    if crc != file.crc32c:
        return Verdict(file, Finding.WRONG_DIGEST, f"crc32c is {spelled(crc)}, was {spelled(file.crc32c)}")
    return Verdict(file, Finding.WHOLE)
