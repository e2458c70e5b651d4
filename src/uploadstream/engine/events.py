"""What goes on with a user's uploads and files, told while it happens, whatever protocol and process it goes on in.

Two things are told: the rows of the catalog's trail, which have numbers, so that whoever comes back behind one misses
nothing; and how far open uploads are, which is said of the last look only. One poller a process looks, and only while
somebody listens.

Invariant: what is kept for a listener is bounded, however slow it takes: of the trail a number, of an upload its last
offset. What comes later in the trail is told later, and of an upload that has ended no progress is told any more.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from uploadstream.core.access import Caller, Scope
from uploadstream.core.errors import Draining, Refusal, TooManyListeners
from uploadstream.core.files import Action, Audit, File
from uploadstream.core.session import Session
from uploadstream.engine.uploads import Uploads
from uploadstream.ports import Ports

POLL_SECONDS: Final = 0.5
# A look that took long is followed by a rest that is so many times as long: listeners cannot take the machine.
REST_TIMES: Final = 9.0
LISTENERS_MAX: Final = 256
# Of so many open uploads of one user, the newest, the progress is told.
OPEN_MAX: Final = 200
PAGE: Final = 50


class Kind(enum.StrEnum):
    """What can be told."""

    CREATED = "created"
    PROGRESS = "progress"
    COMPLETED = "completed"
    ABORTED = "aborted"
    EXPIRED = "expired"
    REFUSED = "refused"
    DELETED = "deleted"
    RESTORED = "restored"
    PURGED = "purged"
    LOST = "lost"
    HOOK_FAILED = "hook_failed"


KINDS: Final[Mapping[Action, Kind]] = {
    Action.CREATE: Kind.CREATED,
    Action.COMPLETE: Kind.COMPLETED,
    Action.ABORT: Kind.ABORTED,
    Action.EXPIRE: Kind.EXPIRED,
    Action.REFUSE: Kind.REFUSED,
    Action.DELETE: Kind.DELETED,
    Action.RESTORE: Kind.RESTORED,
    Action.PURGE: Kind.PURGED,
    Action.LOSE: Kind.LOST,
    Action.HOOK_FAIL: Kind.HOOK_FAILED,
}

# What is nothing of an upload or a file, or changes none.
UNTOLD: Final = frozenset({Action.DOWNLOAD, Action.KEY_CREATE, Action.KEY_REVOKE})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Open upload and file are as they are now; `number` is its place, None for progress."""

    kind: Kind
    id: str
    at: datetime
    user_id: str
    protocol: str
    number: int | None = None
    upload: Session | None = None
    file: File | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose events, and behind which number they begin."""

    owner: str
    number: int


class _Listener:
    """What one listener has not been told yet."""

    def __init__(self, place: Place) -> None:
        self.owner: Final = place.owner
        self.number = place.number  # the last row of the trail that it was told
        self.newest = place.number  # and the last that there is
        self.progress: dict[str, Session] = {}
        self.woken = asyncio.Event()
        self.ended = False

    def end(self) -> None:
        """Tell it nothing more."""
        self.ended = True
        self.woken.set()

    def came(self, newest: int) -> None:
        """There are rows up to this one."""
        if newest > self.newest:
            self.newest = newest
            self.woken.set()

    def heard(self, audit: Audit) -> None:
        """It is told of a row, and with that of what progress would say as well."""
        waiting = self.progress.get(audit.file_id)
        if waiting is not None and (audit.action is not Action.CREATE or waiting.offset == 0):
            del self.progress[audit.file_id]

    def moved(self, session: Session) -> None:
        """An upload has got further. Of more than are looked at, the first has ended, or will be told of again."""
        self.progress[session.id] = session
        if len(self.progress) > OPEN_MAX:
            del self.progress[next(iter(self.progress))]
        self.woken.set()


class Events:
    """Every protocol's way to hear what goes on."""

    def __init__(self, ports: Ports, uploads: Uploads, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._catalog = ports.catalog
        self._clock = ports.clock
        self._uploads = uploads
        self._poll_seconds = poll_seconds
        self._listeners: set[_Listener] = set()
        self._seen: dict[str, dict[str, int]] = {}  # of each owner the offsets of the last look
        self._poller: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def place(self, caller: Caller, *, after: int | None) -> Place:
        """Where the caller begins to listen: behind `after`, or now. Draining, TooManyListeners, CatalogUnavailable."""
        caller.check_may(Scope.READ)
        if self._closed:
            raise Draining
        if len(self._listeners) >= LISTENERS_MAX:
            raise TooManyListeners(limit=LISTENERS_MAX)
        newest = (await self._catalog.newest_events([caller.name]))[caller.name]
        # a number that was never given is of another catalog: nothing is known of what was missed
        return Place(caller.name, newest if after is None else min(max(0, after), newest))

    async def follow(self, place: Place, *, idle_seconds: float) -> AsyncGenerator[Event | None]:
        """How far open uploads are; then what happens, until the service stops. None: nothing did for a while."""
        listener = _Listener(place)
        self._add(listener)
        try:
            for session in await self._open_uploads(place.owner):
                listener.moved(session)
            listener.came((await self._catalog.newest_events([place.owner]))[place.owner])
            while not listener.ended:
                listener.woken.clear()
                if listener.number < listener.newest:
                    for event in await self._next(listener):
                        yield event
                elif listener.progress:
                    yield self._progress(listener.progress.pop(next(iter(listener.progress))))
                elif not await _woken(listener, idle_seconds):
                    yield None
        finally:
            self._remove(listener)

    def stop(self) -> None:
        """Let nobody listen any more: those who do have heard the last."""
        self._closed = True
        self._stop_polling()
        for listener in self._listeners:
            listener.end()

    async def _next(self, listener: _Listener) -> Sequence[Event]:
        """The next rows of the trail, with what they are about."""
        limit = min(PAGE, listener.newest - listener.number)
        rows = await self._catalog.events(listener.owner, after=listener.number, limit=limit)
        events = await asyncio.gather(*(self._event(number, audit) for number, audit in rows))
        listener.number = rows[-1][0] if rows else listener.newest
        for _, audit in rows:
            listener.heard(audit)
        return [event for event in events if event is not None]

    async def _event(self, number: int, audit: Audit) -> Event | None:
        """A row as it is told; None if nobody is: of a part there is only something to say when it is joined."""
        if audit.action in UNTOLD:
            return None
        file = await self._catalog.file(audit.file_id)
        upload = await self._catalog.upload(audit.file_id) if file is None else None
        if upload is not None and upload.declared.is_partial:
            return None
        if audit.action is Action.REFUSE and file is None and upload is None:  # it has not even begun
            return None
        kind, details = KINDS[audit.action], dict(audit.details)
        now = await self._uploads.as_stored(upload) if upload is not None and upload.end is None else None
        return Event(kind, audit.file_id, audit.at, audit.user_id, audit.protocol, number, now, file, details)

    def _progress(self, session: Session) -> Event:
        now, owner = self._clock.now(), session.declared.user_id
        return Event(Kind.PROGRESS, session.id, now, owner, session.protocol, upload=session)

    async def _open_uploads(self, owner: str) -> Sequence[Session]:
        return (await self._uploads.list(Caller(owner), page_size=OPEN_MAX)).rows

    def _add(self, listener: _Listener) -> None:
        self._listeners.add(listener)
        if self._closed:
            listener.end()
        elif self._poller is None:
            self._poller = asyncio.create_task(self._poll(), name="events")

    def _remove(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners:
            self._stop_polling()

    def _stop_polling(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None
            self._seen.clear()

    async def _poll(self) -> None:
        """Look now and then; a look that fails is made up for by the next."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                with suppress(Refusal):
                    await self._look()
                await asyncio.sleep(max(self._poll_seconds, REST_TIMES * (loop.time() - began)))
        finally:
            if self._poller is asyncio.current_task():  # by a fault: nobody is to wait for what will not come
                self._poller = None
                for listener in self._listeners:
                    listener.end()

    async def _look(self) -> None:
        """Rows first: of an upload that is open after that, the end is told at the next look, behind its progress."""
        owners = {listener.owner for listener in self._listeners}
        newest = await self._catalog.newest_events(owners)
        for listener in self._listeners:
            listener.came(newest.get(listener.owner, 0))
        for owner in owners:
            sessions = await self._open_uploads(owner)
            before = self._seen.get(owner, {})
            # one that was not there at the last look waits for the next: its first row may not have been told yet
            self._seen[owner] = {session.id: session.offset if session.id in before else 0 for session in sessions}
            moved = [session for session in sessions if before.get(session.id, session.offset) != session.offset]
            for listener in self._listeners:
                # one that knows more of the trail than this look may know that an upload has ended since
                if listener.owner == owner and listener.newest == newest[owner]:
                    for session in moved:
                        listener.moved(session)
        for gone in self._seen.keys() - owners:
            del self._seen[gone]


async def _woken(listener: _Listener, seconds: float) -> bool:
    """Whether there is something to tell before the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await listener.woken.wait()
    except TimeoutError:
        return False
    return True
