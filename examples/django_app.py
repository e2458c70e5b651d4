"""Uploads beside a Django application (ASGI), under /uploads. Run it: uvicorn examples.django_app:application

In a project of its own this is `asgi.py`; the settings and the view are here so that the example is one file.
"""

from pathlib import Path

import django
from django.conf import settings
from django.core import signing
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from uploadstream import StoredFile, UploadStream

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="change me", ALLOWED_HOSTS=["*"])
django.setup()


def log_in(_: HttpRequest, name: str) -> HttpResponse:
    """A stand-in for a login: a signed cookie. A project with sessions reads those, in `authenticate`."""
    response = HttpResponse(f"hello, {name}")
    response.set_cookie("user", signing.dumps(name), httponly=True, samesite="Lax")
    return response


urlpatterns = [path("login/<str:name>/", log_in)]


def authenticate(request: Request) -> str | None:
    """The user that Django knows. It runs in a thread, so that Django's ORM may be used."""
    try:
        return str(signing.loads(request.cookies.get("user", "")))
    except signing.BadSignature:
        return None


def completed(file: StoredFile) -> None:
    """The place for `Document.objects.create(...)`."""
    with Path("arrived.txt").open("a") as log:
        log.write(f"{file.file_id} {file.user_id} {file.filename}\n")


uploads = UploadStream(data_dir="data", authenticate=authenticate, completed=completed)
routes = [Mount("/uploads", uploads), Mount("/", get_asgi_application())]
application = Starlette(routes=routes, lifespan=lambda _: uploads.lifespan())
