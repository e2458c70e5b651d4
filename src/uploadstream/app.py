"""Puts everything together: the only module that names a concrete adapter."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.routing import Mount

from uploadstream.adapters.blobs_disk import DiskBlobs, Fsync
from uploadstream.adapters.catalog.catalog import SqliteCatalog
from uploadstream.adapters.leases_disk import DiskLeases
from uploadstream.adapters.system import SystemClock
from uploadstream.core.errors import Draining
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.files import Files
from uploadstream.engine.receiving import Receiver
from uploadstream.engine.sweeper import Sweep, Sweeper
from uploadstream.engine.uploads import Uploads
from uploadstream.engine.verify import Verdict, verify
from uploadstream.engine.watch import Watch
from uploadstream.ports import Ports
from uploadstream.protocols.health import Health
from uploadstream.protocols.rest import Rest
from uploadstream.protocols.tus import Tus
from uploadstream.settings import Settings

SWEEP_SECONDS: Final = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """The engine, running, and what it stands on."""

    ports: Ports
    uploads: Uploads
    downloads: Downloads
    files: Files
    sweeper: Sweeper
    watch: Watch


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[Service]:
    """The engine on embedded parts: SQLite and the local disk."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    fsync = Fsync(settings.fsync.value)
    blobs = DiskBlobs(settings.blobs_path, fsync=fsync)
    catalog = await SqliteCatalog.open(settings.catalog_path, durable=fsync is not Fsync.NEVER)
    leases = DiskLeases(settings.data_dir).listen()
    ports = Ports(catalog, blobs, leases, SystemClock())
    watch = Watch(read_timeout_seconds=settings.read_timeout.total_seconds())
    files = Files(ports)
    uploads = Uploads(ports, files, Receiver(ports, watch, Buffers(), settings.limits), settings.limits)
    sweeper = Sweeper(ports, uploads, tombstone_ttl=settings.trash_ttl)
    try:
        yield Service(ports, uploads, Downloads(ports, uploads), files, sweeper, watch)
    finally:
        leases.close()
        await catalog.close()
        blobs.close()


def http_app(running: Service, *, is_draining: Callable[[], bool]) -> Starlette:
    """Every HTTP protocol in one ASGI application."""
    checks = {"catalog": running.ports.catalog.check, "storage": running.ports.blobs.check}
    rest = Rest(running.files, running.uploads, running.downloads)
    routes = [
        *Health(checks, is_draining).routes(),
        *Tus(running.uploads).routes(),
        Mount("/", rest.app(title="UploadStream", version=version("uploadstream"))),
    ]
    return Starlette(routes=routes)


async def fsck(settings: Settings) -> AsyncIterator[Verdict]:
    """A verdict on every stored file; the service may be running beside."""
    catalog = await SqliteCatalog.open(settings.catalog_path, durable=False)
    blobs = DiskBlobs(settings.blobs_path)
    try:
        async for verdict in verify(Ports(catalog, blobs, DiskLeases(settings.data_dir), SystemClock())):
            yield verdict
    finally:
        await catalog.close()
        blobs.close()
