"""FilePond's server protocol, of the clients 4.32 and 5.0: every call goes to one path.

A transfer id is an upload's id, and so is the id of the file. The numbers F1 … F12 are those of the checklist that the
tests name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from uploadstream.core.access import Caller
from uploadstream.core.errors import BadField, LengthMismatch, Refusal, TooLarge
from uploadstream.core.media import SNIFF_BYTES, check_allowed, check_declared
from uploadstream.core.session import Declared
from uploadstream.core.sizes import KIB, MIB
from uploadstream.engine.chunks import Chunks
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.intake import Intake
from uploadstream.engine.uploads import Uploads
from uploadstream.engine.watch import Incoming, Pour
from uploadstream.http.callers import caller_of
from uploadstream.http.fields import read_count
from uploadstream.http.pour import ClientGone, body_of
from uploadstream.http.problems import fields_of
from uploadstream.ports import Remote, Web
from uploadstream.protocols.filepond.fields import (
    ANY_TYPE,
    read_chunk,
    read_declared,
    read_remote,
    write_content,
    write_file,
    write_refusal,
    write_status,
)
from uploadstream.protocols.filepond.forms import FORM_BYTES_MAX, Form

PROTOCOL: Final = "filepond"
PIECE_SIZE: Final = 256 * KIB
ID_BYTES_MAX: Final = 256
LIST_BYTES_MAX: Final = 4 * MIB
# By which names the query gives an id: to go on with an upload, or to read a file; a 5.0 has one for all.
UPLOAD_KEYS: Final = ("patch", "id")
FILE_KEYS: Final = ("restore", "load", "id")
# With which an id never begins.
URL_BEGINNINGS: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Call:
    """A request, who sent it, and what stays open until it is answered."""

    request: Request
    caller: Caller
    opened: AsyncExitStack


Handler = Callable[[Call], Awaitable[Response]]


class FilePond:
    """The endpoint at `path`. `web`: for `fetch`; None: that is off."""

    def __init__(
        self, uploads: Uploads, chunks: Chunks, downloads: Downloads, web: Web | None = None, *, path: str = "/filepond"
    ) -> None:
        self._uploads = uploads
        self._chunks = chunks
        self._downloads = downloads
        self._web = web
        self._path = path
        self._methods: Mapping[str, Handler] = {
            "POST": self.post,
            "PATCH": self.patch,
            "HEAD": self.head,
            "GET": self.get,
            "DELETE": self.delete,
            "OPTIONS": self.options,
        }

    def routes(self) -> list[BaseRoute]:
        """For a Starlette application; with and without a slash at the end."""
        return [Route(path, self, methods=list(HTTPMethod)) for path in (self._path, f"{self._path}/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what its answer is read from stays open until that is sent."""
        request = Request(scope, receive)
        async with AsyncExitStack() as opened:
            response = await self._serve(request, opened)
            # A fetched file that fails on its way: its answer is left without an end, so that it is not taken for it.
            with suppress(BadField, TooLarge):
                await response(scope, receive, send)

    async def _serve(self, request: Request, opened: AsyncExitStack) -> Response:
        """Its answer, or its refusal as a sentence."""
        handler = self._methods.get(request.method)
        if handler is None:
            return PlainTextResponse("", HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": ", ".join(self._methods)})
        try:
            caller = Caller() if request.method == HTTPMethod.OPTIONS else caller_of(request, PROTOCOL)
            return await handler(Call(request, caller, opened))
        except Refusal as error:
            return PlainTextResponse(str(error), write_refusal(error, request.method), fields_of(error))
        except ClientGone:  # nobody is left to be answered
            return Response(status_code=HTTPStatus.BAD_REQUEST)

    async def options(self, _: Call) -> Response:
        """Which methods there are."""
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(self._methods)})

    async def post(self, call: Call) -> Response:
        """Take a file, or begin an upload in chunks; the answer is the id and nothing else (F1)."""
        request, user_id = call.request, call.caller.user_id
        if known := asked(request, "id"):
            return await self._complete(call, known)
        content_type = request.headers.get("content-type", "")
        if not content_type and "upload-length" in request.headers:  # a 5.0 sends no form
            return await self._create(call, read_declared(request.headers, user_id, [], None))
        form = Form(content_type, request.receive)
        count = read_count("Content-Length", request.headers.get("content-length")) or 0
        if count > self._uploads.limits.file_size_max + FORM_BYTES_MAX:
            raise TooLarge(size=count - FORM_BYTES_MAX, limit=self._uploads.limits.file_size_max)
        file = await form.read_head()
        declared = read_declared(request.headers, user_id, form.fields, file)
        if file is None:
            return await self._create(call, declared)
        return written((await self._uploads.store_whole(declared, call.caller, form.pour)).id)

    async def _create(self, call: Call, declared: Declared) -> Response:
        return written((await self._uploads.create(declared, call.caller)).session.id)

    async def _complete(self, call: Call, upload_id: str) -> Response:
        """Say that an upload has all its chunks (F12): it is complete already, or some are missing."""
        await read_small(call.request, size_max=LIST_BYTES_MAX)
        found = await self._uploads.standing(upload_id, call.caller)
        if found.file is None:
            raise LengthMismatch(received=found.session.offset, declared=found.session.length or 0)
        return written(found.file.id, HTTPStatus.OK)

    async def patch(self, call: Call) -> Response:
        """Append a chunk, which may have come before, wholly or in part (F4, F6)."""
        upload_id = needed(call.request, *UPLOAD_KEYS)
        chunk = read_chunk(call.request.headers)
        incoming = Incoming(body_of(call.request), chunk.offset, chunk.length, chunk.count, may_repeat=True)
        uploaded = await self._chunks.append(upload_id, call.caller, incoming, filename=chunk.name)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Upload-Offset": str(uploaded.session.offset)})

    async def head(self, call: Call) -> Response:
        """Where an upload stands (F7); what a file is; or store a file of another server (F11)."""
        if (url := asked(call.request, "fetch")) is not None:
            return await self._fetch_here(call, url)
        upload_id = asked(call.request, *UPLOAD_KEYS)
        if upload_id is None:
            file = await self._downloads.open(needed(call.request, *FILE_KEYS), call.caller)
            return Response(headers=write_file(file))
        found = await self._uploads.standing(upload_id, call.caller)
        of_file = write_file(found.file) if found.file else {}
        return Response(headers={**of_file, **write_status(found.session)})

    async def get(self, call: Call) -> Response:
        """The bytes of a file, ours (restore, load) or another server's (fetch)."""
        if (url := asked(call.request, "fetch")) is not None:
            return await self._hand_on(call, url)
        wanted = needed(call.request, *FILE_KEYS)
        if wanted.startswith(URL_BEGINNINGS):  # a `load` of what is not here
            return await self._hand_on(call, wanted)
        file = await self._downloads.open(wanted, call.caller)
        await self._downloads.begin(file, call.caller, start=0, count=file.size)
        pieces = self._downloads.read(file, start=0, stop=file.size, piece_size=PIECE_SIZE)
        return StreamingResponse(pieces, headers=write_file(file))

    async def delete(self, call: Call) -> Response:
        """End an upload, or move its file to the trash (revert); the body is the id (F1)."""
        upload_id = asked(call.request, "id")
        if upload_id is None:
            upload_id = (await read_small(call.request, size_max=ID_BYTES_MAX)).decode(errors="replace").strip()
        await self._uploads.abort(upload_id, call.caller)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _fetch_here(self, call: Call, url: str) -> Response:
        """Store a file of another server; the browser gets its id instead of its bytes."""
        remote = await self._remote(call, url)
        declared = read_remote(remote, call.caller.user_id)
        file = await self._uploads.store_whole(declared, call.caller, out_of(remote))
        return Response(headers={**write_file(file), "X-Content-Transfer-Id": file.id})

    async def _hand_on(self, call: Call, url: str) -> Response:
        """The bytes of a file of another server, if they may be taken here: the browser is going to send them."""
        remote = await self._remote(call, url)
        declared = read_remote(remote, call.caller.user_id)
        first, pieces = await begun(remote.pieces)
        detected = check_declared(declared.content_type, first)
        check_allowed(detected, self._uploads.limits.allowed_types, declared=declared.content_type)
        fields = write_content(declared.filename, declared.content_type or ANY_TYPE, remote.size)
        return StreamingResponse(pieces, headers=fields)

    async def _remote(self, call: Call, url: str) -> Remote:
        if self._web is None:
            raise BadField("fetch", "is off on this server")
        size_max = self._uploads.limits.file_size_max
        return await call.opened.enter_async_context(self._web.get(url, size_max=size_max))


