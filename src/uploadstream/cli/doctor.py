"""Check the configuration and this machine, and say what is wrong and what to do about it."""

from __future__ import annotations

import asyncio
import http.client
import os
import platform
import shutil
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from uploadstream.cli import screen
from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.options import ApiKey, Json, User, client_of
from uploadstream.cli.service_options import takes_settings, with_processing
from uploadstream.client.endpoint import Endpoint
from uploadstream.client.errors import UploadError
from uploadstream.core.sizes import iec
from uploadstream.settings import BadSettings, Settings, load

FAILED: Final = 1
PYTHON_MIN: Final = (3, 11)
SYNC_SECONDS_MAX: Final = 0.1
PROBE_SECONDS: Final = 2.0
CLOCK_SECONDS_MAX: Final = 60.0
OPEN_FILES_MIN: Final = 4096

_VOLATILE: Final = {"ramfs", "tmpfs"}
_REMOTE: Final = {"9p", "ceph", "cifs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs"}


@takes_settings
def doctor(
    *,
    server: Annotated[
        str, typer.Option(envvar="UPLOADSTREAM_SERVER", metavar="URL", help="Also ask this server something.")
    ] = "",
    url: Annotated[
        str,
        typer.Option(metavar="URL", help="Check the deployment there instead, from outside, as its clients see it."),
    ] = "",
    origin: Annotated[
        str, typer.Option(metavar="ORIGIN", show_default="any", help="With --url: whose pages are to be let in.")
    ] = "",
    user: User = "",
    api_key: ApiKey = "",
    as_json: Json = False,
    **options: Any,
) -> None:
    """Check the configuration, and say what is wrong. Looks only: nothing is changed.

    Takes the options and variables of serve, which is to be started with the same. With --url it takes ten seconds, and
    begins uploads, which are gone when it is through.
    """
    if url:
        findings = list(_from_outside(url, origin, user, api_key))
    else:
        findings = [check_python(), *_of_the_machine(options), check_open_files()]
    if server:
        findings.append(check_server(server, user, api_key))
    if api_key:
        findings += [check_road(address) for address in (url, server) if address]
    if as_json:
        screen.print_json(findings)
    else:
        rows = [(_mark(finding.level), finding.check, finding.found, finding.advice) for finding in findings]
        screen.print_table(("", "Check", "Found~", "What to do~"), rows, nothing="")
    failed = [finding.check for finding in findings if finding.level is Level.FAIL]
    if failed:
        screen.fail(f"In the way of a good service: {', '.join(failed)}")
        raise typer.Exit(FAILED)


def _from_outside(url: str, origin: str, user: str, api_key: str) -> Iterator[Finding]:
    from uploadstream.adapters.system import SystemClock  # noqa: PLC0415 - help is shown without it
    from uploadstream.cli.outside.visit import visit  # noqa: PLC0415 - as above

    try:
        address = Endpoint.parse(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None
    if address.is_grpc:
        raise typer.BadParameter(f"{url!r} is gRPC; write http:// or https://", param_hint="--url")
    if not user.isascii():
        raise typer.BadParameter("with --url, a name in ASCII", param_hint="--user")
    who = {"X-User-Id": user} if user else {}
    if api_key:
        who["Authorization"] = f"Bearer {api_key}"
    return visit(address, who=who, origin=origin, now=SystemClock().now())


def _mark(level: Level) -> str:
    return {Level.OK: "✓ ok", Level.WARN: "! warn", Level.FAIL: "✗ fail"}[level]


def _of_the_machine(options: dict[str, Any]) -> Iterator[Finding]:
    from uploadstream.cli import service_checks  # noqa: PLC0415 - help is shown without the server's libraries

    try:
        chosen = load(**with_processing(options))
    except BadSettings as error:
        for line in error.lines:
            found, _, advice = line.partition("; ")
            yield Finding("settings", Level.FAIL, found, advice or "correct the variable or the option")
        return
    yield Finding("settings", Level.OK, "valid")
    yield check_data_dir(chosen.data_dir)
    catalog, seen = service_checks.check_catalog(chosen)
    yield catalog
    yield service_checks.check_storage(chosen, seen)
    yield check_free_space(chosen)
    yield check_file_system(chosen.blobs_path)
    yield service_checks.check_access(chosen)
    yield service_checks.check_tls(chosen)
    yield service_checks.check_tokens(chosen)
    for check, field in (("HTTP port", "http_port"), ("gRPC port", "grpc_port")):
        yield check_port(check, chosen, field, service_checks.why_not_listening(chosen, field))
    yield check_clock(chosen.data_dir)


def check_python() -> Finding:
    version = platform.python_version()
    if sys.version_info < PYTHON_MIN:
        return Finding("python", Level.FAIL, version, "install Python 3.11 or later")
    return Finding("python", Level.OK, f"{version} at {sys.executable}")


def check_data_dir(path: Path) -> Finding:
    place = _existing(path)
    try:
        # Where the system can, a file that never has a name: the folder itself is not touched.
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4096))
            file.flush()
            began = time.monotonic()
            os.fsync(file.fileno())
            seconds = time.monotonic() - began
    except OSError as error:
        return Finding(
            "data folder", Level.FAIL, f"{path}: {error.strerror}", f"make {place} writable, or use --data-dir"
        )
    state = "is there" if place == path else "will be made"
    if seconds > SYNC_SECONDS_MAX:
        found = f"{path} {state}; a sync takes {seconds * 1000:.0f} ms"
        return Finding("data folder", Level.WARN, found, "every completed file waits so long; use a faster disk")
    return Finding("data folder", Level.OK, f"{path} {state}; a sync takes {seconds * 1000:.1f} ms")


