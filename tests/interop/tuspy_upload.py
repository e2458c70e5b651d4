"""Uploads one file with tuspy, as the job in the first argument says, and prints one JSON object.

A process of its own, as tuspy leaves the files it reads to the garbage collector, and so that a second one knows
of the first only what tuspy itself has stored.
"""

import json
import sys
from typing import Any

from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.storage.filestorage import FileStorage


def upload(
    *, endpoint: str, file: str, storage: str | None = None, stop_at: int | None = None, **options: Any
) -> dict[str, Any]:
    """Upload `file` up to `stop_at`; `options` go to tuspy's uploader."""
    if storage is not None:
        options |= {"store_url": True, "url_storage": FileStorage(storage)}
    try:
        uploader = TusClient(endpoint).uploader(file, **options)
        begun_at = uploader.offset
        uploader.upload(stop_at)
    except TusCommunicationError as error:
        return {"status": error.status_code, "body": (error.response_content or b"").decode()}
    return {"url": uploader.url, "begun_at": begun_at, "offset": uploader.offset}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(upload(**json.loads(sys.argv[1]))))
