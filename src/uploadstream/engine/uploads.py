"""Uploads: create, look at, append to, complete, abort.

The store is the truth: an open upload's offset is its blob's size. Appending writes no row. Completing is one
catalog transaction after the bytes are durable, and may be repeated. Only the holder of the upload's lease writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from uploadstream.core.access import Caller, Scope
from uploadstream.core.allowances import LimitReached
from uploadstream.core.digests import Digest
from uploadstream.core.errors import Busy, ContentRefused, LengthMismatch, Refusal, StorageFull, TakenOver
from uploadstream.core.files import Action, File, audit_of, visible_file, visible_upload
from uploadstream.core.ids import check_id
from uploadstream.core.media import check_content_type
from uploadstream.core.pages import Page, Position, check_page_size, page_of, read_token
from uploadstream.core.session import (
    Appended,
    Declared,
    End,
    LengthDeclared,
    Limits,
    Session,
    State,
    check_declaration,
    check_length,
)
from uploadstream.engine.checking import Given
from uploadstream.engine.files import Files
from uploadstream.engine.hooks import Hooks, NoHooks, Terms
from uploadstream.engine.intake import Received
from uploadstream.engine.joining import joined
from uploadstream.engine.receiving import Receiver
from uploadstream.engine.refusals import Refusals, recorded
from uploadstream.engine.repeats import without_known
from uploadstream.engine.watch import Incoming, Pour, Pouring
from uploadstream.ports import Ports

# How long a request waits for the one before it on the same upload to let go.
PATIENCE_SECONDS: Final = 2.5


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An upload as it stands now, and the file once it has become one."""

    session: Session
    file: File | None = None