def check_free_space(settings: Settings) -> Finding:
    free = shutil.disk_usage(_existing(settings.blobs_path)).free
    largest = settings.max_file_size
    found = f"{iec(free)} free, a file may have {iec(largest)}"
    if free < largest:
        return Finding("free space", Level.FAIL, found, "make room, or lower UPLOADSTREAM_MAX_FILE_SIZE")
    if free < 10 * largest:
        return Finding("free space", Level.WARN, found, "make room for more than a few files")
    return Finding("free space", Level.OK, found)


def check_file_system(path: Path) -> Finding:
    kind = kind_of_file_system(_existing(path).resolve())
    if kind in _VOLATILE:
        return Finding("file system", Level.WARN, f"{kind}, in memory", "files are gone after a restart; use a disk")
    if kind in _REMOTE:
        return Finding(
            "file system", Level.WARN, f"{kind}, over a network", "locks and syncs may be slow or lies; use a disk"
        )
    if kind == "overlay":
        return Finding(
            "file system", Level.WARN, "overlay, of a container", "files go with the container; mount a volume"
        )
    return Finding("file system", Level.OK, kind or "not known here")


def kind_of_file_system(path: Path) -> str:
    """The type of the file system that holds a path; empty where /proc does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    mounts = [(fields[1].replace("\\040", " "), fields[2]) for line in lines if len(fields := line.split()) > 2]  # noqa: PLR2004 - device, folder, type
    holding = [(mount, kind) for mount, kind in mounts if path.is_relative_to(mount)]
    return max(holding, key=lambda pair: len(pair[0]))[1] if holding else ""


def check_port(check: str, settings: Settings, field: str, in_the_way: tuple[str, str] | None) -> Finding:
    port: int = getattr(settings, field)
    if in_the_way is None:
        return Finding(check, Level.OK, f"{port} is free" if port else "any free one")
    if _answers(settings):
        return Finding(check, Level.OK, f"{port}: UploadStream is running")
    return Finding(check, Level.FAIL, *in_the_way)


def _answers(settings: Settings) -> bool:
    """Whether a server says there that it is alive."""
    if settings.tls:
        # Whoever answers: that it is this server is not to be proved.
        trusting = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            settings.host, settings.http_port, timeout=PROBE_SECONDS, context=trusting
        )
    else:
        connection = http.client.HTTPConnection(settings.host, settings.http_port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def check_clock(data_dir: Path) -> Finding:
    from uploadstream.adapters.system import SystemClock  # noqa: PLC0415 - help is shown without it

    now = SystemClock().now()
    newest = max((path.stat().st_mtime for path in data_dir.glob("*")), default=0.0)
    behind = newest - now.timestamp()
    if behind > CLOCK_SECONDS_MAX:
        return Finding(
            "clock", Level.FAIL, f"{behind:.0f} s behind the stored files", "set the clock: uploads expire by it"
        )
    return Finding("clock", Level.OK, f"{now:%Y-%m-%d %H:%M:%S} UTC")


def check_open_files() -> Finding:
    import resource  # noqa: PLC0415 - not on every system

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES_MIN:
        found = f"{soft} allowed at once"
        return Finding("open files", Level.WARN, found, "each upload needs two; raise it: ulimit -n 65536")
    return Finding("open files", Level.OK, "no limit" if soft == resource.RLIM_INFINITY else f"{soft} allowed at once")


def check_server(server: str, user: str, api_key: str) -> Finding:
    async def ask() -> None:
        async with client_of(server, user, api_key, patience_seconds=PROBE_SECONDS) as client:
            await client.stats()

    try:
        asyncio.run(ask())
    except UploadError as error:
        return Finding("server", Level.FAIL, error.message, "see above" if error.came_from_server else "start it")
    return Finding("server", Level.OK, f"{server} answers")


def check_road(address: str) -> Finding:
    """Whether the key that is sent to `address` can be read on its way."""
    endpoint = Endpoint.parse(address)
    if endpoint.is_secure or endpoint.is_local:
        return Finding("API key", Level.OK, f"nobody can read it on its way to {endpoint}")
    advice = "speak https:// or grpcs://, and have this key revoked if others share the network"
    return Finding("API key", Level.WARN, f"it goes to {endpoint} unencrypted", advice)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())
