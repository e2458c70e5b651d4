"""What the doctor looks at before the service is started as it is configured: nothing of it is made or changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from uploadstream.adapters import disk_names
from uploadstream.adapters.catalog.places import look
from uploadstream.adapters.catalog.schema import HEAD, SchemaTooNew, Seen
from uploadstream.adapters.jwt_keys import BadKey
from uploadstream.cli.catalogs import cause_of
from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.no_port import why_no_port
from uploadstream.core.errors import CatalogUnavailable
from uploadstream.proofs import key_source
from uploadstream.servers.certificates import BadCertificate, read_certificate
from uploadstream.servers.listening import listen
from uploadstream.settings import Auth, Settings, is_loopback, variable_of


def check_catalog(settings: Settings) -> tuple[Finding, Seen | None]:
    """Whether the catalog can be opened by this version; and what it says of itself, if it is there."""
    place = settings.catalog
    if isinstance(place, Path) and not place.exists():
        return _absent_catalog(place, settings.data_dir), None
    shown = place if isinstance(place, Path) else place.shown
    try:
        seen = asyncio.run(look(place))
    except CatalogUnavailable as error:
        advice = "restore it from a copy, or name another"
        if not isinstance(place, Path):
            advice = f"start PostgreSQL, let this machine in, or correct {variable_of('database')}"
        return Finding("catalog", Level.FAIL, f"{shown}: {cause_of(error)}", advice), None
    except SchemaTooNew as error:
        found, _, advice = str(error).partition(": ")
        return Finding("catalog", Level.FAIL, found, advice), None
    if isinstance(place, Path) or seen.schema == HEAD:
        return _schema(str(shown), seen.schema), seen
    has = f"has schema {seen.schema}" if seen.schema else "has no schema yet"
    return Finding("catalog", Level.FAIL, f"{shown} {has}", "run uploadstream migrate"), seen


def _absent_catalog(path: Path, data_dir: Path) -> Finding:
    folder = path.absolute().parent
    # The service makes its data directory, and no other.
    if folder == data_dir.absolute() or folder.is_dir():
        return Finding("catalog", Level.OK, f"{path} will be made")
    advice = f"make it, or correct {variable_of('database')}"
    return Finding("catalog", Level.FAIL, f"{path}: there is no folder {folder}", advice)


def _schema(path: str, schema: str | None) -> Finding:
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


def check_tokens(settings: Settings) -> Finding:
    """Whether the tokens of others can be checked; a URL is asked by the service itself."""
    if not settings.takes_jwt:
        return Finding("tokens", Level.OK, "off")
    try:
        key_source(settings)
    except BadKey as error:
        found, _, advice = str(error).partition("; ")
        return Finding("tokens", Level.FAIL, found, advice or f"correct {variable_of('jwt_key')} or its file")
    return Finding("tokens", Level.OK, f"checked by {settings.jwt_jwks or variable_of('jwt_key')}")


def check_access(settings: Settings) -> Finding:
    """Who can come in, and whether keys can be read on their way."""
    if is_loopback(settings.host):
        return Finding("access", Level.OK, f"only this machine reaches {settings.host}")
    if settings.auth is not Auth.REQUIRED:
        found = f"{settings.host} can be reached from outside, and anybody may read and write"
        return Finding("access", Level.WARN, found, "let a firewall or a proxy keep strangers out, or --auth required")
    if settings.tls is None:
        found = f"{settings.host} can be reached from outside, and keys come there unencrypted"
        return Finding("access", Level.WARN, found, "give it a certificate, or let only a proxy with TLS reach it")
    return Finding("access", Level.OK, f"{settings.host} can be reached from outside, by who has a key")


def why_not_listening(settings: Settings, field: str) -> tuple[str, str] | None:
    """What is in the way of a port, and what to do; None if it can be had."""
    port: int = getattr(settings, field)
    try:
        for one in listen(settings.host, port):
            one.close()
    except OSError as error:
        return why_no_port(error, host=settings.host, port=port, field=field)
    return None
