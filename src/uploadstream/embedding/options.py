"""The settings of a service that another application serves, as its code gives them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from uploadstream.settings import BadSettings, Settings


class Options(TypedDict, total=False):
    """Settings by their names. Sizes and times may be written as in the environment: `"2GiB"`, `"24h"`."""

    data_dir: str | Path
    database: str
    pool_size: int
    storage: str
    processing: bool
    cors_origins: str | tuple[str, ...]
    fetch_hosts: str | tuple[str, ...]
    jwt_key: str
    jwt_jwks: str
    jwt_issuer: str
    jwt_audience: str
    jwt_user_claim: str
    max_file_size: int | str
    read_timeout: timedelta | str
    drain_timeout: timedelta | str
    upload_ttl: timedelta | str
    trash_ttl: timedelta | str
    audit_downloads: bool
    allowed_types: str | tuple[str, ...]
    rate_uploads: str
    rate_bytes: str
    max_active_uploads: int | str
    quota_bytes: int | str
    fsync: Literal["never", "complete", "chunk"]


class _Given(Settings):
    """Settings as they are given, whatever the environment says."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given."""
        return (init_settings,)


def settings_of(**options: Unpack[Options]) -> Settings:
    """These options, and defaults. BadSettings; TypeError for an option that there is not."""
    if unknown := sorted(options.keys() - Options.__annotations__.keys()):
        message = f"{unknown[0]} is no setting here; there are {', '.join(Options.__annotations__)}"
        raise TypeError(message)
    try:
        return _Given(**options)
    except ValidationError as error:
        raise BadSettings([_line(problem["loc"][0], problem["msg"]) for problem in error.errors()]) from None


def _line(field: object, message: str) -> str:
    return f"{field}: {message.removeprefix('Value error, ')}"
