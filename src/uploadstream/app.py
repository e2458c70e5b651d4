"""Puts everything together: the only module that names a concrete adapter."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp

from uploadstream.adapters.blobs_disk import DiskBlobs
from uploadstream.adapters.catalog.places import open_catalog, open_leases
from uploadstream.adapters.catalog.schema import WrongSchema
from uploadstream.adapters.disk_files import make_directories
from uploadstream.adapters.jwt_keys import BadKey
from uploadstream.adapters.leases_disk import AMONG_BLOBS
from uploadstream.adapters.system import SystemClock
from uploadstream.adapters.web import HttpWeb
from uploadstream.core.errors import Draining
from uploadstream.engine.admission import Admission
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.chunks import Chunks
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.events import Events
from uploadstream.engine.fencing import fencing
from uploadstream.engine.files import Files
from uploadstream.engine.hooks import Hooks, NoHooks
from uploadstream.engine.identities import Identities
from uploadstream.engine.meters import Meters
from uploadstream.engine.pairing import WrongStore, pair
from uploadstream.engine.passes import Passes
from uploadstream.engine.readiness import SharedCheck
from uploadstream.engine.receiving import Receiver
from uploadstream.engine.sweeper import Sweep, Sweeper
from uploadstream.engine.throttle import Throttle
from uploadstream.engine.uploads import Uploads
from uploadstream.engine.watch import Watch
from uploadstream.http.callers import Asked, Authenticate
from uploadstream.http.choice import Choice, only
from uploadstream.http.cors import refusal_fields, with_cors
from uploadstream.http.problems import failed
from uploadstream.http.rate_limits import Telling
from uploadstream.http.whole_server import WholeServer
from uploadstream.observability.logs import configure
from uploadstream.ports import Fsync, Ports, Web
from uploadstream.proofs import proofs_of
from uploadstream.protocols.content.endpoint import Content
from uploadstream.protocols.content.openapi import OPENAPI
from uploadstream.protocols.filepond.endpoint import FilePond
from uploadstream.protocols.grpc_files.errors import status_of as grpc_status_of
from uploadstream.protocols.grpc_files.grpcio import GrpcioFileService
from uploadstream.protocols.grpc_files.service import FileService
from uploadstream.protocols.health import Health
from uploadstream.protocols.ietf.service import Ietf
from uploadstream.protocols.login import Login
from uploadstream.protocols.rest.endpoints import Rest
from uploadstream.protocols.tus import Tus
from uploadstream.servers.certificates import BadCertificate, Certificate, read_certificate
from uploadstream.servers.grpc import GrpcServer, Socket
from uploadstream.servers.http1 import HttpLimits
from uploadstream.servers.http1_server import HttpServer
from uploadstream.servers.listening import CannotListen, listen, listening_by, port_of, reserve
from uploadstream.servers.workers import Work, supervise
from uploadstream.settings import Auth, Settings
from uploadstream.web.pages import pages

__all__ = [
    "BadCertificate",
    "BadKey",
    "CannotListen",
    "Listening",
    "Service",
    "WrongSchema",
    "WrongStore",
    "http_app",
    "serve",
    "serve_here",
    "service",
]

SWEEP_SECONDS: Final = 60.0
# Before the end of the grace time, bodies that are still coming are ended and what they brought is kept.
CUT_SECONDS: Final = 5.0
# A worker that has not ended so long after its grace time is killed.
STOP_SECONDS: Final = 5.0

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
    events: Events
    web: Web | None
    identities: Identities
    passes: Passes


@asynccontextmanager
async def service(
    settings: Settings, *, hooks_on: Callable[[Ports], Hooks] = lambda _: NoHooks()
) -> AsyncIterator[Service]:
    """The engine on a catalog and the local disk. WrongStore, WrongSchema, BadKey, Unavailable."""
    clock = SystemClock()
    durable = settings.fsync is not Fsync.NEVER
    async with AsyncExitStack() as opened:
        make_directories([settings.data_dir], durable=durable)
        catalog = await open_catalog(settings.catalog, durable=durable, connections=settings.connections)
        opened.push_async_callback(catalog.close)
        blobs = DiskBlobs(settings.blobs_path, fsync=settings.fsync, new=await catalog.store_id() is None)
        opened.callback(blobs.close)
        await pair(catalog, blobs, new_id=clock.new_id(), place=str(settings.blobs_path.resolve()))
        leases = open_leases(settings.catalog, catalog, settings.blobs_path / AMONG_BLOBS, fencing(catalog, blobs))
        ports = Ports(catalog, blobs, await opened.enter_async_context(leases), clock)
        admission = Admission(catalog, clock, settings.allowance)
        throttle = Throttle(Meters(admission.allowance, catalog, clock))
        watch = Watch(read_timeout_seconds=settings.read_timeout.total_seconds(), throttle=throttle)
        hooks = hooks_on(ports)
        opened.push_async_callback(hooks.close)
        files = Files(ports, hooks, trash_ttl=settings.trash_ttl)
        receiver = Receiver(ports, watch, Buffers(), settings.limits, hooks, admission)
        uploads = Uploads(ports, files, receiver, settings.limits, hooks)
        sweeper = Sweeper(ports, uploads, trash_ttl=settings.trash_ttl)
        events = Events(ports, uploads)
        opened.callback(events.stop)
        web = HttpWeb(settings.fetch_hosts) if settings.fetch_hosts else None
        if web is not None:
            opened.push_async_callback(web.close)
        proofs = await proofs_of(settings, catalog, clock, opened)
        identities = Identities(proofs.all, required=settings.auth is Auth.REQUIRED)
        downloads = Downloads(ports, files, uploads, audited=settings.audit_downloads)
        yield Service(ports, uploads, downloads, files, sweeper, watch, events, web, identities, proofs.passes)


def http_app(
    running: Service,
    *,
    is_draining: Callable[[], bool],
    cors_origins: Collection[str] = ("*",),
    grpc_port: int | None = None,
    authenticate: Authenticate | None = None,
) -> ASGIApp:
    """Every HTTP protocol in one ASGI application, for pages of `cors_origins` too.

    `grpc_port`: that of gRPC. `authenticate`: finds out, in place of our own, who asks for anything but the page and
    the health checks.
    """
    parts = {"catalog": running.ports.catalog.check, "storage": running.ports.blobs.check}
    checks = {name: SharedCheck(check) for name, check in parts.items()}
    rest = Rest(running.files, running.uploads, running.events, running.passes, grpc_port=grpc_port)
    ietf = Ietf(running.uploads, running.downloads)
    spoken: list[BaseRoute] = [
        *only(Choice.TUS, Tus(running.uploads, beside=ietf.discovery()).routes()),
        *only(Choice.IETF, ietf.routes()),
        *FilePond(running.uploads, Chunks(running.uploads), running.downloads, running.web).routes(),
        *Content(running.downloads).routes(),
        *Login(running.passes, required=running.identities.required).routes(),
        Mount("/", rest.app(title="UploadStream", version=version("uploadstream"), beside=OPENAPI)),
    ]
    asked = Mount("/", Asked(Telling(Router(spoken)), running.identities.identify, authenticate))
    routes = [WholeServer(ietf.discovery()), *Health(checks, is_draining).routes(), *pages(), asked]
    return with_cors(Starlette(routes=routes, exception_handlers={Exception: failed}), cors_origins)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server can be reached."""

    http_port: int
    grpc_port: int