def asked(request: Request, *names: str) -> str | None:
    """What the query says under one of these names. BadField if it says more than one thing."""
    values = [value for name in names for value in request.query_params.getlist(name)]
    if len(values) > 1:
        raise BadField(names[0], f"must be there once, is there {len(values)} times")
    return values[0] if values else None


def needed(request: Request, *names: str) -> str:
    """What the query says under one of these names. BadField if it says nothing."""
    value = asked(request, *names)
    if value is None:
        raise BadField(names[0], "is missing in the query")
    return value


def written(upload_id: str, status: int = HTTPStatus.CREATED) -> Response:
    """An id, and nothing around it."""
    return PlainTextResponse(upload_id, status)


async def read_small(request: Request, *, size_max: int) -> bytes:
    """A body that is short. BadField."""
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client went away before the end of its body")
        body += message.get("body", b"")
        if len(body) > size_max:
            raise BadField("body", f"must have at most {size_max} bytes")
        more = message.get("more_body", False)
    return bytes(body)


async def begun(pieces: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, as many as show what a file is, and all pieces, those among them."""
    first = b""
    while len(first) < SNIFF_BYTES and (piece := await anext(pieces, None)) is not None:
        first += piece

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return first, all_of_them()


def out_of(remote: Remote) -> Pour:
    """A file of another server, on its way into an intake."""

    async def pour(intake: Intake) -> None:
        async for piece in remote.pieces:
            busy = intake.feed(piece)
            if busy is not None:
                await busy

    return pour
