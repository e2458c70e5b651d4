"""Uploads inside a FastAPI application that knows its users. Run it: uvicorn examples.fastapi_app:app

curl --cookie session=ann-secret -T film.mp4 http://127.0.0.1:8000/uploads/files/
"""

from dataclasses import replace

from fastapi import FastAPI, Request

from uploadstream import Forbidden, NewUpload, StoredFile, UploadStream

USERS = {"ann-secret": "ann", "bob-secret": "bob"}  # an application has a database here
arrived: list[str] = []


def authenticate(request: Request) -> str | None:
    """The user of a session; nobody else is let in. A plain function may block: it runs in a thread."""
    return USERS.get(request.cookies.get("session", ""))


async def before_create(upload: NewUpload) -> NewUpload:
    """Bob may not upload, and nobody any program; of what is taken, the name says whose it is."""
    if upload.user_id == "bob":
        raise Forbidden("Your plan has no uploads")
    name = upload.filename if upload.is_partial else f"{upload.user_id}-{upload.filename}"
    return replace(upload, filename=name, allowed_types=("image/*", "video/*", "text/*"))


async def completed(file: StoredFile) -> None:
    """There is a new file."""
    arrived.append(f"{file.filename}: {file.size} bytes")


uploads = UploadStream(data_dir="data", authenticate=authenticate, before_create=before_create, completed=completed)
app = FastAPI(lifespan=lambda _: uploads.lifespan())
app.mount("/uploads", uploads)


@app.get("/arrived")
async def list_arrived() -> list[str]:
    """What has come since the start."""
    return arrived
