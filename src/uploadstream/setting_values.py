"""The kinds of values that settings have: how each is written, and what is wrong with one that is not."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PositiveInt, SecretStr
from pydantic_settings import NoDecode

from uploadstream.core.allowances import READ
from uploadstream.core.dsns import SCHEMES, Dsn
from uploadstream.core.errors import BadField
from uploadstream.core.media import check_pattern
from uploadstream.core.ratelimit import Rate
from uploadstream.core.wording import shortened

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII)
_PORTS: Final = {"http": ":80", "https": ":443"}  # which browsers leave out

# With or without a star for whatever is before it; or an address, of version 6 with its brackets or without.
_HOST: Final = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]+", re.ASCII)

_PUBLIC: Final = "-----BEGIN "
_PRIVATE: Final = "PRIVATE KEY-----"
# What somebody writes who means a file: taken for a secret, its name would be one that can be guessed.
_PATH: Final = re.compile(r"^(/|\.{1,2}/|~)|\.(cer|crt|der|jwk|jwks|json|key|pem|pub|secret|txt)$", re.IGNORECASE)
JWT_SECRET_BYTES_MIN: Final = 32  # RFC 7518, section 3.2

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?", re.ASCII)
# So that a time from now on is always a date.
LONGEST: Final = timedelta(days=36_500)
SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def read_duration(value: object) -> object:
    """`90`, `90s`, `1.5h`, `30d` as a time."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        message = f"{value!r} is not a duration; write a number and one of {', '.join(SECONDS)}"
        raise ValueError(message)
    seconds = float(match[1]) * SECONDS[match[2] or "s"]
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


def _well_formed(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        message = "no type is let in; write */* for all, or such as image/*,video/mp4"
        raise ValueError(message)
    for pattern in patterns:
        try:
            check_pattern(pattern, field="")
        except BadField:
            message = f"{pattern!r} is no pattern of types; write */*, or such as image/* or image/png"
            raise ValueError(message) from None
    return patterns


def _origins(value: object) -> object:
    """Origins as browsers spell them: lower case, no slash at the end, no port that goes without saying."""
    if not isinstance(value, str):
        return value
    origins = (part.strip().lower().rstrip("/") for part in value.split(","))
    return tuple(origin.removesuffix(_PORTS.get(origin.partition("://")[0], "")) for origin in origins if origin)


def _are_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin not in {"*", "null"} and not _ORIGIN.fullmatch(origin):
            message = f"{origin!r} is no origin; write *, or such as https://app.example.com,http://localhost:3000"
            raise ValueError(message)
    return origins


def _hosts(value: object) -> object:
    """Hosts as they are compared: lower case, other letters than ASCII as they are looked up; `off` is none."""
    if not isinstance(value, str):
        return value
    hosts = (part.strip().lower().rstrip(".").strip("[]") for part in value.split(","))
    return tuple(_looked_up(host) for host in hosts if host and host != "off")


def _looked_up(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _are_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not _HOST.fullmatch(host):
            message = f"{host!r} is no host; write *, or such as example.com,*.example.org"
            raise ValueError(message)
    return hosts


def _jwt_key(value: object) -> object:
    """What is in the file, if it names one. What is refused may be a secret, and is not repeated."""
    if not isinstance(value, str) or not value:
        return value
    is_file = _PUBLIC not in value and _is_file(value)
    text = _text_of_file(value) if is_file else value
    if _PRIVATE in text:
        message = "is a private key, which its issuer should keep; name the public one: openssl pkey -in FILE -pubout"
        raise ValueError(message)
    if not is_file and _PATH.search(value) and _PUBLIC not in value:
        message = "names no file; a secret that looks like the name of one has to be in a file"
        raise ValueError(message)
    length = len(text.encode(errors="replace"))
    if _PUBLIC not in text and length < JWT_SECRET_BYTES_MIN:
        message = f"is a secret of {length} bytes, which can be guessed; take {JWT_SECRET_BYTES_MIN} at least: "
        raise ValueError(message + "openssl rand -base64 32")
    return text.replace("\\n", "\n") if _PUBLIC in text else text  # as variables of one line have it


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False


def _text_of_file(name: str) -> str:
    try:
        return Path(name).read_text().strip()
    except OSError as error:
        message = f"{name}: {error.strerror}; name a file that this user may read"
        raise ValueError(message) from None
    except UnicodeDecodeError:
        message = f"{name} is not text; name a file with a key in PEM form, or with a secret"
        raise ValueError(message) from None


def _is_key_set(value: str) -> str:
    """A file, or a URL."""
    kind, found, rest = value.partition("://")
    if found and (kind.lower() not in {"http", "https"} or not rest.strip("/")):
        message = f"{shortened(value)!r} is no URL that can be asked; write https://HOST/PATH, or name a file"
        raise ValueError(message)
    if value and not found and not _is_file(value):
        message = f"{shortened(value)!r} is no file; name one, or write https://HOST/PATH"
        raise ValueError(message)
    return value


def file_url(value: str, *, scheme: str) -> str:
    """Empty, or `scheme:///path`. What is refused may hold a password, and is not repeated."""
    path = value.removeprefix(f"{scheme}:///")
    if value and (path == value or not path.strip("/")):
        kind, found, _ = value.partition("://")
        problem = f"{kind}:// is not in this version yet" if found and kind != scheme else "this names no file"
        message = f"{problem}; write {scheme}:///PATH"
        raise ValueError(message)
    return value


def file_or_dsn(value: str) -> str:
    """A file of SQLite, or a DSN of PostgreSQL."""
    if value.partition(":")[0] not in SCHEMES:
        return file_url(value, scheme="sqlite")
    Dsn(value)
    return value


def _limit(name: str) -> BeforeValidator:
    """What reads the limit of that name."""
    return BeforeValidator(lambda value: READ[name](value) if isinstance(value, str) else value)


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
SomeTime = Annotated[Duration, AfterValidator(_more_than_nothing)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins), AfterValidator(_are_origins)]
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts), AfterValidator(_are_hosts)]
Patterns = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_patterns), AfterValidator(_well_formed)]
JwtKey = Annotated[SecretStr | None, BeforeValidator(_jwt_key)]
KeySet = Annotated[str, AfterValidator(_is_key_set)]
ByteRate = Annotated[Rate | None, NoDecode, _limit("rate_bytes")]
UploadRate = Annotated[Rate | None, NoDecode, _limit("rate_uploads")]
ActiveUploads = Annotated[PositiveInt | None, _limit("max_active_uploads")]
Quota = Annotated[PositiveInt | None, _limit("quota_bytes")]
