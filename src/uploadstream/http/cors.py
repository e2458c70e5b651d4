"""Pages of other origins may use every protocol: which ones, and what their scripts may read of a response.

Invariant: it goes around everything, so that a refusal and a failure can be read as well as a success.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

# A script sees no field but these and the few that the Fetch standard lets through (section 2.2.2, safelisted).
EXPOSED: Final = (
    *("Accept-Ranges", "Allow", "Content-Disposition", "Content-Length", "Content-Range", "Date", "ETag", "Location"),
    *("Link", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-Id"),
    *("Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version"),
    *("Upload-Concat", "Upload-Defer-Length", "Upload-Expires", "Upload-Length", "Upload-Metadata", "Upload-Offset"),
    *("Accept-Patch", "Upload-Complete", "Upload-Draft-Interop-Version", "Upload-Incomplete", "Upload-Limit"),
    *("Content-Digest", "Repr-Digest", "Want-Content-Digest", "Want-Repr-Digest"),
    "X-Content-Transfer-Id",
)
# How long a browser may remember that it may ask. None keeps it longer than a day, Chromium not longer than two hours.
MAX_AGE_SECONDS: Final = 24 * 60 * 60


def with_cors(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """`app`, for pages of `origins` too (`*`: of all). An OPTIONS that is no preflight goes on to it.

    Never with credentials: what a browser has of them, such as cookies, is of no use to a page from elsewhere.
    """
    return CORSMiddleware(
        app,
        allow_origins=tuple(origins),
        allow_methods=("*",),
        allow_headers=("*",),
        expose_headers=EXPOSED,
        max_age=MAX_AGE_SECONDS,
    )


def refusal_fields(origins: Collection[str]) -> dict[str, str]:
    """What goes with a refusal that is written before it is known who asks: nothing, unless all may read it."""
    return {"Access-Control-Allow-Origin": "*"} if "*" in origins else {}
