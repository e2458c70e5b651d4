"""Finished files: list, describe, delete softly, restore, and what happened to them."""

from __future__ import annotations

from datetime import timedelta

from uploadstream.core.access import Caller, Scope
from uploadstream.core.errors import Gone
from uploadstream.core.files import Action, Audit, File, audit_of_file, check_visible_trail, visible_file
from uploadstream.core.ids import check_id
from uploadstream.core.listings import Wanted, check_wanted, found_page, read_place
from uploadstream.core.pages import Page, check_page_size, page_of, read_token
from uploadstream.core.stats import DeletionStats
from uploadstream.engine.cancels import uncancelled
from uploadstream.engine.contents import Contents
from uploadstream.engine.hooks import Hooks, NoHooks
from uploadstream.ports import Catalog, Clock, Ports


class Files:
    """Every protocol's way to what is stored, but for its bytes."""

    def __init__(self, ports: Ports, hooks: Hooks | None = None, *, trash_ttl: timedelta) -> None:
        self._catalog: Catalog = ports.catalog
        self._contents = Contents(ports)
        self._clock: Clock = ports.clock
        self._hooks = hooks or NoHooks()
        self._trash_ttl = trash_ttl

    async def list(
        self, caller: Caller, wanted: Wanted | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[File]:
        """Those of the caller's files that are wanted; else all in use, the newest upload first. BadField."""
        caller.check_may(Scope.READ)
        wanted = check_wanted(wanted or Wanted())
        size = check_page_size(page_size)
        after = read_place(page_token, wanted.sort)
        found = await self._catalog.search(caller.name, wanted, after=after, limit=size + 1)
        return found_page(found, wanted, size=size)

    async def describe(self, file_id: str, caller: Caller) -> File:
        """The file, if it is in use. NotFound, Gone."""
        caller.check_may(Scope.READ, Scope.WRITE)  # who has sent it is told what became of it
        file = await self._any(file_id, caller)
        file.check_present()
        return file

    async def delete(self, file_id: str, caller: Caller) -> File:
        """Put a file in the trash. NotFound, Gone (it is there already)."""
        caller.check_may(Scope.WRITE)
        now = self._clock.now()
        file = (await self._any(file_id, caller)).deleted(now)
        audit = audit_of_file(file, Action.DELETE, caller, at=now)
        await uncancelled(self._delete(file, audit))
        return file

    async def _delete(self, file: File, audit: Audit) -> None:
        if not await self._catalog.set_deleted(file, audit):
            raise Gone(kind="file", id=file.id, how="deleted")
        await self._hooks.deleted(file)

    async def restore(self, file_id: str, caller: Caller) -> File:
        """Take a file out of the trash; one that is in use stays so. NotFound; Gone if its time or its bytes are."""
        caller.check_may(Scope.WRITE)
        file = await self._any(file_id, caller)
        if file.deleted_at is None:
            return file
        now = self._clock.now()
        file.check_restorable(self._trash_ttl, now=now)
        await self._check_whole(file)
        audit = audit_of_file(file, Action.RESTORE, caller, at=now)
        if not await self._catalog.set_deleted(file.restored(), audit):
            return await self.describe(file_id, caller)  # another was faster, with the same or with purging it
        return file.restored()

    async def audit(self, file_id: str, caller: Caller, *, page_size: int = 0, page_token: str = "") -> Page[Audit]:
        """What happened to an upload or file, the oldest first; also when it is gone. NotFound, BadField."""
        caller.check_may(Scope.READ)
        size, after = check_page_size(page_size), read_token(page_token)
        check_id(file_id, kind="file")
        check_visible_trail(await self._catalog.owner_of_trail(file_id), caller, file_id=file_id)
        rows = await self._catalog.audit(file_id, after=after, limit=size + 1)
        page = page_of(rows, size=size, place=lambda row: row[0])
        return Page([entry for _, entry in page.rows], page.next_token)

    async def deletion_stats(self, caller: Caller) -> DeletionStats:
        """Deletions and restores of the caller's files."""
        caller.check_may(Scope.READ)
        return await self._catalog.deletion_stats(caller.name)

    async def open(self, file_id: str, caller: Caller) -> File:
        """The file, if it is in use and its bytes are there to be read. NotFound, Gone."""
        caller.check_may(Scope.READ)
        file = await self.describe(file_id, caller)
        await self._check_whole(file)
        return file

    async def _check_whole(self, file: File) -> None:
        file.check_whole(await self._contents.stored_size(file) or 0)

    async def _any(self, file_id: str, caller: Caller) -> File:
        """The file, in use or in the trash."""
        check_id(file_id, kind="file")
        return visible_file(await self._catalog.file(file_id), caller, file_id=file_id)