def grpc_server(running: Service, settings: Settings, socket: Socket) -> GrpcServer:
    """The gRPC server with every gRPC protocol."""
    service = FileService(running.uploads, running.downloads, running.files)
    silence_seconds = settings.read_timeout.total_seconds()
    return GrpcServer(
        [GrpcioFileService(service, silence_seconds=silence_seconds, identify=running.identities.identify)],
        socket,
        status_of=grpc_status_of,
        chunk_size_max=settings.max_chunk_size,
    )


async def serve_here(
    settings: Settings,
    *,
    ready: Callable[[Listening], None],
    stop: asyncio.Event,
    certificate: Certificate | None = None,
    renew: asyncio.Event | None = None,
    reuse_port: bool = False,
) -> None:
    """Serve in this process until `stop`; then give what is going on its grace, and keep what it brought.

    CannotListen. `certificate`: what to show first; `renew`: read it again. `reuse_port`: other processes listen on
    the same ports.
    """
    with listening_by("http_port"):
        http_sockets = listen(settings.host, settings.http_port, shared=reuse_port)
    with listening_by("grpc_port"):
        for probe in listen(settings.host, settings.grpc_port, shared=reuse_port):  # grpc itself does not say why not
            probe.close()
    async with service(settings) as running:
        rpc = grpc_server(running, settings, Socket(settings.host, settings.grpc_port, reuse_port, certificate))
        with listening_by("grpc_port"):
            grpc_port = await rpc.start()
        http = HttpServer(
            http_app(running, is_draining=stop.is_set, cors_origins=settings.cors_origins, grpc_port=grpc_port),
            drain_seconds=settings.drain_timeout.total_seconds(),
            limits=HttpLimits(body_seconds=settings.read_timeout.total_seconds()),
            certificate=certificate,
            refusal_fields=refusal_fields(settings.cors_origins),
        )
        async with asyncio.TaskGroup() as tasks:
            sweeping = tasks.create_task(running.sweeper.run(every_seconds=SWEEP_SECONDS, swept=_log_sweep))
            serving = tasks.create_task(http.serve(http_sockets))
            renewing = tasks.create_task(keep_certificate(settings, renew or asyncio.Event(), http, rpc))
            await http.ready.wait()
            ready(Listening(port_of(http_sockets[0]), grpc_port))
            await stop.wait()
            log.info("draining", seconds=settings.drain_timeout.total_seconds(), bodies=len(running.watch))
            sweeping.cancel()
            renewing.cancel()
            await drain(running, http, rpc, grace_seconds=settings.drain_timeout.total_seconds())
            await serving


