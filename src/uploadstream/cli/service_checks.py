"""What the doctor looks at before the service is started as it is configured: nothing of it is made or changed."""

from __future__ import annotations

from pathlib import Path

from uploadstream.adapters import disk_names
from uploadstream.adapters.catalog.schema import HEAD, SchemaTooNew
from uploadstream.adapters.catalog.sqlite import Seen, look
from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.no_port import why_no_port
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.servers.certificates import BadCertificate, read_certificate
from uploadstream.servers.listening import listen
from uploadstream.settings import Settings, is_loopback, variable_of


def check_catalog(settings: Settings) -> tuple[Finding, Seen | None]:
    """Whether the catalog can be opened by this version; and what it says of itself, if it is there."""
    path = settings.catalog_path
    if not path.exists():
        return _absent_catalog(path, settings.data_dir), None
    try:
        seen = look(path)
    except CatalogUnavailable as error:
        cause = getattr(error.__cause__, "orig", None) or error
        return Finding("catalog", Level.FAIL, f"{path}: {cause}", "restore it from a copy, or name another"), None
    except SchemaTooNew as error:
        found, _, advice = str(error).partition(": ")
        return Finding("catalog", Level.FAIL, found, advice), None
    return _schema(path, seen.schema), seen


def _absent_catalog(path: Path, data_dir: Path) -> Finding:
    folder = path.absolute().parent
    # The service makes its data directory, and no other.
    if folder == data_dir.absolute() or folder.is_dir():
        return Finding("catalog", Level.OK, f"{path} will be made")
    advice = f"make it, or correct {variable_of('database')}"
    return Finding("catalog", Level.FAIL, f"{path}: there is no folder {folder}", advice)


def _schema(path: Path, schema: str | None) -> Finding:
    if schema == HEAD:
        return Finding("catalog", Level.OK, f"{path} has the newest schema, {HEAD}")
    if schema is None:
        return Finding("catalog", Level.OK, f"{path} is empty; its schema will be made")
    found = f"{path} has schema {schema}, which serve brings to {HEAD}"
    return Finding("catalog", Level.WARN, found, "copy it first: older versions cannot read it then")


def check_storage(settings: Settings, catalog: Seen | None) -> Finding:
    """Whether the store is the one that the catalog belongs to."""
    path = settings.blobs_path
    expected = catalog.store_id if catalog else None
    if path.exists() and not path.is_dir():
        return Finding("storage", Level.FAIL, f"{path} is no folder", f"correct {variable_of('storage')}")
    try:
        found, has_blobs = disk_names.look(path) if path.is_dir() else (None, False)
    except OSError as error:
        return Finding("storage", Level.FAIL, f"{path}: {error.strerror}", "let this user read and write it")
    if expected is None and has_blobs:
        says = f"{path} has blobs that the catalog knows nothing of"
        return Finding("storage", Level.FAIL, says, "restore their catalog, or choose an empty storage")
    if expected is None:
        return Finding("storage", Level.OK, f"{path} {'is empty' if path.is_dir() else 'will be made'}")
    if found != expected:
        says = f"{path} is {'store ' + found if found else 'no store'}, the catalog belongs to store {expected}"
        return Finding("storage", Level.FAIL, says, f"mount its volume, or correct {variable_of('storage')}")
    return Finding("storage", Level.OK, f"{path} is the catalog's")


def check_tls(settings: Settings) -> Finding:
    """Whether the certificate and its key can be used."""
    if settings.tls is None:
        return Finding("TLS", Level.OK, "off")
    try:
        read_certificate(*settings.tls)
    except BadCertificate as error:
        found, _, advice = str(error).partition("; ")
        return Finding("TLS", Level.FAIL, found, advice)
    return Finding("TLS", Level.OK, f"{settings.tls[0]} and its key belong together")


def check_access(settings: Settings) -> Finding:
    """Who can come in."""
    if is_loopback(settings.host):
        return Finding("access", Level.OK, f"only this machine reaches {settings.host}")
    found = f"{settings.host} can be reached from outside, and anybody may read and write"
    return Finding("access", Level.WARN, found, "let a firewall or a proxy keep strangers out")


def why_not_listening(settings: Settings, field: str) -> tuple[str, str] | None:
    """What is in the way of a port, and what to do; None if it can be had."""
    port: int = getattr(settings, field)
    try:
        for one in listen(settings.host, port):
            one.close()
    except OSError as error:
        return why_no_port(error, host=settings.host, port=port, field=field)
    return None
