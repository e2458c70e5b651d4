"""The endpoints of draft-ietf-httpbis-resumable-upload, and of plain POST and PUT at the same addresses.

The numbers R1 … R39 are those of the checklist that the tests name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from uploadstream.core.access import Caller
from uploadstream.core.digests import Digest
from uploadstream.core.errors import BadBodyType, NotFound, Refusal
from uploadstream.core.files import File
from uploadstream.core.ids import is_id
from uploadstream.core.session import Declared
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.intake import Intake
from uploadstream.engine.uploads import Uploaded, Uploads
from uploadstream.engine.watch import Incoming
from uploadstream.http.addresses import address
from uploadstream.http.callers import caller_of
from uploadstream.http.digests import NAMES, read_digest, read_wanted, write_digest
from uploadstream.http.interim import Interim
from uploadstream.http.pour import ClientGone, pour_body
from uploadstream.http.problems import PROBLEM_JSON, fields_of
from uploadstream.http.structured import joined
from uploadstream.http.trailers import announced
from uploadstream.protocols.ietf.dialects import VERSION_FIELD, Dialect, read_dialect
from uploadstream.protocols.ietf.fields import (
    PART_TYPE,
    Append,
    check_bare,
    check_creating,
    read_append,
    read_creation,
    read_kept,
    read_kept_digest,
    read_whole,
    write_file,
    write_limit,
    write_state,
)
from uploadstream.protocols.ietf.refusals import is_last_word, write_problem, write_status

RESUMPTION_SUPPORTED: Final = 104
PROGRESS_SECONDS: Final = 1.0
PROTOCOL: Final = "ietf"
CONTENT_PATH: Final = "/api/v1/files/{id}/content"


@dataclass(slots=True)
class Exchange:
    """A request, how to speak with its sender, and the upload that it is about as soon as there is one."""

    request: Request
    fields: Mapping[str, str]
    dialect: Dialect
    interim: Interim
    location: str = ""  # what a creation's answers have to name
    upload_id: str = ""

    def address(self, path: str) -> str:
        """One of our paths as the sender can ask for it."""
        return address(self.request.scope, path)

    @property
    def caller(self) -> Caller:
        """Who sent it. BadField."""
        return caller_of(self.request, PROTOCOL)

    async def tell(self, fields: Mapping[str, str]) -> None:
        """A 104, to who knows it (R39)."""
        if self.dialect.version is not None:
            version = {VERSION_FIELD: str(self.dialect.version)}
            await self.interim.send(RESUMPTION_SUPPORTED, {**fields, **version})

    def behind(self, name: str) -> Callable[[], Digest | None] | None:
        """What gives a digest that is to come behind the body, once that has ended (RFC 9530, section 2; R37)."""
        trailers = announced(name, self.request.scope, self.fields)
        return None if trailers is None else lambda: read_digest(name, trailers.get(name.lower()))

    @property
    def tells_progress(self) -> bool:
        """Whether the sender can be told how far its body has come."""
        knows = self.dialect.version is not None and self.dialect.tells_progress
        return bool(self.upload_id) and knows and self.interim.is_possible


Serve = Callable[[Exchange], Awaitable[Response]]
Methods = Mapping[str, Serve]


class Endpoint:
    """An ASGI application of one path: Starlette's functions have no way to send interim responses."""

    def __init__(self, serve: Callable[[Exchange], Awaitable[Response]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        fields = joined(request.headers.items())
        exchange = Exchange(request, fields, read_dialect(fields), Interim(scope, send))
        response = await self._serve(exchange)
        await response(scope, receive, send)


class Ietf:
    """The endpoints below `path`."""

    def __init__(
        self,
        uploads: Uploads,
        downloads: Downloads,
        *,
        path: str = "/files",
        progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        self._uploads = uploads
        self._downloads = downloads
        self._path = path
        self._progress_seconds = progress_seconds

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application; with and without a slash at the end."""
        one = f"{self._path}/{{id}}"
        every = list(HTTPMethod)  # Allow has those of the path
        return [
            *(Route(path, Endpoint(self._serve_all), methods=every) for path in (self._path, f"{self._path}/")),
            *(Route(path, Endpoint(self._serve_one), methods=every) for path in (one, f"{one}/")),
        ]

    def discovery(self) -> dict[str, str]:
        """What OPTIONS says of uploads here, of whichever protocol it is asked (R6)."""
        limits = self._uploads.limits
        limit = write_limit(size_max=limits.file_size_max, seconds=limits.upload_ttl.total_seconds())
        return {**limit, "Accept-Patch": PART_TYPE}

    async def _serve_all(self, exchange: Exchange) -> Response:
        methods = {"OPTIONS": self.options, "POST": self.create, "PUT": self.create, "PATCH": self.create_by_patch}
        return await self._serve(exchange, methods)

    async def _serve_one(self, exchange: Exchange) -> Response:
        methods: Methods = {
            "OPTIONS": self.options,
            "HEAD": self.look,
            "GET": self.look,
            "PATCH": self.append,
            "DELETE": self.cancel,
        }
        if not is_id(exchange.request.path_params["id"]):  # no upload's address: a file's name, as `curl -T` has it
            methods = {**methods, "PUT": self.create}
        return await self._serve(exchange, methods)

    async def _serve(self, exchange: Exchange, methods: Methods) -> Response:
        """One request, and its refusal spelled."""
        request = exchange.request
        allowed = {"Allow": ", ".join(methods)}
        if request.method not in methods:
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers=allowed)
        try:
            response = await methods[request.method](exchange)
        except Refusal as error:
            return await self._refused(exchange, error)
        except ClientGone:  # nobody is left to be answered
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        if request.method == "OPTIONS":
            response.headers.update(allowed)
        return response

    async def options(self, _: Exchange) -> Response:
        """What this server can do (R6)."""
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=self.discovery())

    async def create(self, exchange: Exchange) -> Response:
        """Begin an upload, with its first bytes if there are any (R9 to R18); a plain body becomes a file at once."""
        request = exchange.request
        name = request.query_params.get("filename") or request.path_params.get("id", "")
        said = exchange.dialect.read_complete(exchange.fields)
        if said is None:
            return await self._store_whole(exchange, name)
        creation = read_creation(exchange.fields, name=name, complete=exchange.dialect.completes(said=said))
        first = creation.first
        uploaded = await self._uploads.create(creation.declared, exchange.caller, count=first.count or 0)
        if uploaded.file is None:
            exchange.upload_id = uploaded.session.id
            exchange.location = exchange.address(f"{self._path}/{uploaded.session.id}")
            state = self._state(exchange, uploaded)
            await exchange.tell({"Location": exchange.location, "Upload-Limit": state["Upload-Limit"]})
            if first.count != 0:
                uploaded = await self._append(exchange, first)
        return await self._answer(exchange, uploaded, HTTPStatus.CREATED)

    async def create_by_patch(self, exchange: Exchange) -> Response:
        """The same by the method that, without the draft's fields, nothing is created by (R9)."""
        check_creating(exchange.fields, exchange.dialect)
        return await self.create(exchange)

    async def look(self, exchange: Exchange) -> Response:
        """Where the upload stands, once nobody writes it (R19 to R21)."""
        check_bare(exchange.fields, exchange.dialect)
        found = await self._uploads.settled(exchange.request.path_params["id"], exchange.caller)
        fields = {**self._state(exchange, found), "Cache-Control": "no-store"}
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=fields)

    async def append(self, exchange: Exchange) -> Response:
        """Append bytes, or say that they are all there (R22 to R30)."""
        exchange.upload_id = exchange.request.path_params["id"]
        uploaded = await self._append(exchange, read_append(exchange.fields, exchange.dialect))
        return await self._answer(exchange, uploaded, HTTPStatus.NO_CONTENT)

    async def cancel(self, exchange: Exchange) -> Response:
        """End an upload, or delete its file (R31)."""
        check_bare(exchange.fields, exchange.dialect)
        await self._uploads.abort(exchange.request.path_params["id"], exchange.caller)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _store_whole(self, exchange: Exchange, name: str) -> Response:
        """What clients that know nothing of uploads send: all of it, or nothing is left."""
        declared, given = read_whole(exchange.fields, name=name)
        digest = given or exchange.behind("Content-Digest") or exchange.behind("Repr-Digest")
        caller = caller_of(exchange.request)
        file = await self._uploads.store_whole(declared, caller, self._into(exchange), digest=digest)
        return await self._stored(exchange, file)

    async def _append(self, exchange: Exchange, body: Append) -> Uploaded:
        digest, behind = body.digest or exchange.behind("Content-Digest"), exchange.behind("Repr-Digest")

        def of_all(declared: Declared) -> Digest | None:
            return body.whole_digest or (behind and behind()) or read_kept_digest(declared)

        incoming = Incoming(self._into(exchange), body.at, body.length, body.count, body.complete, digest, of_all)
        return await self._uploads.append(exchange.upload_id, exchange.caller, incoming)

    def _into(self, exchange: Exchange) -> Callable[[Intake], Awaitable[None]]:
        """The request's body, on its way into an intake; its sender hears now and then how much is there (R11, R29)."""
        request = exchange.request

        async def pour(intake: Intake) -> None:
            if not exchange.tells_progress:
                await pour_body(request.scope, request.receive, intake)
                return
            telling = asyncio.create_task(self._tell_progress(exchange, intake, intake.stored[0]))
            try:
                await pour_body(request.scope, request.receive, intake)
            finally:
                telling.cancel()

        return pour

    async def _tell_progress(self, exchange: Exchange, intake: Intake, told: int) -> None:
        while True:
            await asyncio.sleep(self._progress_seconds)
            offset, _ = intake.stored
            if offset != told:
                await exchange.tell({"Upload-Offset": str(offset)})
            told = offset

    def _state(self, exchange: Exchange, uploaded: Uploaded) -> dict[str, str]:
        session = uploaded.session
        return write_state(session, exchange.dialect, seconds_left=self._uploads.seconds_left(session))

    async def _answer(self, exchange: Exchange, uploaded: Uploaded, status: int) -> Response:
        """The answer to a body that was taken: of the file if it is complete, else of the upload."""
        state = self._state(exchange, uploaded)
        if uploaded.file is not None:
            return await self._stored(exchange, uploaded.file, state)
        location = {"Location": exchange.location} if exchange.location else {}
        return Response(status_code=status, headers={**state, **location})

    async def _stored(self, exchange: Exchange, file: File, state: Mapping[str, str] | None = None) -> Response:
        """The answer to a whole file, however it came (R12, R24, R27), with the digest that is wanted (R37)."""
        fields = {**(state or {}), "Location": exchange.address(CONTENT_PATH.format(id=file.id))}
        wants = exchange.fields.get("want-repr-digest") or read_kept(file.metadata, "want-repr-digest")
        wanted = read_wanted(wants)
        if wanted is not None:
            fields["Repr-Digest"] = write_digest(wanted, await self._downloads.digest(file, NAMES[wanted]))
        return JSONResponse(write_file(file), HTTPStatus.CREATED, fields)

    async def _refused(self, exchange: Exchange, error: Refusal) -> Response:
        """A refusal, and where the upload stands now if there is one (R8, R15, R16, R23)."""
        fields = fields_of(error)
        if exchange.location:
            fields["Location"] = exchange.location
        if isinstance(error, BadBodyType) and error.field == "Content-Encoding":
            fields["Accept-Encoding"] = "identity"
        fields |= await self._standing(exchange, error)
        return JSONResponse(write_problem(error), write_status(error), fields, PROBLEM_JSON)

    async def _standing(self, exchange: Exchange, error: Refusal) -> dict[str, str]:
        """What the answer to a refused request says of its upload."""
        dialect = exchange.dialect
        if exchange.upload_id:
            with suppress(Refusal):
                found = await self._uploads.status(exchange.upload_id, exchange.caller)
                # it is the upload's answer, not that of the file (R3, R16)
                return self._state(exchange, found) | dialect.write_complete(complete=False)
        if isinstance(error, NotFound):
            return {}
        limit = write_limit(size_max=self._uploads.limits.file_size_max)
        return limit | dialect.write_complete(complete=is_last_word(error))
