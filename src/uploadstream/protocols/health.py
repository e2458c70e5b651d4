"""/healthz and /readyz: whether the process lives, and whether it should be sent requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from uploadstream.core.errors import Refusal


class Health:
    """`checks`: what must work, by name; each raises a Refusal if it does not. `is_draining`: about to stop."""

    def __init__(self, checks: Mapping[str, Callable[[], Awaitable[None]]], is_draining: Callable[[], bool]) -> None:
        self._checks = checks
        self._is_draining = is_draining

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application."""
        return [Route("/healthz", self.alive), Route("/readyz", self.ready)]

    async def alive(self, _: Request) -> Response:
        """The event loop turns."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """Every part that a request needs answers."""
        parts = {name: await self._say(check) for name, check in self._checks.items()}
        if self._is_draining():
            parts["server"] = "draining"
        ok = set(parts.values()) <= {"ok"}
        status = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"status": "ok" if ok else "unavailable", **parts}, status)

    async def _say(self, check: Callable[[], Awaitable[None]]) -> str:
        try:
            await check()
        except Refusal as error:
            return str(error)
        return "ok"
