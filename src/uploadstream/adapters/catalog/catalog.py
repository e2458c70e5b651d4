"""The Catalog port over a database: which act or query each method is.

Invariant: an answer to a write is given after its commit, and an error of the database leaves as CatalogUnavailable.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from uploadstream.adapters.catalog import allotments, allowances, keys, queries, searches, usage, writes
from uploadstream.adapters.catalog.commits import Write
from uploadstream.adapters.catalog.rows import check_audit, check_file, check_session, check_storable
from uploadstream.core.allowances import Allowance, LimitReached, Usage
from uploadstream.core.files import Audit, File
from uploadstream.core.ids import is_id
from uploadstream.core.keys import Key
from uploadstream.core.listings import Found, Place, Wanted
from uploadstream.core.pages import Position
from uploadstream.core.ratelimit import Rate
from uploadstream.core.session import Session
from uploadstream.core.stats import DeletionStats

Read = Callable[[Connection], Any]
Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Database(Protocol):
    """A way to run acts and queries. A caller that stops waiting disturbs no other. CatalogUnavailable."""

    def write(self, write: Write) -> Awaitable[Any]:
        """Carry out an act, and commit it."""
        ...

    def look_up(self, read: Read) -> Awaitable[Any]:
        """Run a query for a row: it waits for no listing."""
        ...

    def list(self, read: Read) -> Awaitable[Any]:
        """Run a query for many rows."""
        ...

    async def close(self) -> None:
        """Do what was asked for, then let go. Whatever is asked for later gets CatalogUnavailable."""
        ...


Over = TypeVar("Over", bound=Database)


class SqlCatalog(Generic[Over]):
    """The catalog in a database, which several processes may share."""

    def __init__(self, database: Over) -> None:
        self.database: Final = database
        # By which lease of this process something is done to an upload; None where leases cannot be lost.
        self.claim_of: Callable[[str], object | None] = lambda _: None

    async def close(self) -> None:
        """Do what was asked for, then let go of the database. Whatever is asked for later gets CatalogUnavailable."""
        await self.database.close()

    async def create_upload(
        self, session: Session, audit: Audit | None, allowance: Allowance | None = None
    ) -> Usage | None:
        """Remember a new upload; one that is there already stays as it is."""
        check_session(session)
        if audit is not None:
            check_audit(audit)
        owner = session.declared.user_id
        return await self._write(writes.create_uploads, (session, audit, allowance), owner=owner)

    async def drop_whole(self, session: Session) -> None:
        """Forget an upload that was all or nothing."""
        await self._write(usage.drop_wholes, session.id, owner=session.declared.user_id, held=session.id)

    async def upload(self, upload_id: str) -> Session | None:
        """An upload that is open or ended without a file."""
        return await self._look_up(queries.upload, upload_id) if is_id(upload_id) else None

    async def uploads_with(self, upload_ids: Collection[str]) -> Mapping[str, Session]:
        """Those of these uploads that are known, by their ids."""
        return await self._list(queries.uploads_with, [key for key in upload_ids if is_id(key)])

    async def declare_length(self, session: Session, length: int, allowance: Allowance | None = None) -> None:
        """Remember the length of an open upload."""
        owner = session.declared.user_id
        await self._write(writes.declare_lengths, (session.id, length, allowance), owner=owner, held=session.id)

    async def describe_upload(self, upload_id: str, *, filename: str, chunk_size: int | None) -> None:
        """Remember the name and the chunk size of an open upload."""
        check_storable(filename=filename)
        await self._write(writes.describe_uploads, (upload_id, filename, chunk_size))

    async def end_upload(self, session: Session, audit: Audit) -> None:
        """Remember that an upload has ended without a file; nothing if it is not open any more."""
        check_audit(audit)
        await self._write(writes.end_uploads, (session, audit), owner=session.declared.user_id, held=session.id)

    async def publish(self, file: File, audit: Audit, allowance: Allowance | None = None) -> File:
        """Add the file, its audit row and its job, and drop its upload; or give the file that is there already."""
        check_file(file)
        check_audit(audit)
        return await self._write(writes.publish, (file, audit, allowance), owner=file.user_id, held=file.id)

    async def uploads(
        self, user_id: str | None, *, after: Position | None, limit: int, partial: bool = False
    ) -> Sequence[Session]:
        """Open uploads, the newest first."""
        return await self._list(functools.partial(queries.uploads, partial=partial), user_id, after, limit)

    async def file(self, file_id: str) -> File | None:
        """A file, in use or in the trash."""
        return await self._look_up(queries.file, file_id) if is_id(file_id) else None

    async def files(self, user_id: str | None, *, deleted: bool, after: Position | None, limit: int) -> Sequence[File]:
        """Files in use, or those in the trash, the newest upload first."""
        return await self._list(functools.partial(queries.files, deleted=deleted), user_id, after, limit)

    async def search(self, user_id: str, wanted: Wanted, *, after: Place | None, limit: int) -> Found:
        """A page of one user's files."""
        return await self._list(searches.search, user_id, wanted, after, limit)

    async def joined(self, *, after: str | None, limit: int) -> Sequence[File]:
        """Files in use that have parts of which no open upload has any, by their ids."""
        return await self._list(queries.joined, after, limit)

    async def gather(self, file_id: str) -> bool:
        """Remember that a file's bytes are under its own id; False, and nothing, if they were."""
        return await self._write(writes.gather, file_id, held=file_id)

    async def set_deleted(self, file: File, audit: Audit) -> bool:
        """Write `file.deleted_at` with its audit row; False, and nothing, if another did the same before."""
        check_audit(audit)
        return await self._write(writes.set_deleted, (file, audit), owner=file.user_id)

    async def purgeable(
        self, *, before: datetime, after: Position | None, limit: int
    ) -> Sequence[tuple[Position, File]]:
        """Files in the trash since then or longer, the longest first."""
        return await self._list(queries.purgeable, before, after, limit)

    async def purge(self, file: File, audit: Audit) -> bool:
        """Forget a file in the trash, with its audit row; False, and nothing, if it is not there as it was."""
        check_audit(audit)
        return await self._write(writes.purge, (file, audit), owner=file.user_id)

    async def owner_of_trail(self, file_id: str) -> str | None:
        """Whose upload or file the trail of that id is about."""
        return await self._look_up(queries.owner_of_trail, file_id) if is_id(file_id) else None

    async def audit(self, file_id: str, *, after: Position | None, limit: int) -> Sequence[tuple[Position, Audit]]:
        """What happened to one upload or file, the oldest first."""
        return await self._list(queries.audit, file_id, after, limit) if is_id(file_id) else []

    async def events(self, owner: str, *, after: int, limit: int) -> Sequence[tuple[int, Audit]]:
        """What happened to one user's uploads and files, in the order of the commits."""
        return await self._list(queries.events, owner, after, limit)

    async def newest_events(self, owners: Collection[str]) -> Mapping[str, int]:
        """The number of each user's last row."""
        return await self._list(queries.newest_events, owners)

    async def record(self, audit: Audit, *, owner: str | None = None) -> None:
        """Add a row to the trail of `owner`, or of its user."""
        check_audit(audit)
        owner = audit.user_id if owner is None else owner
        await self._write(writes.record, (owner, audit), owner=owner)

    async def known(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` under which there are bytes of an open upload or of a file."""
        return await self._list(queries.known, [key for key in keys if is_id(key)])

    async def forget_ended(self, *, before: datetime, limit: int) -> int:
        """Drop the rows of uploads that ended before that time; how many they were."""
        return await self._write(writes.forget_ended, (before, limit))

    async def overrides(self, user_id: str) -> Mapping[str, str]:
        """What was said of this user's limits."""
        return await self._look_up(allowances.overrides, user_id)

    async def overridden(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Mapping[str, str]]]:
        """The users of whose limits anything was said."""
        return await self._look_up(allowances.overridden, after, limit)

    async def set_overrides(self, user_id: str, overrides: Mapping[str, str]) -> None:
        """Say this of a user's limits, and nothing else any more."""
        check_storable(user_id=user_id, **overrides)
        await self._write(allowances.set_overrides, (user_id, overrides), owner=user_id)

    async def allot(self, user_id: str, rate: Rate, *, count: int, now: datetime) -> timedelta:
        """Take so many bytes from a user's bucket; how long to wait until they may be used."""
        return await self._write(allotments.allot, (user_id, rate, count, now), owner=user_id)

    async def add_key(self, key: Key, digest: bytes, audit: Audit) -> None:
        """Remember a new key."""
        check_storable(user_id=key.user_id, name=key.name)
        check_audit(audit)
        await self._write(keys.add_keys, (key, digest, audit), owner=key.user_id)

    async def key(self, key_id: str) -> Key | None:
        """One key."""
        return await self._look_up(keys.key, key_id) if is_id(key_id) else None

    async def keys_with(self, digests: Collection[bytes]) -> Mapping[bytes, Key]:
        """The keys of these digests."""
        return await self._look_up(keys.keys_with, digests)

    async def keys(self, user_id: str | None, *, after: Position | None, limit: int) -> Sequence[Key]:
        """Keys, the newest first."""
        return await self._list(keys.keys, user_id, after, limit)

    async def revoke_key(self, key: Key, audit: Audit) -> bool:
        """Let a key be good no more; False, and nothing, if it is not."""
        check_audit(audit)
        return await self._write(keys.revoke_keys, (key, audit), owner=key.user_id)

    async def use_key(self, key_id: str, at: datetime) -> None:
        """Remember that a key was used, unless a later use is remembered."""
        await self._write(keys.use_keys, (key_id, at))

    async def secret(self, given: str) -> str:
        """What servers sign with, settled now if it was not."""
        return await self._write(writes.set_secret, given)

    async def usage(self, user_id: str) -> Usage:
        """What a user has."""
        return await self._list(usage.usage, user_id)

    async def usages(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Usage, Usage]]:
        """What is kept of users that are counted, and what they have by their rows."""
        return await self._list(usage.usages, after, limit)

    async def recount(self, user_id: str, *, keep: bool = True) -> None:
        """Sum up what a user has again; or count it no more."""
        await self._write(usage.recount if keep else usage.forget, user_id, owner=user_id)

    async def deletion_stats(self, user_id: str | None) -> DeletionStats:
        """Deletions and restores of one user's files, or of everybody's."""
        return await self._list(queries.deletion_stats, user_id)

    async def store_id(self) -> str | None:
        """The id of the store that has the bytes."""
        return await self._look_up(queries.store_id)

    async def set_store_id(self, store_id: str) -> str:
        """Settle which store it is, unless it is settled; the one that it is now."""
        return await self._write(writes.set_store_id, store_id)

    async def check(self) -> None:
        """Raise CatalogUnavailable unless it answers."""
        await self._look_up(queries.check)

    async def _write(
        self,
        act: Callable[[Connection, Sequence[Argument]], Sequence[Result | LimitReached]],
        argument: Argument,
        *,
        owner: str = "",
        held: str = "",
    ) -> Result:
        """What the act gives for this request; a refusal among a group's outcomes is raised for its own.

        `held`: the key of the lease, if any, that whoever asks for this has, and must still have then.
        """
        result: Result = await self.database.write(Write(act, argument, owner, self.claim_of(held)))
        return result

    async def _look_up(self, query: Callable[..., Result], *arguments: object) -> Result:
        result: Result = await self.database.look_up(lambda connection: query(connection, *arguments))
        return result

    async def _list(self, query: Callable[..., Result], *arguments: object) -> Result:
        result: Result = await self.database.list(lambda connection: query(connection, *arguments))
        return result
