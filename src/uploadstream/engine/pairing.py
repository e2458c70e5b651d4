"""A catalog and a store belong together: both keep the id that the store got when they first met.

Invariant: unless the ids agree, neither is judged by the other. A volume that is not mounted is no loss of every file,
and an empty catalog no reason to remove every blob.
"""

from __future__ import annotations

from contextlib import aclosing

from uploadstream.ports import BlobStore, Catalog


class WrongStore(Exception):
    """The catalog and the store at `place` do not belong together."""

    def __init__(self, place: str, *, expected: str | None, found: str | None) -> None:
        self.expected = expected
        self.found = found
        if expected is None:
            says = "has blobs that this new catalog knows nothing of; restore their catalog, or choose an empty storage"
        else:
            says = (
                f"is not the one this catalog belongs to: store {expected} is expected there, "
                f"{f'{found} was' if found else 'none was'} found; is a volume not mounted, or the place mistyped?"
            )
        super().__init__(f"Storage at {place} {says}")


async def pair(catalog: Catalog, blobs: BlobStore, *, new_id: str, place: str) -> None:
    """Check that the two belong together; a new catalog and a store without blobs do from now on. WrongStore."""
    if await catalog.store_id() is None and await _is_empty(blobs):
        # first the store: a process that dies in between leaves one that has an id and no blobs, which may be paired
        await catalog.set_store_id(await blobs.set_store_id(new_id))
    await check_pair(catalog, blobs, place=place)


async def check_pair(catalog: Catalog, blobs: BlobStore, *, place: str) -> None:
    """WrongStore, unless the two belong together, or have yet to meet."""
    if await catalog.store_id() is None and await _is_empty(blobs):
        return
    found = await blobs.store_id()
    # asked again: what was found may come from a process that has paired the two meanwhile
    expected = await catalog.store_id()
    if expected is None or found != expected:
        raise WrongStore(place, expected=expected, found=found)


async def is_pair(catalog: Catalog, blobs: BlobStore) -> bool:
    """The two belong together, as far as their ids say."""
    return await blobs.store_id() == await catalog.store_id()


async def _is_empty(blobs: BlobStore) -> bool:
    async with aclosing(blobs.blobs()) as listing:  # type: ignore[type-var]
        async for _ in listing:
            return False
    return True
