"""`OPTIONS *`: what the server can do, whichever resource is meant (RFC 9110, section 9.3.7)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from uploadstream.http.targets import WHOLE_SERVER


class WholeServer(BaseRoute):
    """Where a request for no resource goes; `fields`: what there is to say. Servers of others may not hand it on."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As every route does."""
        is_meant = scope["type"] == "http" and scope["path"].encode() == WHOLE_SERVER and scope["method"] == "OPTIONS"
        return (Match.FULL if is_meant else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As every route does."""
        await Response(status_code=HTTPStatus.NO_CONTENT, headers=self._fields)(scope, receive, send)
