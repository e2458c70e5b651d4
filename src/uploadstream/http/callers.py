"""Who sent a request, by what it says of itself."""

from __future__ import annotations

from starlette.requests import Request

from uploadstream.core.access import Caller, check_user
from uploadstream.http.fields import check_single, read_text


def caller_of(request: Request, protocol: str = "http") -> Caller:
    """The user that `X-User-Id` or the link names, and the address. BadField, also of any field there twice."""
    check_single(request.headers.items())
    address = request.client.host if request.client else ""
    user_id = read_text(request.headers.get("x-user-id", "")) or request.query_params.get("user_id", "")
    return Caller(check_user(user_id), protocol, address)