async def keep_certificate(settings: Settings, renew: asyncio.Event, http: HttpServer, rpc: GrpcServer) -> None:
    """Whenever told to, show new connections the certificate that the files hold now, if it can be served with."""
    while True:
        await renew.wait()
        renew.clear()
        if settings.tls is None:
            log.info("nothing to read again", reason="no certificate is served with")
            continue
        newest = await asyncio.to_thread(newest_certificate, settings.tls)
        if newest is not None:
            http.renew_certificate(newest)
            rpc.renew_certificate(newest)
            log.info("certificate renewed", file=str(settings.tls[0]))


def newest_certificate(files: tuple[Path, Path, Path | None]) -> Certificate | None:
    """What the files hold now; None if that cannot be served with, which is logged."""
    try:
        return read_certificate(*files)
    except BadCertificate as error:
        log.error("certificate not renewed", reason=str(error), kept="the one before")  # noqa: TRY400 - it says enough
        return None


async def drain(running: Service, http: HttpServer, rpc: GrpcServer, *, grace_seconds: float) -> None:
    """Take no more; bodies that are not through in time end, what they brought is kept; then everything stops."""
    await rpc.set_serving(is_serving=False)
    http.should_exit = True
    running.events.stop()
    cut = asyncio.get_running_loop().call_later(
        max(0.0, grace_seconds - CUT_SECONDS), running.watch.stop_all, Draining()
    )
    await rpc.stop(grace_seconds=grace_seconds)
    cut.cancel()
    running.watch.stop_all(Draining())


def serve(settings: Settings, *, ready: Callable[[Listening], None]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. CannotListen, BadCertificate, and those of `service`."""
    configure()
    certificate = read_certificate(*settings.tls) if settings.tls else None
    if settings.workers > 1:
        return _serve_with_workers(settings, certificate, ready)
    asyncio.run(_serve_until_told(settings, certificate, ready))
    return 0


async def _try(settings: Settings) -> None:
    """Begin and end: what keeps every worker from its work is raised here, once."""
    async with service(settings):
        return


def _serve_with_workers(settings: Settings, certificate: Certificate | None, ready: Callable[[Listening], None]) -> int:
    """Keep the ports, and processes that share them."""
    with ExitStack() as kept:
        with listening_by("http_port"):
            http = reserve(settings.host, settings.http_port)
        with listening_by("grpc_port"):
            rpc = reserve(settings.host, settings.grpc_port)
        for one in [*http, *rpc]:
            kept.enter_context(one)
        asyncio.run(_try(settings))
        where = Listening(port_of(http[0]), port_of(rpc[0]))
        ports = {"http_port": where.http_port, "grpc_port": where.grpc_port}
        prepare = _preparing(settings.model_copy(update=ports), certificate)
        stop_seconds = settings.drain_timeout.total_seconds() + STOP_SECONDS
        return supervise(prepare, count=settings.workers, stop_seconds=stop_seconds, ready=lambda: ready(where))


def _preparing(settings: Settings, certificate: Certificate | None) -> Callable[[], Work]:
    """What gives each worker its work, with the newest certificate that was good: the files may hold none just then."""
    last_good = certificate

    def prepare() -> Work:
        nonlocal last_good
        if settings.tls:
            with suppress(BadCertificate):  # the worker says so
                last_good = read_certificate(*settings.tls)
        return partial(_work, settings, last_good)

    return prepare


def _work(settings: Settings, last_good: Certificate | None, ready: Callable[[], None]) -> None:
    """What one worker does."""
    configure()
    certificate = (newest_certificate(settings.tls) or last_good) if settings.tls else None
    asyncio.run(_serve_until_told(settings, certificate, lambda _: ready(), reuse_port=True))


async def _serve_until_told(
    settings: Settings,
    certificate: Certificate | None,
    ready: Callable[[Listening], None],
    *,
    reuse_port: bool = False,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _told, stop)
    renew = asyncio.Event()
    if settings.tls or reuse_port:  # a worker is told whatever it serves; alone, the end of its terminal ends a server
        loop.add_signal_handler(signal.SIGHUP, renew.set)
    await serve_here(settings, ready=ready, stop=stop, certificate=certificate, renew=renew, reuse_port=reuse_port)


def _told(stop: asyncio.Event) -> None:
    """Stop when told, and at once when told again."""
    if stop.is_set():
        os._exit(128 + signal.SIGINT)
    stop.set()


def _log_sweep(done: Sweep) -> None:
    log.info("swept", **done)
