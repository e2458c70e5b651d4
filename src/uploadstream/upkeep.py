"""What operators do to a catalog and its store themselves, whether or not a service is running on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from uploadstream.adapters.blobs_disk import DiskBlobs
from uploadstream.adapters.catalog.places import migrate as migrate_catalog
from uploadstream.adapters.catalog.places import open_catalog, open_leases
from uploadstream.adapters.catalog.schema import HEAD, WrongSchema
from uploadstream.adapters.disk_files import make_directories
from uploadstream.adapters.leases_disk import AMONG_BLOBS
from uploadstream.adapters.system import SystemClock
from uploadstream.core.access import Caller
from uploadstream.core.files import File
from uploadstream.engine.fencing import fencing
from uploadstream.engine.pairing import WrongStore, check_pair
from uploadstream.engine.purging import Purged, Purger
from uploadstream.engine.verify import Verdict, verify
from uploadstream.ports import Fsync, Ports
from uploadstream.settings import Settings

__all__ = ["WrongSchema", "WrongStore", "fsck", "migrate", "purge", "stands_on", "to_be_purged"]

# Who does it, for the trail.
OPERATOR: Final = Caller(user_id="uploadstream", protocol="cli")


@asynccontextmanager
async def stands_on(settings: Settings) -> AsyncIterator[Ports]:
    """What a service with these settings stands on. WrongStore, WrongSchema, CatalogUnavailable."""
    async with AsyncExitStack() as opened:
        durable = settings.fsync is not Fsync.NEVER
        catalog = await open_catalog(settings.catalog, durable=durable, connections=settings.connections)
        opened.push_async_callback(catalog.close)
        blobs = DiskBlobs(settings.blobs_path, new=False)
        opened.callback(blobs.close)
        await check_pair(catalog, blobs, place=str(settings.blobs_path.resolve()))
        leases = open_leases(settings.catalog, catalog, settings.blobs_path / AMONG_BLOBS, fencing(catalog, blobs))
        yield Ports(catalog, blobs, await opened.enter_async_context(leases), SystemClock())


async def migrate(settings: Settings) -> tuple[str | None, str]:
    """Bring the catalog's schema up to date: what it was, what it is. CatalogUnavailable, WrongSchema."""
    if settings.catalog == settings.catalog_path:
        make_directories([settings.data_dir], durable=True)
    return await migrate_catalog(settings.catalog), HEAD


async def fsck(settings: Settings) -> AsyncIterator[Verdict]:
    """A verdict on every stored file. Errors as of `stands_on`."""
    async with stands_on(settings) as ports:
        async for verdict in verify(ports):
            yield verdict


async def purge(settings: Settings) -> AsyncIterator[Purged]:
    """Purge the files whose time in the trash is over, and say so of each. As of `stands_on`; Unavailable."""
    async with stands_on(settings) as ports:
        async for purged in Purger(ports, trash_ttl=settings.trash_ttl).purge(OPERATOR):
            yield purged


async def to_be_purged(settings: Settings) -> AsyncIterator[File]:
    """Those files, which stay as they are. As of `stands_on`."""
    async with stands_on(settings) as ports:
        async for file in Purger(ports, trash_ttl=settings.trash_ttl).due():
            yield file
