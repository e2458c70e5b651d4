"""Tokens for uploads, as the API spells them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uploadstream.core.access import Bounds
from uploadstream.core.checks import together
from uploadstream.core.errors import BadField
from uploadstream.core.media import check_pattern
from uploadstream.engine.passes import SECONDS_DEFAULT, SECONDS_MAX, Pass
from uploadstream.http.fields import COUNT_MAX
from uploadstream.http.small_bodies import read_object

TYPES_MAX: Final = 20

Bytes = Annotated[int, Field(ge=0, le=COUNT_MAX, strict=True)]
Pattern = Annotated[str, Field(max_length=100)]


class TokenIn(BaseModel):
    """What a token is to be good for: one upload that there is, or new ones within bounds."""

    model_config = ConfigDict(extra="forbid")

    upload_id: str | None = Field(None, max_length=36, description="the upload; nothing else may be said of it")
    size_max: Bytes | None = Field(None, description="bytes that a new upload may have")
    allowed_types: list[Pattern] | None = Field(
        None, min_length=1, max_length=TYPES_MAX, description="patterns that its detected type must match"
    )
    expires_in: Annotated[int, Field(ge=1, le=SECONDS_MAX, strict=True)] = Field(SECONDS_DEFAULT, description="seconds")


class TokenOut(BaseModel):
    """A token, to be sent as `Authorization: Bearer`."""

    token: str
    expires_at: datetime
    user_id: str
    upload_id: str | None
    size_max: int | None
    allowed_types: list[str] | None


async def read_wish(request: Request) -> tuple[Bounds, int]:
    """What is asked for, and for how many seconds. BadField, BadBodyType."""
    try:
        asked = TokenIn.model_validate(await read_object(request))
    except ValidationError as error:
        bad = [_bad(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        raise together(bad) from None
    is_bound = asked.size_max is not None or asked.allowed_types is not None
    if (asked.upload_id is not None) == is_bound:
        raise BadField("upload_id", "either this must be there, or else size_max, allowed_types or both")
    types = tuple(check_pattern(pattern, field="allowed_types") for pattern in asked.allowed_types or ())
    return Bounds(asked.upload_id or "", asked.size_max, types), asked.expires_in


def _bad(field: str, message: str) -> BadField:
    return BadField(field, message.replace("Input should be", "must be"))


def write_pass(given: Pass) -> TokenOut:
    """A token as the API spells it."""
    bounds = given.identity.bounds or Bounds()
    return TokenOut(
        token=given.text,
        expires_at=given.expires_at,
        user_id=given.identity.user_id,
        upload_id=bounds.upload_id or None,
        size_max=bounds.size_max,
        allowed_types=list(bounds.allowed_types) or None,
    )
