"""Every setting: its variable `UPLOADSTREAM_*`, its default, what it means. The only reader of the environment."""

from __future__ import annotations

import difflib
import enum
import ipaddress
import os
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from uploadstream.core.allowances import Allowance
from uploadstream.core.dsns import SCHEMES, Dsn
from uploadstream.core.session import Limits
from uploadstream.core.sizes import MIB, iec, parse_size
from uploadstream.ports import Fsync
from uploadstream.setting_values import (
    SECONDS,
    ActiveUploads,
    ByteRate,
    Duration,
    Hosts,
    JwtKey,
    KeySet,
    Origins,
    Patterns,
    Quota,
    SomeTime,
    UploadRate,
    file_or_dsn,
    file_url,
)

_PREFIX: Final = "UPLOADSTREAM_"
# Of the commands that speak to a server; cli/options.py reads them.
CLIENT_VARIABLES: Final = frozenset(f"{_PREFIX}{name}" for name in ("API_KEY", "SERVER", "STATE_DIR", "USER"))
# Settings to come. Who sets one counts on it: to pass it over would be to serve without a quota, or to anybody.
NOT_YET: Final = frozenset(f"{_PREFIX}{name}" for name in ("QUEUE",))
# Kubernetes and Docker tell a container of services beside it in such variables, and one may be called uploadstream.
_OF_A_SERVICE: Final = re.compile(
    r"UPLOADSTREAM(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)", re.ASCII
)
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://", re.ASCII)
_NEAR: Final = 0.7  # of difflib: a letter too many, a word left out

# What writes, and what reads meanwhile.
CONNECTIONS_MIN: Final = 3
# In our words what pydantic says in those of a parser.
_MUST: Final = {"int_parsing": "must be a whole number", "bool_parsing": "must be true or false"}


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Auth(enum.StrEnum):
    """Who may come in."""

    OPEN = "open"  # anybody; a key that is good says who it is
    REQUIRED = "required"  # whoever has a key


class Clash(ValueError):
    """Settings that do not go together. In `says`, a field in braces stands for its name as the user wrote it."""

    def __init__(self, says: str, **values: object) -> None:
        super().__init__(says)
        self.says = says
        self.values = values


