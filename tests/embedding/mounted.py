"""An application of somebody else, which has the service under a path of its own; for any ASGI server to serve."""

import os

from fastapi import FastAPI

from uploadstream import UploadStream

app = FastAPI()
app.mount("/some/path", UploadStream(data_dir=os.environ["DATA_DIR"], fsync="never", max_file_size="8MiB"))


@app.get("/mine")
async def mine() -> str:
    """What the application does by itself."""
    return "mine"
