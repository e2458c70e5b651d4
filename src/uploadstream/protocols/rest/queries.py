"""What a listing of files may be asked for, as the API's queries spell it."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, Field, WithJsonSchema
from pydantic.config import JsonDict

from uploadstream.core.listings import TYPE_LENGTH_MAX, Sort, Wanted
from uploadstream.core.media import FILENAME_BYTES_MAX
from uploadstream.core.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX


class Order(enum.StrEnum):
    """From the smallest on, or from the largest."""

    ASC = "asc"
    DESC = "desc"


# What is documented here is checked where its rule is; the framework would say it in words of its own.
ROWS: Final = f"rows a page; 0 means {PAGE_SIZE_DEFAULT}, more than {PAGE_SIZE_MAX} mean {PAGE_SIZE_MAX}"
NOT_NEGATIVE: Final[JsonDict] = {"minimum": 0}
NAME: Final[JsonDict] = {"maxLength": FILENAME_BYTES_MAX}
TYPE: Final[JsonDict] = {"maxLength": TYPE_LENGTH_MAX, "pattern": "^([^/]+/[^/]+)?$"}

Moment = Annotated[datetime | None, WithJsonSchema({"type": "string", "format": "date-time"})]
Direction = Annotated[Order | None, WithJsonSchema({"type": "string", "enum": [*Order]})]


class FilesQuery(BaseModel):
    """Which files, in which order, how many and from where on."""

    deleted: bool = Field(default=False, description="those in the trash instead of those in use")
    name: str = Field(default="", description="a part of the name, in small or capital letters", json_schema_extra=NAME)
    type: str = Field(
        default="",
        description="a content type, or all of a kind",
        examples=["image/*", "video/mp4"],
        json_schema_extra=TYPE,
    )
    uploaded_after: Moment = Field(default=None, description="uploaded at that time or later (UTC if not told)")
    uploaded_before: Moment = Field(default=None, description="uploaded before that time")
    sort: Sort = Field(default=Sort.UPLOADED_AT, description="what they are ordered by; names regardless of capitals")
    order: Direction = Field(default=None, description="names go up if nothing is said, times and sizes down")
    page_size: int = Field(default=0, description=ROWS, json_schema_extra=NOT_NEGATIVE)
    page_token: str = Field(default="", description="next_page_token of the page before; the rest asked for as there")

    def wanted(self) -> Wanted:
        """The same in the words of the core."""
        return Wanted(
            deleted=self.deleted,
            name=self.name,
            content_type=self.type,
            since=_aware(self.uploaded_after),
            until=_aware(self.uploaded_before),
            sort=self.sort,
            descending=self.order is Order.DESC if self.order else self.sort is not Sort.FILENAME,
        )


def _aware(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)