class Settings(BaseSettings):
    """What `uploadstream serve` can be told, by options or by the environment."""

    model_config = SettingsConfigDict(env_prefix="UPLOADSTREAM_", frozen=True, extra="ignore", validate_by_name=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    http_port: Port = Field(8080, description="port of HTTP: the page, tus, REST (0: any free one)")
    grpc_port: Port = Field(50051, description="port of gRPC (0: any free one)")
    data_dir: Path = Field(Path("data"), description="directory of blobs and catalog")
    database: Annotated[str, AfterValidator(file_or_dsn)] = Field(
        "",
        validation_alias="UPLOADSTREAM",
        description="the catalog, sqlite:///FILE or postgresql://USER@HOST/DATABASE",
        repr=False,  # it may hold a password
    )
    pool_size: PositiveInt = Field(20, description="connections to PostgreSQL, of all workers together")
    storage: Annotated[str, AfterValidator(partial(file_url, scheme="file"))] = Field(
        "", description="the blobs, file:///DIR"
    )
    workers: PositiveInt = Field(1, description="processes that serve")
    processing: bool = Field(
        default=True, description="process finished files here (no processor is built in yet: jobs wait)"
    )
    cors_origins: Origins = Field(
        ("*",), description="origins whose pages may use the service from a browser, separated by commas (*: all)"
    )
    tls_cert: Path | None = Field(None, description="PEM file of the certificate chain; SIGHUP reads it again")
    tls_key: Path | None = Field(None, description="PEM file of its key")
    tls_client_ca: Path | None = Field(
        None, description="PEM file of authorities that vouch for clients, whose certificates name users"
    )
    max_file_size: Size = Field(512 * MIB, description="largest file taken")
    max_chunk_size: Size = Field(4 * MIB, description="largest chunk in one gRPC message")
    read_timeout: SomeTime = Field(timedelta(seconds=60), description="time a body may bring no byte")
    drain_timeout: Duration = Field(timedelta(seconds=25), description="grace time after SIGTERM")
    upload_ttl: SomeTime = Field(timedelta(hours=24), description="idle life of an unfinished upload")
    trash_ttl: Duration = Field(
        timedelta(days=30), description="time for which a deleted file can be restored; then it is purged"
    )
    audit_downloads: bool = Field(default=False, description="have downloads in the audit trail too (true or false)")
    allowed_types: Patterns = Field(
        ("*/*",), description="patterns that a file's detected type must match, separated by commas"
    )
    fetch_hosts: Hosts = Field(
        (),
        description="hosts whose files are fetched if FilePond asks for it, separated by commas (*: all public ones)",
    )
    rate_uploads: UploadRate = Field(
        None, description="uploads that one user may begin, such as 60/min burst 20 (off: as many as it likes)"
    )
    rate_bytes: ByteRate = Field(
        None, description="bytes that one user may send, such as 50MB/s (off: as many as it likes)"
    )
    max_active_uploads: ActiveUploads = Field(
        None, description="uploads that one user may have open at once (off: as many as it likes)"
    )
    quota_bytes: Quota = Field(
        None, description="bytes that one user may have stored, open uploads and trash too (off: as many as it likes)"
    )
    fsync: Fsync = Field(
        Fsync.COMPLETE, description="what is synced before success is said: never, complete (files) or chunk"
    )
    auth: Auth | None = Field(
        None, description="open lets anybody in, required who has an API key; to listen beyond loopback, say which"
    )

    jwt_key: JwtKey = Field(
        None, description="what bearer JWTs are signed with: a secret, or a public key in PEM form; or a file of it"
    )
    jwt_jwks: KeySet = Field("", description="or a JSON Web Key Set: a file, or a URL")
    jwt_issuer: str = Field("", description="issuer (iss) that bearer JWTs must have")
    jwt_audience: str = Field("", description="audience (aud) that bearer JWTs must have")
    jwt_user_claim: Annotated[str, Field(min_length=1)] = Field("sub", description="claim that names the user")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.auth is None and not is_loopback(self.host):
            raise Clash(
                "{host} {value} can be reached from outside, and {auth} is not set: anybody could read and write; "
                "say --auth required (UPLOADSTREAM_AUTH), for which uploadstream key create makes keys; or --auth open "
                "if that is meant; or listen on 127.0.0.1",
                value=self.host or "''",
            )
        if self.http_port == self.grpc_port != 0:
            raise Clash("{http_port} and {grpc_port} are both {value}; give each its own", value=self.http_port)
        if self.tls_cert and not self.tls_key:
            raise Clash("{tls_key} is not set; name the key that goes with {tls_cert}")
        if self.tls_key and not self.tls_cert:
            raise Clash("{tls_cert} is not set; name the certificate that goes with {tls_key}")
        if self.tls_client_ca and not self.tls:
            raise Clash("{tls_cert} is not set; clients show certificates over TLS only, which {tls_client_ca} is for")
        if self.jwt_key and self.jwt_jwks:
            raise Clash("{jwt_key} and {jwt_jwks} are both set; tokens are signed with one or the other, so unset one")
        if not self.takes_jwt and (self.jwt_issuer or self.jwt_audience):
            raise Clash("neither {jwt_key} nor {jwt_jwks} is set; without a key no token can be checked")
        return self

    @property
    def allowance(self) -> Allowance:
        """What each user may of whom nothing else is said."""
        return Allowance(self.rate_uploads, self.rate_bytes, self.max_active_uploads, self.quota_bytes)

    @property
    def takes_jwt(self) -> bool:
        """Whether somebody else's bearer tokens are taken."""
        return bool(self.jwt_key or self.jwt_jwks)

    @property
    def tls(self) -> tuple[Path, Path, Path | None] | None:
        """The PEM files of the certificate chain, of its key, and of the authorities of clients."""
        return (self.tls_cert, self.tls_key, self.tls_client_ca) if self.tls_cert and self.tls_key else None

    @property
    def catalog(self) -> Path | Dsn:
        """Where the catalog is: a file of SQLite, or a database of PostgreSQL."""
        return Dsn(self.database) if self.database.partition(":")[0] in SCHEMES else self.catalog_path

    @property
    def catalog_name(self) -> str:
        """The same to be shown, without a password."""
        return self.catalog.shown if isinstance(self.catalog, Dsn) else str(self.catalog.absolute())

    @property
    def connections(self) -> int:
        """How many of those to PostgreSQL each process may have."""
        return max(CONNECTIONS_MIN, self.pool_size // self.workers)

    @property
    def catalog_path(self) -> Path:
        """The SQLite file, unless the catalog is in PostgreSQL."""
        return _path_of(self.database, scheme="sqlite", default=self.data_dir / "catalog.sqlite")

    @property
    def blobs_path(self) -> Path:
        """The directory of the blobs."""
        return _path_of(self.storage, scheme="file", default=self.data_dir / "blobs")

    @property
    def limits(self) -> Limits:
        """What the engine needs of them."""
        return Limits(
            file_size_max=self.max_file_size,
            chunk_size_max=self.max_chunk_size,
            allowed_types=self.allowed_types,
            upload_ttl=self.upload_ttl,
        )


class BadSettings(ValueError):
    """What is wrong with the settings: a line each says it and, after a semicolon, what to do."""

    def __init__(self, lines: Collection[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load(**options: object) -> Settings:
    """The settings: options that are not None, then the environment, then defaults. BadSettings."""
    given = {name: value for name, value in options.items() if value is not None}
    lines = [*_not_settings(os.environ)]
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise BadSettings([*lines, *(_line(problem, given) for problem in error.errors())]) from None
    if lines:
        raise BadSettings(lines)
    return settings


def variable_of(field: str) -> str:
    """The variable of a setting."""
    return _PREFIX.rstrip("_") if field == "database" else f"{_PREFIX}{field.upper()}"


def option_of(field: str) -> str:
    """The option of `serve` that sets the same."""
    return f"--{'no-processing' if field == 'processing' else field.replace('_', '-')}"


def spelled(default: object) -> str:
    """A default as its variable would be written."""
    if isinstance(default, timedelta):
        seconds = int(default.total_seconds())
        unit = next(unit for unit in ("d", "h", "s") if seconds % SECONDS[unit] == 0)
        return f"{seconds // int(SECONDS[unit])}{unit}"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return iec(default).replace(" ", "") if isinstance(default, int) and default >= MIB else str(default)


def is_loopback(host: str) -> bool:
    """Only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path_of(dsn: str, *, scheme: str, default: Path) -> Path:
    """The path in `scheme:///path` (relative) or `scheme:////path` (absolute), as SQLAlchemy reads them."""
    return Path(dsn.removeprefix(f"{scheme}:///")) if dsn else default


def _not_settings(environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable that seems to be meant as a setting, and would be without effect.

    A name that is near to none is somebody else's: a script that starts us, a version to come.
    """
    known = {variable_of(field): field for field in Settings.model_fields}
    for variable in sorted(environment):
        name, value = variable.upper(), environment[variable]
        if not name.startswith(_PREFIX) or name in known or name in CLIENT_VARIABLES:
            continue
        if _OF_A_SERVICE.fullmatch(name) or _SERVICE_ADDRESS.match(value):
            continue
        if name not in NOT_YET:
            words = {field.upper(): meant for meant, field in known.items()}
            for near in difflib.get_close_matches(name.removeprefix(_PREFIX), words, n=1, cutoff=_NEAR):
                yield f"{variable} is no setting; write {words[near]}"
        elif value.strip().lower() not in {"", "off"}:  # which ask for what is done anyway
            yield f"{variable} is not in this version yet, and would be without effect; unset it"


def _line(problem: Mapping[str, Any], options: Collection[str]) -> str:
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, Clash):
        return error.says.format(**error.values, **{field: _named(field, options) for field in Settings.model_fields})
    where = str(problem["loc"][0]).lower()
    name = _named("database" if where == "uploadstream" else where, options)
    if isinstance(error, ValueError):
        return f"{name}: {error}"
    must = _MUST.get(problem["type"]) or problem["msg"].replace("Input should be", "must be")
    return f"{name}: {must}, not {problem['input']!r}"


def _named(field: str, options: Collection[str]) -> str:
    """A setting by the name under which the user gave it, or would give it."""
    if field in options:
        return option_of(field)
    variable = variable_of(field)
    return variable if not options or variable in map(str.upper, os.environ) else option_of(field)
