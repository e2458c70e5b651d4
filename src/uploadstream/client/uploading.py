"""One upload, from the first question to the compared digests, over any transport.

Each try asks the server how far the upload is and goes on from there; what the server does not hold is sent again, and
nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from uploadstream.client.errors import CHECKSUM_MISMATCH, FILE_CHANGED, INCOMPLETE, TYPE_MISMATCH, UploadError
from uploadstream.client.retrying import Patience
from uploadstream.client.source import Source
from uploadstream.client.transport import Block, Named, Place, Transport
from uploadstream.client.unfinished import Entry
from uploadstream.client.values import FileInfo, Progress, Step
from uploadstream.core.digests import spelled
from uploadstream.core.errors import TypeNotAllowed

Report = Callable[[Progress], None]

_FRESH_STARTS_MAX: Final = 3
_ENDED_BY_SERVER: Final = {TYPE_MISMATCH, TypeNotAllowed.reason}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent, as what, and where that is remembered.

    A guessed type is dropped if the content is of another.
    """

    source: Source
    named: Named
    is_type_guessed: bool
    entry: Entry | None


class Sending:
    """The state of one upload between its tries."""

    def __init__(self, transport: Transport, order: Order, patience: Patience, report: Report) -> None:
        self._transport = transport
        self._source = order.source
        self._named = order.named
        self._is_type_guessed = order.is_type_guessed
        self._entry = order.entry
        self._patience = patience
        self._report = report
        self._upload_id = order.entry.upload_id if order.entry is not None else None
        self._held = 0
        self._fresh_starts = 0
        self._attempt = 0
        self._loop = asyncio.get_running_loop()

    async def run(self) -> FileInfo:
        """Send everything; the file that it became."""
        try:
            file = await self._patience.until_done(self._try_once, self._waiting)
        except UploadError as error:
            if error.reason == FILE_CHANGED:
                await self._give_up()
            elif error.reason in _ENDED_BY_SERVER:
                self._forget()
            raise
        self._attempt += 1
        self._forget()
        await self._compare(file)
        self._report(Progress(Step.FINISHED, self._source.size, self._source.size))
        return file

    async def _try_once(self) -> FileInfo:
        try:
            return await self._continue()
        except UploadError as error:
            if error.reason != TYPE_MISMATCH or not self._is_type_guessed:
                raise
        # Nobody declared the type, a name did: the content knows better, and the server looks at it.
        self._is_type_guessed = False
        self._named = replace(self._named, content_type="")
        self._upload_id = None
        return await self._continue()

    async def _continue(self) -> FileInfo:
        place = await self._place()
        self._patience.reached()
        if not place.is_complete:
            place = await self._append(place)
        return await self._transport.describe(place.upload_id)

    async def _append(self, begun: Place) -> Place:
        if begun.offset > self._held:
            self._held = begun.offset
            self._patience.progressed()
        step = Step.RESUMED if begun.offset else Step.STARTED
        self._report(Progress(step, begun.offset, self._source.size))
        self._attempt += 1
        blocks = self._watched(begun.offset, attempt=self._attempt)
        place = await self._transport.append(begun.upload_id, blocks, at=begun.offset, size=self._source.size)
        if not place.is_complete:
            message = "The server ended the request before all bytes were there; run the same command again"
            raise UploadError(INCOMPLETE, message, is_passing=True)
        return place

    async def _place(self) -> Place:
        """Where to go on: a new upload if there is none, or if the one there was has expired."""
        if self._upload_id is not None:
            try:
                return await self._transport.place(self._upload_id)
            except UploadError as error:
                if not error.is_missing or self._fresh_starts == _FRESH_STARTS_MAX:
                    raise
        self._fresh_starts += 1
        place = await self._transport.create(self._named)
        self._upload_id = place.upload_id
        self._held = 0
        if self._entry is not None:
            self._entry.remember(place.upload_id)
        return place

    def _watched(self, start: int, *, attempt: int) -> Generator[Block]:
        """The blocks, each reported when it is gone; another thread gets them."""
        for block in self._source.blocks(start):
            yield block
            self._loop.call_soon_threadsafe(self._advance, attempt, block.at + len(block.data))

    def _advance(self, attempt: int, offset: int) -> None:
        """A thread of a try that was given up may still have a word to say; nobody listens."""
        if attempt == self._attempt:
            self._report(Progress(Step.ADVANCED, offset, self._source.size))

    async def _compare(self, file: FileInfo) -> None:
        """Raise unless the server's checksum is ours; what arrived damaged goes to the trash."""
        computed = spelled(await asyncio.to_thread(self._source.crc32c_before, self._source.size))
        if file.crc32c in {None, computed}:
            return
        with suppress(UploadError):
            await self._transport.delete(file.file_id)
        message = f"{self._source.name} arrived damaged (crc32c is {file.crc32c}, sent {computed}); send it again"
        raise UploadError(CHECKSUM_MISMATCH, message, {"file_id": file.file_id, "computed": computed})

    async def _give_up(self) -> None:
        if self._upload_id is not None:
            with suppress(UploadError):
                await self._transport.abort(self._upload_id)
        self._forget()

    def _waiting(self, error: UploadError, wait_seconds: float) -> None:
        self._report(Progress(Step.WAITING, self._held, self._source.size, error, wait_seconds))

    def _forget(self) -> None:
        if self._entry is not None:
            self._entry.forget()
