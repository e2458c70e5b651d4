"""From the first byte of a body to a published file: the part of an upload that handles bytes.

Everything here is called by the holder of the upload's lease.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from uploadstream.core.access import Caller
from uploadstream.core.digests import Digest, check_computed
from uploadstream.core.errors import CatalogUnavailable, ChecksumMismatch, StorageUnavailable, Unavailable, UploadClosed
from uploadstream.core.files import Action, Audit, File, audit_of, file_of
from uploadstream.core.media import SNIFF_BYTES, check_allowed, check_declared
from uploadstream.core.parts import Part
from uploadstream.core.session import Aborted, End, Limits, Published, Sealed, Session
from uploadstream.core.sizes import MIB
from uploadstream.core.turns import sender
from uploadstream.engine.admission import Admission
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.cancels import uncancelled
from uploadstream.engine.checking import CheckedSink
from uploadstream.engine.hooks import Hooks, NoHooks
from uploadstream.engine.intake import Intake, Received, Terms
from uploadstream.engine.sums import NoteKeeper, crc_so_far, sum_of
from uploadstream.engine.watch import Incoming, Pour, Pouring, Watch
from uploadstream.ports import Bytes, Ports, Sink

EVERYTHING: Final = ("*/*",)
_ENDS = {End.ABORTED: Action.ABORT, End.EXPIRED: Action.EXPIRE, End.REFUSED: Action.REFUSE}


class Receiver:
    """Moves bodies into the store and finished uploads into the catalog."""

    def __init__(
        self,
        ports: Ports,
        watch: Watch,
        buffers: Buffers,
        limits: Limits,
        hooks: Hooks | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.admission: Final = admission or Admission(ports.catalog, ports.clock)
        self._catalog = ports.catalog
        self._blobs = ports.blobs
        self._clock = ports.clock
        self._watch = watch
        self._buffers = buffers
        self._limits = limits
        self._hooks = hooks or NoHooks()

    async def sums(self, session: Session) -> Received:
        """What is known of the bytes that are in the store already."""
        if not session.offset:
            return Received.nothing()
        pieces = self._blobs.read(session.id, start=0, stop=min(SNIFF_BYTES, session.offset), piece_size=SNIFF_BYTES)
        head = b"".join([piece async for piece in pieces])
        return Received(session.offset, await crc_so_far(self._blobs, session.id, session.offset), head)

    async def receive(
        self, session: Session, before: Received, pouring: Pouring, incoming: Incoming, *, whole: bool = False
    ) -> Received:
        """Pour one body behind what is there. Whatever ends it early, the store has the bytes that came.

        `whole`: a body that is cut is worth nothing, so nothing is noted or synced for it.
        """
        throttle, owner = self._watch.throttle, session.declared.user_id
        meter = await throttle.meter_of(owner)
        sink, checked = await self._open(session, incoming, check=pouring.check)
        terms = Terms(session.room, session.overrun, self._check_of_head(session, staged=checked is not None))
        lane = throttle.enter(sender(owner, pouring.address), meter)
        intake = Intake(sink, self._buffers, before, terms, lane)
        end, keep = _Ending(), checked is None
        notes = None if whole else NoteKeeper(self._blobs, session.id, intake, of=sink.blob_id, staged=not keep)
        try:
            await self._watch.run(pouring, incoming.pour, intake)
            await intake.close()
            if checked is not None:
                checked.check()
                self._check_late(session, intake.head)
                keep = True
            after = replace(session, offset=intake.offset)
            completes = after.is_completed_by(complete=incoming.complete)
            end = _Ending(completes=completes, durable=completes or after.is_full)
        finally:
            throttle.leave(lane)
            await uncancelled(self._settle(intake, sink, notes, end, keep=keep))
        return Received(intake.offset, intake.crc, intake.head)

    async def _open(
        self, session: Session, incoming: Incoming, *, check: Callable[[], None]
    ) -> tuple[Sink, CheckedSink | None]:
        """The end of the upload's blob; staged, if there is a checksum to be checked first."""
        if incoming.digest is None:
            return await self._blobs.append(session.id, at=session.offset, check=check), None
        staged = await self._blobs.append(session.id, at=session.offset, staged=True, check=check)
        checked = CheckedSink(staged, incoming.digest, at=session.offset)
        return checked, checked

    def _check_of_head(self, session: Session, *, staged: bool) -> Callable[[bytes], object]:
        """What looks at an upload's first bytes as they come: later at those that may be wrong, or are no file's."""
        waits = staged or session.declared.is_partial
        return (lambda _: None) if waits else lambda head: self._check_type(session, head)

    def _check_late(self, session: Session, head: bytes) -> None:
        if len(head) == SNIFF_BYTES and not session.declared.is_partial:
            self._check_type(session, head)

    async def receive_nothing(self, closed: Session, pouring: Pouring, pour: Pour) -> None:
        """Take a body for an upload that takes no more bytes, if it has none. UploadClosed at its first byte."""
        nothing = Received(closed.offset, 0, b"")
        terms = Terms(0, lambda _: UploadClosed(upload_id=closed.id, state=closed.state.value), lambda _: None)
        await self._watch.run(pouring, pour, Intake(_NoSink(), self._buffers, nothing, terms))

    async def _settle(self, intake: Intake, sink: Sink, notes: NoteKeeper | None, end: _Ending, *, keep: bool) -> None:
        """Whatever became of the body: its last bytes to the store, the store's blob let go, the sum noted."""
        try:
            if notes is not None:
                await notes.stop()
            await intake.close()
        finally:
            durable = await sink.close(complete=end.durable, keep=keep)
        if notes is not None and keep and not end.completes:
            await notes.write(intake.offset, intake.crc, durable=durable)

    async def publish(self, session: Session, caller: Caller, received: Received, parts: tuple[Part, ...] = ()) -> File:
        """Make the file of an upload whose bytes are all there and durable, in these parts if any. ContentRefused."""
        sealed = session.after(Sealed())
        detected = self._check_type(session, received.head)
        now = self._clock.now()
        file = file_of(sealed, detected_type=detected, crc32c=received.crc, at=now, parts=parts)
        audit = audit_of(file.id, Action.COMPLETE, caller, at=now, size=str(file.size), content_type=file.content_type)
        # a cancel comes too late for what is being committed: whoever cleans up must know how that ended
        published = await uncancelled(self._publish(file, audit, caller))
        sealed.after(Published())
        with suppress(StorageUnavailable):  # a note is read for an open upload only
            await self._blobs.drop_note(session.id)
        return published

    async def _publish(self, file: File, audit: Audit, caller: Caller) -> File:
        published = await self.admission.publish(file, audit, caller)
        await self._hooks.completed(published)
        return published

    async def check_whole(self, session: Session, caller: Caller, digest: Digest) -> None:
        """End an upload whose bytes have another checksum than was said of all of them. ChecksumMismatch."""
        size = session.offset
        pieces = self._blobs.read(session.id, start=0, stop=size, piece_size=MIB) if size else None
        try:
            check_computed(await sum_of(pieces, digest.algorithm), digest, at=0)
        except ChecksumMismatch as error:
            await self.end(session, caller, End.REFUSED, why=str(error))
            raise

    async def end(self, session: Session, caller: Caller, how: End, *, why: str = "") -> None:
        """End an upload without a file: first the row, so that nobody comes back to it, then its bytes."""
        ended = session.after(Aborted(how))
        details = {"why": why} if why else {}
        audit = audit_of(session.id, _ENDS[how], caller, at=self._clock.now(), **details)
        # both or neither, and while the lease is held: a row written later would end an upload that goes on
        await uncancelled(self._end(ended, audit))

    async def _end(self, ended: Session, audit: Audit) -> None:
        await self._catalog.end_upload(ended, audit)
        # files may be joined from it; none can be any more, now that it has ended
        if not (ended.declared.is_partial and await self._catalog.known([ended.id])):
            await self._blobs.remove(ended.id)

    async def discard(self, session: Session, error: BaseException | None = None) -> None:
        """Remove the bytes of an upload that failed and that nobody can come back to, unless they are a file already.

        Where that cannot be said, or done, the sweeper does it later: of a catalog that went away nobody knows whether
        what it was told last is still to come.
        """
        if not isinstance(error, CatalogUnavailable):
            with suppress(Unavailable):
                await uncancelled(self._discard(session))

    async def _discard(self, session: Session) -> None:
        if session.is_whole:
            await self._catalog.drop_whole(session)
        if not await self._catalog.known([session.id]):
            await self._blobs.remove(session.id)

    def _check_type(self, session: Session, head: bytes) -> str:
        """The type that the first bytes show, if it may be and is what was declared."""
        declared = session.declared
        detected = check_declared(declared.content_type, head)
        if self._limits.allowed_types != EVERYTHING:
            check_allowed(detected, self._limits.allowed_types, declared=declared.content_type)
        if session.allowed_types:
            check_allowed(detected, session.allowed_types, declared=declared.content_type)
        return detected


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a body ended: whether it completes its upload, and whether all bytes of that are there to be kept."""

    completes: bool = False
    durable: bool = False


class _NoSink:
    """Of an intake that has no room: whatever is written to it is refused."""

    def write(self, views: Sequence[Bytes], count: int) -> None:  # noqa: ARG002 - the port's signature
        raise StorageUnavailable

    @property
    def blob_id(self) -> int:
        return 0

    async def close(self, *, complete: bool, keep: bool = True) -> bool:  # noqa: ARG002 - as above
        return False
