"""What a listing of files may be asked for, as the API's queries spell it."""

from __future__ import annotations

import enum
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from uploadstream.core.listings import Sort, Wanted


class Order(enum.StrEnum):
    """From the smallest on, or from the largest."""

    ASC = "asc"
    DESC = "desc"


class FilesQuery(BaseModel):
    """Which files, in which order, how many and from where on."""

    deleted: bool = Field(default=False, description="those in the trash instead of those in use")
    name: str = Field(default="", description="a part of the name, in small or capital letters")
    type: str = Field(default="", description="a content type, or all of a kind", examples=["image/*", "video/mp4"])
    uploaded_after: datetime | None = Field(
        default=None, description="uploaded at that time or later (UTC if not told)"
    )
    uploaded_before: datetime | None = Field(default=None, description="uploaded before that time")
    sort: Sort = Field(default=Sort.UPLOADED_AT, description="what they are ordered by; names regardless of capitals")
    order: Order | None = Field(default=None, description="names go up if nothing is said, times and sizes down")
    page_size: int = Field(default=0, description="rows a page; 0 means 20, at most 1000")
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
