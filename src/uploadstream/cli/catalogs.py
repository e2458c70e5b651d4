"""What commands that open the catalog themselves say of it."""

from __future__ import annotations

from uploadstream.core.errors import CatalogUnavailable


def cause_of(error: CatalogUnavailable) -> str:
    """Why the catalog cannot be had, in the words of its database."""
    cause: BaseException | None = error.__cause__
    while cause is not None:
        if said := str(getattr(cause, "orig", None) or cause):
            return said.splitlines()[0].removeprefix("<class ").strip()
        cause = cause.__cause__
    return str(error)
