"""What is done after a lease was taken by force: nobody else may change any more what there is to go on with.

Only the blob of an open upload that can be resumed is gone on with. A finished file's is closed, others are removed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from uploadstream.core.ids import is_id
from uploadstream.core.session import State
from uploadstream.ports import BlobStore, Catalog


def fencing(catalog: Catalog, blobs: BlobStore) -> Callable[[str, Callable[[], None]], Awaitable[None]]:
    """What keeps the earlier holders of a key out, unless `check` says that it is another's work now."""

    async def fence(key: str, check: Callable[[], None]) -> None:
        upload = await catalog.upload(key) if is_id(key) else None
        if upload is not None and upload.state is State.OPEN and not upload.is_whole:
            await blobs.fence(key, check=check)

    return fence
