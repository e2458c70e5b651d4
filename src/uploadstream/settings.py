"""Every setting: its variable `UPLOADSTREAM_*`, its default, what it means. The only reader of the environment."""

from __future__ import annotations

import enum
import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from uploadstream.core.session import Limits
from uploadstream.core.sizes import MIB, iec, parse_size

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?", re.ASCII)
# So that a time from now on is always a date.
LONGEST: Final = timedelta(days=36_500)
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _duration(value: object) -> object:
    """`90`, `90s`, `1.5h`, `30d` as a time."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        message = f"{value!r} is not a duration; write a number and one of {', '.join(_SECONDS)}"
        raise ValueError(message)
    seconds = float(match[1]) * _SECONDS[match[2] or "s"]
    if seconds > LONGEST.total_seconds():
        message = f"{value!r} is too long; at most {LONGEST.days}d"
        raise ValueError(message)
    return timedelta(seconds=seconds)


def _more_than_nothing(value: timedelta) -> timedelta:
    if not value:
        message = "must be more than 0"
        raise ValueError(message)
    return value


def _patterns(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
SomeTime = Annotated[Duration, AfterValidator(_more_than_nothing)]
Port = Annotated[int, Field(ge=0, le=65535)]


class FsyncPolicy(enum.StrEnum):
    """When bytes are on the disk, and not only in its cache."""

    NEVER = "never"
    COMPLETE = "complete"
    CHUNK = "chunk"


class Auth(enum.StrEnum):
    """Who may come in."""

    OPEN = "open"


class Settings(BaseSettings):
    """What `uploadstream serve` can be told, by options or by the environment."""

    model_config = SettingsConfigDict(env_prefix="UPLOADSTREAM_", frozen=True, extra="ignore", validate_by_name=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    http_port: Port = Field(8080, description="port of HTTP: the page, tus, REST (0: any free one)")
    grpc_port: Port = Field(50051, description="port of gRPC (0: any free one)")
    data_dir: Path = Field(Path("data"), description="directory of blobs and catalog")
    database: str = Field(
        "",
        validation_alias="UPLOADSTREAM",
        description="DSN of the catalog, sqlite:///FILE (SQLite in the data directory)",
    )
    storage: str = Field("", description="where blobs are, file:///DIR (the data directory)")
    workers: PositiveInt = Field(1, description="processes that serve")
    processing: bool = Field(
        default=True, description="also process finished files here (none of the processors is built in yet: jobs wait)"
    )
    tls_cert: Path | None = Field(None, description="PEM file of the certificate chain")
    tls_key: Path | None = Field(None, description="PEM file of its key")
    max_file_size: Size = Field(512 * MIB, description="largest file taken")
    max_chunk_size: Size = Field(4 * MIB, description="largest chunk in one gRPC message")
    read_timeout: SomeTime = Field(timedelta(seconds=60), description="time a body may bring no byte")
    drain_timeout: Duration = Field(timedelta(seconds=25), description="grace time after SIGTERM")
    upload_ttl: SomeTime = Field(timedelta(hours=24), description="idle life of an unfinished upload")
    trash_ttl: Duration = Field(timedelta(days=30), description="life of a deleted file")
    allowed_types: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_patterns)] = Field(
        ("*/*",), description="patterns that a file's detected type must match, separated by commas"
    )
    fsync: FsyncPolicy = Field(FsyncPolicy.COMPLETE, description="never, complete files, or every chunk")
    auth: Auth | None = Field(None, description="open; must be said when listening beyond loopback")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.auth is None and not is_loopback(self.host):
            message = (
                f"host {self.host} can be reached from outside, and UPLOADSTREAM_AUTH is not set: anybody could read "
                "and write. Say UPLOADSTREAM_AUTH=open if that is meant, or listen on 127.0.0.1"
            )
            raise ValueError(message)
        for value, scheme in ((self.database, "sqlite"), (self.storage, "file")):
            if value and not value.startswith(f"{scheme}:///"):
                message = f"{value!r} is not supported yet; write {scheme}:///PATH"
                raise ValueError(message)
        if self.http_port == self.grpc_port != 0:
            message = f"http_port and grpc_port are both {self.http_port}; each needs its own"
            raise ValueError(message)
        if (self.tls_cert is None) != (self.tls_key is None):
            message = "tls_cert and tls_key go together"
            raise ValueError(message)
        return self

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """The PEM files of the certificate chain and of its key."""
        return (self.tls_cert, self.tls_key) if self.tls_cert and self.tls_key else None

    @property
    def catalog_path(self) -> Path:
        """The SQLite file."""
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
    """What is wrong with the settings, a line each."""


def load(**options: object) -> Settings:
    """The settings: options that are not None, then the environment, then defaults. BadSettings."""
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise BadSettings("\n".join(_line(problem["loc"], problem["msg"]) for problem in error.errors())) from None


def spelled(default: object) -> str:
    """A default as its variable would be written."""
    if isinstance(default, timedelta):
        seconds = int(default.total_seconds())
        unit = next(unit for unit in ("d", "h", "s") if seconds % _SECONDS[unit] == 0)
        return f"{seconds // int(_SECONDS[unit])}{unit}"
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


def _line(where: tuple[int | str, ...], problem: str) -> str:
    name = "_".join(map(str, where)).upper()
    variable = "UPLOADSTREAM" if name in {"UPLOADSTREAM", "DATABASE"} else f"UPLOADSTREAM_{name}"
    text = problem.removeprefix("Value error, ")
    return f"{variable}: {text}" if where else text
