"""The Catalog port in dicts, for tests and first looks: nothing outlives the process."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from datetime import datetime, timedelta
from typing import TypeVar

from uploadstream.adapters.catalog.rows import check_audit, check_file, check_session, check_storable, row_id
from uploadstream.core.allowances import Allowance, Usage
from uploadstream.core.errors import NotFound
from uploadstream.core.files import Audit, File
from uploadstream.core.keys import Key
from uploadstream.core.listings import Found, Place, Wanted
from uploadstream.core.pages import Position
from uploadstream.core.ratelimit import Bucket, Rate
from uploadstream.core.session import Session, State
from uploadstream.core.stats import DeletionStats, Kept, Tally, stats_of, tally_of

Row = TypeVar("Row")


class MemoryCatalog:
    """Each method runs without waiting, so that it is a transaction by itself."""

    def __init__(self) -> None:
        self._uploads: dict[str, Session] = {}
        self._ended_at: dict[str, datetime] = {}
        self._files: dict[str, File] = {}
        self._trail: list[tuple[Position, Audit]] = []
        self._of_owner: dict[str, list[Audit]] = {}
        self._tallies: dict[Kept, Tally] = {}
        self._store_id: str | None = None
        self._byte_buckets: dict[str, Bucket] = {}
        self._overrides: dict[str, Mapping[str, str]] = {}
        self._keys: dict[str, Key] = {}
        self._secret = ""
        self._key_ids: dict[bytes, str] = {}
        self._buckets: dict[str, Bucket | None] = {}

    async def create_upload(
        self, session: Session, audit: Audit | None, allowance: Allowance | None = None
    ) -> Usage | None:
        """Remember a new upload; one that is there already stays as it is."""
        check_session(session)
        if audit is not None:
            check_audit(audit)
        if session.id in self._uploads:
            return None
        user, after = session.declared.user_id, None
        if allowance is not None:
            after = self._usage(user).begun(allowance, size=session.length, now=session.created_at)
            self._buckets[user] = after.bucket
        self._uploads[session.id] = replace(session, offset=0)
        if audit is not None:
            self._record(audit, owner=user)
        return after

    async def drop_whole(self, session: Session) -> None:
        """Forget an upload that was all or nothing."""
        known = self._uploads.get(session.id)
        if known is not None and known.is_whole:
            del self._uploads[session.id]

    async def upload(self, upload_id: str) -> Session | None:
        """An upload that is open or ended without a file."""
        return self._uploads.get(upload_id)

    async def uploads_with(self, upload_ids: Collection[str]) -> Mapping[str, Session]:
        """Those of these uploads that are known."""
        return {key: self._uploads[key] for key in upload_ids if key in self._uploads}

    async def declare_length(self, session: Session, length: int, allowance: Allowance | None = None) -> None:
        """Remember the length of an open upload."""
        known = self._open(session.id)
        if known is not None:
            if allowance is not None:
                self._usage(known.declared.user_id).check_room(allowance, length - (known.length or 0))
            self._uploads[known.id] = replace(known, declared=replace(known.declared, length=length))

    async def describe_upload(self, upload_id: str, *, filename: str, chunk_size: int | None) -> None:
        """Remember the name and the chunk size of an open upload."""
        check_storable(filename=filename)
        session = self._open(upload_id)
        if session is not None:
            said = replace(session.declared, filename=filename, chunk_size=chunk_size)
            self._uploads[upload_id] = replace(session, declared=said)

    async def end_upload(self, session: Session, audit: Audit) -> None:
        """Remember that an upload has ended without a file; nothing if it is not open any more."""
        check_audit(audit)
        known = self._open(session.id)
        if known is not None:
            self._uploads[session.id] = replace(known, state=State.ABORTED, end=session.end)
            self._ended_at[session.id] = audit.at
            self._record(audit, owner=session.declared.user_id)

    async def publish(self, file: File, audit: Audit, allowance: Allowance | None = None) -> File:
        """Add the file and its audit row, and drop its upload; or give the file that is there already."""
        check_file(file)
        check_audit(audit)
        if file.id not in self._files:
            for part in file.parts:
                if self._open(part.key) is None:
                    raise NotFound(kind="upload", id=part.key)
            if allowance is not None:
                self._check_publish(file, allowance)
            self._files[file.id] = file
            self._record(audit, owner=file.user_id)
        self._uploads.pop(file.id, None)
        self._ended_at.pop(file.id, None)
        return self._files[file.id]

    async def uploads(
        self, user_id: str | None, *, after: Position | None, limit: int, partial: bool = False
    ) -> Sequence[Session]:
        """Open uploads, the newest first."""
        rows = (row for row in self._uploads.values() if row.end is None and user_id in {None, row.declared.user_id})
        rows = (row for row in rows if partial or not (row.declared.is_partial or row.is_whole))
        return _newest(rows, lambda row: Position(row.created_at, row.id), after=after, limit=limit)

    async def file(self, file_id: str) -> File | None:
        """A file, in use or in the trash."""
        return self._files.get(file_id)

    async def files(self, user_id: str | None, *, deleted: bool, after: Position | None, limit: int) -> Sequence[File]:
        """Files in use, or those in the trash, the newest upload first."""
        place = (row for row in self._files.values() if (row.deleted_at is not None) is deleted)
        rows = (row for row in place if user_id in {None, row.user_id})
        return _newest(rows, lambda row: Position(row.uploaded_at, row.id), after=after, limit=limit)

    async def search(self, user_id: str, wanted: Wanted, *, after: Place | None, limit: int) -> Found:
        """A page of one user's files."""
        files = [file for file in self._files.values() if file.user_id == user_id and wanted.lets_through(file)]
        files.sort(key=lambda file: astuple(wanted.place_of(file)), reverse=wanted.descending)
        if after is not None:
            behind = operator.lt if wanted.descending else operator.gt
            files = [file for file in files if behind(astuple(wanted.place_of(file)), astuple(after))]
        return Found(files[:limit])

    async def joined(self, *, after: str | None, limit: int) -> Sequence[File]:
        """Files in use that have parts of which no open upload has any, by their ids."""
        files = (file for key, file in sorted(self._files.items()) if after is None or key > after)
        found = (file for file in files if file.parts and file.deleted_at is None)
        return [file for file in found if not any(self._open(part.key) for part in file.parts)][:limit]

    async def gather(self, file_id: str) -> bool:
        """Remember that a file's bytes are under its own id; False, and nothing, if they were."""
        file = self._files.get(file_id)
        if file is None or not file.parts:
            return False
        self._files[file_id] = replace(file, parts=())
        return True

    async def set_deleted(self, file: File, audit: Audit) -> bool:
        """Write `file.deleted_at` with its audit row; False, and nothing, if another did the same before."""
        check_audit(audit)
        known = self._files.get(file.id)
        if known is None or (known.deleted_at is None) is (file.deleted_at is None):
            return False
        self._files[file.id] = replace(known, deleted_at=file.deleted_at)
        self._record(audit, owner=file.user_id)
        self._count(file, audit)
        return True

    async def purgeable(
        self, *, before: datetime, after: Position | None, limit: int
    ) -> Sequence[tuple[Position, File]]:
        """Files in the trash since then or longer, the longest first."""
        rows = [(Position(file.deleted_at, file.id), file) for file in self._files.values() if file.deleted_at]
        rows = [row for row in rows if row[0].at <= before and (after is None or _order(row[0]) > _order(after))]
        return sorted(rows, key=lambda row: _order(row[0]))[:limit]

    async def purge(self, file: File, audit: Audit) -> bool:
        """Forget a file in the trash, with its audit row; False, and nothing, if it is not there as it was."""
        check_audit(audit)
        known = self._files.get(file.id)
        if known is None or known.deleted_at is None or known.deleted_at != file.deleted_at:
            return False
        del self._files[file.id]
        self._record(audit, owner=file.user_id)
        self._count(file, audit)
        return True

    async def owner_of_trail(self, file_id: str) -> str | None:
        """Whose upload or file the trail of that id is about."""
        rows = await self.audit(file_id, after=None, limit=1)
        owners = (owner for owner, trail in self._of_owner.items() for row in trail if rows and row is rows[0][1])
        return next(owners, None)

    async def audit(self, file_id: str, *, after: Position | None, limit: int) -> Sequence[tuple[Position, Audit]]:
        """What happened to one upload or file, the oldest first."""
        rows = sorted((row for row in self._trail if row[1].file_id == file_id), key=lambda row: _order(row[0]))
        return [row for row in rows if after is None or _order(row[0]) > _order(after)][:limit]

    async def events(self, owner: str, *, after: int, limit: int) -> Sequence[tuple[int, Audit]]:
        """What happened to one user's uploads and files, in the order in which it was written."""
        rows = self._of_owner.get(owner, [])
        first = max(0, after)
        return list(enumerate(rows[first : first + limit], first + 1))

    async def newest_events(self, owners: Collection[str]) -> Mapping[str, int]:
        """The number of each user's last row."""
        return {owner: len(self._of_owner.get(owner, [])) for owner in owners}

    async def record(self, audit: Audit, *, owner: str | None = None) -> None:
        """Add a row to the trail of `owner`, or of its user."""
        check_audit(audit)
        self._record(audit, owner=audit.user_id if owner is None else owner)

    async def known(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` under which there are bytes of an open upload or of a file."""
        used = {part.key for file in self._files.values() for part in file.blobs}
        return {key for key in keys if key in used or self._open(key) is not None}

    async def forget_ended(self, *, before: datetime, limit: int) -> int:
        """Drop the rows of uploads that ended before that time; how many they were."""
        ended = sorted((at, upload_id) for upload_id, at in self._ended_at.items() if at < before)[:limit]
        for _, upload_id in ended:
            del self._uploads[upload_id], self._ended_at[upload_id]
        return len(ended)

    async def overrides(self, user_id: str) -> Mapping[str, str]:
        """What was said of this user's limits."""
        return self._overrides.get(user_id, {})

    async def overridden(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Mapping[str, str]]]:
        """The users of whose limits anything was said."""
        rows = sorted((user, said) for user, said in self._overrides.items() if after is None or user > after)
        return rows[:limit]

    async def set_overrides(self, user_id: str, overrides: Mapping[str, str]) -> None:
        """Say this of a user's limits, and nothing else any more."""
        check_storable(user_id=user_id, **overrides)
        self._overrides.pop(user_id, None)
        if overrides:
            self._overrides[user_id] = dict(overrides)

    async def allot(self, user_id: str, rate: Rate, *, count: int, now: datetime) -> timedelta:
        """Take so many bytes from a user's bucket; how long to wait until they may be used."""
        bucket = self._byte_buckets.get(user_id)
        self._byte_buckets[user_id] = rate.take(bucket, now, count=count)
        return rate.wait(bucket, now, count=count)

    async def add_key(self, key: Key, digest: bytes, audit: Audit) -> None:
        """Remember a new key."""
        check_storable(user_id=key.user_id, name=key.name)
        check_audit(audit)
        self._keys[key.id] = key
        self._key_ids[digest] = key.id
        self._record(audit, owner=key.user_id)

    async def key(self, key_id: str) -> Key | None:
        """One key."""
        return self._keys.get(key_id)

    async def keys_with(self, digests: Collection[bytes]) -> Mapping[bytes, Key]:
        """The keys of these digests."""
        return {digest: self._keys[self._key_ids[digest]] for digest in digests if digest in self._key_ids}

    async def keys(self, user_id: str | None, *, after: Position | None, limit: int) -> Sequence[Key]:
        """Keys, the newest first."""
        rows = [key for key in self._keys.values() if user_id in {None, key.user_id}]
        return _newest(rows, lambda key: Position(key.created_at, key.id), after=after, limit=limit)

    async def revoke_key(self, key: Key, audit: Audit) -> bool:
        """Let a key be good no more; False, and nothing, if it is not."""
        check_audit(audit)
        known = self._keys.get(key.id)
        if known is None or known.revoked_at is not None:
            return False
        self._keys[key.id] = known.revoked(audit.at)
        self._record(audit, owner=key.user_id)
        return True

    async def use_key(self, key_id: str, at: datetime) -> None:
        """Remember that a key was used, unless a later use is remembered."""
        if key_id in self._keys:
            self._keys[key_id] = self._keys[key_id].used(at)

    async def secret(self, given: str) -> str:
        """What servers sign with, settled now if it was not."""
        self._secret = self._secret or given
        return self._secret

    async def usage(self, user_id: str) -> Usage:
        """What a user has."""
        return self._usage(user_id)

    async def usages(self, *, after: str | None, limit: int) -> Sequence[tuple[str, Usage, Usage]]:
        """What users have, twice."""
        users = sorted(user for user in self._buckets if after is None or user > after)
        return [(user, self._usage(user), self._usage(user)) for user in users][:limit]

    async def recount(self, user_id: str, *, keep: bool = True) -> None:
        """It is summed up each time."""
        if not keep:
            self._buckets.pop(user_id, None)

    async def deletion_stats(self, user_id: str | None) -> DeletionStats:
        """Deletions and restores of one user's files, or of everybody's."""
        tallies = {kept: tally for kept, tally in self._tallies.items() if user_id in {None, kept.owner}}
        return stats_of(
            sum(tallies.values(), Tally()),
            by_day=_counts((kept.day, tally) for kept, tally in tallies.items()),
            by_type=_counts((kept.content_type, tally) for kept, tally in tallies.items()),
            by_age=_counts((kept.age, tally) for kept, tally in tallies.items()),
        )

    async def store_id(self) -> str | None:
        """The id of the store that has the bytes."""
        return self._store_id

    async def set_store_id(self, store_id: str) -> str:
        """Settle which store it is, unless it is settled; the one that it is now."""
        self._store_id = self._store_id or store_id
        return self._store_id

    async def check(self) -> None:
        """It always answers."""

    def _open(self, upload_id: str) -> Session | None:
        session = self._uploads.get(upload_id)
        return session if session is not None and session.end is None else None

    def _usage(self, user_id: str) -> Usage:
        files = [file for file in self._files.values() if file.user_id == user_id]
        joined = {part.key for file in self._files.values() for part in file.parts}
        uploads = (row for row in self._uploads.values() if row.end is None and row.declared.user_id == user_id)
        lengths = [row.length or 0 for row in uploads if row.id not in joined]
        stored = sum(file.size for file in files)
        return Usage(stored, sum(lengths), len(lengths), self._buckets.get(user_id))

    def _check_publish(self, file: File, allowance: Allowance) -> None:
        usage, upload = self._usage(file.user_id), self._open(file.id)
        if upload is not None:
            usage.check_room(allowance, file.size - (upload.length or 0))
            return
        joined = {part.key for other in self._files.values() for part in other.parts}
        parts = {part.key: self._uploads[part.key] for part in file.parts if part.key not in joined}
        freed = sum(part.length or 0 for part in parts.values() if part.declared.user_id == file.user_id)
        after = usage.stored(allowance, size=file.size, in_place_of=freed, now=file.uploaded_at)
        self._buckets[file.user_id] = after.bucket

    def _record(self, audit: Audit, *, owner: str) -> None:
        kept = replace(audit, details=dict(audit.details))
        self._trail.append((Position(audit.at, row_id(audit.at)), kept))
        self._of_owner.setdefault(owner, []).append(kept)

    def _count(self, file: File, audit: Audit) -> None:
        counted = tally_of(file, audit)
        if counted is not None:
            kept, tally = counted
            self._tallies[kept] = self._tallies.get(kept, Tally()) + tally


def _order(place: Position) -> tuple[datetime, str]:
    return place.at, place.id


def _newest(rows: Iterable[Row], place: Callable[[Row], Position], *, after: Position | None, limit: int) -> list[Row]:
    """A page of rows, the newest first, behind a place."""
    rows = (row for row in rows if after is None or _order(place(row)) < _order(after))
    return sorted(rows, key=lambda row: _order(place(row)), reverse=True)[:limit]


def _counts(tallies: Iterable[tuple[str, Tally]]) -> Iterable[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for name, tally in tallies:
        counts[name] += tally.deleted
    return counts.items()