class Uploads:
    """Every protocol's way to write."""

    def __init__(
        self, ports: Ports, files: Files, receiver: Receiver, limits: Limits, hooks: Hooks | None = None
    ) -> None:
        self.limits: Final = limits
        self._hooks = hooks or NoHooks()
        self._catalog = ports.catalog
        self._blobs = ports.blobs
        self._leases = ports.leases
        self._clock = ports.clock
        self._files = files
        self._receiver = receiver
        self.admission: Final = receiver.admission
        self.refusals = Refusals(ports.catalog, ports.clock)

    @recorded
    async def create(self, declared: Declared, caller: Caller, *, count: int = 0) -> Uploaded:
        """Begin an upload that can be resumed; one of 0 bytes is complete at once. BadInput, StorageFull, LimitReached.

        `count`: how many bytes will be appended next, if that is known; what they do not fit in is not begun.
        """
        session = await self._begin(declared, caller)
        session.check_append(at=0, count=count)
        if session.is_left_full:
            return await self._publish(session, caller, Received.nothing())
        audit = audit_of(session.id, Action.CREATE, caller, at=session.created_at)
        await self.admission.begin(session, audit, caller)
        return Uploaded(session)

    @recorded
    async def join(self, declared: Declared, caller: Caller, upload_ids: Sequence[str]) -> Uploaded:
        """Make a file of the bytes of these complete partial uploads, in this order; they stay as they are.

        No byte is moved: the file's parts are their blobs. One may be there several times, here and in other files.
        BadInput, NotFound, Gone, LimitReached.
        """
        begun = await self._begin(declared, caller)
        sessions = await self._several(upload_ids, caller)
        try:
            parts, received = await joined(self._blobs, sessions)
        except Refusal:
            await self._several(upload_ids, caller)  # one may have ended meanwhile, with its bytes
            raise
        session = begun.after(LengthDeclared(received.size)).after(Appended(received.size))
        file = await self._receiver.publish(session, caller, received, parts)
        return Uploaded(_complete(file, self.limits), file)

    async def status(self, upload_id: str, caller: Caller) -> Uploaded:
        """The upload with its true offset, finished or not. NotFound, Gone."""
        caller.check_may(Scope.READ, Scope.WRITE, Scope.UPLOAD)  # who goes on with an upload has to know how far it is
        check_id(upload_id, kind="upload")
        return await self._looked_up(upload_id, await self._catalog.upload(upload_id), caller)

    async def standing(self, upload_id: str, caller: Caller) -> Uploaded:
        """The same for who takes an upload with all its bytes for a file: it is one then. Errors of `append`, too.

        The request that brought the last of them may have failed after that, as when the catalog was away.
        """
        found = await self.status(upload_id, caller)
        if not found.session.is_left_full:
            return found
        async with self._held(upload_id, caller, Pouring()):
            found = await self.status(upload_id, caller)
            return await self._complete_left(found.session, caller) if found.session.is_left_full else found

    async def _several(self, upload_ids: Sequence[str], caller: Caller) -> list[Session]:
        """As many uploads at once, in this order."""
        for upload_id in upload_ids:
            check_id(upload_id, kind="upload")
        rows = await self._catalog.uploads_with(set(upload_ids))
        found = {key: await self._looked_up(key, rows.get(key), caller) for key in dict.fromkeys(upload_ids)}
        return [found[key].session for key in upload_ids]

    async def _looked_up(self, upload_id: str, session: Session | None, caller: Caller) -> Uploaded:
        """What the catalog's row, or its want of one, says of an upload."""
        if session is None or session.is_whole:
            return self._finished(await self._catalog.file(upload_id), caller, upload_id)
        visible_upload(session, caller, file_id=upload_id)
        if session.end is not None:
            session.check_open()
        return Uploaded(await self.as_stored(session))

    async def settled(self, upload_id: str, caller: Caller) -> Uploaded:
        """The same once nobody writes it: a request that does is ended, so that the offset holds. Busy as well."""
        found = await self.status(upload_id, caller)
        if found.file is not None:
            return found
        async with self._held(upload_id, caller, Pouring(caller.address)):
            return await self.status(upload_id, caller)

    async def append(self, upload_id: str, caller: Caller, incoming: Incoming) -> Uploaded:
        """Receive a body, and complete the upload if that was the last of it.

        A length declares the upload's, or must agree with it; the offset, if none is said, is where the upload ends.
        An older request on the same upload is ended first. Whatever ends the body early, the bytes that came are kept;
        but an upload whose sender says when it is complete ends with the first byte behind its length.
        OffsetMismatch, BadInput, UploadClosed, Busy, TakenOver, BodyTimeout, NotFound, Gone; and whatever the pouring
        raises.
        """
        caller.check_may(Scope.WRITE, Scope.UPLOAD)
        pouring = Pouring(caller.address)
        if incoming.may_repeat and (known := await self._has_all(upload_id, caller, incoming)):
            again = without_known(incoming, self._blobs, known.session)
            await self._receiver.receive_nothing(known.session, pouring, again.pour)
            return known
        async with self._held(upload_id, caller, pouring):
            found = await self.status(upload_id, caller)
            session = found.session
            if incoming.may_repeat:
                incoming = without_known(incoming, self._blobs, session)
            if found.file is not None:
                session.check_said_again(at=incoming.at, length=incoming.length, count=incoming.count)
            else:
                session.check_append(at=session.offset if incoming.at is None else incoming.at)
                session = await self.admission.bounded(session)
                try:
                    session = await self._declare(session, incoming.length, count=incoming.count or 0)
                    if not (session.is_full and session.is_completed_by(complete=incoming.complete)):
                        return await self._receive(session, caller, pouring, incoming)
                    digest = incoming.digest_of_all(session.declared)
                    found = await self._complete_stored(session, caller, digest)
                except ContentRefused as error:
                    await self._receiver.end(session, caller, End.REFUSED, why=str(error))
                    raise
                except LengthMismatch as error:
                    if session.is_ended_by(error, complete=incoming.complete):
                        await self._receiver.end(session, caller, End.REFUSED, why=str(error))
                    raise
            if incoming.count is None:
                await self._receiver.receive_nothing(found.session, pouring, incoming.pour)
            return found

    async def describe(
        self, upload_id: str, caller: Caller, incoming: Incoming, *, filename: str = "", is_early: bool = False
    ) -> Uploaded:
        """Remember what is told of an open upload only now: as of Session.described."""
        caller.check_may(Scope.WRITE, Scope.UPLOAD)
        found = await self.status(upload_id, caller)
        if found.file is not None:
            return found
        after = found.session.described(filename=filename, at=incoming.at or 0, count=incoming.count, is_early=is_early)
        if after != found.session:
            said = after.declared
            await self._catalog.describe_upload(upload_id, filename=said.filename, chunk_size=said.chunk_size)
        return Uploaded(after)

    async def _has_all(self, upload_id: str, caller: Caller, incoming: Incoming) -> Uploaded | None:
        """The upload, if it needs nothing of what comes: whoever writes it now is not to be disturbed."""
        found = await self.status(upload_id, caller)
        found.session.check_agrees(length=incoming.length)
        has_all = not found.session.declared.joins and found.session.has(at=incoming.at or 0, count=incoming.count)
        return found if has_all and (found.file is not None or not found.session.is_full) else None

    async def _receive(self, session: Session, caller: Caller, pouring: Pouring, incoming: Incoming) -> Uploaded:
        received = await self._receiver.receive(session, await self._receiver.sums(session), pouring, incoming)
        session = replace(session, offset=received.size, touched_at=self._clock.now())
        if not session.is_completed_by(complete=incoming.complete):
            if pouring.lease is not None:
                await pouring.lease.give_back()  # what was written is the upload's only if it was held until now
            return Uploaded(session)
        return await self._publish(session, caller, received, incoming.digest_of_all(session.declared))

    async def _complete_left(self, session: Session, caller: Caller) -> Uploaded:
        """Complete an upload that nobody brings anything to; what no file may be ends it. ContentRefused."""
        try:
            return await self._complete_stored(session, caller)
        except ContentRefused as error:
            await self._receiver.end(session, caller, End.REFUSED, why=str(error))
            raise

    async def _complete_stored(self, session: Session, caller: Caller, digest: Digest | None = None) -> Uploaded:
        """Complete an upload that a crash, between its last byte and the catalog, left full."""
        received = await self._receiver.sums(session)
        await self._blobs.sync(session.id)
        return await self._publish(session, caller, received, digest)

    async def _publish(
        self, session: Session, caller: Caller, received: Received, digest: Digest | None = None
    ) -> Uploaded:
        if digest is not None:
            await self._receiver.check_whole(session, caller, digest)
        file = await self._receiver.publish(session, caller, received)
        return Uploaded(_complete(file, self.limits), file)

    @recorded
    async def store_whole(self, declared: Declared, caller: Caller, pour: Pour, *, digest: Given | None = None) -> File:
        """Receive a whole file, all or nothing: whatever goes wrong, nothing of it is left. Errors as of `append`."""
        session = await self._begin(declared, caller)
        session = replace(session, is_whole=await self.admission.counting(session.declared.user_id) is not None)
        pouring = Pouring(caller.address)
        # one that is counted has a row, from which the sweeper knows its id
        async with self._held(session.id, caller, pouring, new=not session.is_whole):
            if session.is_whole:
                await self._begin_whole(session, caller)
            try:
                incoming = Incoming(pour, complete=True, digest=digest)
                received = await self._receiver.receive(session, Received.nothing(), pouring, incoming, whole=True)
                session = replace(session, offset=received.size)
                return await self._receiver.publish(session, caller, received)
            except BaseException as error:
                await self._receiver.discard(session, error)
                raise

    async def _begin_whole(self, session: Session, caller: Caller) -> None:
        """Give an upload whose user is limited a row, so that it is counted. LimitReached."""
        try:
            await self.admission.begin(session, None, caller)
        except LimitReached:
            raise
        except BaseException as error:
            await self._receiver.discard(session, error)
            raise

    async def abort(self, upload_id: str, caller: Caller) -> None:
        """End an open upload without a file, nothing of it is left; or delete its file. NotFound, Gone, Busy."""
        caller.check_may(Scope.WRITE, Scope.UPLOAD)
        async with self._held(upload_id, caller, Pouring(caller.address)):
            found = await self.status(upload_id, caller)
            if found.file is not None:
                await self._files.delete(found.file.id, caller)
                return
            await self._receiver.end(found.session, caller, End.ABORTED)

    async def tidy(self, session: Session, caller: Caller) -> Action | None:
        """What an open upload needs that nobody writes: completed if a crash left it full, ended if it has expired.

        Says what was done, if anything. Busy if somebody writes it.
        """
        async with self._leases.hold(session.id):
            known = await self._catalog.upload(session.id)
            if known is None or known.state is not State.OPEN:
                return None
            if known.is_whole:  # the request that sent it is gone, as its lease is
                await self._receiver.discard(known)
                return None
            session = await self.as_stored(known)
            if session.is_left_full:
                try:
                    await self._complete_left(session, caller)
                except ContentRefused:
                    return Action.REFUSE
                return Action.COMPLETE
            if self._clock.now() < self.expires_at(session):
                return None
            await self._receiver.end(session, caller, End.EXPIRED)
            return Action.EXPIRE

    async def list(self, caller: Caller, *, page_size: int = 0, page_token: str = "") -> Page[Session]:
        """The caller's open uploads, the newest first, with their true offsets."""
        caller.check_may(Scope.READ)
        size = check_page_size(page_size)
        rows = await self._catalog.uploads(caller.name, after=read_token(page_token), limit=size + 1)
        page = page_of(rows, size=size, place=lambda row: Position(row.created_at, row.id))
        return Page([await self.as_stored(row) for row in page.rows], page.next_token)

    async def as_stored(self, session: Session) -> Session:
        """An open upload with its true offset."""
        blob = await self._blobs.stat(session.id)
        if blob is None:
            return replace(session, offset=0)
        return replace(session, offset=blob.size, touched_at=max(blob.touched_at, session.created_at))

    def expires_at(self, session: Session) -> datetime:
        """When an open upload ends if nobody comes back to it."""
        return session.expires_at(self.limits.upload_ttl)

    def seconds_left(self, session: Session) -> float:
        """How long until then."""
        return (self.expires_at(session) - self._clock.now()).total_seconds()

    async def _begin(self, declared: Declared, caller: Caller) -> Session:
        """A session for what is declared, if it may begin; on what terms, the application around us may say."""
        caller.check_may(Scope.WRITE, Scope.UPLOAD)
        size_max = caller.bounds.size_max_of_new(self.limits.file_size_max)
        check_declaration(declared, size_max=size_max)
        free = await self._blobs.free()
        if free is not None and (declared.length or 0) > free:
            raise StorageFull(free=free)
        content_type = check_content_type(declared.content_type)
        declared = replace(declared, user_id=caller.owner_of(declared.user_id), content_type=content_type)
        terms = Terms(declared, size_max, caller.bounds.allowed_types)
        terms = await self._hooks.before_create(terms, caller)
        check_length(declared.length, size_max=terms.size_max)
        now = self._clock.now()
        session = Session(
            id=self._clock.new_id(),
            declared=terms.declared,
            size_max=terms.size_max,
            protocol=caller.protocol,
            created_at=now,
            touched_at=now,
            allowed_types=terms.allowed_types,
        )
        return await self.admission.bounded(session)

    async def _declare(self, session: Session, length: int | None, *, count: int) -> Session:
        """The session with its length, remembered unless the `count` bytes that follow do not fit."""
        after = session if length in {None, session.length} else session.after(LengthDeclared(length or 0))
        after.check_append(at=after.offset, count=count)
        if after.length is not None and after.length != session.length:
            await self.admission.declare(session, after.length)
        return after

    def _finished(self, found: File | None, caller: Caller, upload_id: str) -> Uploaded:
        file = visible_file(found, caller, file_id=upload_id)
        file.check_present()
        return Uploaded(_complete(file, self.limits), file)

    @asynccontextmanager
    async def _held(
        self, upload_id: str, caller: Caller, pouring: Pouring, *, new: bool = False
    ) -> AsyncIterator[None]:
        """The upload's lease, given to the pouring. Only who may see the upload has its holder asked to let go."""
        check_id(upload_id, kind="upload")

        def let_go() -> None:
            pouring.stop(TakenOver(upload_id=upload_id))

        async with AsyncExitStack() as stack:
            hold = self._leases.hold
            try:
                held = hold(upload_id, let_go=let_go, new=new)
                pouring.lease = await stack.enter_async_context(held)
            except Busy:
                await self.status(upload_id, caller)
                held = hold(upload_id, let_go=let_go, patience_seconds=PATIENCE_SECONDS)
                pouring.lease = await stack.enter_async_context(held)
            yield


def _complete(file: File, limits: Limits) -> Session:
    """The session that a file was."""
    return Session(
        id=file.id,
        declared=Declared(file.user_id, file.filename, file.declared_type, file.size, file.metadata, joins=file.joins),
        size_max=limits.file_size_max,
        protocol=file.protocol,
        created_at=file.uploaded_at,
        touched_at=file.uploaded_at,
        offset=file.size,
        state=State.COMPLETE,
    )
